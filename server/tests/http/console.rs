//! What the console reads and does with conversations.

use banter_server::config::{
    Rules,
    release::{AdminKey, Scope},
};
use banter_stores::secret::Secret;
use serde_json::{Value, json};

use crate::support::{Answer, Server, server_with};

const ALL: (&str, &str) = ("X-Admin-Key", "all-scopes");
const READ: (&str, &str) = ("X-Admin-Key", "only-read");
const AUTHOR: (&str, &str) = ("X-Admin-Key", "read-and-publish");
const ANSWER: (&str, &str) = ("X-Admin-Key", "only-answer");

async fn with_keys() -> Server {
    server_with(Rules::Dev, |config| {
        let key = |name: &str, key: &str, scopes: &[Scope]| AdminKey {
            name: name.to_owned(),
            key: Secret::new(key.to_owned()),
            scopes: scopes.to_vec(),
        };
        config.admin.keys = vec![
            key("all", ALL.1, &Scope::ALL),
            key("reader", READ.1, &[Scope::Read]),
            key("author", AUTHOR.1, &[Scope::Read, Scope::Publish]),
            key("clerk", ANSWER.1, &[Scope::Answer]),
        ];
    })
    .await
}

async fn ask(server: &Server, path: &str) -> Answer {
    let answer = server.get(path, &[ALL]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer
}

/// A user who has said this, and the user's dialogue.
async fn said(server: &Server, texts: &[&str]) -> i64 {
    let (token, _) = server.log_in("ann@mail.example").await;
    for text in texts {
        assert_eq!(server.send(&token, text).await.status, 200, "{text}");
    }
    let session = server.get("/session", &[("Authorization", &format!("Bearer {token}"))]).await;
    session.body["dialogs"][0]["dialog_id"].as_i64().unwrap()
}

fn texts(answer: &Answer) -> Vec<&str> {
    answer.body["turns"].as_array().unwrap().iter().map(|turn| turn["text"].as_str().unwrap()).collect()
}

#[rocket::async_test]
async fn an_administrator_knows_the_own_scopes() {
    let server = with_keys().await;
    assert_eq!(server.get("/admin/me", &[READ]).await.body, json!({ "name": "key:reader", "scopes": ["read"] }));
}

#[rocket::async_test]
async fn conversations_are_found_by_what_is_known_of_them() {
    let server = with_keys().await;
    said(&server, &["hello there", "где мой заказ", "A-1042", "how to cook borscht"]).await;
    for (query, expected) in [
        ("", vec!["how to cook borscht", "A-1042", "где мой заказ", "hello there"]),
        ("?intent=greet", vec!["hello there"]),
        ("?language=ru", vec!["A-1042", "где мой заказ"]),
        ("?outcome=unknown", vec!["how to cook borscht"]),
        ("?text=%D0%97%D0%90%D0%9A%D0%90%D0%97", vec!["где мой заказ"]),
        ("?text=IS+FINE", vec!["A-1042"]),
        ("?intent=&text=", vec!["how to cook borscht", "A-1042", "где мой заказ", "hello there"]),
        ("?until=1000", vec![]),
        ("?version=nothing", vec![]),
    ] {
        assert_eq!(texts(&ask(&server, &format!("/admin/conversations{query}")).await), expected, "{query}");
    }
    let first = ask(&server, "/admin/conversations?limit=3").await;
    let next = first.body["next"].as_str().unwrap();
    let rest = ask(&server, &format!("/admin/conversations?limit=3&before={next}")).await;
    assert_eq!((texts(&rest), &rest.body["next"]), (vec!["hello there"], &Value::Null));
    for query in ["limit=0", "limit=101", "since=x", "before=x", "until=-1"] {
        let answer = server.get(&format!("/admin/conversations?{query}"), &[ALL]).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid_parameter"), "{query}");
    }
}

#[rocket::async_test]
async fn a_turn_explains_itself() {
    let server = with_keys().await;
    let dialogue = said(&server, &["hello there", "where is my order", "A-1042"]).await;
    let turns = ask(&server, &format!("/admin/conversations/{dialogue}")).await.body["turns"].clone();
    let explain = &turns[0]["explain"];
    assert_eq!(explain["candidates"][0]["intent"], json!("greet"));
    assert!(explain["in_scope"].as_f64().is_some_and(|share| share > 0.5), "{explain}");
    assert_eq!(explain["neighbours"][0]["text"], json!("hello there"));
    assert!(turns[0]["timings"]["handle_us"].is_u64() && turns[0]["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!((&turns[2]["handler"], &turns[2]["slots"]), (&json!("status.rhai"), &json!({ "order_id": "A-1042" })));
    assert!(!turns[2]["explain"]["trace"].as_array().unwrap().is_empty());
    let rest = ask(&server, &format!("/admin/conversations/{dialogue}?after=2")).await;
    assert_eq!(texts(&rest), ["A-1042"]);
    assert_eq!(server.get("/admin/conversations/999", &[ALL]).await.code(), "unknown_dialog");
}

#[rocket::async_test]
async fn personal_data_is_masked_without_the_scope() {
    let server = with_keys().await;
    let dialogue = said(&server, &["write to ann@mail.example or +7 912 345-67-89"]).await;
    let path = format!("/admin/conversations/{dialogue}");
    let whole = ask(&server, &path).await.body.to_string();
    assert!(whole.contains("ann@mail.example") && whole.contains("345-67-89"), "{whole}");
    let fixture = format!("{path}/fixture");
    for path in [path.as_str(), "/admin/conversations", &fixture] {
        let masked = server.get(path, &[AUTHOR]).await;
        let text = masked.body.to_string();
        assert_eq!(masked.status, 200, "{text}");
        assert!(
            text.contains("write to") && !text.contains("ann@mail") && !text.contains("345-67-89"),
            "{path}: {text}"
        );
    }
    let guessed = server.get("/admin/conversations?text=345-67", &[AUTHOR]).await;
    assert_eq!(guessed.code(), "not_allowed", "a search would tell what is masked");
    assert_eq!(server.get(&fixture, &[READ]).await.code(), "not_allowed");
}

#[rocket::async_test]
async fn a_conversation_becomes_a_fixture() {
    let server = with_keys().await;
    let dialogue = said(&server, &["hello there", "where is my order", "A-1042"]).await;
    let answer = ask(&server, &format!("/admin/conversations/{dialogue}/fixture")).await;
    assert_eq!(answer.header("content-type"), "application/yaml");
    let yaml = answer.body.as_str().unwrap();
    for part in ["conversation: ", "user: hello there", "intent: greet", "handler: status.rhai", "A-1042 is fine"] {
        assert!(yaml.contains(part), "no {part} in {yaml}");
    }
}

#[rocket::async_test]
async fn what_was_not_understood_is_taught_through_the_gate() {
    let server = with_keys().await;
    said(&server, &["how to cook borscht", "how to cook borscht", "hello there"]).await;
    let review = ask(&server, "/admin/review").await;
    let utterance = &review.body["groups"][0]["utterances"][0];
    assert_eq!((&utterance["text"], &utterance["times"]), (&json!("how to cook borscht"), &json!(2)));
    assert_eq!(review.body["groups"].as_array().unwrap().len(), 1, "what matches an intent is not reviewed");
    assert_eq!(review.body["intents"], json!(["greet", "status"]));

    let teach = async |change: &dyn Fn(&mut Value)| {
        let mut body = json!({
            "intent": "greet", "language": "en", "example": "how to cook borscht", "said": "how to cook borscht",
        });
        change(&mut body);
        server.post("/admin/examples", &[ALL], body.to_string()).await
    };
    let tried = teach(&|body| body["dry_run"] = json!(true)).await;
    assert_eq!((tried.status, &tried.body["published"]["activated"]), (200, &json!(false)), "{}", tried.body);
    assert_eq!(tried.body["published"]["forecast"]["changed"], json!(1));
    let refused = teach(&|body| body["said"] = json!("track order")).await;
    assert_eq!((refused.status, refused.code()), (422, "version_refused"), "the fixture would fail");
    for (field, value, code) in [
        ("intent", "nothing", "unknown_intent"),
        ("language", "de", "no_example_list"),
        ("example", "hello there", "known_example"),
        ("example", " ", "invalid_field"),
    ] {
        assert_eq!(teach(&|body| body[field] = json!(value)).await.code(), code);
    }
    let published = teach(&|_| {}).await;
    assert_eq!(
        (published.status, &published.body["published"]["activated"]),
        (200, &json!(true)),
        "{}",
        published.body
    );
    assert_eq!(published.body["files"][0], json!("intents/greet.yaml"));
    let (token, _) = server.log_in("bob@mail.example").await;
    assert_eq!(server.send(&token, "how to cook borscht").await.body["response"], json!("Hello!"));
    assert_eq!(ask(&server, "/admin/review").await.body["groups"], json!([]), "it is understood now");
}

#[rocket::async_test]
async fn what_users_chose_is_shown_for_review() {
    let server = with_keys().await;
    said(&server, &["please where is", "the first", "A-1042", "how to cook borscht"]).await;
    let review = ask(&server, "/admin/review").await;
    let groups = review.body["groups"].as_array().unwrap().iter();
    let utterances = groups.flat_map(|group| group["utterances"].as_array().unwrap());
    let mut chosen: Vec<(&str, Option<&str>)> =
        utterances.map(|utterance| (utterance["text"].as_str().unwrap(), utterance["chosen"].as_str())).collect();
    chosen.sort_unstable();
    assert_eq!(chosen, [("how to cook borscht", None), ("please where is", Some("status"))]);
}

#[rocket::async_test]
async fn people_share_an_inbox_and_nobody_answers_twice() {
    let server = with_keys().await;
    let dialogue = said(&server, &["track order Z-0000", "are you there"]).await;
    let inbox = server.get("/admin/inbox", &[ANSWER]).await;
    let item = &inbox.body["dialogs"][0];
    assert_eq!(item["texts"], json!(["track order Z-0000", "are you there"]));
    assert_eq!(item["claimed_until"], json!(0));

    let act = async |action: &str, body: Value| {
        server.post(&format!("/admin/inbox/{dialogue}/{action}"), &[ANSWER], body.to_string()).await
    };
    assert_eq!(act("claim", json!({})).await.status, 200);
    let second = act("claim", json!({})).await;
    assert_eq!((second.status, second.code()), (409, "claimed"));
    let inbox = server.get("/admin/inbox", &[ANSWER]).await;
    assert!(inbox.body["dialogs"][0]["claimed_until"].as_i64().unwrap() > 0, "others see that it is taken");
    assert_eq!(act("release", json!({})).await.status, 200);
    assert_eq!(act("claim", json!({})).await.status, 200);
    assert_eq!(act("answer", json!({ "text": "" })).await.code(), "invalid_text");
    assert_eq!(act("answer", json!({ "text": "I am Olga" })).await.status, 200);
    assert_eq!(act("answer", json!({ "text": "Me too" })).await.code(), "nothing_waits");
    assert_eq!(act("claim", json!({})).await.code(), "nothing_waits");
    assert_eq!(server.get("/admin/inbox", &[ANSWER]).await.body["dialogs"], json!([]));
    let turns = ask(&server, &format!("/admin/conversations/{dialogue}")).await;
    assert_eq!(turns.body["turns"][2]["response"], json!("I am Olga"));
    assert_eq!(server.get("/admin/conversations", &[ANSWER]).await.code(), "not_allowed");
}

#[rocket::async_test]
async fn a_version_is_tried_and_nothing_is_stored() {
    let server = with_keys().await;
    let version = ask(&server, "/admin/versions").await.body["versions"][0]["id"].as_str().unwrap().to_owned();
    let say = async |version: &str, turn: i64, text: &str, state: Value| {
        let body = json!({ "version": version, "text": text, "turn": turn, "state": state });
        server.post("/admin/candidate", &[ALL], body.to_string()).await
    };
    let asked = say(&version[..8], 1, "where is my order", Value::Null).await;
    assert_eq!((asked.status, &asked.body["turn"]["response"]), (200, &json!("Which order?")), "{}", asked.body);
    assert_eq!(asked.body["version"], json!(version));
    assert_eq!(asked.body["turn"]["explain"]["candidates"][0]["intent"], json!("status"));
    let state = asked.body["state"].clone();
    for _ in 0..2 {
        let answered = say(&version, 2, "A-1042", state.clone()).await;
        assert_eq!(
            answered.body["turn"]["response"].as_str().unwrap().lines().next(),
            Some("A-1042 is fine, asked 1 times")
        );
    }
    assert_eq!(ask(&server, "/admin/conversations").await.body["turns"], json!([]));
    for (version, text, code) in [("none", "hi", "unknown_version"), (&version, " ", "invalid_text")] {
        assert_eq!(say(version, 1, text, Value::Null).await.code(), code);
    }
    assert_eq!(say(&version, 1, "hi", json!({ "slots": 7 })).await.status, 422);
}

#[rocket::async_test]
async fn users_are_shown_promoted_exported_and_deleted() {
    let server = with_keys().await;
    said(&server, &["hello there"]).await;
    let user = ask(&server, "/admin/users/ANN@mail.example").await.body;
    assert_eq!(user["identities"], json!([{ "provider": "password", "subject": "ann@mail.example" }]));
    assert_eq!((&user["admin"], &user["dialogs"]), (&json!(false), &json!(1)));
    let path = format!("/admin/users/{}", user["user_id"]);
    let act =
        async |action: &str, body: Value| server.post(&format!("{path}/{action}"), &[ALL], body.to_string()).await;
    assert_eq!(act("role", json!({ "admin": true })).await.status, 200);
    assert_eq!(ask(&server, &path).await.body["admin"], json!(true));
    let export = ask(&server, &format!("{path}/export")).await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    assert!(export.body.as_str().unwrap().contains("hello there"), "{}", export.body);
    assert_eq!(act("delete", json!({})).await.status, 200);
    for path in [path.as_str(), "/admin/users/ann@mail.example", "/admin/users/1"] {
        assert_eq!(server.get(path, &[ALL]).await.code(), "unknown_user", "{path}");
    }
    assert_eq!(act("role", json!({ "admin": true })).await.code(), "unknown_user");
    let audit = ask(&server, "/admin/audit").await.body.to_string();
    for action in ["admin_granted", "user_exported_at_console", "deletion_begun_at_console", "user_deleted"] {
        assert!(audit.contains(action), "no {action} in {audit}");
    }
}

#[rocket::async_test]
async fn numbers_come_from_the_stores() {
    let server = with_keys().await;
    said(&server, &["hello there", "how to cook borscht", "track order Z-0000"]).await;
    let since = 1_700_000_000_000;
    let until = since + 1_000_000_000_000_i64;
    let restarted = server.with_the_same_stores().await;
    let path = format!("/admin/numbers?since={since}&until={until}&step={}", until - since);
    let numbers = ask(&restarted, &path).await.body;
    let step = &numbers["steps"][0];
    assert_eq!(
        (&step["messages"], &step["understood"], &step["hand_offs"]),
        (&json!(3), &json!(2), &json!(1)),
        "{numbers}"
    );
    assert!(step["p95_ms"].is_i64());
    let intents: Vec<&str> =
        numbers["intents"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(intents, ["greet", "status"]);
    for query in
        ["since=1&until=1&step=1000", "since=0&until=9000000&step=1000", "since=0&until=9000", "since=0&step=1000"]
    {
        let answer = server.get(&format!("/admin/numbers?{query}"), &[ALL]).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid_parameter"), "{query}");
    }
}
