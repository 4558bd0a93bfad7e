//! Each error of the contract, in both languages.

use banter_server::config::Rules;
use banter_stores::secret::Secret;
use rocket::http::Header;
use serde_json::{Value, json};

use crate::support::{Answer, Server, server_with};

/// A request that fails: method, path, headers, body, status and code.
struct Row {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    status: u16,
    code: &'static str,
}

impl Row {
    fn post(path: &str, body: Value, status: u16, code: &'static str) -> Self {
        Self { method: "POST", path: path.to_owned(), headers: Vec::new(), body: body.to_string(), status, code }
    }

    fn get(path: &str, status: u16, code: &'static str) -> Self {
        Self { method: "GET", ..Self::post(path, json!({}), status, code) }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn raw(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    async fn ask(&self, server: &Server, language: &str) -> Answer {
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = own.chain([("Accept-Language", language)]).collect();
        match self.method {
            "GET" => server.get(&self.path, &headers).await,
            _ => server.post(&self.path, &headers, &self.body).await,
        }
    }

    /// The same status and code in both languages, and a sentence in the language that was asked for.
    async fn check(&self, server: &Server) {
        let is_russian = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c));
        for (language, russian) in [("en", false), ("ru", true)] {
            let answer = self.ask(server, language).await;
            let at = format!("{} {} in {language}: {}", self.method, self.path, answer.body);
            assert_eq!((answer.status, answer.code()), (self.status, self.code), "{at}");
            assert_eq!(answer.header("content-language"), language, "{at}");
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            assert!(!detail.is_empty() && is_russian(detail) == russian, "{at}");
        }
    }
}

fn open_rows() -> Vec<Row> {
    let login = |email: &str, password: &str| json!({ "email": email, "password": password });
    vec![
        Row::post("/auth/login", login("ann@mail.example", "wrong"), 401, "wrong_password"),
        Row::post("/auth/login", login("ann", "tulip"), 422, "invalid_email"),
        Row::post("/auth/login", login("bob@mail.example", ""), 422, "invalid_password"),
        Row::post("/auth/login", login("bob@mail.example", &"x".repeat(1_025)), 422, "invalid_password"),
        Row::post("/auth/login", json!({ "email": "bob@mail.example" }), 422, "missing_field"),
        Row::post("/auth/login", json!({ "email": 5, "password": "x" }), 422, "invalid_field"),
        Row::post("/auth/login", json!({}), 422, "missing_body").raw(""),
        Row::post("/auth/login", json!({}), 400, "malformed_json").raw("{"),
        Row::post("/auth/login", login("bob@mail.example", &"x".repeat(70_000)), 413, "too_large"),
        Row::post("/auth/refresh", json!({ "refresh_token": "x" }), 401, "invalid_refresh_token"),
        Row::post("/create/users", json!({}), 400, "missing_token"),
        Row::post("/create/users", json!({ "token": "x.y.z" }), 401, "invalid_google_token"),
        Row::post("/logout", json!({}), 401, "unauthorized"),
        Row::get("/me", 401, "unauthorized"),
        Row::get("/session/history", 401, "unauthorized"),
        Row::post("/messages/send", json!({ "text": "hello there" }), 401, "unauthorized"),
        Row::get("/health", 403, "wrong_key"),
        Row::get("/messages", 403, "wrong_key"),
        Row::post("/send/message/user", json!({}), 403, "wrong_key"),
        Row::post(
            "/send/message/user",
            json!({ "user_id": 1, "dialog_id": 999_999, "text_user": "hi" }),
            404,
            "unknown_dialog",
        )
        .with("X-Messages-Key", "answerer"),
        Row::get("/nowhere", 404, "not_found"),
        Row::get("/auth/login", 405, "method_not_allowed"),
    ]
}

fn user_rows(bearer: &str, foreign: i64) -> Vec<Row> {
    let rows = vec![
        Row::post("/messages/send", json!({ "text": " " }), 422, "invalid_text"),
        Row::post("/messages/send", json!({ "text": "x".repeat(2_001) }), 422, "invalid_text"),
        Row::post("/messages/send", json!({ "text": "hi", "dialog_id": foreign }), 403, "foreign_dialog"),
        Row::post("/messages/send", json!({ "text": "other" }), 409, "idempotency_mismatch")
            .with("Idempotency-Key", "used"),
        Row::post("/messages/send", json!({ "text": "hi" }), 422, "invalid_idempotency_key")
            .with("Idempotency-Key", ""),
        Row::get(&format!("/session/history?dialog_id={foreign}"), 403, "foreign_dialog"),
        Row::get("/session/history?limit=0", 422, "invalid_parameter"),
        Row::post("/dialogs/create", json!({ "dialog_name": "a sixth" }), 403, "too_many_dialogs"),
        Row::post("/dialogs/create", json!({ "dialog_name": "ab" }), 422, "invalid_name"),
        Row::post("/dialogs/delete", json!({ "dialog_id": foreign }), 404, "unknown_dialog"),
        Row::post("/dialogs/rename", json!({ "dialog_id": foreign, "dialog_name": "mine" }), 404, "unknown_dialog"),
        Row::post("/dialogs/rename", json!({ "dialog_id": foreign, "dialog_name": "" }), 422, "invalid_name"),
        Row::get(&format!("/dialogs/{foreign}"), 404, "unknown_dialog"),
        Row::get(&format!("/dialogs/flag/{foreign}"), 404, "unknown_dialog"),
        Row::post("/send/message/ai", json!({ "dialog_id": foreign, "text_user": "hi" }), 403, "foreign_dialog"),
        Row::post("/send/message/ai", json!({ "dialog_id": foreign }), 422, "missing_field"),
    ];
    rows.into_iter().map(|row| row.with("Authorization", bearer)).collect()
}

