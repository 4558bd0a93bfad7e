//! What the console reads and does with conversations. Versions and the fleet are in the API for administrators.

mod candidate;
mod conversations;
mod inbox;
mod numbers;
mod review;
mod users;

use rocket::{Route, get, routes, serde::json::Json};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::{
    config::release::Scope,
    console::Texts,
    web::{
        guard::admin::{Admin, AnyAdmin},
        problem::RequestError,
    },
};

/// The end of the year 9999, in milliseconds since 1970.
const LATEST: i64 = 253_402_300_799_999;

pub fn routes() -> Vec<Route> {
    routes![
        me,
        conversations::search,
        conversations::read,
        conversations::fixture,
        review::list,
        review::teach,
        inbox::list,
        inbox::claim,
        inbox::release,
        inbox::answer,
        numbers::numbers,
        candidate::try_out,
        users::show,
        users::role,
        users::export,
        users::delete
    ]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(
    me,
    conversations::search,
    conversations::read,
    conversations::fixture,
    review::list,
    review::teach,
    inbox::list,
    inbox::claim,
    inbox::release,
    inbox::answer,
    numbers::numbers,
    candidate::try_out,
    users::show,
    users::role,
    users::export,
    users::delete
))]
pub struct ApiDescription;

/// Who is at the console.
#[derive(Serialize, ToSchema)]
struct Administrator {
    /// As in the audit log: `user:7`, `key:ci`.
    name: String,
    scopes: Vec<Scope>,
}

/// Show who is at the console, and what they may do.
#[utoipa::path(
    operation_id = "administrator",
    tag = "console",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The administrator", body = Administrator), AnyAdmin),
)]
#[get("/admin/me")]
fn me(admin: AnyAdmin) -> Json<Administrator> {
    Json(Administrator { name: admin.actor.name, scopes: admin.scopes })
}

/// How much an administrator sees of what users write.
fn texts<S>(admin: &Admin<S>) -> Texts {
    if admin.may(Scope::Utterances) { Texts::Whole } else { Texts::Masked }
}

/// A number in a query, within bounds.
fn number(name: &str, text: Option<&str>, bounds: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, RequestError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.map(Some).ok_or_else(|| RequestError::InvalidParameter(name.to_owned()))
}
