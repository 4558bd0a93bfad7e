//! What one user may take of the server: messages, histories, refreshes.

use std::collections::BTreeMap;

use banter_engine::state::DialogueState;
use banter_server::config::Rules;
use banter_stores::{Appended, HandOffChange, NewTurn, UserId};
use serde_json::{Value, json};

use crate::support::{Server, server_with};

/// Stores turns of a user without asking the bot.
async fn fill(server: &Server, token: &str, count: i64) -> UserId {
    let bearer = format!("Bearer {token}");
    let empty = server.get("/session/history", &[("Authorization", &bearer)]).await;
    let user = UserId(empty.body["user_id"].as_str().unwrap().parse().unwrap());
    let stores = server.backend.stores();
    let dialogue = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    for seq in 1..=count {
        let turn = NewTurn {
            id: format!("{seq:024x}"),
            dialogue,
            user,
            seq,
            created_at: seq,
            text: format!("message {seq}"),
            response: "answer".to_owned(),
            classification: json!({ "type": "matched" }),
            outputs: json!([]),
            state: DialogueState::default(),
            idempotency: None,
            hand_off: HandOffChange::default(),
            kept: BTreeMap::new(),
        };
        assert_eq!(stores.turns.submit(turn).await.unwrap().await.unwrap(), Appended::Stored);
    }
    user
}

#[rocket::async_test]
async fn a_long_history_is_whole_and_sent_in_pieces() {
    let server = server_with(Rules::Dev, |_| {}).await;
    let (token, _) = server.log_in("ann@mail.example").await;
    fill(&server, &token, 150).await;
    let bearer = format!("Bearer {token}");
    let read = async |path: &str| server.get(path, &[("Authorization", &bearer)]).await;
    let texts = |body: &Value| -> Vec<String> {
        let entries = body["history"].as_array().unwrap_or_else(|| panic!("{body}"));
        entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
    };
    let numbered = |from: i64, to: i64| (from..=to).map(|seq| format!("message {seq}")).collect::<Vec<_>>();
    let before = format!("{:024x}", 100);
    for (query, from, to) in [
        ("", 1, 150),
        ("?limit=5", 146, 150),
        ("?limit=64", 87, 150),
        ("?limit=65", 86, 150),
        ("?limit=100", 51, 150),
        ("?limit=9000", 1, 150),
        ("?dialog_id=1", 1, 150),
        ("?dialog_id=1&limit=100", 51, 150),
        (&format!("?before={before}"), 1, 99),
        (&format!("?before={before}&limit=70"), 30, 99),
    ] {
        let answer = read(&format!("/session/history{query}")).await;
        assert_eq!(texts(&answer.body), numbered(from, to), "{query}");
    }
    let transcript = read("/dialogs/1").await;
    assert_eq!(transcript.body["dialogs"].as_array().unwrap().len(), 300, "{}", transcript.body);

    let piece = server.client.get("/session/history").header(rocket::http::Header::new("Authorization", bearer));
    let response = piece.dispatch().await;
    assert_eq!(response.headers().get_one("Content-Length"), None, "its length is not known before it is read");
}

#[rocket::async_test]
async fn few_histories_are_read_at_once() {
    let server = server_with(Rules::Dev, |config| {
        config.limits.histories = 2;
        config.limits.histories_per_user = 1;
    })
    .await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    let (bob, _) = server.log_in("bob@mail.example").await;
    let (eve, _) = server.log_in("eve@mail.example").await;
    fill(&server, &ann, 100).await;
    let begin = async |token: &str| {
        let bearer = rocket::http::Header::new("Authorization", format!("Bearer {token}"));
        server.client.get("/session/history").header(bearer).dispatch().await
    };
    let unread = begin(&ann).await;
    assert_eq!(unread.status().code, 200);
    let refused = server.get("/dialogs/1", &[("Authorization", &format!("Bearer {ann}"))]).await;
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (429, "too_many_histories", "1"));
    assert_eq!(begin(&bob).await.status().code, 200, "another user may read, and a short history ends at once");
    assert_eq!(begin(&eve).await.status().code, 200);
    drop(unread);
    assert_eq!(begin(&ann).await.status().code, 200, "a reader that left does not count");
}

#[rocket::async_test]
async fn messages_of_a_user_are_limited_by_minute_and_by_day() {
    let server = server_with(Rules::Dev, |config| {
        config.limits.messages_per_minute = 2;
        config.limits.messages_per_day = 3;
    })
    .await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    let (bob, _) = server.log_in("bob@mail.example").await;
    let send = async |token: &str| server.send(token, "hello there").await;
    for _ in 0..2 {
        assert_eq!(send(&ann).await.status, 200);
    }
    let refused = send(&ann).await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_requests"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait} s");
    assert_eq!(send(&bob).await.status, 200, "each user has an own limit");
    if crate::EXTERNAL {
        // Redis counts by its own clock, which no test sets.
        let second = server.with_the_same_stores().await;
        assert_eq!(second.send(&ann, "hello there").await.status, 429, "all servers count together");
        return;
    }
    server.clock.advance(61_000);
    assert_eq!(send(&ann).await.status, 200, "what was refused does not count");
    let refused = send(&ann).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(refused.status == 429 && wait > 80_000, "the day's limit: {} for {wait} s", refused.status);
}

#[rocket::async_test]
async fn without_a_limit_nothing_is_refused() {
    let server = server_with(Rules::Dev, |config| {
        config.limits.messages_per_minute = 0;
        config.limits.messages_per_day = 0;
    })
    .await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    for _ in 0..5 {
        assert_eq!(server.send(&ann, "hello there").await.status, 200);
    }
}
