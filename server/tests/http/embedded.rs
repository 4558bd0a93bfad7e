//! What the embedded store promises beyond the external ones' tests.

use crate::resources::support::server;

#[rocket::async_test]
async fn messages_at_once_keep_their_order_without_holes() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let sent = (0..40).map(|_| server.send(&token, "track order A-1042"));
    let sent = rocket::futures::future::join_all(sent).await;
    assert!(sent.iter().all(|answer| answer.status == 200));
    let bearer = format!("Bearer {token}");
    let history = server.get("/session/history", &[("Authorization", &bearer)]).await;
    // The script counts in a kept value: each turn must have seen the one before it, and none twice.
    let stored = history.body["history"].as_array().unwrap().iter();
    let counted: Vec<&str> = stored.map(|entry| entry["response"].as_str().unwrap().lines().next().unwrap()).collect();
    let expected: Vec<String> = (1..=40).map(|n| format!("A-1042 is fine, asked {n} times")).collect();
    assert_eq!(counted, expected);
}
