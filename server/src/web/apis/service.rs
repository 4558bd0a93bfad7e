//! Probes, metrics, and the API description.

use std::sync::Arc;

use rocket::{Route, State, get, http::ContentType, routes, serde::json::Json};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::web::{
    app::App,
    context::RequestContext,
    document,
    guard::HealthClient,
    problem::{Problem, ProblemDocument},
};

pub fn routes() -> Vec<Route> {
    routes![live, ready, health, metrics, openapi]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(live, ready, health, metrics, openapi), components(schemas(ProblemDocument)))]
pub struct ApiDescription;

/// The answer of a probe.
#[derive(Serialize, ToSchema)]
pub struct Running {
    /// `ok`.
    status: &'static str,
}

impl Running {
    pub const OK: Self = Self { status: "ok" };
}

/// Check that the process runs.
#[utoipa::path(
    tag = "service",
    security(()),
    responses((status = 200, description = "The process runs", body = Running)),
)]
#[get("/live")]
fn live() -> Json<Running> {
    Json(Running::OK)
}

/// Check that the server can answer messages.
///
/// The bot is loaded before the server listens, so this checks only the model and the required stores. A server that
/// lacks only Redis stays ready.
#[utoipa::path(
    tag = "service",
    security(()),
    responses(
        (status = 200, description = "The server can answer", body = Running),
        (status = 503, description = "A part does not respond", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
#[get("/ready")]
async fn ready(context: RequestContext, app: &State<Arc<App>>) -> Result<Json<Running>, Problem> {
    context.run(app.queries.ping_needed()).await?;
    model(app)
}

/// Check all parts. The problem document names the first that does not respond.
#[utoipa::path(
    tag = "service",
    security(("healthKey" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "All parts respond", body = Running),
        (status = 503, description = "A part does not respond", body = ProblemDocument, content_type = "application/problem+json"),
        HealthClient,
    ),
)]
#[get("/health")]
async fn health(
    _client: HealthClient,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Running>, Problem> {
    context.run(app.queries.ping()).await?;
    if app.follower.problem().is_some() {
        return Err(Problem::unavailable("catalogue"));
    }
    model(app)
}

/// Get this OpenAPI 3.1 document.
#[utoipa::path(
    tag = "service",
    security(()),
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
#[get("/openapi.json")]
fn openapi() -> Result<(ContentType, &'static str), Problem> {
    Ok((ContentType::JSON, document::json().map_err(Problem::internal)?))
}

/// Get metrics for Prometheus.
#[utoipa::path(
    tag = "service",
    security(("healthKey" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"),
        HealthClient,
    ),
)]
#[get("/metrics")]
fn metrics(_client: HealthClient, app: &State<Arc<App>>) -> Result<(ContentType, String), Problem> {
    let text = app.metrics.render().map_err(|error| Problem::internal(&error.to_string()))?;
    Ok((
        ContentType::new("application", "openmetrics-text").with_params([("version", "1.0.0"), ("charset", "utf-8")]),
        text,
    ))
}

fn model(app: &App) -> Result<Json<Running>, Problem> {
    if app.conversations.is_ready() { Ok(Json(Running::OK)) } else { Err(Problem::unavailable("embedding")) }
}
