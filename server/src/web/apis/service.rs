//! Probes.

use std::sync::Arc;

use rocket::{Route, State, get, http::ContentType, routes, serde::json::Json};
use serde_json::{Value, json};

use crate::web::{app::App, context::Context, guard::HealthClient, problem::Problem};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    routes![live, ready, health, metrics, openapi]
}

/// The process runs.
#[get("/live")]
fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// A message would be answered: the bot is loaded before the server listens, so what is left to ask is the model and the stores
/// without which nobody is served. A server that lacks only Redis stays in service.
#[get("/ready")]
async fn ready(context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, Problem> {
    context.run(app.queries.ping_needed()).await?;
    model(app)
}

/// All parts answer; else the first that does not is named.
#[get("/health")]
async fn health(_client: HealthClient, context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, Problem> {
    context.run(app.queries.ping()).await?;
    if app.follower.problem().is_some() {
        return Err(Problem::unavailable("catalogue"));
    }
    model(app)
}

/// The description of all routes (OpenAPI 3.1).
#[get("/openapi.json")]
fn openapi() -> (ContentType, &'static str) {
    (ContentType::JSON, include_str!("../openapi.json"))
}

/// Counts and times, for Prometheus.
#[get("/metrics")]
fn metrics(_client: HealthClient, app: &State<Arc<App>>) -> Result<(ContentType, String), Problem> {
    let text = app.metrics.render().map_err(|error| Problem::internal(&error.to_string()))?;
    Ok((
        ContentType::new("application", "openmetrics-text").with_params([("version", "1.0.0"), ("charset", "utf-8")]),
        text,
    ))
}

fn model(app: &App) -> Result<Json<Value>, Problem> {
    if app.conversations.is_ready() {
        Ok(Json(json!({ "status": "ok" })))
    } else {
        Err(Problem::unavailable("embedding"))
    }
}
