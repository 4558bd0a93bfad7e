//! Why a dialogue is not created, renamed, read or deleted.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{dialogues::DialogueError, web::document::problems};

impl IntoResponses for DialogueError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([403, 404, 422, 500, 503])
    }
}

impl From<DialogueError> for Problem {
    fn from(error: DialogueError) -> Self {
        match error {
            DialogueError::Name => Self::new(
                422,
                "invalid_name",
                "A dialogue's name must have 3 to 20 characters and no control characters.",
                "Название диалога — от 3 до 20 символов, без управляющих символов.",
            ),
            DialogueError::Full => Self::new(
                403,
                "too_many_dialogs",
                "You have five dialogues; delete one first.",
                "У вас уже пять диалогов; сначала удалите один.",
            ),
            DialogueError::Unknown => {
                Self::new(404, "unknown_dialog", "You have no such dialogue.", "У вас нет такого диалога.")
            }
            DialogueError::Store(error) => error.into(),
        }
    }
}
