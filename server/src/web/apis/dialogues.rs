//! The API of the second earlier back end: accounts by Google, and cookie sessions.

mod session;

use rocket::{Route, routes};
use utoipa::OpenApi;

/// The routes of this API.
pub fn routes() -> Vec<Route> {
    routes![session::sign_in, session::me, session::log_out]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(paths(session::sign_in, session::me, session::log_out))]
pub struct ApiDescription;
