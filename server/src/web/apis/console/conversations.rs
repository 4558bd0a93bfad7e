//! Conversations: searched, read, and exported as fixtures.

use std::sync::Arc;

use banter_stores::{DialogueId, TurnFilter};
use rocket::{
    Request, State, get,
    http::ContentType,
    request::{FromRequest, Outcome},
    serde::json::Json,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{LATEST, number, texts};
use crate::{
    console::{ConsoleError, ConsoleTurn, Texts},
    message_id,
    web::{
        app::App,
        body::refuse,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::{Problem, RequestError},
    },
};

/// Rows of a page: without `limit`, and at most.
const ROWS: (i64, i64) = (30, 100);
/// Characters of a condition, at most.
const LONGEST: usize = 200;

#[derive(Serialize, ToSchema)]
pub struct FoundConversations {
    /// The newest first.
    turns: Vec<ConsoleTurn>,
    /// The value of `before` for the next page; without it, there are no more. A page may be empty and not the last: a
    /// search reads 5,000 turns at a time.
    #[schema(required)]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Conversation {
    /// In order.
    turns: Vec<ConsoleTurn>,
}

/// What a search is for. The error names the invalid parameter. Empty values count as absent.
pub struct Wanted {
    filter: TurnFilter,
    before: Option<String>,
    limit: u32,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Wanted {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match wanted(request) {
            Ok(wanted) => Outcome::Success(wanted),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

fn wanted(request: &Request<'_>) -> Result<Wanted, RequestError> {
    let value = |name| request.query_value::<&str>(name).and_then(Result::ok).filter(|value| !value.is_empty());
    let invalid = |name: &str| RequestError::InvalidParameter(name.to_owned());
    let word = |name| match value(name) {
        Some(text) if text.chars().count() > LONGEST || text.contains('\0') => Err(invalid(name)),
        other => Ok(other.map(str::to_owned)),
    };
    let before = value("before").map(str::to_lowercase);
    if before.as_ref().is_some_and(|id| !message_id::is_valid(id)) {
        return Err(invalid("before"));
    }
    let filter = TurnFilter {
        intent: word("intent")?,
        language: word("language")?,
        outcome: word("outcome")?,
        version: word("version")?,
        text: word("text")?,
        since: number("since", value("since"), 0..=LATEST)?,
        until: number("until", value("until"), 0..=LATEST)?,
    };
    let limit = number("limit", value("limit"), 1..=ROWS.1)?.unwrap_or(ROWS.0);
    Ok(Wanted { filter, before, limit: u32::try_from(limit).unwrap_or(1) })
}

/// Search the turns of all conversations, newest first.
///
/// Needs the scope `read`. Personal data is masked without the scope `utterances`.
#[utoipa::path(
    operation_id = "search_conversations",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("intent" = Option<String>, Query, description = "Only turns that this intent answered"),
        ("language" = Option<String>, Query, description = "Only turns in this language"),
        ("outcome" = Option<String>, Query, description = "Only turns that were classified so: matched, ambiguous, unknown, form, waiting, answer, given_back, silence"),
        ("version" = Option<String>, Query, description = "Only turns of this version of the catalogue"),
        ("text" = Option<String>, Query, description = "Only turns in which this was said, in any case; needs the scope `utterances`"),
        ("since" = Option<i64>, Query, minimum = 0, description = "Not older than this, in milliseconds since 1970"),
        ("until" = Option<i64>, Query, minimum = 0, description = "Older than this, in milliseconds since 1970"),
        ("before" = Option<String>, Query, description = "Only turns before the one with this id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most this many; by default 30"),
    ),
    responses((status = 200, description = "The turns", body = FoundConversations), Admin<admin::Read>, ConsoleError),
)]
#[get("/admin/conversations")]
pub async fn search(
    admin: Admin<admin::Read>,
    wanted: Wanted,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<FoundConversations>, Problem> {
    let Wanted { filter, before, limit } = wanted;
    // Whoever may not see personal data could otherwise guess it, digit by digit.
    if filter.text.is_some() && texts(&admin) == Texts::Masked {
        return Err(RequestError::NotAllowed.into());
    }
    let found = context.run(app.console.search(&filter, before.as_deref(), limit, texts(&admin))).await?;
    Ok(Json(FoundConversations { turns: found.turns, next: found.next }))
}

/// Read a conversation, with the explanation of each turn.
///
/// Needs the scope `read`. Personal data is masked without the scope `utterances`.
#[utoipa::path(
    operation_id = "read_conversation",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("id" = i64, Path, minimum = 1, description = "The dialogue"),
        ("after" = Option<i64>, Query, minimum = 0, description = "Only turns with a greater number"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most this many; by default 30"),
    ),
    responses((status = 200, description = "The turns", body = Conversation), Admin<admin::Read>, ConsoleError),
)]
#[get("/admin/conversations/<id>?<after>&<limit>")]
pub async fn read(
    admin: Admin<admin::Read>,
    id: &str,
    after: Option<&str>,
    limit: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Conversation>, Problem> {
    let dialogue = id.parse().map(DialogueId).map_err(|_| ConsoleError::UnknownDialogue)?;
    let after = number("after", after, 0..=i64::MAX)?.unwrap_or(0);
    let limit = number("limit", limit, 1..=ROWS.1)?.unwrap_or(ROWS.0);
    let limit = u32::try_from(limit).unwrap_or(1);
    let turns = context.run(app.console.conversation(dialogue, after, limit, texts(&admin))).await?;
    Ok(Json(Conversation { turns }))
}

/// Export a conversation as a fixture. It passes with the version in use.
///
/// Needs the scope `publish`: the handlers of the version in use run. Personal data is masked without the scope
/// `utterances`.
#[utoipa::path(
    operation_id = "export_conversation",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses(
        (status = 200, description = "The fixture", body = serde_json::Value, content_type = "application/yaml"),
        Admin<admin::Publish>, ConsoleError,
    ),
)]
#[get("/admin/conversations/<id>/fixture")]
pub async fn fixture(
    admin: Admin<admin::Publish>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<(ContentType, String), Problem> {
    let dialogue = id.parse().map(DialogueId).map_err(|_| ConsoleError::UnknownDialogue)?;
    let yaml = context.run(app.console.fixture(dialogue, texts(&admin))).await?;
    Ok((ContentType::new("application", "yaml"), yaml))
}