#[rocket::async_test]
async fn every_error_is_told_in_both_languages() {
    let server = server_with(Rules::Dev, |config| {
        config.google.client_id = Some("client".to_owned());
        config.auth.logins_per_email = 4;
        config.hand_off.key = Some(Secret::new("answerer".to_owned()).into());
        config.hand_off.wait_seconds = 1;
    })
    .await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let (other, _) = server.log_in("cid@mail.example").await;
    let (bearer, foreign) = (format!("Bearer {token}"), format!("Bearer {other}"));
    let create = async |bearer: &str| {
        let body = json!({ "dialog_name": "orders" }).to_string();
        server.post("/dialogs/create", &[("Authorization", bearer)], body).await.body["dialog"].as_i64().unwrap()
    };
    let foreign = create(&foreign).await;
    let own = create(&bearer).await;
    for _ in 0..4 {
        create(&bearer).await;
    }
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "used")];
    assert_eq!(server.post("/messages/send", &headers, r#"{"text":"hello there"}"#).await.status, 200);
    for row in open_rows().into_iter().chain(user_rows(&bearer, foreign)) {
        row.check(&server).await;
    }
    hand_offs(&server, &bearer, own).await;
    foreign_origin(&server, &token).await;
    for password in ["tulip", "1", "2", "3", "4", "5", "6"] {
        let body = json!({ "email": "dan@mail.example", "password": password }).to_string();
        server.post("/auth/login", &[], body).await;
    }
    let often = json!({ "email": "dan@mail.example", "password": "tulip" });
    Row::post("/auth/login", often, 429, "too_many_requests").check(&server).await;

    server.sql(BROKEN_USERS.0, BROKEN_USERS.1).await;
    let new = json!({ "email": "eve@mail.example", "password": "tulip" });
    Row::post("/auth/login", new, 500, "user_not_created").check(&server).await;
    server.backend.close().await;
    Row::get("/health", 503, "unavailable").with("X-Health-Key", "health").check(&server).await;
}

/// A POST by the cookie, from a page of another site.
async fn foreign_origin(server: &Server, token: &str) {
    for (language, russian) in [("en", false), ("ru", true)] {
        let request = server.client.post("/dialogs").cookie(("access_token", token.to_owned())).body("{}");
        let request = request.header(Header::new("Origin", "https://evil.example"));
        let response = request.header(Header::new("Accept-Language", language)).dispatch().await;
        assert_eq!(response.status().code, 403);
        let problem: Value = serde_json::from_str(&response.into_string().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "foreign_origin");
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(detail.chars().any(|c| ('а'..='я').contains(&c)), russian, "{detail}");
    }
}

/// The errors of a user's dialogue that is handed off.
async fn hand_offs(server: &Server, bearer: &str, dialog: i64) {
    let history = server.get("/session/history", &[("Authorization", bearer)]).await;
    let user: i64 = history.body["user_id"].as_str().unwrap().parse().unwrap();
    let answer = json!({ "user_id": user, "dialog_id": dialog, "text_user": "hi" });
    let nothing = Row::post("/send/message/user", answer, 409, "nothing_waits").with("X-Messages-Key", "answerer");
    nothing.check(server).await;
    let question = json!({ "dialog_id": dialog, "text_user": "track order Z-0000" });
    let no_answer = Row::post("/send/message/ai", question, 504, "no_answer").with("Authorization", bearer);
    no_answer.with("Idempotency-Key", "waits").check(server).await;
    let more = json!({ "dialog_id": dialog, "text_user": "hello there" });
    Row::post("/send/message/ai", more, 409, "handed_off").with("Authorization", bearer).check(server).await;
}

/// Users can no longer be stored: SQL for the embedded store and for PostgreSQL.
const BROKEN_USERS: (&str, &str) = (
    "CREATE TABLE once (a UNIQUE); INSERT INTO once VALUES (1);
     CREATE TRIGGER nobody AFTER INSERT ON users BEGIN INSERT INTO once VALUES (1); END",
    "ALTER TABLE users ADD CONSTRAINT nobody CHECK (created_at < 0) NOT VALID",
);
