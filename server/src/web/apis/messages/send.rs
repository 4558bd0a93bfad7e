//! Messages from users.

use std::sync::Arc;

use banter_stores::DialogId;
use rocket::{Route, State, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};

use crate::{
    conversations::Incoming,
    web::{
        app::App,
        body::Body,
        context::Context,
        guard::{IdempotencyKey, User},
        problem::{Problem, RequestError},
    },
};

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
    user: User,
    key: IdempotencyKey,
    body: Body<Send>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<Sent>, Problem> {
    if body.value.dialog_id.is_some_and(|dialog| dialog < 1) {
        return Err(RequestError::InvalidField("dialog_id".to_owned()).into());
    }
    let incoming = Incoming {
        user: user.0,
        dialog: body.value.dialog_id.map(DialogId),
        text: body.value.text,
        idempotency: key.0.zip(body.hash),
    };
    let answer = context.run(app.conversations.take_turn(incoming)).await?;
    Ok(Json(Sent { response: answer.response }))
}
