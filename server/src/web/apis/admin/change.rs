//! Which version is active: activation, rollback, canaries.

use std::sync::Arc;

use banter_stores::catalog::Activation;
use rocket::{State, post};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{IfMatch, Tagged};
use crate::{
    catalogs::terms::ReleaseError,
    web::{
        app::App,
        body::Body,
        context::RequestContext,
        guard::admin::{self, Admin},
        problem::Problem,
    },
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionChoice {
    /// At least the first four digits of the id.
    version: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackChoice {
    /// At least the first four digits of the id.
    version: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryChoice {
    /// At least the first four digits of the id.
    version: String,
    /// The share of the users.
    #[schema(minimum = 1, maximum = 99)]
    percent: u8,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyObject {}

/// Activate a stored version for all users.
///
/// Needs the scope `activate`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(IfMatch),
    request_body = VersionChoice,
    responses(
        (status = 200, description = "The new activation", body = Activation, headers(("ETag", description = "The generation, for `If-Match`"))),
        Admin<admin::Activate>, IfMatch, Body<VersionChoice>, ReleaseError,
    ),
)]
#[post("/admin/activate", data = "<body>")]
pub async fn activate(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<VersionChoice>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    tagged(context.run(app.releases.activate(&body.value.version, expected.0, &admin.actor)).await?)
}

/// Go back to a version.
///
/// Without `version`, this ends the canary, or else returns to the version before.
///
/// Needs the scope `activate`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(IfMatch),
    request_body = RollbackChoice,
    responses(
        (status = 200, description = "The new activation", body = Activation, headers(("ETag", description = "The generation, for `If-Match`"))),
        Admin<admin::Activate>, IfMatch, Body<RollbackChoice>, ReleaseError,
    ),
)]
#[post("/admin/rollback", data = "<body>")]
pub async fn rollback(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<RollbackChoice>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    let version = body.value.version.as_deref();
    tagged(context.run(app.releases.roll_back(version, expected.0, &admin.actor)).await?)
}

/// Serve a stored version to a share of the users, always the same ones.
///
/// Needs the scope `activate`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(IfMatch),
    request_body = CanaryChoice,
    responses(
        (status = 200, description = "The new activation", body = Activation, headers(("ETag", description = "The generation, for `If-Match`"))),
        Admin<admin::Activate>, IfMatch, Body<CanaryChoice>, ReleaseError,
    ),
)]
#[post("/admin/canary", data = "<body>")]
pub async fn canary(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<CanaryChoice>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    let CanaryChoice { version, percent } = &body.value;
    tagged(context.run(app.releases.canary(version, *percent, expected.0, &admin.actor)).await?)
}

/// Activate the canary for all users.
///
/// Needs the scope `activate`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(IfMatch),
    request_body = EmptyObject,
    responses(
        (status = 200, description = "The new activation", body = Activation, headers(("ETag", description = "The generation, for `If-Match`"))),
        Admin<admin::Activate>, IfMatch, Body<EmptyObject>, ReleaseError,
    ),
)]
#[post("/admin/promote", data = "<_body>")]
pub async fn promote(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    _body: Body<EmptyObject>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    tagged(context.run(app.releases.promote(expected.0, &admin.actor)).await?)
}

fn tagged(activation: Activation) -> Result<Tagged<Activation>, Problem> {
    let generation = activation.generation;
    Ok(Tagged::new(activation, generation))
}
