//! `/messages/send`.

use std::collections::BTreeSet;

use banter_server::config::{Config, Rules};
use serde_json::json;

use crate::support::{server, server_with};

#[rocket::async_test]
async fn a_message_gets_its_reply_in_its_language() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let answer = server.send(&token, "hello there").await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "response": "Hello!"
    }
    "#);
    assert_eq!(server.send(&token, "привет тебе").await.body["response"], "Привет!");
    assert_eq!(answer.header("x-request-id").len(), 32);
}

#[rocket::async_test]
async fn a_form_goes_on_over_requests_and_values_are_kept() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&token, "where is my order").await.body["response"], "Which order?");
    let answer = server.send(&token, "A-1042").await;
    assert_eq!(answer.body["response"], "A-1042 is fine, asked 1 times\nhttps://x.example/box.png");
    let again = server.send(&token, "track order B-2000").await;
    assert_eq!(again.body["response"], "B-2000 is fine, asked 2 times\nhttps://x.example/box.png");
}

#[rocket::async_test]
async fn texts_are_bounded() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    for (text, status) in [
        (String::new(), 422),
        ("\u{0}\u{200B} ".to_owned(), 422),
        ("a\u{0}b".to_owned(), 422),
        ("я".repeat(2_000), 200),
        ("я".repeat(2_001), 422),
    ] {
        assert_eq!(server.send(&token, &text).await.status, status, "{} characters", text.chars().count());
    }
}

#[rocket::async_test]
async fn a_dialogue_must_be_the_users_own() {
    let server = server().await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    let (bob, _) = server.log_in("bob@mail.example").await;
    server.send(&ann, "hello there").await;
    let send = async |token: &str, dialogue: i64| {
        let bearer = format!("Bearer {token}");
        let body = json!({ "text": "hello there", "dialog_id": dialogue }).to_string();
        server.post("/messages/send", &[("Authorization", &bearer)], body).await
    };
    assert_eq!(send(&ann, 1).await.status, 200);
    for (token, dialogue) in [(&bob, 1), (&ann, 99)] {
        let answer = send(token, dialogue).await;
        assert_eq!((answer.status, answer.code()), (403, "foreign_dialog"));
    }
    for dialogue in [0, -1] {
        let answer = send(&ann, dialogue).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid_field"), "ids are positive");
    }
}

