//! Ten thousand random and hostile requests: a 4xx each (or the rare good answer), and a server that goes on.

use banter_engine::random::Random;
use rocket::http::{Header, Method};

use crate::support::server;

const REQUESTS: usize = 10_000;
const PATHS: [&str; 8] = [
    "/auth/login",
    "/auth/refresh",
    "/messages/send",
    "/session/history?limit=1",
    "/webhooks/rest/webhook",
    "/live/..%2f",
    "/%00",
    "/session/history?before=%FF&limit=-1",
];
const KINDS: [&str; 4] = ["application/json", "application/json; charset=utf-16", "text/plain", "\u{1}"];

/// A body of one of many bad kinds.
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
        7 => format!("{{\"text\":\"{}\"}}", "x".repeat(random.below(100_000))).into_bytes(),
        _ => b"\xFF\xFE{\0\"\0t\0".to_vec(),
    }
}

#[rocket::async_test]
async fn hostile_requests_leave_the_server_serving() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let mut random = Random::new(11);
    let mut resident = Vec::new();
    for round in 0..REQUESTS {
        let method = [Method::Get, Method::Post, Method::Put, Method::Delete][random.below(4)];
        let path = PATHS[random.below(PATHS.len())];
        let mut request = server.client.req(method, path).body(body(&mut random));
        request.add_header(Header::new("Content-Type", KINDS[random.below(KINDS.len())]));
        if random.below(2) == 0 {
            request.add_header(Header::new("Authorization", format!("Bearer {token}")));
        }
        if random.below(4) == 0 {
            request.add_header(Header::new("Idempotency-Key", "x".repeat(random.below(100))));
        }
        let status = request.dispatch().await.status().code;
        assert!((400..500).contains(&status) || status == 200, "{method} {path}: {status}");
        if round == REQUESTS / 5 || round == REQUESTS - 1 {
            resident.push(resident_kib());
        }
    }
    assert_eq!(server.send(&token, "hello there").await.body["response"], "Hello!");
    assert!(resident[1] < resident[0] + 32 * 1024, "memory grew from {} to {} KiB", resident[0], resident[1]);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
