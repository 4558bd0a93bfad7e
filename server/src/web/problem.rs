//! Errors as problem documents (RFC 9457). Each use case has its own table from its errors to documents.

mod accounts;
mod console;
mod conversations;
mod dialogues;
mod google;
mod histories;
mod releases;
mod request;

use std::{borrow::Cow, io::Cursor};

use banter_stores::{StoreError, Trouble};
use rocket::{
    Request, Response,
    http::{ContentType, Header, Status},
    response::{self, Responder},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::context::{Speech, Trace};
use crate::catalogs::gate::GateReport;
pub use request::RequestError;

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'p> {
    /// `urn:banter:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The name of the status.
    title: &'static str,
    status: u16,
    /// A sentence for people, in the language of `Accept-Language`.
    detail: &'p str,
    /// A stable word for programs.
    code: &'static str,
    /// Why the version was refused; only in `version_refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GateReport>, nullable = false)]
    report: Option<&'p GateReport>,
    /// The id under which the log tells the cause; only in a 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    request_id: Option<&'p str>,
}

/// A problem document, and the headers that go with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: u16,
    /// A stable word for programs.
    code: &'static str,
    /// A sentence for people.
    english: Cow<'static, str>,
    russian: Cow<'static, str>,
    /// Why a version was refused.
    report: Option<Box<GateReport>>,
    /// Seconds to wait before the next try.
    retry_after: Option<u64>,
    /// The methods that the path takes.
    allow: Option<Box<str>>,
}

impl Problem {
    /// A document without more.
    pub fn new(
        status: u16,
        code: &'static str,
        english: impl Into<Cow<'static, str>>,
        russian: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (english, russian) = (english.into(), russian.into());
        Self { status, code, english, russian, report: None, retry_after: None, allow: None }
    }

    fn with_report(self, report: Box<GateReport>) -> Self {
        Self { report: Some(report), ..self }
    }

    fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// A failure of the server. Its cause goes to the log and to nobody else.
    pub fn internal(cause: &str) -> Self {
        tracing::error!(cause, "internal error");
        Self::new(500, "internal", "Something went wrong on our side.", "Что-то пошло не так на нашей стороне.")
    }

    /// Credentials are missing or not valid.
    fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "Valid credentials are required.", "Нужны действующие учётные данные.")
    }

    /// The server has too much to do.
    fn busy() -> Self {
        let (english, russian) = ("The server is busy; try again in a moment.", "Сервер занят; повторите чуть позже.");
        Self::new(503, "busy", english, russian).with_retry_after(1)
    }

    /// A part does not respond.
    pub fn unavailable(part: &'static str) -> Self {
        let english = format!("A part of the service does not respond: {part}.");
        let russian = format!("Часть сервиса не отвечает: {part}.");
        Self::new(503, "unavailable", english, russian).with_retry_after(1)
    }

    pub fn status(&self) -> Status {
        Status::from_code(self.status).unwrap_or(Status::InternalServerError)
    }

    /// The document in a language.
    pub fn document(&self, speech: Speech) -> ProblemDocument<'_> {
        let detail = match speech {
            Speech::Russian => &self.russian,
            Speech::English => &self.english,
        };
        ProblemDocument {
            kind: format!("urn:banter:problem:{}", self.code),
            title: title(self.status),
            status: self.status,
            detail,
            code: self.code,
            report: self.report.as_deref(),
            request_id: None,
        }
    }
}

/// The name of a status (RFC 9110, section 15).
fn title(status: u16) -> &'static str {
    match status {
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        other => Status::from_code(other).and_then(|status| status.reason()).unwrap_or("Error"),
    }
}

impl<'r> Responder<'r, 'static> for Problem {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let speech = Speech::of(request);
        let mut document = self.document(speech);
        if self.status() == Status::InternalServerError {
            document.request_id = Some(&Trace::of(request).id);
        }
        let body = serde_json::to_string(&document).map_err(|_| Status::InternalServerError)?;
        let status = self.status();
        let mut response = Response::build();
        response
            .status(status)
            .header(ContentType::new("application", "problem+json"))
            .header(Header::new("Content-Language", speech.code()))
            .sized_body(body.len(), Cursor::new(body));
        if let Some(seconds) = self.retry_after {
            response.header(Header::new("Retry-After", seconds.to_string()));
        }
        if let Some(methods) = self.allow {
            response.header(Header::new("Allow", methods.into_string()));
        }
        if status == Status::Unauthorized {
            response.header(Header::new("WWW-Authenticate", "Bearer"));
        }
        response.ok()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.trouble {
            Trouble::Outage => {
                tracing::error!(%error, "a store does not respond");
                Self::unavailable(error.store)
            }
            Trouble::Busy => {
                tracing::warn!(%error, "a store is asked too much at once");
                Self::busy()
            }
            Trouble::Damage => Self::internal(&error.to_string()),
        }
    }
}
