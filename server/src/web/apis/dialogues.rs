//! The API of the second earlier back end: accounts by Google, cookie sessions, dialogues, and the external AI.

mod external;
mod list;
pub mod live;
mod session;

use rocket::{Route, routes};
use utoipa::OpenApi;

/// The routes of this API.
pub fn routes() -> Vec<Route> {
    routes![
        session::sign_in,
        session::me,
        session::log_out,
        list::create,
        list::delete,
        list::rename,
        list::list,
        list::read,
        external::ask,
        external::flag,
        external::waiting,
        external::answer,
        live::events,
        live::web_socket
    ]
}

/// The description of this API.
#[derive(OpenApi)]
#[openapi(
    paths(
        session::sign_in,
        session::me,
        session::log_out,
        list::create,
        list::delete,
        list::rename,
        list::list,
        list::read,
        external::ask,
        external::flag,
        external::waiting,
        external::answer,
        live::events,
        live::web_socket
    ),
    components(schemas(live::ClientMessage))
)]
pub struct ApiDescription;
