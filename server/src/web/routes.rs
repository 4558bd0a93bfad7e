//! One file a resource.

pub mod admin;
pub mod auth;
pub mod messages;
pub mod service;
pub mod session;
pub mod webhooks;

use rocket::Route;

/// All routes.
pub fn all() -> Vec<Route> {
    [
        auth::routes(),
        messages::routes(),
        session::routes(),
        webhooks::routes(),
        service::routes(),
        admin::routes(),
    ]
    .concat()
}

/// Which methods a path takes: Rocket itself answers 404 to a known path with another method.
pub fn methods_of(path: &str) -> Option<&'static str> {
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    match path {
        "/auth/login" | "/auth/refresh" | "/messages/send" | "/webhooks/rest/webhook" => Some("POST"),
        "/session/history" | "/webhooks/rest" | "/live" | "/ready" | "/health" | "/metrics" => Some("GET, HEAD"),
        "/admin/versions" => Some("GET, HEAD, POST"),
        "/admin/activate" | "/admin/rollback" | "/admin/canary" | "/admin/promote" => Some("POST"),
        "/admin/diff" | "/admin/fleet" | "/admin/audit" | "/openapi.json" => Some("GET, HEAD"),
        _ => match path.strip_prefix("/admin/versions/")?.split('/').collect::<Vec<_>>().as_slice() {
            [_] | [_, "bundle"] => Some("GET, HEAD"),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_its_methods() {
        for route in all() {
            let methods = methods_of(route.uri.path()).unwrap_or_else(|| panic!("{} is not listed", route.uri));
            assert!(methods.contains(route.method.as_str()), "{} {}", route.method, route.uri);
        }
    }
}
