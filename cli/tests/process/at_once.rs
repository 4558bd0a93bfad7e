//! Messages of one user that arrive at once.

use std::{collections::BTreeSet, fs, thread};

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    commands::run,
    replay::path,
    stores::with_urls,
    support::{Running, banter},
};

const MESSAGES: usize = 40;

#[test]
fn each_turn_sees_what_the_one_before_it_kept() {
    check(&[]);
}

#[test]
fn each_turn_sees_what_the_one_before_it_kept_on_external_stores() {
    with_urls(check);
}

/// The script counts in a kept value. A turn that missed the one before it would say a number twice.
fn check(environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).args(["new", path(&bot)])).code, 0);
    let intent = "intent: count\nexamples: { en: [count me in, please count this], ru: [посчитай меня, посчитай это] }\nhandler: { script: count.rhai }\n";
    fs::write(bot.join("intents/count.yaml"), intent).unwrap();
    let script =
        "fn handle(ctx) { let n = kv_get(\"n\"); if n == () { n = 0; } kv_set(\"n\", n + 1); `number ${n + 1}` }";
    fs::write(bot.join("scripts/count.rhai"), script).unwrap();
    let environment = [environment, &[("BANTER_BOT", path(&bot))]].concat();
    let server = Running::start(folder.path(), &environment);
    let email = format!("at-once-{}@mail.example", uuid::Uuid::new_v4());
    let (address, token) = (&server.address, log_in(&server.address, &email).unwrap());
    let said: BTreeSet<String> = thread::scope(|scope| {
        let send = || post(address, "/messages/send", &token, &json!({ "text": "count me in" })).unwrap();
        let sent: Vec<_> = (0..MESSAGES).map(|_| scope.spawn(send)).collect();
        sent.into_iter().map(|one| one.join().unwrap()["response"].as_str().unwrap().to_owned()).collect()
    });
    let numbers = 1..=MESSAGES;
    assert_eq!(said, numbers.clone().map(|n| format!("number {n}")).collect());
    let mut history = ureq::get(format!("{address}/session/history"))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap();
    let history: Value = serde_json::from_str(&history.body_mut().read_to_string().unwrap()).unwrap();
    let stored: Vec<&str> =
        history["history"].as_array().unwrap().iter().map(|entry| entry["response"].as_str().unwrap()).collect();
    assert_eq!(stored, numbers.map(|n| format!("number {n}")).collect::<Vec<_>>(), "in the order of the turns");
}
