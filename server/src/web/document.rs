//! The OpenAPI document. The annotations of the routes describe it; guards and error tables add the statuses that they
//! answer with.

use std::{collections::BTreeMap, sync::LazyLock};

use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::apis::{admin, console, dialogues, messages, rasa, service, visitors};

/// What all APIs share.
#[derive(OpenApi)]
#[openapi(info(title = "banter", description = "A chatbot engine in Rust"))]
struct Shared;

/// The OpenAPI 3.1 document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    let apis = [
        messages::ApiDescription::openapi(),
        dialogues::ApiDescription::openapi(),
        rasa::ApiDescription::openapi(),
        admin::ApiDescription::openapi(),
        service::ApiDescription::openapi(),
        console::ApiDescription::openapi(),
        visitors::ApiDescription::openapi(),
    ];
    let mut document = Shared::openapi();
    for api in apis {
        document.merge(api);
    }
    let components = document.components.get_or_insert_default();
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    document
}

/// The document as JSON, built once.
pub fn json() -> Result<&'static str, &'static str> {
    static JSON: LazyLock<Result<String, String>> =
        LazyLock::new(|| document().to_pretty_json().map_err(|error| error.to_string()));
    JSON.as_deref().map_err(String::as_str)
}

/// The ways to authenticate, by the names that routes use.
fn schemes() -> [(&'static str, SecurityScheme); 6] {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    [
        ("bearer", SecurityScheme::Http(bearer)),
        ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("access_token")))),
        ("adminKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Admin-Key")))),
        ("healthKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Health-Key")))),
        ("messagesKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Messages-Key")))),
        ("channelKey", SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::new("token")))),
    ]
}

/// Problem documents with these statuses.
pub fn problems<const N: usize>(statuses: [u16; N]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |status: u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(meaning(status)).content("application/problem+json", content);
        (status.to_string(), RefOr::T(response.build()))
    };
    statuses.into_iter().map(problem).collect()
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The body is not valid JSON, or the request cannot be read.",
        401 => "Credentials are missing or not valid.",
        403 => "This client may not do this.",
        404 => "There is nothing with this name or at this address.",
        409 => "The request conflicts with the current state.",
        412 => "The current generation is not the one in `If-Match`.",
        413 => "The body is too large.",
        415 => "The body has the wrong content type.",
        422 => "A field, a parameter or the uploaded bot is missing or invalid.",
        429 => "Too many attempts. `Retry-After` says when to try again.",
        504 => "Nobody has answered within the time limit.",
        503 => "A part of the service does not respond, or the server is busy.",
        _ => "Something went wrong on the server.",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Generators of clients name their functions by it.
    #[test]
    fn each_operation_has_a_name_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(super::json().unwrap()).unwrap();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }

    /// The front end takes its types from a copy, so that it can be built before the server.
    #[test]
    fn the_front_end_knows_this_api() {
        let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend/openapi.json");
        let current = super::json().unwrap();
        if fs::read_to_string(&copy).is_ok_and(|text| text.trim_end() == current) {
            return;
        }
        let new = copy.with_extension("json.new");
        fs::write(&new, format!("{current}\n")).unwrap();
        panic!("the API has changed; run: mv {} {}, then `make frontend`", new.display(), copy.display());
    }
}
