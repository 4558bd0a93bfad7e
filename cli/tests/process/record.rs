//! `banter record`: conversations become fixtures that pass.

use std::{fs, io::Write, process::Stdio};

use serde_json::json;

use crate::{
    client::{log_in, post},
    commands::run,
    replay::{file, path, replay, warm_folder},
    support::{Running, banter},
};

#[test]
fn what_is_recorded_passes_at_once_and_names_nobody() {
    let folder = warm_folder();
    let out = folder.path().join("chat.yaml");
    let mut child = banter(folder.path())
        .args(["record", "chat", "--name", "an invoice", "--out", path(&out)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("hello\nI need an invoice\nann.lee@mail.com\nсколько стоит доставка в Казань\n".as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("person1@mail.example") && !text.contains("ann.lee"), "{text}");
    assert!(text.contains("conversation: an invoice") && text.contains("kv: {}"), "{text}");
    assert_eq!(replay(&[path(&out)]).code, 0, "{text}");

    let log = file(
        folder.path(),
        "access.jsonl",
        "{\"sender\":\"a\",\"message\":\"call me: +7 912 345-67-89\",\"time\":\"2026-02-03T04:05:06Z\"}\n{\"sender\":\"b\",\"message\":\"track order A-1042\"}\n\n{\"sender\":\"a\",\"text\":\"thanks\"}\n",
    );
    let fixtures = folder.path().join("log");
    let ran = run(banter(folder.path()).args(["record", "log", path(&log), "--out", path(&fixtures)]));
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let first = fs::read_to_string(fixtures.join("001.yaml")).unwrap();
    assert!(first.contains("now: 2026-02-03T04:05:06Z") && first.contains("+7 900 000-00-00"), "{first}");
    assert_eq!(replay(&[path(&fixtures)]).code, 0);
    // All fixtures are written, or none.
    fs::remove_file(fixtures.join("001.yaml")).unwrap();
    let ran = run(banter(folder.path()).args(["record", "log", path(&log), "--out", path(&fixtures)]));
    assert!(ran.code == 2 && ran.err.contains("002.yaml already exists"), "{}", ran.err);
    assert!(!fixtures.join("001.yaml").exists());
    // Times may be dates, seconds or milliseconds, and long pauses are kept.
    let timed = "{\"text\":\"hello\",\"ts\":1770000000}\n{\"text\":\"how can I pay\",\"ts\":1770000030}\n{\"text\":\"bye\",\"ts\":1770007505000}\n";
    let timed = file(folder.path(), "timed.jsonl", timed);
    let ran = run(banter(folder.path()).args(["record", "log", path(&timed)]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("now: 2026-02-02T02:40:00Z") && ran.out.contains("after: 2h 5m 5s"), "{}", ran.out);
    assert_eq!(ran.out.matches("after:").count(), 1, "{}", ran.out);
    let zoneless = "{\"text\":\"hello\",\"time\":null,\"timestamp\":\"2026-01-05 10:00:00\"}\n{\"text\":\"bye\",\"ts\":\"1770000000\"}\n";
    let zoneless = file(folder.path(), "zoneless.jsonl", zoneless);
    let ran = run(banter(folder.path()).args(["record", "log", path(&zoneless)]));
    assert!(ran.code == 0 && ran.out.contains("now: 2026-01-05T10:00:00Z"), "{}{}", ran.out, ran.err);
    for (second, expected) in [
        ("nonsense", "the line is not JSON"),
        ("{\"text\":\"\"}", "the text is empty or longer than 2000 characters"),
        ("{\"text\":\"x\",\"time\":\"yesterday\"}", "\"yesterday\" is not a time"),
    ] {
        let broken = file(folder.path(), "broken.jsonl", &format!("{{\"message\":\"hi\"}}\n{second}\n"));
        let ran = run(banter(folder.path()).args(["record", "log", path(&broken)]));
        assert!(ran.code == 2 && ran.err.contains(&format!("broken.jsonl:2: {expected}")), "{}", ran.err);
    }
}

#[test]
fn a_dialogue_of_the_stores_becomes_a_fixture() {
    let folder = warm_folder();
    let mut server = Running::start(folder.path(), &[]);
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    for text in ["where is my order", "A-1042", "how can I pay"] {
        post(&server.address, "/messages/send", &token, &json!({ "text": text })).unwrap();
    }
    server.kill();
    let out = folder.path().join("ann.yaml");
    let words = ["record", "dialogue", "ann@mail.example", "--last", "3", "--out", path(&out)];
    let ran = run(banter(folder.path()).args(words));
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("order_id: \"A-1042\"") && text.contains("payment_methods"), "{text}");
    assert_eq!(replay(&[path(&out)]).code, 0);
    let ran = run(banter(folder.path()).args(words));
    assert!(ran.code == 2 && ran.err.contains("cannot create"), "nothing is overwritten: {}", ran.err);
}
