//! Why a message has no answer.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{conversations::ConversationError, web::document::problems};

impl IntoResponses for ConversationError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 409, 422, 500, 503])
    }
}

impl From<ConversationError> for Problem {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Text => Self::new(
                422,
                "invalid_text",
                "A message must have 1 to 2,000 characters, at least one of them visible, and no NUL.",
                "В сообщении должно быть от 1 до 2000 символов, хотя бы один из них видимый; символ NUL недопустим.",
            ),
            ConversationError::ForeignDialogue => {
                Self::new(403, "foreign_dialog", "This dialogue is not yours.", "Это не ваш диалог.")
            }
            ConversationError::UserGone => Self::unauthorized(),
            ConversationError::KeyMismatch => Self::new(
                409,
                "idempotency_mismatch",
                "This idempotency key was already used for a different request.",
                "Этот ключ идемпотентности уже использован для другого запроса.",
            ),
            ConversationError::Busy => Self::busy(),
            ConversationError::Store(error) => error.into(),
            ConversationError::Internal(cause) => Self::internal(&cause),
        }
    }
}
