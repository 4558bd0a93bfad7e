//! `/session/history`.

use crate::support::server;

#[rocket::async_test]
async fn messages_come_oldest_first_in_pages() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let bearer = format!("Bearer {token}");
    let get = async |query: &str| server.get(&format!("/session/history{query}"), &[("Authorization", &bearer)]).await;
    insta::assert_json_snapshot!(get("").await.body, @r#"
    {
      "user_id": "2",
      "history": []
    }
    "#);
    for text in ["hello there", "where is my order", "A-1042"] {
        server.send(&token, text).await;
    }
    let all = get("").await.body;
    insta::assert_json_snapshot!(all, { ".history[].id" => "[id]" }, @r#"
    {
      "user_id": "2",
      "history": [
        {
          "id": "[id]",
          "text": "hello there",
          "response": "Hello!"
        },
        {
          "id": "[id]",
          "text": "where is my order",
          "response": "Which order?"
        },
        {
          "id": "[id]",
          "text": "A-1042",
          "response": "A-1042 is fine, asked 1 times\nhttps://x.example/box.png"
        }
      ]
    }
    "#);
    let texts = |body: &serde_json::Value| -> Vec<String> {
        body["history"].as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&get("?limit=2").await.body), ["where is my order", "A-1042"]);
    let last = all["history"][2]["id"].as_str().unwrap();
    assert_eq!(last.len(), 24);
    assert_eq!(texts(&get(&format!("?limit=1&before={last}")).await.body), ["where is my order"]);
    assert_eq!(texts(&get("?dialog_id=1").await.body).len(), 3);
    assert_eq!(
        texts(&get("?before=000000000000000000000000").await.body).len(),
        0,
        "an unknown message has nothing before it"
    );
}

#[rocket::async_test]
async fn parameters_are_checked() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let bearer = format!("Bearer {token}");
    for (query, status, code) in [
        ("?limit=0", 422, "invalid_parameter"),
        ("?limit=x", 422, "invalid_parameter"),
        ("?limit=99999999999999999999", 422, "invalid_parameter"),
        ("?before=xyz", 422, "invalid_parameter"),
        ("?dialog_id=77", 403, "foreign_dialog"),
        ("?limit=&before=", 200, ""),
    ] {
        let answer = server.get(&format!("/session/history{query}"), &[("Authorization", &bearer)]).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}");
    }
}

#[rocket::async_test]
async fn nobody_sees_what_others_said() {
    let server = server().await;
    let (ann, _) = server.log_in("ann@mail.example").await;
    let (bob, _) = server.log_in("bob@mail.example").await;
    server.send(&ann, "hello there").await;
    let bearer = format!("Bearer {bob}");
    let history = server.get("/session/history", &[("Authorization", &bearer)]).await;
    assert_eq!(history.body["history"], serde_json::json!([]));
    assert_eq!(server.get("/session/history", &[]).await.status, 401);
}
