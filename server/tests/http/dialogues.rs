//! `/dialogs`: creating, renaming, listing, reading and deleting dialogues.

use banter_server::config::Rules;
use serde_json::{Value, json};

use crate::support::{Answer, Server, server, server_with};

/// A user with a token.
struct Client<'s> {
    server: &'s Server,
    bearer: String,
}

impl<'s> Client<'s> {
    async fn log_in(server: &'s Server, email: &str) -> Self {
        Self { server, bearer: format!("Bearer {}", server.log_in(email).await.0) }
    }

    fn on<'o>(&self, server: &'o Server) -> Client<'o> {
        Client { server, bearer: self.bearer.clone() }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.server.post(path, &[("Authorization", &self.bearer)], body.to_string()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.get(path, &[("Authorization", &self.bearer)]).await
    }

    async fn create(&self, name: &str) -> i64 {
        let answer = self.post("/dialogs/create", json!({ "dialog_name": name })).await;
        assert_eq!((answer.status, &answer.body["server"]), (200, &json!("ok")), "{}", answer.body);
        answer.body["dialog"].as_i64().unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let answer = self.post("/dialogs", json!({})).await;
        let dialogs = answer.body["dialogs"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
        dialogs.iter().map(|one| one["dialog_name"].as_str().unwrap().to_owned()).collect()
    }

    async fn send(&self, dialog: i64, text: &str, key: &str) -> Answer {
        let headers = [("Authorization", self.bearer.as_str()), ("Idempotency-Key", key)];
        self.server.post("/messages/send", &headers, json!({ "text": text, "dialog_id": dialog }).to_string()).await
    }
}

#[rocket::async_test]
async fn dialogues_are_created_renamed_listed_and_read() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    assert_eq!(ann.names().await, [""; 0], "the default dialogue is not listed");
    let (orders, other) = (ann.create("мои заказы").await, ann.create("  other  ").await);
    assert!(orders < other);
    let renamed = ann.post("/dialogs/rename", json!({ "dialog_id": other, "dialog_name": "returns" })).await;
    assert_eq!((renamed.status, &renamed.body), (200, &json!({ "server": "ok", "status": true })));
    let list = ann.post("/dialogs", json!({})).await;
    let expected = json!({ "server": "ok", "dialogs": [
        { "dialog_id": orders, "dialog_name": "мои заказы" },
        { "dialog_id": other, "dialog_name": "returns" },
    ] });
    assert_eq!(list.body, expected);
    assert_eq!(ann.send(orders, "hello there", "a").await.status, 200);
    assert_eq!(ann.send(orders, "good morning friend", "b").await.status, 200);
    insta::assert_json_snapshot!(ann.get(&format!("/dialogs/{orders}")).await.body, @r#"
    {
      "server": "ok",
      "dialogs": [
        {
          "role": "user",
          "content": "hello there"
        },
        {
          "role": "bot",
          "content": "Hello!"
        },
        {
          "role": "user",
          "content": "good morning friend"
        },
        {
          "role": "bot",
          "content": "Hello!"
        }
      ]
    }
    "#);
    assert_eq!(ann.get(&format!("/dialogs/{other}")).await.body["dialogs"], json!([]));
}

