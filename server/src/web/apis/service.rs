//! Probes, metrics, and the API description.

use std::sync::Arc;

use rocket::{Route, State, get, http::ContentType, routes, serde::json::Json};
use serde_json::{Value, json};

use crate::web::{app::App, context::Context, guard::HealthClient, problem::Problem};

pub fn routes() -> Vec<Route> {
    routes![live, ready, health, metrics, openapi]
}

#[get("/live")]
fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether the server can answer messages. The bot is loaded before the server listens, so this checks only the model
/// and the required stores. A server that lacks only Redis stays ready.
#[get("/ready")]
async fn ready(context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, Problem> {
    context.run(app.queries.ping_needed()).await?;
    model(app)
}

/// Checks all parts, and names the first that does not respond.
#[get("/health")]
async fn health(_client: HealthClient, context: Context, app: &State<Arc<App>>) -> Result<Json<Value>, Problem> {
    context.run(app.queries.ping()).await?;
    if app.follower.problem().is_some() {
        return Err(Problem::unavailable("catalogue"));
    }
    model(app)
}

/// The OpenAPI 3.1 description.
#[get("/openapi.json")]
fn openapi() -> (ContentType, &'static str) {
    (ContentType::JSON, include_str!("../openapi.json"))
}

/// Metrics for Prometheus.
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
