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
    [auth::routes(), messages::routes(), session::routes(), webhooks::routes(), service::routes(), admin::routes()]
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

    /// The description names the routes that there are, with their methods, and no others.
    #[test]
    fn the_description_names_every_route() {
        let description: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let told = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let made = all().into_iter().map(|route| {
            let path = route.uri.path().replace('<', "{").replace('>', "}");
            format!("{} {path}", route.method)
        });
        let sorted = |list: &mut dyn Iterator<Item = String>| list.collect::<std::collections::BTreeSet<_>>();
        assert_eq!(sorted(&mut { told }), sorted(&mut { made }));
    }
}
