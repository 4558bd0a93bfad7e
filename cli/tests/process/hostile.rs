//! Sends ten thousand random and hostile requests, most of them with a valid token. Each gets a 4xx, the server keeps
//! serving, and its memory does not grow.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use banter_engine::random::Random;

use serde_json::json;

use crate::{
    client::{log_in, post},
    stores::with_urls,
    support::Running,
};

const REQUESTS: usize = 10_000;
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "BREW"];
const PATHS: [&str; 10] = [
    "/auth/login",
    "/auth/refresh",
    "/messages/send",
    "/messages/send",
    "/webhooks/rest/webhook",
    "/session/history?limit=1e9",
    "/session/history?before=%FF&limit=-1",
    "/live/..%2f",
    "/%00",
    "/\u{7f}",
];
const KINDS: [&str; 5] = ["application/json", "application/json; charset=utf-16", "text/plain", "\u{1}", ""];

/// A body of a random bad kind, which no route accepts.
fn body(random: &mut Random) -> Vec<u8> {
    let good: &[u8] = br#"{"email":"a@b.example","password":5,"text":null,"sender":1,"message":[]}"#;
    match random.below(9) {
        0 => Vec::new(),
        1 => (0..random.below(300)).map(|_| random.bits() as u8).collect(),
        2 => good[..random.below(good.len())].to_vec(),
        3 => vec![b'['; random.below(40_000)],
        4 => b"{\"text\":\"\\ud800\",\"sender\":\"\\udfff\",\"message\":\"x\"}".to_vec(),
        5 => format!("{{\"text\":{},\"refresh_token\":1e999}}", random.bits()).into_bytes(),
        6 => vec![0; random.below(100)],
        7 => format!("{{\"text\":\"{}\"}}", "x".repeat(2_001 + random.below(100_000))).into_bytes(),
        _ => b"\xFF\xFE{\0\"\0t\0".to_vec(),
    }
}

/// A request, and whether its body is truncated.
fn request(token: &str, random: &mut Random) -> (Vec<u8>, bool) {
    let body = body(random);
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {}\r\n",
        METHODS[random.below(METHODS.len())],
        PATHS[random.below(PATHS.len())],
        KINDS[random.below(KINDS.len())]
    );
    match random.below(6) {
        0 => head.push_str("Authorization: Bearer a.b.c\r\n"),
        1 => {}
        _ => head.push_str(&format!("Authorization: Bearer {token}\r\n")),
    }
    if random.below(4) == 0 {
        head.push_str(&format!("Idempotency-Key: {}\r\n", "x".repeat(random.below(9_000))));
    }
    // Sometimes the length is wrong: the body is cut off or has extra bytes.
    let length = if random.below(10) == 0 { random.below(200) } else { body.len() };
    head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    let truncated = body.len() < length;
    ([head.into_bytes(), body].concat(), truncated)
}

/// The status of a raw request; `None` when the server closes without one.
fn status(address: &str, request: &[u8], truncated: bool) -> Option<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(request);
    if truncated {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).ok()?;
    let _ = reader.read_to_end(&mut Vec::new());
    line.split(' ').nth(1)?.parse().ok()
}

fn hail(address: &str, token: &str, random: &mut Random, count: usize) {
    for _ in 0..count {
        let (request, truncated) = request(token, random);
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        match status(address, &request, truncated) {
            Some(code) => assert!((400..500).contains(&code), "{code} for {shown:?}"),
            // A client that hangs up within a body cannot be answered.
            None => assert!(truncated, "no answer to {shown:?}"),
        }
    }
}

#[test]
fn hostile_requests_leave_the_server_serving() {
    check(&[], REQUESTS);
}

#[test]
fn hostile_requests_leave_a_server_on_external_stores_serving() {
    // Most are refused before they reach a store.
    with_urls(|environment| check(environment, REQUESTS / 5));
}

fn check(environment: &[(&str, &str)], requests: usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), environment);
    let address = server.address.trim_start_matches("http://").to_owned();
    let token = log_in(&server.address, "hostile@process.example").unwrap();
    let mut random = Random::new(11);
    hail(&address, &token, &mut random, requests / 5);
    let before = resident_kib(&server);
    hail(&address, &token, &mut random, requests - requests / 5);
    let after = resident_kib(&server);
    assert!(after < before + 64 * 1024, "memory grew from {before} to {after} KiB");
    let answer = post(&server.address, "/messages/send", &token, &json!({ "text": "where is my order" }));
    assert!(answer.is_some_and(|answer| answer["response"].is_string()), "a good message after the bad ones");
}

/// The resident memory in KiB.
fn resident_kib(server: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
