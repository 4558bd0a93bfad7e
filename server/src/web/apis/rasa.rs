//! A REST channel compatible with Rasa's: its clients and widgets work unchanged.

use std::sync::Arc;

use banter_engine::turn::Output;
use rocket::{Route, State, get, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    channel::ChannelError,
    web::{
        app::App,
        body::Body,
        context::Context,
        guard::{ChannelClient, IdempotencyKey},
        problem::{Problem, RequestError},
    },
};

const MAX_SENDER: usize = 256;

pub fn routes() -> Vec<Route> {
    routes![status, webhook]
}

#[derive(Deserialize)]
struct Message {
    #[serde(default = "default_sender")]
    sender: String,
    message: String,
}

/// Rasa's name for a sender without one.
fn default_sender() -> String {
    "default".to_owned()
}

#[derive(Serialize)]
struct Part {
    recipient_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buttons: Vec<Button>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Value>,
}

#[derive(Serialize)]
struct Button {
    title: String,
    payload: String,
}

impl Part {
    fn of(recipient: &str, output: Output) -> Self {
        let empty =
            Self { recipient_id: recipient.to_owned(), text: None, image: None, buttons: Vec::new(), custom: None };
        match output {
            Output::Text { text, suggestions } => {
                let button = |title: String| Button { payload: title.clone(), title };
                Self { text: Some(text), buttons: suggestions.into_iter().map(button).collect(), ..empty }
            }
            Output::Image { url } => Self { image: Some(url), ..empty },
            Output::Payload { value } => Self { custom: Some(value), ..empty },
        }
    }
}

impl From<ChannelError> for Problem {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Account(error) => error.into(),
            ChannelError::Conversation(error) => error.into(),
        }
    }
}

#[get("/webhooks/rest")]
fn status(_client: ChannelClient) -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

#[post("/webhooks/rest/webhook", data = "<body>")]
async fn webhook(
    _client: ChannelClient,
    key: IdempotencyKey,
    body: Body<Message>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<Vec<Part>>, Problem> {
    let Message { sender, message } = body.value;
    let length = sender.chars().count();
    if length == 0 || length > MAX_SENDER || sender.contains('\0') {
        return Err(RequestError::InvalidField("sender".to_owned()).into());
    }
    let answer = context.run(app.channel.take_turn(&sender, message, key.0.zip(body.hash))).await?;
    Ok(Json(answer.outputs.into_iter().map(|output| Part::of(&sender, output)).collect()))
}
