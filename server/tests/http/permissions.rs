//! Who may do what: every route, for everybody.

use std::collections::BTreeSet;

use banter_server::{config::Rules, web::document};
use banter_stores::{AuditEntry, UserId, secret::Secret};
use serde_json::{Value, json};

use crate::support::{Server, server_with};

/// What a request carries.
#[derive(Clone, Copy, Debug)]
enum Caller {
    Nobody,
    /// A user who owns nothing that is asked for.
    Another,
    /// The user whose dialogue is asked for.
    Owner,
    /// A user with the administrator role.
    Admin,
    /// A program with the administrator key.
    AdminKey,
    /// A program with the health key.
    HealthKey,
    /// The external AI.
    AnswererKey,
}

const CALLERS: [Caller; 7] = [
    Caller::Nobody,
    Caller::Another,
    Caller::Owner,
    Caller::Admin,
    Caller::AdminKey,
    Caller::HealthKey,
    Caller::AnswererKey,
];

/// A route, a body that it accepts, and the status for each of [`CALLERS`].
type Row = (&'static str, &'static str, Value, [u16; 7]);

fn table(dialog: i64, version: &str) -> Vec<Row> {
    let login = json!({ "email": "new@mail.example", "password": "tulip" });
    let open = [200; 7];
    let users = [401, 200, 200, 200, 401, 401, 401];
    let owner = [401, 403, 200, 403, 401, 401, 401];
    let own = [401, 404, 200, 404, 401, 401, 401];
    let admins = [401, 403, 403, 200, 200, 401, 401];
    let health = [403, 403, 403, 403, 403, 200, 403];
    let answerer = [403, 403, 403, 403, 403, 403, 200];
    vec![
        ("POST", "/auth/login", login, open),
        ("POST", "/auth/refresh", json!({ "refresh_token": "x" }), [401; 7]),
        ("POST", "/create/users", json!({ "token": "x" }), [404; 7]),
        ("GET", "/me", json!(null), users),
        ("POST", "/messages/send", json!({ "text": "hello there" }), users),
        ("POST", "/messages/send", json!({ "text": "hello there", "dialog_id": dialog }), owner),
        ("GET", "/session/history", json!(null), users),
        ("POST", "/dialogs", json!({}), users),
        ("POST", "/dialogs/create", json!({ "dialog_name": "orders" }), users),
        ("POST", "/dialogs/rename", json!({ "dialog_id": dialog, "dialog_name": "orders" }), own),
        ("GET", "/dialogs/{id}", json!(null), own),
        ("GET", "/dialogs/flag/{id}", json!(null), own),
        ("GET", "/dialogs/{id}/events", json!(null), own),
        // It is not asked for as a WebSocket.
        ("GET", "/ws", json!(null), users.map(|status| if status == 200 { 400 } else { status })),
        ("POST", "/send/message/ai", json!({ "text_user": "hello there", "dialog_id": dialog }), owner),
        ("GET", "/messages", json!(null), answerer),
        (
            "POST",
            "/send/message/user",
            json!({ "user_id": 1, "dialog_id": dialog, "text_user": "hi" }),
            answerer.map(|status| if status == 200 { 404 } else { status }),
        ),
        ("GET", "/webhooks/rest", json!(null), open),
        ("POST", "/webhooks/rest/webhook", json!({ "sender": "s", "message": "hello there" }), open),
        ("GET", "/live", json!(null), open),
        ("GET", "/ready", json!(null), open),
        ("GET", "/health", json!(null), health),
        ("GET", "/metrics", json!(null), health),
        ("GET", "/openapi.json", json!(null), open),
        ("GET", "/admin/versions", json!(null), admins),
        ("POST", "/admin/versions", json!({}), admins.map(|status| if status == 200 { 415 } else { status })),
        ("GET", "/admin/versions/{id}", json!(null), admins),
        ("GET", "/admin/versions/{id}/bundle", json!(null), admins),
        ("GET", "/admin/diff", json!(null), admins),
        ("GET", "/admin/fleet", json!(null), admins),
        ("GET", "/admin/audit", json!(null), admins),
        ("POST", "/admin/activate", json!({ "version": version }), admins),
        ("POST", "/admin/rollback", json!({}), admins.map(unchanged)),
        ("POST", "/admin/canary", json!({ "version": version, "percent": 5 }), admins.map(unchanged)),
        ("POST", "/admin/promote", json!({}), admins.map(unchanged)),
        (
            "POST",
            "/admin/dialogs/{id}/give-back",
            json!({}),
            admins.map(|status| if status == 200 { 404 } else { status }),
        ),
        // Last, because they take away what the others need.
        ("POST", "/dialogs/delete", json!({ "dialog_id": dialog }), own),
        ("POST", "/logout", json!({}), users),
    ]
}

/// What the chat page and the widget ask for.
fn of_visitors() -> Vec<Row> {
    let nobody = [403; 7];
    vec![
        ("GET", "/settings", json!(null), [200; 7]),
        ("GET", "/session", json!(null), [401, 200, 200, 200, 401, 401, 401]),
        ("GET", "/dialogs/{id}/turns", json!(null), [401, 404, 200, 404, 401, 401, 401]),
        // They come from no page.
        ("POST", "/session/password", json!({ "email": "new@mail.example", "password": "tulip" }), nobody),
        ("POST", "/session/guest", json!({}), nobody),
        ("POST", "/widget/guest", json!({}), nobody),
    ]
}

