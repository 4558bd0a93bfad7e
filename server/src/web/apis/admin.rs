//! Routes for administrators: versions of the bot, activation, the fleet, and the audit log.

mod change;
mod hand_offs;
mod publish;
mod upload;

use std::{collections::BTreeMap, sync::Arc};

use banter_engine::catalogue::{
    diff::CatalogueDiff,
    manifest::{FileDigest, Manifest},
};
use banter_stores::{
    StoreError,
    catalog::{Activation, AuditLine},
};
use rocket::{
    Request, Route, State, get,
    http::{ContentType, Header},
    request::{FromRequest, Outcome},
    routes,
    serde::json::Json,
};
use serde::Serialize;
use utoipa::{
    IntoParams, IntoResponses, OpenApi, ToSchema,
    openapi::{
        RefOr, Response,
        path::{Parameter, ParameterIn},
    },
};

use crate::{
    catalogs::{
        archive,
        gate::GateStep,
        terms::{Fleet, ReleaseError, VersionSummary, Versions},
    },
    web::{
        app::App,
        body::refuse,
        context::RequestContext,
        document::problems,
        guard::{
            admin::{self, Admin},
            header,
        },
        held::Held,
        problem::{Problem, ProblemDocument, RequestError},
    },
};

/// Rows of a list: without `limit`, and at most.
const ROWS: (u32, u32) = (50, 100);

pub use upload::limits;

pub fn routes() -> Vec<Route> {
    routes![
        publish::publish,
        versions,
        version,
        bundle,
        diff,
        change::activate,
        change::rollback,
        change::canary,
        change::promote,
        fleet,
        audit,
        hand_offs::give_back
    ]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(
    paths(
        publish::publish,
        versions,
        version,
        bundle,
        diff,
        change::activate,
        change::rollback,
        change::canary,
        change::promote,
        fleet,
        audit,
        hand_offs::give_back
    ),
    components(schemas(GateStep))
)]
pub struct ApiDescription;

#[derive(Serialize, ToSchema)]
struct Version {
    #[serde(flatten)]
    row: VersionSummary,
    /// Path to hash and size of each file.
    #[schema(value_type = BTreeMap<String, FileDigest>)]
    manifest: Manifest,
}

#[derive(Serialize, ToSchema)]
struct AuditLog {
    lines: Vec<AuditLine>,
}

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

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header("If-Match", "The generation that the client expects, in quotes. Another one gets 412.")]
    }
}

impl IntoResponses for IfMatch {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([412, 422])
    }
}

