//! Probes.

use std::sync::Arc;

use rocket::{Route, State, get, routes, serde::json::Json};
use serde_json::{Value, json};

use crate::web::{App, context::Context, error::ApiError, guard::HealthClient};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    routes![live, ready, health]
}

/// The process runs.
#[get("/live")]
fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// A message would be answered: the bot is loaded before the server listens, so what is left to ask is model and store.
#[get("/ready")]
async fn ready(context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    answer(&context, app).await
}

#[get("/health")]
async fn health(_client: HealthClient, context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    answer(&context, app).await
}

async fn answer(context: &Context, app: &App) -> Result<Json<Value>, ApiError> {
    context.run(app.stores.turns.ping()).await?;
    if app.conversations.is_ready() {
        Ok(Json(json!({ "status": "ok" })))
    } else {
        Err(ApiError::Unavailable("embedding"))
    }
}
