//! Requests that no route answers.

use rocket::{
    Catcher, Request, catch, catchers,
    http::{Method, Status},
};

use super::{body::Refusal, context::Trace, error::ApiError, routes};

/// The one catcher.
pub fn all() -> Vec<Catcher> {
    catchers![refused]
}

#[catch(default)]
fn refused(status: Status, request: &Request<'_>) -> ApiError {
    if let Some(error) = &request.local_cache(Refusal::default).0 {
        return error.clone();
    }
    match status.code {
        404 => match routes::methods_of(request.uri().path().as_str()) {
            Some(methods) if !is_served(request.method(), methods) => ApiError::MethodNotAllowed(methods),
            _ => ApiError::NotFound,
        },
        413 => ApiError::TooLarge,
        415 => ApiError::UnsupportedMediaType,
        422 => ApiError::InvalidField("request".to_owned()),
        503 => ApiError::Busy(1),
        code if (400..500).contains(&code) => ApiError::BadRequest,
        _ => {
            Trace::of(request).span().in_scope(|| tracing::error!(%status, "a request failed"));
            ApiError::Internal
        }
    }
}

fn is_served(method: Method, methods: &str) -> bool {
    methods.split(", ").any(|served| served == method.as_str())
}
