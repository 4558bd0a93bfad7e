//! Errors are problem documents in the client's language.

use rocket::http::Header;

use crate::support::server;

#[rocket::async_test]
async fn problems_speak_the_clients_language() {
    let server = server().await;
    let answer = server.get("/nowhere", &[("Accept-Language", "ru-RU,ru;q=0.9,en;q=0.5")]).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("content-language"), "ru");
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "type": "urn:banter:problem:not_found",
      "title": "Not Found",
      "status": 404,
      "detail": "По этому адресу ничего нет.",
      "code": "not_found"
    }
    "#);
    assert_eq!(server.get("/nowhere", &[]).await.body["detail"], "There is nothing at this address.");
}

#[rocket::async_test]
async fn bodies_are_told_what_is_wrong_with_them() {
    let server = server().await;
    for (body, status, code, detail) in [
        ("", 422, "missing_body", "no body"),
        ("  \n", 422, "missing_body", "no body"),
        ("{", 400, "malformed_json", "not valid JSON"),
        ("nonsense", 400, "malformed_json", "not valid JSON"),
        ("{\"email\":\"\\ud800\",\"password\":\"x\"}", 400, "malformed_json", "not valid JSON"),
        ("{\"email\":\"a@b.example\"}", 422, "missing_field", "`password`"),
        ("{\"email\":5,\"password\":\"x\"}", 422, "invalid_field", "`email`"),
        ("[]", 422, "invalid_field", "`body`"),
        ("[\"a@b.example\",\"x\"]", 422, "invalid_field", "`body`"),
        ("null", 422, "invalid_field", "`body`"),
        ("\"text\"", 422, "invalid_field", "`body`"),
    ] {
        let answer = server.post("/auth/login", &[], body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(answer.code(), code, "{body}");
        assert!(answer.body["detail"].as_str().unwrap().contains(detail), "{body}: {}", answer.body);
    }
}

#[rocket::async_test]
async fn media_types_methods_and_sizes() {
    let server = server().await;
    let body = r#"{"email":"a@b.example","password":"x"}"#;
    for (kind, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/problem+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("nonsense", 415),
    ] {
        let request = server.client.post("/auth/login").header(Header::new("Content-Type", kind)).body(body);
        assert_eq!(request.dispatch().await.status().code, status, "{kind}");
    }
    assert_eq!(server.client.post("/auth/login").body(body).dispatch().await.status().code, 200, "no content type");

    let answer = server.get("/auth/login", &[]).await;
    assert_eq!((answer.status, answer.code(), answer.header("allow")), (405, "method_not_allowed", "POST"));
    let answer = server.post("/session/history", &[], "{}").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));

    let large = format!(r#"{{"email":"a@b.example","password":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(server.post("/auth/login", &[], large).await.code(), "too_large");
    let deep = "[".repeat(30_000);
    assert_eq!(server.post("/auth/login", &[], deep).await.code(), "malformed_json");
}
