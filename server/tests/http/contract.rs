//! Compares every response of these tests with the OpenAPI document: its status, content type, headers and body.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use banter_server::web::document;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(document::json().unwrap()).unwrap());

/// Fails if the document does not describe this response, or a request body that was accepted. `path` may have a query.
pub fn check(method: &str, path: &str, sent: &[u8], answer: &Answer) {
    let path = path.split('?').next().unwrap_or(path);
    let Some((template, operations)) = find(path) else {
        assert_eq!(answer.status, 404, "{method} {path} is not in the document");
        return;
    };
    let method = method.to_lowercase();
    let Some(operation) = operations.get(&method) else {
        assert_eq!(answer.status, 405, "{method} {path} is not in the document");
        return;
    };
    let at = format!("{method} {path} with {}", answer.status);
    let status = answer.status.to_string();
    let response = operation["responses"].get(&status).unwrap_or_else(|| panic!("{at} is not in the document"));
    let kind = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    assert!(response["content"].get(&kind).is_some(), "{at} has the content type {kind}: {response}");
    // A stream begins before its result is known.
    let headers = response["headers"].as_object().filter(|_| kind != "text/event-stream");
    for name in headers.into_iter().flat_map(|headers| headers.keys()) {
        assert!(!answer.header(&name.to_lowercase()).is_empty(), "{at} has no header {name}");
    }
    if kind.ends_with("json") {
        conforms(&[template, &method, "responses", &status, "content", &kind, "schema"], &answer.body, &at);
    }
    if let (200, Ok(body), Some(_)) = (answer.status, serde_json::from_slice(sent), operation.get("requestBody")) {
        conforms(&[template, &method, "requestBody", "content", "application/json", "schema"], &body, &at);
    }
}

/// The entry of a path, and its key. A fixed path comes before one with parameters.
fn find(path: &str) -> Option<(&'static String, &'static Value)> {
    let asked: Vec<&str> = path.trim_matches('/').split('/').collect();
    let matches = |template: &str| {
        let own: Vec<&str> = template.trim_matches('/').split('/').collect();
        own.len() == asked.len() && own.iter().zip(&asked).all(|(own, asked)| own.starts_with('{') || own == asked)
    };
    let found = DOCUMENT["paths"].as_object()?.iter().filter(|(template, _)| matches(template));
    found.min_by_key(|(template, _)| template.contains('{'))
}

/// Fails if a value does not fit the schema at this place under `paths`.
fn conforms(place: &[&str], value: &Value, at: &str) {
    static SCHEMAS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);
    let mut schemas = SCHEMAS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let schema = schemas.entry(place.join(" ")).or_insert_with(|| {
        let schema = place.iter().fold(&DOCUMENT["paths"], |inside, part| &inside[*part]);
        // References begin at the root.
        let root = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        jsonschema::draft202012::new(&root).unwrap()
    });
    let errors: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{at} differs from the document: {errors:?}\n{value}");
}
