//! A user's history.

use std::sync::Arc;

use banter_stores::{DialogueId, HistoryEntry, HistoryQuery};
use rocket::{
    Request, State, get,
    request::{FromRequest, Outcome},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    conversations::ConversationError,
    histories::HistoryError,
    message_id,
    web::{
        app::App,
        body::refuse,
        context::RequestContext,
        guard::User,
        list::JsonList,
        problem::{Problem, RequestError},
    },
};

#[derive(Serialize, ToSchema)]
pub struct History {
    user_id: String,
    /// Oldest first.
    history: Vec<HistoryItem>,
}

#[derive(Serialize, ToSchema)]
pub struct HistoryItem {
    id: String,
    /// What the user said.
    text: String,
    /// What the bot answered, as one text.
    response: String,
}

impl From<HistoryEntry> for HistoryItem {
    fn from(entry: HistoryEntry) -> Self {
        Self { id: entry.id, text: entry.text, response: entry.response }
    }
}

/// List what the user and the bot have said, oldest first.
#[utoipa::path(
    tag = "messages",
    security(("bearer" = []), ("cookie" = [])),
    params(
        ("dialog_id" = Option<i64>, Query, minimum = 1, description = "Only this dialogue"),
        ("limit" = Option<i64>, Query, minimum = 1, description = "Only the newest entries, this many"),
        ("before" = Option<String>, Query, description = "Only entries older than the one with this id"),
    ),
    responses((status = 200, description = "The history", body = History), User, ConversationError, HistoryError),
)]
#[get("/session/history")]
pub async fn history(
    user: User,
    query: HistoryPage,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<JsonList, Problem> {
    let opened = context.run(app.histories.open(user.0, query.0)).await?;
    let history = opened.ok_or(ConversationError::ForeignDialogue)?;
    let head = format!(r#"{{"user_id":"{}","history":["#, user.0.0);
    Ok(JsonList::of(head, history, |entry| [HistoryItem::from(entry)], context.span()))
}

/// `?dialog_id=&limit=&before=`. The error names the invalid parameter. Empty values count as absent.
pub struct HistoryPage(HistoryQuery);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for HistoryPage {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match page(request) {
            Ok(query) => Outcome::Success(Self(query)),
            Err(name) => Outcome::Error(refuse(request, RequestError::InvalidParameter(name.to_owned()))),
        }
    }
}

fn page(request: &Request<'_>) -> Result<HistoryQuery, &'static str> {
    let value = |name| request.query_value::<&str>(name).and_then(Result::ok).filter(|value| !value.is_empty());
    let number = |name| value(name).map(|text| text.parse::<i64>().ok().filter(|n| *n > 0).ok_or(name)).transpose();
    let limit = number("limit")?.map(i64::cast_unsigned);
    let before = value("before");
    if before.is_some_and(|id| !message_id::is_valid(id)) {
        return Err("before");
    }
    Ok(HistoryQuery {
        dialogue: number("dialog_id")?.map(DialogueId),
        limit,
        before: before.map(str::to_lowercase),
        after: None,
    })
}
