//! Ten thousand requests whose framing is hostile: two lengths, odd chunks, floods of fields, slow and broken bodies,
//! broken forms, and WebSocket frames that no client sends. Nothing but 4xx, 503 or a closed connection comes of them,
//! and the server keeps serving.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use banter_engine::random::Random;
use serde_json::json;

use crate::{
    client::{log_in, post},
    support::Running,
};

const REQUESTS: usize = 10_000;
const THREADS: usize = 8;

/// A request in pieces; between them the client pauses.
fn request(token: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let post = |fields: &str, body: &[u8]| {
        let head =
            format!("POST /messages/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{fields}\r\n");
        [head.into_bytes(), body.to_vec()].concat()
    };
    let good = br#"{"text":"hello"}"#;
    let chunk = |size: &str| {
        post("Transfer-Encoding: chunked\r\n", format!("{size}\r\n{{\"text\":1}}\r\n0\r\n\r\n").as_bytes())
    };
    let hidden = b"GET /admin/fleet HTTP/1.1\r\nHost: localhost\r\n\r\n";
    match random.below(16) {
        0 => vec![post("Content-Length: 16\r\nTransfer-Encoding: chunked\r\n", good)],
        1 => vec![post(&format!("Content-Length: {}\r\nContent-Length: 0\r\n", good.len()), good)],
        2 => vec![post("Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n")],
        3 => vec![post("Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n")],
        4 => vec![post(&format!("Content-Length: -{}\r\n", random.below(99)), hidden)],
        5 => vec![chunk(["FFFFFFFFFFFFFFFFF", "-1", "0x10", "g", "", "10;a=b;c"][random.below(6)])],
        6 => vec![chunk(&format!("{:x}", random.below(1 << 30)))],
        7 => vec![post(&"X-Flood: y\r\n".repeat(random.below(3_000)), good)],
        8 => vec![post(&format!("X-Long: {}\r\n", "z".repeat(random.below(200_000))), good)],
        9 => vec![post("Content-Length: 400\r\n", b"{\"text\":\""), b"x".to_vec(), Vec::new()],
        10 => vec![b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n folded\r\n\r\n".to_vec()],
        11 => vec![b"GET /live HTTP/1.1\nHost: a\n\nGET /live\n\n\n".to_vec()],
        12 => {
            let form = "--b\r\nContent-Disposition: form-data; name=\"bundle\"; filename=\"../../etc/passwd\"\r\n\r\nx\r\n--b\r\nContent";
            let fields = format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n", form.len());
            let head = format!("POST /admin/versions HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            vec![[head.as_bytes(), form.as_bytes()].concat()]
        }
        13 => (0..random.below(60)).map(|_| vec![random.bits() as u8; random.below(40)]).collect(),
        _ => {
            let head = format!(
                "GET /ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let frames: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
            let lengths = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
            vec![head.into_bytes(), if random.below(2) == 0 { frames } else { lengths.to_vec() }]
        }
    }
}

/// The status of the answer, if there is one.
fn status(address: &str, pieces: &[Vec<u8>]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        // The server may have closed the connection.
        let _ = stream.write_all(piece);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("\"servers\""), "a hidden request was answered: {text}");
    text.split(' ').nth(1)?.parse().ok()
}

#[test]
fn hostile_framing_leaves_the_server_serving() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("BANTER_LIMITS__MESSAGES_PER_MINUTE", "0"), ("BANTER_LIMITS__HEAD_SECONDS", "5")];
    let server = Running::start(folder.path(), &limits);
    let (address, token) =
        (server.address.trim_start_matches("http://"), log_in(&server.address, "smuggler@mail.example").unwrap());
    thread::scope(|scope| {
        for start in 0..THREADS {
            let token = &token;
            scope.spawn(move || {
                let mut random = Random::new(start as u64);
                for _ in 0..REQUESTS / THREADS {
                    let pieces = request(token, &mut random);
                    let shown = String::from_utf8_lossy(&pieces.concat()).chars().take(300).collect::<String>();
                    let status = status(address, &pieces);
                    let good = status.is_none_or(|status| status < 500 || status == 503);
                    assert!(good, "{status:?} for {shown:?}");
                }
            });
        }
    });
    let answer = post(&server.address, "/messages/send", &token, &json!({ "text": "where is my order" }));
    assert!(answer.is_some_and(|answer| answer["response"].is_string()), "a good message after the bad ones");
}
