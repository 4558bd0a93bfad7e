//! The requests of a user.

use serde_json::{Value, json};

/// The JSON of a successful response.
pub fn post(address: &str, path: &str, token: &str, body: &Value) -> Option<Value> {
    let mut response = ureq::post(format!("{address}{path}"))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .send(body.to_string())
        .ok()?;
    serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
}

/// Logs in, and returns the access token.
pub fn log_in(address: &str, email: &str) -> Option<String> {
    let body = json!({ "email": email, "password": "tulip" });
    Some(post(address, "/auth/login", "", &body)?["access_token"].as_str()?.to_owned())
}