/// What the console asks for.
fn of_console() -> Vec<Row> {
    let admins = [401, 403, 403, 200, 200, 401, 401];
    let with = |status: u16| admins.map(|usual| if usual == 200 { status } else { usual });
    let lesson = json!({ "intent": "greet", "language": "en", "example": "hi", "said": "hi", "dry_run": true });
    vec![
        ("GET", "/admin/me", json!(null), admins),
        ("GET", "/admin/conversations", json!(null), admins),
        ("GET", "/admin/conversations/{id}", json!(null), with(404)),
        ("GET", "/admin/conversations/{id}/fixture", json!(null), with(404)),
        ("GET", "/admin/review", json!(null), admins),
        ("POST", "/admin/examples", lesson, admins),
        ("GET", "/admin/inbox", json!(null), admins),
        ("POST", "/admin/inbox/{id}/claim", json!({}), with(404)),
        ("POST", "/admin/inbox/{id}/release", json!({}), with(404)),
        ("POST", "/admin/inbox/{id}/answer", json!({ "text": "hi" }), with(404)),
        ("GET", "/admin/numbers", json!(null), admins),
        ("POST", "/admin/candidate", json!({ "version": "none", "text": "hi", "turn": 1 }), with(404)),
        ("GET", "/admin/users/{who}", json!(null), with(404)),
        ("POST", "/admin/users/{id}/role", json!({ "admin": true }), with(404)),
        ("GET", "/admin/users/{id}/export", json!(null), with(404)),
        ("POST", "/admin/users/{id}/delete", json!({}), with(404)),
    ]
}

/// An administrator may, but there is nothing to do.
fn unchanged(status: u16) -> u16 {
    if status == 200 { 409 } else { status }
}

#[rocket::async_test]
async fn every_route_knows_who_may_use_it() {
    let server = server_with(Rules::Dev, |config| {
        config.auth.logins_per_email = CALLERS.len() as u32;
        config.hand_off.key = Some(Secret::new("answerer".to_owned()).into());
    })
    .await;
    let tokens = [
        server.log_in("bob@mail.example").await.0,
        server.log_in("ann@mail.example").await.0,
        server.log_in("admin@mail.example").await.0,
    ];
    make_admin(&server, &tokens[2]).await;
    let key = std::fs::read_to_string(server.config.data_dir.join("admin.key")).unwrap();
    let bearer = |index: usize| format!("Bearer {}", tokens[index]);
    let created = server
        .post("/dialogs/create", &[("Authorization", &bearer(1))], json!({ "dialog_name": "orders" }).to_string())
        .await;
    let dialog = created.body["dialog"].as_i64().unwrap();
    let versions = server.get("/admin/versions", &[("X-Admin-Key", &key)]).await;
    let version = versions.body["versions"][0]["id"].as_str().unwrap().to_owned();

    let table = [of_visitors(), of_console(), table(dialog, &version)].concat();
    for (method, path, body, expected) in &table {
        let id = if path.starts_with("/admin") { version.clone() } else { dialog.to_string() };
        let query = match *path {
            "/admin/diff" => format!("?from={version}&to={version}"),
            "/admin/numbers" => "?since=0&until=9000&step=1000".to_owned(),
            _ => String::new(),
        };
        let asked = format!("{}{query}", path.replace("{id}", &id).replace("{who}", "nobody@mail.example"));
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let header = match caller {
                Caller::Nobody => None,
                Caller::Another => Some(("Authorization", bearer(0))),
                Caller::Owner => Some(("Authorization", bearer(1))),
                Caller::Admin => Some(("Authorization", bearer(2))),
                Caller::AdminKey => Some(("X-Admin-Key", key.clone())),
                Caller::AnswererKey => Some(("X-Messages-Key", "answerer".to_owned())),
                Caller::HealthKey => Some(("X-Health-Key", "health".to_owned())),
            };
            let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
            if path.ends_with("/events") {
                let status = server.stream_status(&asked, &headers).await;
                assert_eq!(status, *expected, "{asked} by {caller:?}");
                continue;
            }
            let answer = match *method {
                "GET" => server.get(&asked, &headers).await,
                _ => server.post(&asked, &headers, body.to_string()).await,
            };
            assert_eq!(answer.status, *expected, "{method} {asked} by {caller:?}: {}", answer.body);
        }
    }
    check_complete(&table);
}

async fn make_admin(server: &Server, token: &str) {
    let history = server.get("/session/history", &[("Authorization", &format!("Bearer {token}"))]).await;
    let user = UserId(history.body["user_id"].as_str().unwrap().parse().unwrap());
    let entry = AuditEntry { at: 1, actor: None, action: "admin_granted", subject: Some(user), detail: json!({}) };
    assert!(server.backend.stores().users.set_admin(user, true, &entry).await.unwrap());
}

/// The table has every route of the document.
fn check_complete(table: &[Row]) {
    let document: Value = serde_json::from_str(document::json().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let all: BTreeSet<String> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let tested: BTreeSet<String> = table.iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    assert_eq!(tested, all);
}
