//! Why a sign-in by Google fails.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::{Problem, RequestError};
use crate::{google::GoogleError, web::document::problems};

impl IntoResponses for GoogleError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 404, 503])
    }
}

impl From<GoogleError> for Problem {
    fn from(error: GoogleError) -> Self {
        match error {
            GoogleError::Off => RequestError::NotFound.into(),
            GoogleError::Token(reason) => {
                tracing::info!(reason, "a Google token is not valid");
                Self::new(
                    401,
                    "invalid_google_token",
                    "Google's token is not valid; sign in again.",
                    "Токен Google недействителен; войдите снова.",
                )
            }
            GoogleError::Unavailable(_) => Self::unavailable("google"),
        }
    }
}
