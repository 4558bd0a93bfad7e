//! CORS: allows the one configured front end, with credentials, and the sites that show the widget, without.

use std::sync::Arc;

use rocket::{
    Request, Response,
    fairing::{Fairing, Info, Kind},
    http::{Header, Method, Status},
};

use super::app::App;

/// Adds CORS headers and answers preflight requests.
pub struct Cors;

#[rocket::async_trait]
impl Fairing for Cors {
    fn info(&self) -> Info {
        Info { name: "cross-origin requests", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let Some(app) = request.rocket().state::<Arc<App>>() else { return };
        response.adjoin_header(Header::new("Vary", "Origin"));
        let Some(origin) = request.headers().get_one("Origin") else { return };
        let is_front = app.access.front.as_deref() == Some(origin);
        if !is_front && !app.accounts.guests().allow(origin) {
            return;
        }
        response.set_header(Header::new("Access-Control-Allow-Origin", origin.to_owned()));
        if is_front {
            response.set_header(Header::new("Access-Control-Allow-Credentials", "true"));
        }
        response.set_header(Header::new("Access-Control-Expose-Headers", "ETag, X-Request-Id, Retry-After"));
        let preflight =
            request.method() == Method::Options && request.headers().contains("Access-Control-Request-Method");
        if preflight {
            response.set_status(Status::NoContent);
            response.set_sized_body(0, std::io::Cursor::new(""));
            response.set_header(Header::new("Access-Control-Allow-Methods", "GET, POST"));
            response.set_header(Header::new(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, Accept-Language, Last-Event-ID, If-Match, X-Admin-Key",
            ));
            response.set_header(Header::new("Access-Control-Max-Age", "600"));
        }
    }
}
