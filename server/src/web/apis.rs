//! One module for each HTTP API: its routes and its wire types.

pub mod admin;
pub mod console;
pub mod dialogues;
pub mod messages;
pub mod rasa;
pub mod service;
pub mod visitors;

use rocket::Route;

/// All routes.
pub fn all() -> Vec<Route> {
    [
        messages::routes(),
        dialogues::routes(),
        rasa::routes(),
        service::routes(),
        admin::routes(),
        console::routes(),
        visitors::routes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::document;

    /// The description names the routes that there are, with their methods, and no others.
    #[test]
    fn the_description_names_every_route() {
        let description: serde_json::Value = serde_json::from_str(document::json().unwrap()).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let described: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let mounted: BTreeSet<String> = all()
            .into_iter()
            .map(|route| format!("{} {}", route.method, route.uri.path().replace('<', "{").replace('>', "}")))
            .collect();
        assert_eq!(described, mounted);
    }
}
