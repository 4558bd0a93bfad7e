//! CORS: allows the one configured front-end, with credentials, and no other origin.

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
        let Some(front) = request.rocket().state::<Arc<App>>().and_then(|app| app.access.front.clone()) else { return };
        response.adjoin_header(Header::new("Vary", "Origin"));
        if request.headers().get_one("Origin") != Some(front.as_str()) {
            return;
        }
        response.set_header(Header::new("Access-Control-Allow-Origin", front));
        response.set_header(Header::new("Access-Control-Allow-Credentials", "true"));
        response.set_header(Header::new("Access-Control-Expose-Headers", "ETag, X-Request-Id, Retry-After"));
        let preflight =
            request.method() == Method::Options && request.headers().contains("Access-Control-Request-Method");
        if preflight {
            response.set_status(Status::NoContent);
            response.set_sized_body(0, std::io::Cursor::new(""));
            response.set_header(Header::new("Access-Control-Allow-Methods", "GET, POST"));
            response.set_header(Header::new(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, Accept-Language, If-Match, X-Admin-Key",
            ));
            response.set_header(Header::new("Access-Control-Max-Age", "600"));
        }
    }
}
