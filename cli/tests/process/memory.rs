//! A user with a long history does not fill the server's memory.

use std::{fs, io::Read, path::Path, thread};

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    support::{Running, banter},
};

/// Messages of the history, of 2,000 characters of four bytes: 64 MB.
const MESSAGES: usize = 8_000;
/// Histories that are read at once: a gigabyte, if the server collected them.
const READERS: usize = 16;
/// How much the server may grow, in KB. SQLite maps up to 134 MB of its file.
const GROWTH: u64 = 250_000;

#[test]
fn long_histories_need_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("BANTER_LIMITS__HISTORIES", "16"), ("BANTER_LIMITS__HISTORIES_PER_USER", "16")];
    let server = Running::start(folder.path(), &limits);
    write_long_history(&server.address, folder.path());
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    let read = || {
        let request = ureq::get(format!("{}/session/history", server.address));
        let response = request.header("Authorization", format!("Bearer {token}")).call().unwrap();
        let (mut reader, mut piece, mut length) = (response.into_body().into_reader(), vec![0; 65_536], 0);
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => break length,
                read => length += read,
            }
        }
    };
    let status = format!("/proc/{}/status", server.child.id());
    let resident = |name: &str| -> u64 {
        let text = fs::read_to_string(&status).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    read();
    let before = resident("VmRSS");
    // From here on, the highest mark counts (proc(5), clear_refs).
    fs::write(format!("/proc/{}/clear_refs", server.child.id()), "5").unwrap();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        for reader in readers {
            let length = reader.join().unwrap();
            assert!(length > MESSAGES * 8_000, "the whole history comes: {length} bytes");
        }
    });
    let grown = resident("VmHWM").saturating_sub(before);
    assert!(grown < GROWTH, "the server grew by {grown} KB while {READERS} histories were read");
}

/// Imports a user with a long history.
fn write_long_history(address: &str, folder: &Path) {
    let token = log_in(address, "ann@mail.example").unwrap();
    post(address, "/messages/send", &token, &json!({ "text": "hello" })).unwrap();
    let run = |words: &[&str]| {
        let output = banter(folder).args(words).env("BANTER_LOG__FILTER", "off").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let file = folder.join("ann.jsonl");
    let path = file.to_str().unwrap();
    run(&["export", "ann@mail.example", "--out", path]);
    run(&["delete", "ann@mail.example"]);
    let exported = fs::read_to_string(&file).unwrap();
    let text = "\u{1F600}".repeat(2_000);
    let mut long = String::new();
    for line in exported.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        if value["kind"] == "end" {
            long.push_str(&format!("{}\n", json!({ "kind": "end", "turns": MESSAGES })));
            continue;
        }
        if value["kind"] != "turn" {
            long.push_str(line);
            long.push('\n');
            continue;
        }
        for seq in 1..=MESSAGES {
            let mut turn = value.clone();
            turn["seq"] = json!(seq);
            turn["id"] = json!(format!("{seq:024x}"));
            turn["text"] = json!(text);
            long.push_str(&format!("{turn}\n"));
        }
    }
    fs::write(&file, long).unwrap();
    run(&["import", path]);
}
