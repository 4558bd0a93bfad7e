//! What every response carries, and one log line for each.

use futures::FutureExt;
use rocket::{
    Data, Request, Response,
    fairing::{Fairing, Info, Kind},
    http::Header,
};

use super::context::Trace;

/// Request ids, safe defaults for browsers, the access log.
pub struct ResponseHeaders;

#[rocket::async_trait]
impl Fairing for ResponseHeaders {
    fn info(&self) -> Info {
        Info { name: "response headers", kind: Kind::Request | Kind::Response }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        // The clock of the request starts here.
        Trace::of(request);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let trace = Trace::of(request);
        response.set_header(Header::new("X-Request-Id", trace.id.clone()));
        if request.rocket().shutdown().now_or_never().is_some() {
            // A kept connection would hold the process until its grace is over.
            response.set_header(Header::new("Connection", "close"));
        }
        response.set_header(Header::new("Cache-Control", "no-store"));
        response.set_header(Header::new("X-Content-Type-Options", "nosniff"));
        let (id, method, status) = (&trace.id, request.method(), response.status().code);
        // The query may hold a token.
        let path = request.uri().path();
        let us = u64::try_from(trace.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(%id, %method, %path, status, us, "request");
    }
}
