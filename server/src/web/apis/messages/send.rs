//! Messages from users.

use std::sync::Arc;

use banter_engine::turn::Output;
use banter_stores::DialogueId;
use rocket::{State, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    conversations::{ConversationError, Incoming},
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::{IdempotencyKey, Sender},
        problem::{Problem, RequestError},
    },
};

#[derive(Deserialize, ToSchema)]
pub struct SendRequest {
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
    /// A dialogue of this user; without it, the user's first.
    #[schema(minimum = 1)]
    dialog_id: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct SendResponse {
    /// What the bot says, as one text.
    response: String,
    /// What the bot says and shows; only with `?outputs=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outputs: Option<Vec<Output>>,
}

/// Send a message to the bot.
#[utoipa::path(
    tag = "messages",
    security(("bearer" = []), ("cookie" = [])),
    params(
        IdempotencyKey,
        ("outputs" = Option<bool>, Query, description = "Whether the answer also has buttons, images and custom data"),
    ),
    request_body = SendRequest,
    responses(
        (status = 200, description = "The answer", body = SendResponse),
        Sender, IdempotencyKey, Body<SendRequest>, ConversationError,
    ),
)]
#[post("/messages/send?<outputs>", data = "<body>")]
pub async fn send(
    sender: Sender,
    key: IdempotencyKey,
    outputs: Option<&str>,
    body: Body<SendRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<SendResponse>, Problem> {
    let with_outputs = match outputs {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => return Err(RequestError::InvalidParameter("outputs".to_owned()).into()),
    };
    if body.value.dialog_id.is_some_and(|dialogue| dialogue < 1) {
        return Err(RequestError::InvalidField("dialog_id".to_owned()).into());
    }
    let incoming = Incoming {
        user: sender.0,
        dialogue: body.value.dialog_id.map(DialogueId),
        text: body.value.text,
        idempotency: key.0.zip(body.hash),
    };
    let answer = context.run(app.conversations.take_turn(incoming)).await?;
    Ok(Json(SendResponse { response: answer.response, outputs: with_outputs.then_some(answer.outputs) }))
}
