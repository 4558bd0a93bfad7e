//! The cookie of a session.

use rocket::{
    http::{Cookie, SameSite},
    time::Duration,
};

use super::{app::App, guard::COOKIE};
use crate::accounts::COOKIE_LIFE;

/// The cookie that opens a session.
pub fn session(app: &App, token: String) -> Cookie<'static> {
    let cookie = Cookie::build((COOKIE, token)).path("/").http_only(true).same_site(SameSite::Lax);
    let seconds = i64::try_from(COOKIE_LIFE.as_secs()).unwrap_or(i64::MAX);
    cookie.secure(app.access.secure_cookies).max_age(Duration::seconds(seconds)).build()
}

/// The cookie that ends it: same name and path, no life.
pub fn no_session(app: &App) -> Cookie<'static> {
    let mut cookie = session(app, String::new());
    cookie.set_max_age(Duration::ZERO);
    cookie
}
