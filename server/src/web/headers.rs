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

/// How long browsers keep responses that say nothing themselves.
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

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
        for (name, value) in SAFETY {
            response.set_header(Header::new(name, value));
        }
        for (name, value) in [POLICY, NO_STORE] {
            if !response.headers().contains(name) {
                response.set_header(Header::new(name, value));
            }
        }
        let access = request.rocket().state::<Arc<App>>().map(|app| &app.access);
        // This older header knows only nobody and everybody. A page's own policy says who may frame it.
        if access.is_some_and(|access| !access.frame_ancestors.is_empty()) {
            response.remove_header("X-Frame-Options");
        }
        if access.is_some_and(|access| access.secure_cookies) {
            response.set_header(Header::new("Strict-Transport-Security", "max-age=31536000"));
        }
        let (id, method, status) = (&trace.id, request.method(), response.status().code);
        // The query is left out: it may hold a token.
        let path = request.uri().path();
        let us = u64::try_from(trace.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(%id, %method, %path, status, us, "request");
    }
}
