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
fn log_of(folder: &Path, format: &str, language: &str) -> String {
    let path = folder.join("log");
    let mut server = banter(folder)
        .args(["serve", "--port", "0"])
        .env("BANTER_LOG__FORMAT", format)
        .env("BANTER_LOG__LANGUAGE", language)
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
    post(address, "/dialogs/create", &token, &json!({ "dialog_name": "orders" })).unwrap();
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
    let log = log_of(folder.path(), "human", "en");
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
    let log = log_of(folder.path(), "json", "en");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let turns: Vec<&Value> = lines.iter().filter(|line| line["message"] == "turn").collect();
    assert_eq!(turns.len(), 3, "{log}");
    assert_eq!(turns[0]["span"]["id"].as_str().map(str::len), Some(32), "{}", turns[0]);
    assert_eq!((&turns[0]["user"], &turns[1]["intent"]), (&json!(2), &json!("order_status")));
}

/// The lines after the time, which is `2026-01-05 12:34:56`.
fn classic(language: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(folder.path(), "classic", language);
    let time = regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - ").unwrap();
    let rest = |line: &str| {
        let found = time.find(line).unwrap_or_else(|| panic!("not a line of the earlier server: {line}"));
        line[found.end()..].to_owned()
    };
    log.lines().map(rest).collect()
}

#[test]
fn operators_of_the_earlier_server_read_its_lines() {
    for (language, expected) in [
        (
            "ru",
            [
                "INFO - users - Создан пользователь id:2",
                "INFO - auth - Пользователь id:2 вошёл",
                "INFO - auth - Токен пользователя id:2 проверен",
                "INFO - messages - Сообщение пользователя id:2 записано в диалог id:1",
                "WARNING - auth - Токен отклонён",
                "INFO - dialogs - Пользователь id:2 создал диалог id:2",
            ],
        ),
        (
            "en",
            [
                "INFO - users - User id:2 was created",
                "INFO - auth - User id:2 logged in",
                "INFO - auth - The token of user id:2 is valid",
                "INFO - messages - A message of user id:2 was stored in dialog id:1",
                "WARNING - auth - A token was refused",
                "INFO - dialogs - User id:2 created dialog id:2",
            ],
        ),
    ] {
        let lines = classic(language);
        for line in expected {
            assert!(lines.iter().any(|written| written == line), "{line} is not in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("request")), "{lines:#?}");
    }
}
