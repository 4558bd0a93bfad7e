//! Headers of every response, and the access log.

use std::sync::Arc;

use futures::FutureExt;
use rocket::{
    Data, Request, Response,
    fairing::{Fairing, Info, Kind},
    http::Header,
};

use super::{app::App, context::Trace};

/// What browsers must not do with a response: guess its type, show it in a frame, load anything for it, or tell others
/// where it came from.
const SAFETY: [(&str, &str); 3] =
    [("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer")];

/// The policy of responses that are no pages. A page brings its own.
const POLICY: (&str, &str) = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");

/// Adds the request id and browser safety headers, and writes one access log line per response.
pub struct ResponseHeaders;

#[rocket::async_trait]
impl Fairing for ResponseHeaders {
    fn info(&self) -> Info {
        Info { name: "response headers", kind: Kind::Request | Kind::Response }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        // Starts the request's clock.
        Trace::of(request);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let trace = Trace::of(request);
        response.set_header(Header::new("X-Request-Id", trace.id.clone()));
        if request.rocket().shutdown().now_or_never().is_some() {
            // An idle keep-alive connection would delay the shutdown until the grace period ends.
            response.set_header(Header::new("Connection", "close"));
        }
        response.set_header(Header::new("Cache-Control", "no-store"));
        for (name, value) in SAFETY {
            response.set_header(Header::new(name, value));
        }
        if !response.headers().contains(POLICY.0) {
            response.set_header(Header::new(POLICY.0, POLICY.1));
        }
        if request.rocket().state::<Arc<App>>().is_some_and(|app| app.access.secure_cookies) {
            response.set_header(Header::new("Strict-Transport-Security", "max-age=31536000"));
        }
        let (id, method, status) = (&trace.id, request.method(), response.status().code);
        // The query is left out: it may hold a token.
        let path = request.uri().path();
        let us = u64::try_from(trace.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(%id, %method, %path, status, us, "request");
    }
}
