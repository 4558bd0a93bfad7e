//! Probes and cross-origin requests.

use banter_server::config::Rules;
use rocket::http::Header;

use crate::support::{server, server_with};

#[rocket::async_test]
async fn probes() {
    let server = server().await;
    assert_eq!(server.get("/live", &[]).await.body, serde_json::json!({ "status": "ok" }));
    assert_eq!(server.get("/ready", &[]).await.status, 200);
    assert_eq!(server.get("/health", &[]).await.code(), "wrong_key");
    assert_eq!(server.get("/health", &[("X-Health-Key", "wrong")]).await.status, 403);
    assert_eq!(server.get("/health", &[("X-Health-Key", "health")]).await.body, serde_json::json!({ "status": "ok" }));
}

#[rocket::async_test]
async fn only_the_front_end_may_ask_from_elsewhere() {
    let server = server_with(Rules::Dev, |config| config.front = Some("https://shop.example".to_owned())).await;
    for (origin, allowed) in [("https://shop.example", "https://shop.example"), ("https://evil.example", "")] {
        let answer = server.get("/live", &[("Origin", origin)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    let preflight = server
        .client
        .options("/messages/send")
        .header(Header::new("Origin", "https://shop.example"))
        .header(Header::new("Access-Control-Request-Method", "POST"))
        .dispatch()
        .await;
    assert_eq!(preflight.status().code, 204);
    assert_eq!(preflight.headers().get_one("Access-Control-Allow-Credentials"), Some("true"));
}