#[rocket::async_test]
async fn a_repeat_with_the_same_key_is_answered_and_not_stored() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let bearer = format!("Bearer {token}");
    let send = async |key: &str, body: &str| {
        server.post("/messages/send", &[("Authorization", &bearer), ("Idempotency-Key", key)], body).await
    };
    let first = send("k1", r#"{"text":"where is my order"}"#).await;
    let again = send("k1", r#"{ "text" : "where is my order" }"#).await;
    let ordered = |a: &str| format!("{{{a}}}");
    let (one, two) =
        (ordered(r#""text":"hello there","x":{"b":1,"a":2}"#), ordered(r#""x":{"a":2,"b":1},"text":"hello there""#));
    assert_eq!(send("k0", &one).await.status, 200);
    assert_eq!(send("k0", &two).await.status, 200, "the order of keys does not matter");
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    let other = send("k1", r#"{"text":"hello there"}"#).await;
    assert_eq!((other.status, other.code()), (409, "idempotency_mismatch"));
    let body = r#"{"text":"hello there"}"#;
    let (one, two) = rocket::futures::join!(send("k2", body), send("k2", body));
    assert_eq!((one.status, two.status), (200, 200));
    for key in ["", "ключ", "with space", &"x".repeat(65)] {
        assert_eq!(send(key, body).await.code(), "invalid_idempotency_key", "{key}");
    }
    let history = server.get("/session/history", &[("Authorization", &bearer)]).await;
    assert_eq!(history.body["history"].as_array().unwrap().len(), 3, "{}", history.body);
}

#[rocket::async_test]
async fn messages_at_once_are_each_stored_once() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let texts: Vec<String> = (0..40).map(|i| format!("hello there {i}")).collect();
    let sent = rocket::futures::future::join_all(texts.iter().map(|text| server.send(&token, text))).await;
    assert!(sent.iter().all(|answer| answer.status == 200));
    let history = server.get("/session/history", &[("Authorization", &format!("Bearer {token}"))]).await;
    let field = |name: &str| -> BTreeSet<String> {
        let entries = history.body["history"].as_array().unwrap().iter();
        entries.map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(field("text"), texts.into_iter().collect());
    assert_eq!((field("id").len(), history.body["history"].as_array().unwrap().len()), (40, 40));
}

#[rocket::async_test]
async fn a_busy_or_broken_model_is_told_without_its_cause() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let busy = server.send(&token, "the queue is full").await;
    assert_eq!((busy.status, busy.code(), busy.header("retry-after")), (503, "busy", "1"));
    let broken = server.send(&token, "the model is broken").await;
    assert_eq!((broken.status, broken.code()), (500, "internal"));
    assert_eq!(broken.body["request_id"], broken.header("x-request-id"));
    assert!(!broken.body.to_string().contains("cause that must not"), "{}", broken.body);
    assert_eq!(server.send(&token, "hello there").await.body["response"], "Hello!");
}

#[rocket::async_test]
async fn a_dialogue_goes_on_on_another_server() {
    let one = server().await;
    // The embedded store keeps sessions in process; a refresh token is valid on both servers.
    let (_, token) = one.log_in("ann@mail.example").await;
    let two = one.with_the_same_stores().await;
    assert_eq!(one.send(&token, "where is my order").await.body["response"], "Which order?");
    let answer = two.send(&token, "A-1042").await;
    assert_eq!(answer.body["response"], "A-1042 is fine, asked 1 times\nhttps://x.example/box.png");
    let again = one.send(&token, "track order B-2000").await;
    assert_eq!(again.body["response"], "B-2000 is fine, asked 2 times\nhttps://x.example/box.png");
}

/// A user who sends more messages than a dialogue may queue gets 503, and other users are not affected.
#[rocket::async_test]
async fn one_sender_does_not_fill_the_server() {
    let few = |config: &mut Config| {
        config.limits.parallel_turns = 2;
        config.limits.messages_per_minute = 0;
    };
    let server = server_with(Rules::Dev, few).await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    let (bob, _) = server.log_in("bob@mail.example").await;
    assert_eq!(
        (server.send(&ann, "hello there").await.status, server.send(&bob, "hello there").await.status),
        (200, 200)
    );
    let flood = rocket::futures::future::join_all((0..300).map(|i| {
        let (server, ann) = (&server, &ann);
        async move { server.send(ann, &format!("hello there {i}")).await.status }
    }));
    let other = async {
        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(server.send(&bob, "hello there").await.status);
        }
        told
    };
    let (flood, other) = rocket::futures::join!(flood, other);
    assert_eq!(other, [200; 5]);
    assert!(flood.iter().all(|status| matches!(status, 200 | 503)), "{flood:?}");
    assert!(flood.iter().filter(|status| **status == 200).count() >= 64, "{flood:?}");
}

#[rocket::async_test]
async fn outputs_come_with_the_response_when_they_are_asked_for() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let bearer = format!("Bearer {token}");
    let send = async |query: &str, key: &str, text: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
        server.post(&format!("/messages/send{query}"), &headers, json!({ "text": text }).to_string()).await
    };
    let plain = send("", "a", "track order A-1042").await;
    assert_eq!(plain.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["response"], "old clients see no change");
    let answer = send("?outputs=true", "b", "track order A-1042").await;
    let repeated = send("?outputs=true", "b", "track order A-1042").await;
    assert_eq!(answer.body, repeated.body);
    assert_eq!(answer.body["response"], "A-1042 is fine, asked 2 times\nhttps://x.example/box.png", "{}", answer.body);
    insta::assert_json_snapshot!(answer.body["outputs"], @r#"
    [
      {
        "type": "text",
        "text": "A-1042 is fine, asked 2 times"
      },
      {
        "type": "image",
        "url": "https://x.example/box.png"
      },
      {
        "type": "payload",
        "value": {
          "n": 2
        }
      }
    ]
    "#);
    let buttons = send("?outputs=true", "c", "hello there").await;
    assert_eq!(buttons.body["outputs"][0]["suggestions"], json!(["track order"]));
    let bad = send("?outputs=perhaps", "d", "hello there").await;
    assert_eq!((bad.status, bad.code()), (422, "invalid_parameter"));
}
