//! What is wrong with a log-in or a token.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::{Problem, RequestError};
use crate::{accounts::AccountError, web::document::problems};

impl IntoResponses for AccountError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 422, 429, 500, 503])
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Email => {
                Self::new(422, "invalid_email", "This is not an e-mail address.", "Это не адрес электронной почты.")
            }
            AccountError::Password => Self::new(
                422,
                "invalid_password",
                "The password must be 1 to 1,024 bytes long.",
                "Длина пароля — от 1 до 1024 байт.",
            ),
            AccountError::WrongPassword => {
                Self::new(401, "wrong_password", "The password is wrong.", "Неверный пароль.")
            }
            AccountError::TooMany(seconds) => Self::new(
                429,
                "too_many_requests",
                "Too many attempts; try again later.",
                "Слишком много попыток; повторите позже.",
            )
            .with_retry_after(seconds),
            AccountError::Origin => RequestError::ForeignOrigin.into(),
            AccountError::Token => Self::unauthorized(),
            AccountError::RefreshToken => Self::new(
                401,
                "invalid_refresh_token",
                "The refresh token is not valid; log in again.",
                "Токен обновления недействителен; войдите снова.",
            ),
            AccountError::Busy => Self::busy(),
            AccountError::Store(error) => error.into(),
            AccountError::NotCreated(cause) => {
                tracing::error!(cause, "a user could not be created");
                Self::new(500, "user_not_created", "The user could not be created.", "Не удалось создать пользователя.")
            }
            AccountError::Internal(cause) => Self::internal(&cause),
        }
    }
}
