//! Routes for administrators: versions of the bot, activation, the fleet, and the audit log.

mod publish;
mod upload;

use std::sync::Arc;

use banter_engine::catalogue::{diff::CatalogueDiff, manifest::Manifest};
use banter_stores::{
    StoreError,
    catalog::{Activation, AuditLine},
};
use rocket::{
    Request, Route, State, get,
    http::{ContentType, Header},
    post,
    request::{FromRequest, Outcome},
    routes,
    serde::json::Json,
};
use serde::{Deserialize, Serialize};

use crate::{
    catalogs::{
        archive,
        terms::{Fleet, ReleaseError, VersionRow, Versions},
    },
    web::{
        app::App,
        body::{Body, refuse},
        context::Context,
        guard::admin::{self, Admin},
        problem::{Problem, RequestError},
    },
};

/// Rows of a list: without `limit`, and at most.
const ROWS: (u32, u32) = (50, 100);

pub use upload::limits;

pub fn routes() -> Vec<Route> {
    let others = routes![versions, version, bundle, diff, activate, rollback, canary, promote, fleet, audit];
    publish::routes().into_iter().chain(others).collect()
}

#[derive(Serialize)]
struct Version {
    #[serde(flatten)]
    row: VersionRow,
    manifest: Manifest,
}

#[derive(Serialize)]
struct AuditLog {
    lines: Vec<AuditLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionalChoice {
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryChoice {
    version: String,
    percent: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A response with the resulting generation as `ETag`, for the next `If-Match`.
#[derive(rocket::Responder)]
struct Tagged<T> {
    inner: Json<T>,
    tag: Header<'static>,
}

impl<T> Tagged<T> {
    fn new(value: T, generation: i64) -> Self {
        Self { inner: Json(value), tag: Header::new("ETag", format!("\"{generation}\"")) }
    }
}

/// The generation that the client expects: `If-Match: "7"`.
struct IfMatch(Option<i64>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for IfMatch {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match request.headers().get_one("If-Match").map(str::trim) {
            None | Some("*") => Outcome::Success(Self(None)),
            Some(tag) => match tag.trim_matches('"').parse() {
                Ok(generation) => Outcome::Success(Self(Some(generation))),
                Err(_) => Outcome::Error(refuse(request, RequestError::InvalidParameter("If-Match".to_owned()))),
            },
        }
    }
}

#[get("/admin/versions?<limit>&<before>")]
async fn versions(
    _admin: Admin<admin::Read>,
    limit: Option<&str>,
    before: Option<&str>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Tagged<Versions>, Problem> {
    let limit = rows(limit)?;
    let work = async {
        let records = app.queries.versions(limit, before).await?;
        Ok::<_, ReleaseError>((records, app.queries.activation().await?))
    };
    let (records, activation) = context.run(work).await?;
    let (active, generation) = state_of(activation.as_ref());
    let versions = records.iter().map(|record| VersionRow::of(record, active)).collect();
    Ok(Tagged::new(Versions { versions }, generation))
}

#[get("/admin/versions/<id>")]
async fn version(
    _admin: Admin<admin::Read>,
    id: &str,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<Version>, Problem> {
    let work = async {
        let record = app.queries.version(id).await?;
        Ok::<_, ReleaseError>((record, app.queries.activation().await?))
    };
    let (record, activation) = context.run(work).await?;
    let row = VersionRow::of(&record, state_of(activation.as_ref()).0);
    Ok(Json(Version { row, manifest: record.manifest }))
}

#[get("/admin/versions/<id>/bundle")]
async fn bundle(
    _admin: Admin<admin::Read>,
    id: &str,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<(ContentType, Vec<u8>), Problem> {
    let work = async {
        let bundle = app.queries.bundle(id).await?;
        archive::write(&bundle).map_err(|error| ReleaseError::Internal(error.to_string()))
    };
    Ok((ContentType::new("application", "x-tar"), context.run(work).await?))
}

#[get("/admin/diff?<from>&<to>")]
async fn diff(
    _admin: Admin<admin::Read>,
    from: Option<&str>,
    to: Option<&str>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<CatalogueDiff>, Problem> {
    let missing = |name: &str| RequestError::InvalidParameter(name.to_owned());
    let (from, to) = (from.ok_or_else(|| missing("from"))?, to.ok_or_else(|| missing("to"))?);
    Ok(Json(context.run(app.queries.diff(from, to)).await?))
}

#[post("/admin/activate", data = "<body>")]
async fn activate(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<Choice>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    tagged(context.run(app.releases.activate(&body.value.version, expected.0, &admin.actor)).await?)
}

#[post("/admin/rollback", data = "<body>")]
async fn rollback(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<OptionalChoice>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    let version = body.value.version.as_deref();
    tagged(context.run(app.releases.roll_back(version, expected.0, &admin.actor)).await?)
}

#[post("/admin/canary", data = "<body>")]
async fn canary(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    body: Body<CanaryChoice>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    let CanaryChoice { version, percent } = &body.value;
    tagged(context.run(app.releases.canary(version, *percent, expected.0, &admin.actor)).await?)
}

#[post("/admin/promote", data = "<_body>")]
async fn promote(
    admin: Admin<admin::Activate>,
    expected: IfMatch,
    _body: Body<Nothing>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Tagged<Activation>, Problem> {
    tagged(context.run(app.releases.promote(expected.0, &admin.actor)).await?)
}

#[get("/admin/fleet")]
async fn fleet(_admin: Admin<admin::Read>, context: Context, app: &State<Arc<App>>) -> Result<Tagged<Fleet>, Problem> {
    let fleet = context.run(app.queries.fleet()).await?;
    let generation = state_of(fleet.activation.as_ref()).1;
    Ok(Tagged::new(fleet, generation))
}

#[get("/admin/audit?<limit>&<before>")]
async fn audit(
    _admin: Admin<admin::Audit>,
    limit: Option<&str>,
    before: Option<&str>,
    context: Context,
    app: &State<Arc<App>>,
) -> Result<Json<AuditLog>, Problem> {
    let limit = rows(limit)?;
    let invalid = |_| RequestError::InvalidParameter("before".to_owned());
    let before = before.map(|before| before.parse::<i64>().map_err(invalid)).transpose()?;
    let lines = context.run::<_, StoreError>(app.queries.audit_log(limit, before)).await?;
    Ok(Json(AuditLog { lines }))
}

fn tagged(activation: Activation) -> Result<Tagged<Activation>, Problem> {
    let generation = activation.generation;
    Ok(Tagged::new(activation, generation))
}

fn state_of(activation: Option<&Activation>) -> (Option<&str>, i64) {
    (activation.map(|one| one.version.as_str()), activation.map_or(0, |one| one.generation))
}

fn rows(limit: Option<&str>) -> Result<u32, Problem> {
    let Some(limit) = limit else { return Ok(ROWS.0) };
    let rows = limit.parse().ok().filter(|rows| (1..=ROWS.1).contains(rows));
    rows.ok_or_else(|| RequestError::InvalidParameter("limit".to_owned()).into())
}
