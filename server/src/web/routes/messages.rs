//! Messages of users.

use std::sync::Arc;

use rocket::{Route, State, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};

use crate::{
    conversations::Incoming,
    stores::DialogId,
    web::{
        App,
        body::Body,
        context::Context,
        error::ApiError,
        guard::{IdempotencyKey, Sender},
    },
};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    routes![send]
}

#[derive(Deserialize)]
struct Send {
    text: String,
    dialog_id: Option<i64>,
}

#[derive(Serialize)]
struct Sent {
    response: String,
}

#[post("/messages/send", data = "<body>")]
async fn send(
    sender: Sender,
    key: IdempotencyKey,
    body: Body<Send>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<Sent>, ApiError> {
    if body.value.dialog_id.is_some_and(|dialog| dialog < 1) {
        return Err(ApiError::InvalidField("dialog_id".to_owned()));
    }
    let incoming = Incoming {
        user: sender.user,
        dialog: body.value.dialog_id.map(DialogId),
        text: body.value.text,
        idempotency: key.0.map(|key| (key, body.hash)),
        recalled: sender.recalled,
        proved: sender.proved,
    };
    let answer = context.run(app.conversations.take_turn(incoming)).await?;
    Ok(Json(Sent { response: answer.response }))
}
