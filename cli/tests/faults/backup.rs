//! `services.sh backup` and `restore`, as described in `docs/operations.md`.

use serde_json::{Value, json};

use crate::{
    fleet::{Fleet, Setup},
    services::{SERVERS, script},
};

#[test]
fn what_was_backed_up_is_there_after_a_restore() {
    let fleet = Fleet::start(&Setup { own_databases: false, ..Setup::default() });
    // The databases are shared with earlier runs.
    let email = format!("backup-{}@mail.example", uuid::Uuid::new_v4());
    let log_in = || {
        let body = json!({ "email": email, "password": "tulip" });
        fleet.ask("/auth/login", "", Some(&body)).1["access_token"].as_str().unwrap().to_owned()
    };
    let send = |token: &str, text: &str| fleet.ask("/messages/send", token, Some(&json!({ "text": text })));
    let texts = |token: &str| -> Vec<Value> {
        let entries = fleet.ask("/session/history", token, None).1["history"].take();
        entries.as_array().unwrap().iter().map(|entry| entry["text"].clone()).collect()
    };
    let token = log_in();
    assert_eq!(send(&token, "where is my order").0, 200);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    script(&format!("backup {}", path.display()));
    fleet.await_health();
    assert_eq!(send(&token, "hello").0, 200);
    assert_eq!(texts(&token), ["where is my order", "hello"]);

    script(&format!("restore {}", path.display()));
    fleet.await_health();
    assert_eq!(texts(&token), ["where is my order"], "a log-in of the backup goes on");
    let token = log_in();
    assert_eq!(texts(&token), ["where is my order"]);
    let (status, answer) = send(&token, "A-1042");
    assert!(status == 200 && answer["response"].as_str().unwrap().contains("A-1042"), "the form continues: {answer}");
    assert_eq!(texts(&token), ["where is my order", "A-1042"], "in {}", SERVERS.mongo);
}
