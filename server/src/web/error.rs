//! Errors as RFC 9457 problem details. One table gives status, code and the sentence in each language.

use std::io::Cursor;

use rocket::{
    Request, Response,
    http::{ContentType, Header, Status},
    response::{self, Responder},
};
use serde_json::{Value, json};

use super::context::{Speech, Trace};
use crate::{
    accounts::AccountError,
    catalogs::{
        gate::GateReport,
        releases::{
            ALREADY_FOR_ALL, CANARY_SHARE, CONTROL_MESSAGE, LONG_MESSAGE, NO_CANARY, NO_EARLIER, NOTHING_PUBLISHED,
            ReleaseError,
        },
    },
    conversations::ConversationError,
    stores::StoreError,
};

/// All that a request can end with but success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// The body is not JSON.
    MalformedJson,
    /// The request itself cannot be read.
    BadRequest,
    /// The body is missing.
    MissingBody,
    /// A field is missing.
    MissingField(String),
    /// A field has the wrong type or breaks a bound.
    InvalidField(String),
    /// A query parameter is no good.
    InvalidParameter(String),
    /// Not an e-mail address.
    InvalidEmail,
    /// Empty or too long.
    InvalidPassword,
    /// Empty or too long.
    InvalidText,
    /// A header that is no key.
    InvalidIdempotencyKey,
    /// No credentials, or none that are good.
    Unauthorized,
    /// Another password.
    WrongPassword,
    /// A refresh token that is not good.
    InvalidRefreshToken,
    /// Somebody else's dialogue.
    ForeignDialog,
    /// A POST by cookie from another origin.
    ForeignOrigin,
    /// A wrong key, or none.
    WrongKey,
    /// Known, but not for this.
    NotAllowed,
    /// No such version of the bot.
    UnknownVersion,
    /// The upload is no bot.
    InvalidBundle(String),
    /// The version did not pass the gate.
    VersionRefused(Box<GateReport>),
    /// Somebody else was faster.
    ActivationConflict,
    /// The state is another than the client knows.
    PreconditionFailed,
    /// There is nothing to do that to.
    NothingToDo(&'static str),
    /// A value out of its bounds.
    OutOfBounds(&'static str),
    /// No such path.
    NotFound,
    /// The path exists, for these methods.
    MethodNotAllowed(&'static str),
    /// Over the limit.
    TooLarge,
    /// Not JSON by its content type.
    UnsupportedMediaType,
    /// The body is no archive and no form.
    UnsupportedUpload,
    /// The key was used with another request.
    IdempotencyMismatch,
    /// Too many tries; seconds to wait.
    TooMany(u64),
    /// Too much at once; seconds to wait.
    Busy(u64),
    /// This part does not answer.
    Unavailable(&'static str),
    /// The user could not be created.
    UserNotCreated,
    /// Our own fault; the cause is in the log.
    Internal,
}

struct Row {
    status: u16,
    code: &'static str,
    title: &'static str,
    english: String,
    russian: String,
}

impl ApiError {
    /// The HTTP status.
    pub fn status(&self) -> Status {
        Status::from_code(self.row().status).unwrap_or(Status::InternalServerError)
    }

    fn row(&self) -> Row {
        let row = |status, code, title, english: &str, russian: &str| Row {
            status,
            code,
            title,
            english: english.to_owned(),
            russian: russian.to_owned(),
        };
        match self {
            Self::MalformedJson => {
                row(400, "malformed_json", "Bad Request", "The body is not valid JSON.", "Тело запроса — не JSON.")
            }
            Self::BadRequest => {
                row(400, "bad_request", "Bad Request", "The request cannot be read.", "Запрос не удаётся прочитать.")
            }
            Self::MissingBody => {
                row(422, "missing_body", "Unprocessable Content", "The request has no body.", "У запроса нет тела.")
            }
            Self::MissingField(field) => row(
                422,
                "missing_field",
                "Unprocessable Content",
                &format!("The field `{field}` is missing."),
                &format!("Нет поля `{field}`."),
            ),
            Self::InvalidField(field) => row(
                422,
                "invalid_field",
                "Unprocessable Content",
                &format!("The value of `{field}` has the wrong type or is out of bounds."),
                &format!("Значение `{field}` не того типа или вне границ."),
            ),
            Self::InvalidParameter(name) => row(
                422,
                "invalid_parameter",
                "Unprocessable Content",
                &format!("The parameter `{name}` has no valid value."),
                &format!("У параметра `{name}` недопустимое значение."),
            ),
            Self::InvalidEmail => row(
                422,
                "invalid_email",
                "Unprocessable Content",
                "This is not an e-mail address.",
                "Это не адрес электронной почты.",
            ),
            Self::InvalidPassword => row(
                422,
                "invalid_password",
                "Unprocessable Content",
                "A password has 1 to 1,024 bytes.",
                "Длина пароля — от 1 до 1024 байт.",
            ),
            Self::InvalidText => row(
                422,
                "invalid_text",
                "Unprocessable Content",
                "A message has 1 to 2,000 characters, a visible one among them, and no NUL.",
                "В сообщении от 1 до 2000 символов, среди них хотя бы один видимый и ни одного NUL.",
            ),
            Self::InvalidIdempotencyKey => row(
                422,
                "invalid_idempotency_key",
                "Unprocessable Content",
                "An idempotency key has 1 to 64 visible ASCII characters.",
                "Ключ идемпотентности — от 1 до 64 видимых символов ASCII.",
            ),
            Self::Unauthorized => row(401, "unauthorized", "Unauthorized", "Log in to use this.", "Нужно войти."),
            Self::WrongPassword => {
                row(401, "wrong_password", "Unauthorized", "The password is wrong.", "Неверный пароль.")
            }
            Self::InvalidRefreshToken => row(
                401,
                "invalid_refresh_token",
                "Unauthorized",
                "The refresh token is not valid; log in again.",
                "Токен обновления недействителен; войдите снова.",
            ),
            Self::ForeignDialog => {
                row(403, "foreign_dialog", "Forbidden", "This dialog is not yours.", "Это не ваш диалог.")
            }
            Self::ForeignOrigin => row(
                403,
                "foreign_origin",
                "Forbidden",
                "A request by cookie must come from the front-end itself.",
                "Запрос с куки должен приходить с самого сайта.",
            ),
            Self::WrongKey => {
                row(403, "wrong_key", "Forbidden", "The key is missing or wrong.", "Ключа нет, или он неверен.")
            }
            Self::NotFound => {
                row(404, "not_found", "Not Found", "There is nothing at this address.", "По этому адресу ничего нет.")
            }
            Self::MethodNotAllowed(_) => row(
                405,
                "method_not_allowed",
                "Method Not Allowed",
                "This address does not take this method.",
                "Этот адрес не принимает такой метод.",
            ),
            Self::TooLarge => {
                row(413, "too_large", "Content Too Large", "The body is too large.", "Тело запроса слишком велико.")
            }
            Self::UnsupportedMediaType => row(
                415,
                "unsupported_media_type",
                "Unsupported Media Type",
                "The body must be application/json.",
                "Тело должно быть application/json.",
            ),
            Self::UnsupportedUpload => row(
                415,
                "unsupported_media_type",
                "Unsupported Media Type",
                "An upload is application/x-tar, application/gzip or multipart/form-data.",
                "Загружать можно application/x-tar, application/gzip или multipart/form-data.",
            ),
            Self::IdempotencyMismatch => row(
                409,
                "idempotency_mismatch",
                "Conflict",
                "This idempotency key was used with another request.",
                "Этот ключ идемпотентности уже был с другим запросом.",
            ),
            Self::NotAllowed => row(
                403,
                "not_allowed",
                "Forbidden",
                "That needs an administrator with the right for it.",
                "Для этого нужен администратор с таким правом.",
            ),
            Self::UnknownVersion => row(
                404,
                "unknown_version",
                "Not Found",
                "There is no such version, or more than one begins like this.",
                "Такой версии нет, или так начинаются несколько.",
            ),
            Self::InvalidBundle(reason) => row(
                422,
                "invalid_bundle",
                "Unprocessable Content",
                &format!("The upload is no bot: {reason}."),
                &format!("Загруженное не является ботом: {reason}."),
            ),
            Self::VersionRefused(_) => row(
                422,
                "version_refused",
                "Unprocessable Content",
                "The version did not pass; `report` says why. Nothing has changed.",
                "Версия не прошла проверку; причины в `report`. Ничего не изменилось.",
            ),
            Self::ActivationConflict => row(
                409,
                "activation_conflict",
                "Conflict",
                "Another version was activated meanwhile; look at it and try again.",
                "Тем временем включили другую версию; посмотрите на неё и повторите.",
            ),
            Self::PreconditionFailed => row(
                412,
                "precondition_failed",
                "Precondition Failed",
                "The version in use is another than If-Match says.",
                "Сейчас действует не та версия, что названа в If-Match.",
            ),
            Self::NothingToDo(reason) => row(
                409,
                "nothing_to_do",
                "Conflict",
                &format!("That cannot be done: {reason}."),
                &format!("Это невозможно: {}.", in_russian(reason)),
            ),
            Self::OutOfBounds(reason) => row(
                422,
                "out_of_bounds",
                "Unprocessable Content",
                &format!("A value is out of its bounds: {reason}."),
                &format!("Значение вне допустимых пределов: {}.", in_russian(reason)),
            ),
            Self::TooMany(_) => row(
                429,
                "too_many_requests",
                "Too Many Requests",
                "Too many tries; wait a little.",
                "Слишком много попыток; подождите немного.",
            ),
            Self::Busy(_) => row(
                503,
                "busy",
                "Service Unavailable",
                "The server is busy; try again in a moment.",
                "Сервер занят; повторите чуть позже.",
            ),
            Self::Unavailable(part) => row(
                503,
                "unavailable",
                "Service Unavailable",
                &format!("A part of the service does not answer: {part}."),
                &format!("Часть сервиса не отвечает: {part}."),
            ),
            Self::UserNotCreated => row(
                500,
                "user_not_created",
                "Internal Server Error",
                "The user could not be created.",
                "Не удалось создать пользователя.",
            ),
            Self::Internal => row(
                500,
                "internal",
                "Internal Server Error",
                "Something went wrong on our side.",
                "Что-то пошло не так на нашей стороне.",
            ),
        }
    }

    /// The problem document (RFC 9457).
    pub fn problem(&self, speech: Speech) -> Value {
        let row = self.row();
        let detail = match speech {
            Speech::Russian => row.russian,
            Speech::English => row.english,
        };
        let mut body = json!({
            "type": format!("urn:banter:problem:{}", row.code),
            "title": row.title,
            "status": row.status,
            "detail": detail,
            "code": row.code,
        });
        if let Self::VersionRefused(report) = self {
            body["report"] = json!(report);
        }
        body
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(seconds) | Self::Busy(seconds) => Some(*seconds),
            Self::Unavailable(_) => Some(1),
            _ => None,
        }
    }
}

impl<'r> Responder<'r, 'static> for ApiError {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut body = self.problem(Speech::of(request));
        if self.status() == Status::InternalServerError {
            body["request_id"] = json!(Trace::of(request).id);
        }
        let body = body.to_string();
        let mut response = Response::build();
        response
            .status(self.status())
            .header(ContentType::new("application", "problem+json"))
            .header(Header::new("Content-Language", Speech::of(request).code()))
            .sized_body(body.len(), Cursor::new(body));
        if let Some(seconds) = self.retry_after() {
            response.header(Header::new("Retry-After", seconds.to_string()));
        }
        if let Self::MethodNotAllowed(methods) = self {
            response.header(Header::new("Allow", methods));
        }
        if self.status() == Status::Unauthorized {
            response.header(Header::new("WWW-Authenticate", "Bearer"));
        }
        response.ok()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.outage {
            tracing::error!(%error, "a store does not answer");
            Self::Unavailable(error.store)
        } else {
            tracing::error!(%error, "a store holds what it should not");
            Self::Internal
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Email => Self::InvalidEmail,
            AccountError::Password => Self::InvalidPassword,
            AccountError::WrongPassword => Self::WrongPassword,
            AccountError::TooMany(seconds) => Self::TooMany(seconds),
            AccountError::Token => Self::Unauthorized,
            AccountError::Busy => Self::Busy(1),
            AccountError::Store(error) => error.into(),
            AccountError::NotCreated(message) => {
                tracing::error!(message, "a user could not be created");
                Self::UserNotCreated
            }
            AccountError::Internal(message) => {
                tracing::error!(message, "internal error");
                Self::Internal
            }
        }
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Refused(report) => Self::VersionRefused(report),
            ReleaseError::Conflict => Self::ActivationConflict,
            ReleaseError::Stale => Self::PreconditionFailed,
            ReleaseError::Unknown(_) => Self::UnknownVersion,
            ReleaseError::Nothing(reason) => Self::NothingToDo(reason),
            ReleaseError::Bounds(reason) => Self::OutOfBounds(reason),
            ReleaseError::Store(error) => error.into(),
            ReleaseError::Internal(message) => {
                tracing::error!(message, "internal error");
                Self::Internal
            }
        }
    }
}

/// The reasons of releases, for those who like Russian better.
fn in_russian(reason: &'static str) -> &'static str {
    match reason {
        NO_EARLIER => "раньше не было другой версии",
        NOTHING_PUBLISHED => "ещё ничего не опубликовано",
        NO_CANARY => "нет пробной версии",
        ALREADY_FOR_ALL => "эта версия уже у всех",
        LONG_MESSAGE => "сообщение длиннее 500 знаков",
        CONTROL_MESSAGE => "в сообщении переводы строк или другие управляющие знаки",
        CANARY_SHARE => "пробная версия даётся от 1 до 99 пользователям из ста",
        other => other,
    }
}

impl From<ConversationError> for ApiError {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Text => Self::InvalidText,
            ConversationError::ForeignDialog => Self::ForeignDialog,
            ConversationError::UserGone => Self::Unauthorized,
            ConversationError::KeyMismatch => Self::IdempotencyMismatch,
            ConversationError::Busy => Self::Busy(1),
            ConversationError::Store(error) => error.into(),
            ConversationError::Internal(message) => {
                tracing::error!(message, "internal error");
                Self::Internal
            }
        }
    }
}
