//! JSON request bodies: checks content type and size, and reports which field is missing or invalid.

use rocket::{
    Data, Request,
    data::{FromData, Outcome, ToByteUnit},
    http::Status,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use std::collections::BTreeMap;

use super::{
    document::problems,
    guard::app,
    problem::{Problem, RequestError},
};

/// A request body, deserialized.
pub struct Body<T> {
    pub value: T,
    /// SHA-256 of the request path and the parsed body, if the request has an `Idempotency-Key`. Whitespace and key
    /// order don't change it.
    pub hash: Option<[u8; 32]>,
}

/// The error of a guard, kept for the catcher, which sends the response.
#[derive(Default)]
pub struct Refusal(pub Option<Problem>);

/// Rejects a request from inside a guard.
pub fn refuse(request: &Request<'_>, error: impl Into<Problem>) -> (Status, Problem) {
    let problem = error.into();
    request.local_cache(|| Refusal(Some(problem.clone())));
    (problem.status(), problem)
}

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Body<T> {
    type Error = Problem;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        match read(request, data).await {
            Ok(body) => Outcome::Success(body),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

impl<T> IntoResponses for Body<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([400, 413, 415, 422])
    }
}

async fn read<T: DeserializeOwned>(request: &Request<'_>, data: Data<'_>) -> Result<Body<T>, Problem> {
    if let Some(kind) = request.content_type() {
        let json = kind.top() == "application" && (kind.sub() == "json" || kind.sub().as_str().ends_with("+json"));
        if !json {
            return Err(RequestError::UnsupportedMediaType.into());
        }
    } else if request.headers().contains("Content-Type") {
        return Err(RequestError::UnsupportedMediaType.into());
    }
    let app = app(request)?;
    // A slow client must not hold the connection.
    let reading = timeout(app.bounds.body_time, data.open(app.bounds.body_bytes.bytes()).into_bytes());
    let bytes = reading.await.map_err(|_| RequestError::Unreadable)?.map_err(|_| RequestError::Unreadable)?;
    if !bytes.is_complete() {
        return Err(RequestError::TooLarge.into());
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(RequestError::MissingBody.into());
    }
    let json: Value = serde_json::from_slice(&bytes).map_err(|_| RequestError::MalformedJson)?;
    // serde would accept an array as the fields in order.
    if !json.is_object() {
        return Err(RequestError::InvalidField("body".to_owned()).into());
    }
    let hash = request.headers().contains("Idempotency-Key").then(|| hash_request(request, &json));
    let value = serde_path_to_error::deserialize(json).map_err(|error| field_error(&error))?;
    Ok(Body { value, hash })
}

fn hash_request(request: &Request<'_>, json: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(request.uri().path().as_str().trim_end_matches('/').as_bytes());
    hash.update([0]);
    hash_value(&mut hash, json);
    hash.finalize().into()
}

/// Hashes a value, ignoring the order of keys.
fn hash_value(hash: &mut Sha256, value: &Value) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match value {
        Value::Object(fields) => {
            part(b'o', &(fields.len() as u64).to_le_bytes());
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            for (key, value) in sorted {
                hash.update((key.len() as u64).to_le_bytes());
                hash.update(key.as_bytes());
                hash_value(hash, value);
            }
        }
        Value::Array(items) => {
            part(b'a', &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_value(hash, item));
        }
        Value::String(text) => part(b's', text.as_bytes()),
        other => part(b'v', other.to_string().as_bytes()),
    }
}

/// The missing or invalid field as an error.
fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> RequestError {
    let message = error.inner().to_string();
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return RequestError::MissingField(field.to_owned());
    }
    let path = error.path().to_string();
    RequestError::InvalidField(if path == "." { "body".to_owned() } else { path })
}
