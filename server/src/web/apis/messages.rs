//! The API of the first earlier back end: accounts by e-mail and password, messages, history.

pub mod auth;
mod history;
mod send;

use rocket::{Route, routes};
use utoipa::OpenApi;

/// The routes of this API.
pub fn routes() -> Vec<Route> {
    routes![auth::login, auth::refresh, send::send, history::history]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(auth::login, auth::refresh, send::send, history::history))]
pub struct ApiDescription;
