//! Probes.

use std::sync::Arc;

use rocket::{Route, State, get, routes, serde::json::Json};
use serde_json::{Value, json};

use crate::web::{App, error::ApiError, guard::HealthClient};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    routes![live, ready, health]
}

/// The process runs.
#[get("/live")]
fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// A message would be answered: the server listens only once a bot is loaded, so what is left to ask is the store.
#[get("/ready")]
async fn ready(app: &State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    app.stores.turns.ping().await?;
    Ok(Json(json!({ "status": "ok" })))
}

#[get("/health")]
async fn health(_client: HealthClient, app: &State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    app.stores.turns.ping().await?;
    Ok(Json(json!({ "status": "ok" })))
}
