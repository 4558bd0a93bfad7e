//! The API of the first earlier back end: accounts by e-mail and password, messages, history.

mod auth;
mod history;
mod send;

use rocket::Route;

/// The routes of this API.
pub fn routes() -> Vec<Route> {
    [auth::routes(), send::routes(), history::routes()].concat()
}
