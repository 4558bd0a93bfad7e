//! The variables of the earlier server, read by a running one.

use serde_json::json;

use crate::support::Running;

#[test]
fn variables_of_the_earlier_server_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("GOOGLE_CLIENT_ID", "client"),
        ("SECURE_HTTP_HTTPS", "True"),
        ("SECRET_KEY_JWT", r#"["a new secret, 0123456789abcdef", "an old secret, 0123456789abcdef"]"#),
        ("HEALTH_SECRET_KEY", r#"["new", "old"]"#),
        ("API_KEY_AI", "of the external AI"),
    ];
    let server = Running::start(folder.path(), &variables);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
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
}
