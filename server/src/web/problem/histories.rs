//! Why a history is not read.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{histories::HistoryError, web::document::problems};

impl IntoResponses for HistoryError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([429, 500, 503])
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::TooMany => Self::new(
                429,
                "too_many_histories",
                "Too many histories are being read; try again in a moment.",
                "Сейчас читают слишком много историй; повторите чуть позже.",
            )
            .with_retry_after(1),
            HistoryError::Store(error) => error.into(),
        }
    }
}
