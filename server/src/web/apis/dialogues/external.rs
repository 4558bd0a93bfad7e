//! Questions that the external AI may answer, and its side of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use banter_engine::state::Exchange;
use banter_stores::{DialogueId, UserId, WaitingDialogue};
use rocket::{Shutdown, State, get, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::list::id;
use crate::{
    conversations::{ConversationError, Incoming, OutsideAnswer},
    hand_offs::{LEASE_SECONDS, Reply},
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::{AnswererClient, IdempotencyKey, Sender, User},
        problem::{Problem, RequestError},
    },
};

#[derive(Deserialize, ToSchema)]
pub struct AskRequest {
    #[schema(minimum = 1)]
    dialog_id: i64,
    #[schema(min_length = 1, max_length = 2000)]
    text_user: String,
}

#[derive(Serialize, ToSchema)]
pub struct AskResponse {
    /// `ok`.
    server: &'static str,
    answer_ai: String,
}

#[derive(Serialize, ToSchema)]
pub struct FlagResponse {
    /// `ok`.
    server: &'static str,
    content: bool,
}

#[derive(Serialize, ToSchema)]
pub struct WaitingResponse {
    /// `true`.
    success: bool,
    /// The oldest first.
    service_message: Vec<WaitingMessage>,
}

/// A message with the bot's answer, shortened.
#[derive(Serialize, ToSchema)]
pub struct EarlierExchange {
    user: String,
    bot: String,
}

impl From<Exchange> for EarlierExchange {
    fn from(Exchange { user, bot, .. }: Exchange) -> Self {
        Self { user, bot }
    }
}

#[derive(Serialize, ToSchema)]
pub struct WaitingMessage {
    user_id: i64,
    dialog_id: i64,
    /// The message that was handed off, then what the user has said since, a line each.
    content: String,
    /// Until when it waits, in milliseconds since 1970; different for each question of a dialogue.
    waits_until: i64,
    /// The values that the bot knows, by their slots.
    slots: BTreeMap<String, Value>,
    /// What was said before, the oldest first.
    history: Vec<EarlierExchange>,
}

impl From<WaitingDialogue> for WaitingMessage {
    fn from(waiting: WaitingDialogue) -> Self {
        Self {
            user_id: waiting.user.0,
            dialog_id: waiting.dialogue.0,
            content: waiting.texts.join("\n"),
            waits_until: waiting.until,
            slots: waiting.slots,
            history: waiting.history.into_iter().map(EarlierExchange::from).collect(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub struct AnswerRequest {
    #[schema(minimum = 1)]
    user_id: i64,
    #[schema(minimum = 1)]
    dialog_id: i64,
    /// What the user is told.
    #[schema(min_length = 1, max_length = 2000)]
    text_user: String,
    /// That of the question, so that the answer goes to no later one.
    waits_until: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct AnswerResponse {
    /// `ok`.
    server: &'static str,
    /// `Сообщение записано`.
    service_message: &'static str,
}

/// Ask the bot. If it hands the question off, wait for the answer of the external AI.
///
/// After a 503 or a 504 with the code `no_answer`, the same request with the same `Idempotency-Key` goes on waiting for
/// the same answer. After a 504 with the code `given_back`, ask with a new key.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    params(IdempotencyKey),
    request_body = AskRequest,
    responses(
        (status = 200, description = "The answer", body = AskResponse),
        Sender, IdempotencyKey, Body<AskRequest>, ConversationError,
    ),
)]
#[post("/send/message/ai", data = "<body>")]
pub async fn ask(
    user: Sender,
    key: IdempotencyKey,
    body: Body<AskRequest>,
    shutdown: Shutdown,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<AskResponse>, Problem> {
    let AskRequest { dialog_id, text_user } = body.value;
    let message = Incoming { user: user.0, dialogue: None, text: text_user, idempotency: key.0.zip(body.hash) };
    let dialogue = id(dialog_id)?;
    let answer_ai = match context.run(app.hand_offs.ask(dialogue, message)).await? {
        Reply::Answered(text) => text,
        Reply::Awaited(answer) => tokio::select! {
            answer = context.run(answer.answer()) => answer?,
            // A server that stops does not wait. The client asks another one.
            () = shutdown => return Err(RequestError::Busy.into()),
        },
    };
    Ok(Json(AskResponse { server: "ok", answer_ai }))
}

/// Tell whether an answer of the external AI is awaited.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    params(("id" = i64, Path, minimum = 1, description = "The dialogue")),
    responses((status = 200, description = "The flag", body = FlagResponse), User, ConversationError),
)]
#[get("/dialogs/flag/<id>")]
pub async fn flag(
    user: User,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<FlagResponse>, Problem> {
    let dialogue = id.parse().map_err(|_| ConversationError::UnknownDialogue)?;
    let content = context.run(app.hand_offs.is_waiting(user.0, DialogueId(dialogue))).await?;
    Ok(Json(FlagResponse { server: "ok", content }))
}

/// List what waits for an answer of the external AI.
#[utoipa::path(
    tag = "external AI",
    security(("messagesKey" = [])),
    params(("claim" = Option<u32>, Query, minimum = 1, maximum = 3600,
        description = "Lease what is listed for this many seconds: until then, nobody else gets it")),
    responses((status = 200, description = "What waits", body = WaitingResponse), AnswererClient, ConversationError),
)]
#[get("/messages?<claim>")]
pub async fn waiting(
    _client: AnswererClient,
    claim: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<WaitingResponse>, Problem> {
    let seconds = match claim {
        None => None,
        Some(text) => match text.parse::<u32>() {
            Ok(seconds) if LEASE_SECONDS.contains(&seconds) => Some(Duration::from_secs(seconds.into())),
            _ => return Err(RequestError::InvalidParameter("claim".to_owned()).into()),
        },
    };
    let waiting = context.run(app.hand_offs.waiting(seconds)).await?;
    Ok(Json(WaitingResponse {
        success: true,
        service_message: waiting.into_iter().map(WaitingMessage::from).collect(),
    }))
}

/// Answer what waits. The user who waits is told at once.
#[utoipa::path(
    tag = "external AI",
    security(("messagesKey" = [])),
    params(IdempotencyKey),
    request_body = AnswerRequest,
    responses(
        (status = 200, description = "It is stored", body = AnswerResponse),
        AnswererClient, IdempotencyKey, Body<AnswerRequest>, ConversationError,
    ),
)]
#[post("/send/message/user", data = "<body>")]
pub async fn answer(
    _client: AnswererClient,
    key: IdempotencyKey,
    body: Body<AnswerRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<AnswerResponse>, Problem> {
    let AnswerRequest { user_id, dialog_id, text_user, waits_until } = body.value;
    if user_id < 1 {
        return Err(RequestError::InvalidField("user_id".to_owned()).into());
    }
    let (dialogue, idempotency) = (id(dialog_id)?, key.0.zip(body.hash));
    let answer = OutsideAnswer { text: &text_user, until: waits_until };
    context.run(app.hand_offs.answer(UserId(user_id), dialogue, answer, idempotency)).await?;
    Ok(Json(AnswerResponse { server: "ok", service_message: "Сообщение записано" }))
}