/// List the versions of the bot, newest first.
///
/// Needs the scope `read`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most this many; by default 50"),
        ("before" = Option<String>, Query, description = "Only versions older than this one"),
    ),
    responses(
        (status = 200, description = "The versions", body = Versions, headers(("ETag", description = "The generation, for `If-Match`"))),
        (status = 404, description = "No version has this id", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is invalid", body = ProblemDocument, content_type = "application/problem+json"),
        Admin<admin::Read>,
    ),
)]
#[get("/admin/versions?<limit>&<before>")]
async fn versions(
    _admin: Admin<admin::Read>,
    limit: Option<&str>,
    before: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Versions>, Problem> {
    let limit = rows(limit)?;
    let work = async {
        let records = app.queries.versions(limit, before).await?;
        Ok::<_, ReleaseError>((records, app.queries.activation().await?))
    };
    let (records, activation) = context.run(work).await?;
    let (active, generation) = state_of(activation.as_ref());
    let versions = records.iter().map(|record| VersionSummary::of(record, active)).collect();
    Ok(Tagged::new(Versions { versions }, generation))
}

/// Get a version and its files.
///
/// Needs the scope `read`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "At least the first four digits of the version's id")),
    responses(
        (status = 200, description = "The version", body = Version),
        (status = 404, description = "No version has this id", body = ProblemDocument, content_type = "application/problem+json"),
        Admin<admin::Read>,
    ),
)]
#[get("/admin/versions/<id>")]
async fn version(
    _admin: Admin<admin::Read>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<Version>, Problem> {
    let work = async {
        let record = app.queries.version(id).await?;
        Ok::<_, ReleaseError>((record, app.queries.activation().await?))
    };
    let (record, activation) = context.run(work).await?;
    let row = VersionSummary::of(&record, state_of(activation.as_ref()).0);
    Ok(Json(Version { row, manifest: record.manifest }))
}

/// Download the files of a version as a tar file.
///
/// Needs the scope `read`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "At least the first four digits of the version's id")),
    responses(
        (status = 200, description = "The files", body = String, content_type = "application/x-tar"),
        ReleaseError,
        Admin<admin::Read>,
    ),
)]
#[get("/admin/versions/<id>/bundle")]
async fn bundle(
    admin: Admin<admin::Read>,
    id: &str,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Held, Problem> {
    let place = app.bounds.bundle_place()?;
    let work = async {
        let bundle = app.releases.download(id, &admin.actor).await?;
        archive::write(&bundle).map_err(|error| ReleaseError::Internal(error.to_string()))
    };
    Ok(Held::new(ContentType::new("application", "x-tar"), context.run(work).await?, place))
}

/// Compare two versions.
///
/// Needs the scope `read`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("from" = String, Query, description = "The older version: at least four digits"),
        ("to" = String, Query, description = "The newer version: at least four digits"),
    ),
    responses(
        (status = 200, description = "The differences", body = CatalogueDiff),
        (status = 404, description = "No version has this id", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is invalid", body = ProblemDocument, content_type = "application/problem+json"),
        Admin<admin::Read>,
    ),
)]
#[get("/admin/diff?<from>&<to>")]
async fn diff(
    _admin: Admin<admin::Read>,
    from: Option<&str>,
    to: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<CatalogueDiff>, Problem> {
    let missing = |name: &str| RequestError::InvalidParameter(name.to_owned());
    let (from, to) = (from.ok_or_else(|| missing("from"))?, to.ok_or_else(|| missing("to"))?);
    let _place = app.bounds.bundle_place()?;
    Ok(Json(context.run(app.queries.diff(from, to)).await?))
}

/// List the servers, what they run, and the outcomes of turns by version.
///
/// Needs the scope `read`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, description = "The fleet", body = Fleet, headers(("ETag", description = "The generation, for `If-Match`"))),
        Admin<admin::Read>,
    ),
)]
#[get("/admin/fleet")]
async fn fleet(
    _admin: Admin<admin::Read>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Tagged<Fleet>, Problem> {
    let fleet = context.run(app.queries.fleet()).await?;
    let generation = state_of(fleet.activation.as_ref()).1;
    Ok(Tagged::new(fleet, generation))
}

/// List who did what, newest first.
///
/// Needs the scope `audit`.
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most this many; by default 50"),
        ("before" = Option<i64>, Query, description = "Only lines with a smaller id"),
    ),
    responses(
        (status = 200, description = "The lines", body = AuditLog),
        (status = 422, description = "A parameter is invalid", body = ProblemDocument, content_type = "application/problem+json"),
        Admin<admin::Audit>,
    ),
)]
#[get("/admin/audit?<limit>&<before>")]
async fn audit(
    _admin: Admin<admin::Audit>,
    limit: Option<&str>,
    before: Option<&str>,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Json<AuditLog>, Problem> {
    let limit = rows(limit)?;
    let invalid = |_| RequestError::InvalidParameter("before".to_owned());
    let before = before.map(|before| before.parse::<i64>().map_err(invalid)).transpose()?;
    let lines = context.run::<_, StoreError>(app.queries.audit_log(limit, before)).await?;
    Ok(Json(AuditLog { lines }))
}

fn state_of(activation: Option<&Activation>) -> (Option<&str>, i64) {
    (activation.map(|one| one.version.as_str()), activation.map_or(0, |one| one.generation))
}

fn rows(limit: Option<&str>) -> Result<u32, Problem> {
    let Some(limit) = limit else { return Ok(ROWS.0) };
    let rows = limit.parse().ok().filter(|rows| (1..=ROWS.1).contains(rows));
    rows.ok_or_else(|| RequestError::InvalidParameter("limit".to_owned()).into())
}
