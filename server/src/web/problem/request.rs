//! What is wrong with a request itself.

use super::Problem;

/// A request that no use case has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    MalformedJson,
    /// The request could not be read, or not in time.
    Unreadable,
    MissingBody,
    MissingField(String),
    /// A sign-in without a token.
    MissingToken,
    /// A field has the wrong type or is out of range.
    InvalidField(String),
    /// A query parameter, or `If-Match`, is missing, unknown or invalid.
    InvalidParameter(String),
    InvalidIdempotencyKey,
    /// The upload is not a bot, for this reason.
    InvalidBundle(String),
    Unauthorized,
    /// A POST with a cookie from a foreign origin, or a foreign request to an open REST channel.
    ForeignOrigin,
    /// The key is missing or wrong.
    WrongKey,
    /// The client is known but lacks the permission.
    NotAllowed,
    NotFound,
    /// The path takes these methods and no others.
    MethodNotAllowed(String),
    TooLarge,
    /// The content type is not JSON.
    UnsupportedMediaType,
    /// The content type is neither an archive nor a form.
    UnsupportedUpload,
    Busy,
}

impl From<RequestError> for Problem {
    #[expect(clippy::too_many_lines, reason = "a table with one entry per reason")]
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::MalformedJson => Self::new(
                400,
                "malformed_json",
                "The body is not valid JSON.",
                "Тело запроса не является корректным JSON.",
            ),
            RequestError::Unreadable => {
                Self::new(400, "bad_request", "The request cannot be read.", "Запрос не удаётся прочитать.")
            }
            RequestError::MissingBody => {
                Self::new(422, "missing_body", "The request has no body.", "У запроса нет тела.")
            }
            RequestError::MissingField(field) => Self::new(
                422,
                "missing_field",
                format!("The field `{field}` is missing."),
                format!("Нет поля `{field}`."),
            ),
            RequestError::MissingToken => {
                Self::new(400, "missing_token", "The field `token` is missing.", "Нет поля `token`.")
            }
            RequestError::InvalidField(field) => Self::new(
                422,
                "invalid_field",
                format!("The value of `{field}` has the wrong type or is out of range."),
                format!("Значение поля `{field}` имеет неверный тип или выходит за допустимые пределы."),
            ),
            RequestError::InvalidParameter(name) => Self::new(
                422,
                "invalid_parameter",
                format!("The parameter `{name}` is missing, unknown, or invalid."),
                format!("Параметр `{name}` не указан, неизвестен или недопустим."),
            ),
            RequestError::InvalidIdempotencyKey => Self::new(
                422,
                "invalid_idempotency_key",
                "An idempotency key must be 1 to 64 visible ASCII characters.",
                "Ключ идемпотентности должен содержать от 1 до 64 видимых символов ASCII.",
            ),
            RequestError::InvalidBundle(reason) => Self::new(
                422,
                "invalid_bundle",
                format!("The upload is not a bot: {reason}."),
                format!("Загруженные данные — не бот: {reason}."),
            ),
            RequestError::Unauthorized => Self::unauthorized(),
            RequestError::ForeignOrigin => Self::new(
                403,
                "foreign_origin",
                "Requests from this origin are not allowed.",
                "Запросы из этого источника не разрешены.",
            ),
            RequestError::WrongKey => {
                Self::new(403, "wrong_key", "The key is missing or wrong.", "Ключ не указан или неверен.")
            }
            RequestError::NotAllowed => Self::new(
                403,
                "not_allowed",
                "Only an administrator with the required permission may do this.",
                "Это может сделать только администратор с нужным правом.",
            ),
            RequestError::NotFound => {
                Self::new(404, "not_found", "There is nothing at this address.", "По этому адресу ничего нет.")
            }
            RequestError::MethodNotAllowed(methods) => Self {
                allow: Some(methods.into_boxed_str()),
                ..Self::new(
                    405,
                    "method_not_allowed",
                    "This address does not support this method.",
                    "Этот адрес не поддерживает такой метод.",
                )
            },
            RequestError::TooLarge => {
                Self::new(413, "too_large", "The body is too large.", "Тело запроса слишком большое.")
            }
            RequestError::UnsupportedMediaType => Self::new(
                415,
                "unsupported_media_type",
                "The body must be application/json.",
                "Тело запроса должно быть в формате application/json.",
            ),
            RequestError::UnsupportedUpload => Self::new(
                415,
                "unsupported_media_type",
                "An upload must be application/x-tar, application/gzip, or multipart/form-data.",
                "Загружать можно application/x-tar, application/gzip или multipart/form-data.",
            ),
            RequestError::Busy => Self::busy(),
        }
    }
}
