//! Rasa's REST channel.

use banter_server::config::Rules;
use banter_stores::secret::Secret;
use serde_json::json;

use crate::support::{server, server_with};

const PATH: &str = "/webhooks/rest/webhook";
const HELLO: &str = r#"{"sender":"tester","message":"hello there"}"#;

#[rocket::async_test]
async fn replies_are_as_rasa_sends_them() {
    let server = server().await;
    insta::assert_json_snapshot!(server.post(PATH, &[], HELLO).await.body, @r#"
    [
      {
        "recipient_id": "tester",
        "text": "Hello!",
        "buttons": [
          {
            "title": "track order",
            "payload": "track order"
          }
        ]
      }
    ]
    "#);
    let body = r#"{"sender":"tester","message":"track order A-1042"}"#;
    insta::assert_json_snapshot!(server.post(PATH, &[], body).await.body, @r#"
    [
      {
        "recipient_id": "tester",
        "text": "A-1042 is fine, asked 1 times"
      },
      {
        "recipient_id": "tester",
        "image": "https://x.example/box.png"
      },
      {
        "recipient_id": "tester",
        "custom": {
          "n": 1
        }
      }
    ]
    "#);
    let nameless = server.post(PATH, &[], r#"{"message":"hello there"}"#).await;
    assert_eq!(nameless.body[0]["recipient_id"], "default");
    let other = server.post(PATH, &[], r#"{"sender":"other","message":"track order A-1042"}"#).await;
    assert_eq!(other.body[0]["text"], "A-1042 is fine, asked 1 times", "each sender is a separate user");
    assert_eq!(server.get("/webhooks/rest", &[]).await.status, 200);
    assert_eq!(server.get("/webhooks/rest/", &[]).await.status, 200);
}

#[rocket::async_test]
async fn a_key_is_asked_for_when_there_is_one() {
    let server = server_with(Rules::Release, |config| {
        config.channel.key = Some(Secret::new("a key of the channel".to_owned()).into());
    })
    .await;
    assert_eq!(server.post(PATH, &[], HELLO).await.code(), "unauthorized");
    assert_eq!(server.post(&format!("{PATH}?token=wrong"), &[], HELLO).await.status, 401);
    assert_eq!(server.post(&format!("{PATH}?token=a%20key%20of%20the%20channel"), &[], HELLO).await.status, 200);
    assert_eq!(server.post(PATH, &[("Authorization", "Bearer a key of the channel")], HELLO).await.status, 200);
}

#[rocket::async_test]
async fn without_a_key_the_channel_is_off_in_release() {
    let server = server_with(Rules::Release, |_| {}).await;
    assert_eq!(server.post(PATH, &[], HELLO).await.status, 404);
}

#[rocket::async_test]
async fn senders_are_bounded() {
    let server = server().await;
    for sender in [String::new(), "x".repeat(257), "a\\u0000b".to_owned()] {
        let body = format!(r#"{{"sender":"{sender}","message":"hello there"}}"#);
        assert_eq!(server.post(PATH, &[], body).await.code(), "invalid_field", "{sender}");
    }
}

#[rocket::async_test]
async fn new_senders_are_limited_by_client() {
    let server = server_with(Rules::Release, |config| {
        config.channel.key = Some(serde_json::from_value(json!(["a key of the shop", "a key of the desk"])).unwrap());
        config.channel.new_senders = 2;
    })
    .await;
    let send = async |sender: &str, key: &str| {
        let body = json!({ "sender": sender, "message": "hello there" }).to_string();
        server.post(PATH, &[("Authorization", &format!("Bearer {key}"))], body).await
    };
    for sender in ["one", "two"] {
        assert_eq!(send(sender, "a key of the shop").await.status, 200);
    }
    let refused = send("three", "a key of the shop").await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_requests"));
    assert_eq!(send("one", "a key of the shop").await.status, 200, "known senders go on");
    assert_eq!(send("three", "a key of the desk").await.status, 200, "another client");
}

#[rocket::async_test]
async fn messages_of_a_sender_are_limited() {
    let server = server_with(Rules::Dev, |config| config.channel.messages_per_minute = 2).await;
    for _ in 0..2 {
        assert_eq!(server.post(PATH, &[], HELLO).await.status, 200);
    }
    let refused = server.post(PATH, &[], HELLO).await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_requests"));
}
