//! Probes, metrics, and cross-origin requests.

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
    let allowed = preflight.headers().get_one("Access-Control-Allow-Headers").unwrap();
    for header in ["Idempotency-Key", "If-Match", "X-Admin-Key", "Authorization", "Content-Type"] {
        assert!(allowed.contains(header), "{header} is not in {allowed}");
    }
    let exposed = preflight.headers().get_one("Access-Control-Expose-Headers").unwrap();
    assert!(exposed.contains("ETag") && exposed.contains("X-Request-Id"), "{exposed}");
}

/// On answers, on errors, and on paths that do not exist.
#[rocket::async_test]
async fn every_response_tells_browsers_what_not_to_do() {
    let server = server().await;
    for path in ["/live", "/me", "/nowhere"] {
        let answer = server.get(path, &[]).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        assert_eq!(answer.header("strict-transport-security"), "", "{path}: without secure cookies");
    }
}

#[rocket::async_test]
async fn a_dead_model_is_named() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    for answer in [
        server.send(&token, "the model is gone").await,
        server.send(&token, "hello there").await,
        server.get("/ready", &[]).await,
        server.get("/health", &[("X-Health-Key", "health")]).await,
    ] {
        assert_eq!((answer.status, answer.code()), (503, "unavailable"), "{}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap().contains("embedding"), "{}", answer.body);
    }
    assert_eq!(server.get("/live", &[]).await.status, 200);
}

#[rocket::async_test]
async fn a_dead_store_is_named() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    server.backend.close().await;
    let part = if crate::EXTERNAL { "postgres" } else { "sqlite" };
    let login = server.post("/auth/login", &[], r#"{"email":"bob@mail.example","password":"tulip"}"#).await;
    for answer in [
        server.get("/ready", &[]).await,
        server.get("/health", &[("X-Health-Key", "health")]).await,
        login,
        server.get("/session/history", &[("Authorization", &format!("Bearer {token}"))]).await,
    ] {
        assert_eq!((answer.status, answer.code()), (503, "unavailable"), "{}", answer.body);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(part) || (crate::EXTERNAL && detail.contains("mongodb")), "{detail}");
    }
    assert_eq!(server.get("/live", &[]).await.status, 200);
}

#[rocket::async_test]
async fn turns_are_counted_for_monitors() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    for text in ["hello there", "where is my order", "A-1042"] {
        assert_eq!(server.send(&token, text).await.status, 200);
    }
    assert_eq!(server.get("/metrics", &[]).await.code(), "wrong_key");
    let told = server.get("/metrics", &[("Authorization", "Bearer health")]).await;
    assert!(told.header("content-type").starts_with("application/openmetrics-text"), "{}", told.header("content-type"));
    let text = told.body.as_str().unwrap();
    let expected = [
        "banter_turns_total{kind=\"matched\"} 2",
        "banter_turns_total{kind=\"form\"} 1",
        "banter_turn_seconds_count 3",
        "# EOF",
    ];
    for line in expected {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("order"), "metrics hold no texts of users");
}