#[rocket::async_test]
async fn somebody_elses_dialogue_does_not_exist() {
    let server = server().await;
    let (ann, bob) =
        (Client::log_in(&server, "ann@mail.example").await, Client::log_in(&server, "bob@mail.example").await);
    let dialog = ann.create("orders").await;
    for id in [dialog, dialog + 1_000] {
        for answer in [
            bob.post("/dialogs/delete", json!({ "dialog_id": id })).await,
            bob.post("/dialogs/rename", json!({ "dialog_id": id, "dialog_name": "stolen" })).await,
            bob.get(&format!("/dialogs/{id}")).await,
        ] {
            assert_eq!((answer.status, answer.code()), (404, "unknown_dialog"), "{}", answer.body);
        }
    }
    assert_eq!(bob.get("/dialogs/nonsense").await.status, 404);
    assert_eq!(ann.names().await, ["orders"]);
    for (path, body, code) in [
        ("/dialogs/create", json!({ "dialog_name": "ab" }), "invalid_name"),
        ("/dialogs/create", json!({ "dialog_name": "a name that is too long" }), "invalid_name"),
        ("/dialogs/create", json!({}), "missing_field"),
        ("/dialogs/rename", json!({ "dialog_id": dialog, "dialog_name": "a\nb\nc" }), "invalid_name"),
        ("/dialogs/rename", json!({ "dialog_name": "orders" }), "missing_field"),
        ("/dialogs/delete", json!({ "dialog_id": 0 }), "invalid_field"),
        ("/dialogs/delete", json!({ "dialog_id": "one" }), "invalid_field"),
    ] {
        let answer = ann.post(path, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{path} {body}: {}", answer.body);
    }
    for (method, path) in [("POST", "/dialogs"), ("POST", "/dialogs/create"), ("GET", "/dialogs/1")] {
        let answer = match method {
            "GET" => server.get(path, &[]).await,
            _ => server.post(path, &[], json!({ "dialog_name": "orders" }).to_string()).await,
        };
        assert_eq!(answer.status, 401, "{path}");
    }
}

#[rocket::async_test]
async fn there_are_never_more_than_five() {
    let server = server().await;
    let other = server.with_the_same_stores().await;
    // The embedded store has one server.
    let two = if crate::EXTERNAL { &other } else { &server };
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let there = ann.on(two);
    let create = async |client: &Client<'_>| client.post("/dialogs/create", json!({ "dialog_name": "orders" })).await;
    let made = futures::future::join_all((0..10).map(|n| create(if n % 2 == 0 { &ann } else { &there }))).await;
    let good = made.iter().filter(|answer| answer.status == 200).count();
    let full = made.iter().filter(|answer| (answer.status, answer.code()) == (403, "too_many_dialogs")).count();
    assert_eq!((good, full), (5, 5), "{:?}", made.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let first = made.iter().find(|answer| answer.status == 200).unwrap().body["dialog"].as_i64().unwrap();
    assert_eq!(ann.post("/dialogs/delete", json!({ "dialog_id": first })).await.status, 200);
    assert_eq!(create(&there).await.status, 200, "a deleted one does not count");
    assert_eq!(create(&ann).await.status, 403);
}

#[rocket::async_test]
async fn a_deleted_dialogue_takes_its_messages_along() {
    let server = server_with(Rules::Dev, |_| {}).await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let (gone, stays) = (ann.create("orders").await, ann.create("returns").await);
    assert_eq!(ann.send(stays, "hello there", "a").await.status, 200);
    assert_eq!(ann.send(gone, "hello there", "b").await.status, 200);
    // This intent keeps a value for the user.
    assert!(
        ann.send(gone, "track order A-1042", "c").await.body["response"].as_str().unwrap().contains("asked 1 times")
    );
    let answer = ann.post("/dialogs/delete", json!({ "dialog_id": gone })).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({ "server": "ok", "status": "Диалог удалён" })));
    assert_eq!(ann.names().await, ["returns"]);
    assert_eq!(ann.get(&format!("/dialogs/{gone}")).await.status, 404);
    let history = ann.get("/session/history").await;
    assert_eq!(history.body["history"].as_array().unwrap().len(), 1, "{}", history.body);
    let sent = ann.send(gone, "hello there", "d").await;
    assert_eq!((sent.status, sent.code()), (403, "foreign_dialog"), "nothing more comes in");
    let repeated = ann.send(stays, "hello there", "c").await;
    assert_eq!(repeated.status, 200, "its answers are forgotten, so the key is free: {}", repeated.body);
    let told = ann.send(stays, "track order A-1042", "e").await;
    let told = told.body["response"].as_str().unwrap();
    assert!(told.contains("asked 2 times"), "what handlers keep is the user's, not the dialogue's: {told}");
    let again = ann.post("/dialogs/delete", json!({ "dialog_id": gone })).await;
    assert!([200, 404].contains(&again.status), "the same request may come again: {}", again.body);
}
