//! Dialogues that wait for a person.

use std::{collections::BTreeMap, sync::Arc};

use banter_stores::{DialogueId, WaitingDialogue};
use rocket::{State, get, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    conversations::{ConversationError, OutsideAnswer},
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::{
            IdempotencyKey,
            admin::{self, Admin},
        },
        problem::Problem,
    },
};

#[derive(Serialize, ToSchema)]
pub struct Inbox {
    /// The oldest first.
    dialogs: Vec<InboxItem>,
}

#[derive(Serialize, ToSchema)]
pub struct InboxItem {
    dialog_id: i64,
    user_id: i64,
    /// The message that was handed off, then what the user has said since.
    texts: Vec<String>,
    /// When the bot speaks again without an answer, in milliseconds since 1970.
    waits_until: i64,
    /// Until when somebody has it, in milliseconds since 1970; 0 if nobody ever had.
    claimed_until: i64,
    /// The values that the bot knows, by their slots.
    slots: BTreeMap<String, Value>,
}

impl From<WaitingDialogue> for InboxItem {
    fn from(waiting: WaitingDialogue) -> Self {
        // The history has a page of its own.
        let WaitingDialogue { user, dialogue, until, leased_until, texts, slots, history: _ } = waiting;
        Self { dialog_id: dialogue.0, user_id: user.0, texts, waits_until: until, claimed_until: leased_until, slots }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Claim {
    /// In milliseconds since 1970.
    claimed_until: i64,
}

#[derive(Serialize, ToSchema)]
pub struct Released {
    dialog_id: i64,
}

#[derive(Deserialize, ToSchema)]
pub struct PersonsAnswer {
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
    /// The `waits_until` of the question that is answered. If another has taken its place, the answer is refused.
    waits_until: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct PersonsAnswerStored {
    dialog_id: i64,
}

fn dialogue(id: &str) -> Result<DialogueId, ConversationError> {
    id.parse().map(DialogueId).map_err(|_| ConversationError::UnknownDialogue)
}

/// List the dialogues that wait for a person, with what their users say.
///
/// Needs the scope `answer`.
#[utoipa::path(
    operation_id = "list_inbox",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The dialogues", body = Inbox), Admin<admin::Answer>),
)]
#[get("/admin/inbox")]
pub async fn list(
    _admin: Admin<admin::Answer>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Inbox>, Problem> {
    let waiting = context.run(app.hand_offs.inbox()).await?;
    Ok(Json(Inbox { dialogs: waiting.into_iter().map(InboxItem::from).collect() }))
}

/// Take a dialogue for ten minutes, so that nobody else answers it.
///
/// Needs the scope `answer`.
#[utoipa::path(
    operation_id = "claim_dialogue",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses((status = 200, description = "It is yours", body = Claim), Admin<admin::Answer>, ConversationError),
)]
#[post("/admin/inbox/<id>/claim")]
pub async fn claim(
    _admin: Admin<admin::Answer>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Claim>, Problem> {
    let claimed_until = context.run(app.hand_offs.claim(dialogue(id)?)).await?;
    Ok(Json(Claim { claimed_until }))
}

/// Let others take a dialogue.
///
/// Needs the scope `answer`.
#[utoipa::path(
    operation_id = "release_dialogue",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses((status = 200, description = "Others may take it", body = Released), Admin<admin::Answer>, ConversationError),
)]
#[post("/admin/inbox/<id>/release")]
pub async fn release(
    _admin: Admin<admin::Answer>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Released>, Problem> {
    let dialogue = dialogue(id)?;
    context.run(app.hand_offs.release(dialogue)).await?;
    Ok(Json(Released { dialog_id: dialogue.0 }))
}

/// Answer in a dialogue that waits. Its user sees the answer at once, and the bot goes on from there.
///
/// Needs the scope `answer`.
#[utoipa::path(
    operation_id = "answer_dialogue",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(IdempotencyKey, ("id" = i64, Path, minimum = 1, description = "The dialogue")),
    request_body = PersonsAnswer,
    responses(
        (status = 200, description = "It is stored", body = PersonsAnswerStored),
        Admin<admin::Answer>, IdempotencyKey, Body<PersonsAnswer>, ConversationError,
    ),
)]
#[post("/admin/inbox/<id>/answer", data = "<body>")]
pub async fn answer(
    _admin: Admin<admin::Answer>,
    id: &str,
    key: IdempotencyKey,
    body: Body<PersonsAnswer>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<PersonsAnswerStored>, Problem> {
    let dialogue = dialogue(id)?;
    let PersonsAnswer { text, waits_until } = body.value;
    let answer = OutsideAnswer { text: &text, until: waits_until };
    context.run(app.hand_offs.answer_in(dialogue, answer, key.0.zip(body.hash))).await?;
    Ok(Json(PersonsAnswerStored { dialog_id: dialogue.0 }))
}
