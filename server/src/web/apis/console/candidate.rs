//! A chat with a version that may not be in use.

use std::sync::Arc;

use banter_engine::{state::DialogueState, turn::Output};
use rocket::{State, post, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    console::{ConsoleError, ConsoleTurn},
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::Problem,
    },
};

#[derive(Deserialize, ToSchema)]
pub struct TryRequest {
    /// At least the first four digits of the version's id.
    version: String,
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
    /// The number of the message in the chat, from 1.
    #[schema(minimum = 1)]
    turn: i64,
    /// The `state` of the last answer; without it, a new dialogue begins.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    state: Option<DialogueState>,
}

#[derive(Serialize, ToSchema)]
pub struct TryResponse {
    /// The version's id.
    version: String,
    turn: ConsoleTurn,
    /// What the bot says and shows.
    outputs: Vec<Output>,
    /// For the next message.
    #[schema(value_type = Object)]
    state: Value,
}

/// Say something to a version that may not be in use. Nothing is stored.
///
/// Needs the scope `publish`: the version's handlers run.
#[utoipa::path(
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    request_body = TryRequest,
    responses(
        (status = 200, description = "The answer", body = TryResponse),
        Admin<admin::Publish>, Body<TryRequest>, ConsoleError,
    ),
)]
#[post("/admin/candidate", data = "<body>")]
pub async fn try_out(
    _admin: Admin<admin::Publish>,
    body: Body<TryRequest>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<TryResponse>, Problem> {
    let TryRequest { version, text, turn, state } = body.value;
    let tried = context.run(app.console.try_out(&version, &text, &state.unwrap_or_default(), turn)).await?;
    let state = serde_json::to_value(&tried.state).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Json(TryResponse { version: tried.version, turn: tried.turn, outputs: tried.outputs, state }))
}
