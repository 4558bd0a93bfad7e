//! The variables of the earlier server, read by a running one, and the files that list them.

use std::collections::BTreeMap;

use banter_stores::secret::Secret;
use serde_json::json;

use crate::{
    services,
    support::{CONTRACT, Running, banter, root},
};

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

#[test]
fn variables_of_the_earlier_server_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("GOOGLE_CLIENT_ID", "client"),
        ("SECURE_HTTP_HTTPS", "True"),
        ("SECRET_KEY_JWT", r#"["a new secret, 0123456789abcdef", "an old secret, 0123456789abcdef"]"#),
        ("HEALTH_SECRET_KEY", r#"["new", "old"]"#),
        ("API_KEY_AI", "of the external AI"),
        ("ADDRESS_FRONT", "https://shop.example/"),
        ("ALGORITHM", "HS512"),
    ];
    let server = Running::start(folder.path(), &variables);
    let agent = agent();
    let url = |path: &str| format!("{}{path}", server.address);
    for (key, status) in [("new", 200), ("old", 200), (r#"["new", "old"]"#, 403)] {
        let answer = agent.get(url("/health")).header("X-Health-Key", key).call().unwrap();
        assert_eq!(answer.status(), status, "{key}");
    }
    let waiting = agent.get(url("/messages")).header("X-Messages-Key", "of the external AI").call().unwrap();
    assert_eq!(waiting.status(), 200);
    let answer = agent.post(url("/create/users")).send_json(json!({ "token": "x.y.z" })).unwrap();
    assert_eq!(answer.status(), 401, "Google sign-in is on");
    let secure = answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap());
    assert_eq!(secure, Some("max-age=31536000"), "cookies are for HTTPS only");
    let answer = agent.get(url("/live")).header("Origin", "https://shop.example").call().unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
    let login = json!({ "email": "ann@mail.example", "password": "tulip" });
    let mut answer = agent.post(url("/auth/login")).send_json(login).unwrap();
    let tokens: BTreeMap<String, String> = answer.body_mut().read_json().unwrap();
    // The first part of a JWT is its header: {"typ":"JWT","alg":"HS512"…
    assert!(tokens["access_token"].starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMi"), "{}", tokens["access_token"]);
}

/// The variables of a file in the project's folder.
fn listed(file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{file}: {line}"));
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

fn start(folder: &tempfile::TempDir, variables: &BTreeMap<String, String>) -> Running {
    let pairs: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Running::start(folder.path(), &pairs)
}

#[test]
fn the_example_lists_every_variable_and_starts_a_server() {
    let variables = listed(".env.example");
    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
    let mut all = CONTRACT.to_vec();
    all.sort_unstable();
    assert_eq!(names, all);
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder, &variables);
    let waiting = agent().get(format!("{}/messages", server.address));
    assert_eq!(waiting.header("X-Messages-Key", &variables["API_KEY_AI"]).call().unwrap().status(), 200);
}

#[test]
fn the_example_for_production_needs_its_secrets_replaced() {
    let mut variables = listed(".env.production.example");
    assert!(CONTRACT.iter().all(|name| variables.contains_key(*name)), "{variables:?}");
    let folder = tempfile::tempdir().unwrap();
    let refused = banter(folder.path()).args(["serve", "--port", "0"]).envs(&variables).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && told.contains("looks like an example"), "{told}");

    let stores = tokio::runtime::Runtime::new().unwrap().block_on(services::fresh());
    let text = |url: &Option<Secret>| url.as_ref().unwrap().text().to_owned();
    let postgres = text(&stores.postgres);
    // postgres://user:password@host:port/name
    let rest = postgres.strip_prefix("postgres://").unwrap();
    let (user, place) = rest.split_once('@').unwrap();
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, name) = place.split_once('/').unwrap();
    let (host, port) = host.split_once(':').unwrap_or((host, "5432"));
    for (variable, value) in [
        ("DATABASE_HOST", host),
        ("DATABASE_PORT", port),
        ("DATABASE_NAME", name),
        ("DATABASE_USER", user),
        ("DATABASE_PASSWORD", password),
        ("BANTER_STORES__MONGO", &text(&stores.mongo)),
        ("BANTER_STORES__REDIS", &text(&stores.redis)),
        ("SECRET_KEY_JWT", "2f9c4e8b7a6d5c1f0e3b9a8d7c6f5e4b"),
        ("API_KEY_AI", "8d7c6f5e4b2f9c4e8b7a6d5c1f0e3b9a"),
        ("HEALTH_SECRET_KEY", "5c1f0e3b9a8d7c6f5e4b2f9c4e8b7a6d"),
    ] {
        variables.insert(variable.to_owned(), value.to_owned());
    }
    let server = start(&folder, &variables);
    let health = agent().get(format!("{}/health", server.address));
    assert_eq!(health.header("X-Health-Key", &variables["HEALTH_SECRET_KEY"]).call().unwrap().status(), 200);
}
