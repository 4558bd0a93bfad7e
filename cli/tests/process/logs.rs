//! The log at its default level contains the user and the duration of each request, and never the messages.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    support::banter,
};

/// The log of a server that has answered a few requests.
fn log_of(folder: &Path, format: &str) -> String {
    let path = folder.join("log");
    let mut server = banter(folder)
        .args(["serve", "--port", "0"])
        .env("BANTER_LOG__FORMAT", format)
        .env("BANTER_RELOAD__REPLAY_AT_START", "false")
        .env("BANTER_RELOAD__WATCH", "false")
        .stdout(Stdio::piped())
        .stderr(File::create(&path).unwrap())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let token = log_in(address, "ann@log.example").unwrap();
    for text in ["where is my xylophone order", "A-1042", "borscht with a cherry"] {
        post(address, "/messages/send", &token, &json!({ "text": text })).unwrap();
    }
    let refused = ureq::get(format!("{address}/session/history")).header("Authorization", "Bearer sesame.x.y").call();
    assert!(matches!(refused, Err(ureq::Error::StatusCode(401))), "{refused:?}");
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    server.wait().unwrap();
    let log = std::fs::read_to_string(path).unwrap();
    for secret in ["xylophone", "A-1042", "borscht", "tulip", "sesame", "ann@log", token.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    log
}

#[test]
fn people_are_told_in_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(folder.path(), "human");
    let turns: Vec<&str> = log.lines().filter(|line| line.contains(": turn user=")).collect();
    assert_eq!(turns.len(), 3, "{log}");
    for part in ["request{id=", "user=2", "dialogue=", "embed_us=", "total_us="] {
        assert!(turns[0].contains(part), "{part} is not in {}", turns[0]);
    }
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn machines_are_told_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(folder.path(), "json");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let turns: Vec<&Value> = lines.iter().filter(|line| line["message"] == "turn").collect();
    assert_eq!(turns.len(), 3, "{log}");
    assert_eq!(turns[0]["span"]["id"].as_str().map(str::len), Some(32), "{}", turns[0]);
    assert_eq!((&turns[0]["user"], &turns[1]["intent"]), (&json!(2), &json!("order_status")));
}
