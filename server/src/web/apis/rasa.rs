//! A REST channel compatible with Rasa's: its clients and widgets work unchanged.

use std::sync::Arc;

use banter_engine::turn::Output;
use rocket::{Route, State, get, post, routes, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::{
    accounts::AccountError,
    channel::ChannelError,
    conversations::ConversationError,
    web::{
        apis::service::Running,
        app::App,
        body::Body,
        context::RequestContext,
        guard::{ChannelClient, IdempotencyKey},
        problem::{Problem, RequestError},
    },
};

const MAX_SENDER: usize = 256;

pub fn routes() -> Vec<Route> {
    routes![status, webhook]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(status, webhook))]
pub struct ApiDescription;

#[derive(Deserialize, ToSchema)]
struct RasaRequest {
    /// The client's name for the user.
    #[serde(default = "default_sender")]
    #[schema(min_length = 1, max_length = 256)]
    sender: String,
    #[schema(min_length = 1, max_length = 2000)]
    message: String,
}

/// Rasa's name for a sender without one.
fn default_sender() -> String {
    "default".to_owned()
}

/// One message of the bot: a text, an image, or a value for the client's own use.
#[derive(Serialize, ToSchema)]
struct RasaMessage {
    /// The sender of the request.
    recipient_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    /// The URL of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    image: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    buttons: Vec<Button>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Value>,
}

#[derive(Serialize, ToSchema)]
struct Button {
    title: String,
    /// The message to send when the user picks this button.
    payload: String,
}

impl RasaMessage {
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

/// Check that the channel is open to this client.
#[utoipa::path(
    tag = "rasa",
    security((), ("channelKey" = []), ("bearer" = [])),
    responses((status = 200, description = "The channel is open", body = Running), ChannelClient),
)]
#[get("/webhooks/rest")]
fn status(_client: ChannelClient) -> Json<Running> {
    Json(Running::OK)
}

/// Send a message to the bot, as on Rasa's REST channel.
#[utoipa::path(
    tag = "rasa",
    security((), ("channelKey" = []), ("bearer" = [])),
    params(IdempotencyKey),
    request_body = RasaRequest,
    responses(
        (status = 200, description = "The answer", body = Vec<RasaMessage>),
        ChannelClient, IdempotencyKey, Body<RasaRequest>, ConversationError, AccountError,
    ),
)]
#[post("/webhooks/rest/webhook", data = "<body>")]
async fn webhook(
    client: ChannelClient,
    key: IdempotencyKey,
    body: Body<RasaRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Vec<RasaMessage>>, Problem> {
    let RasaRequest { sender, message } = body.value;
    let length = sender.chars().count();
    if length == 0 || length > MAX_SENDER || sender.contains('\0') {
        return Err(RequestError::InvalidField("sender".to_owned()).into());
    }
    let client = format!("{} {}", context.address, client.key);
    let answer = context.run(app.channel.take_turn(&sender, &client, message, key.0.zip(body.hash))).await?;
    Ok(Json(answer.outputs.into_iter().map(|output| RasaMessage::of(&sender, output)).collect()))
}
