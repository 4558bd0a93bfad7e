//! The bounds on connections: heads, silence, and how many.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{log_in, post},
    support::Running,
};

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The status line of what the server says until it closes; empty if it says nothing.
fn last_words(mut stream: TcpStream) -> String {
    let mut told = Vec::new();
    // A reset says nothing more either.
    let _ = stream.read_to_end(&mut told);
    String::from_utf8_lossy(&told).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn two_hundred_slow_senders_leave_others_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[("BANTER_LIMITS__HEAD_SECONDS", "4")]);
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    let begun = Instant::now();
    let head = b"GET /live HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes\r\n";
    for byte in head.iter().take(3) {
        for stream in &mut slow {
            stream.write_all(&[*byte]).unwrap();
        }
        let answer = post(&server.address, "/messages/send", &token, &json!({ "text": "hello" }));
        assert!(answer.is_some(), "others are served");
        thread::sleep(Duration::from_secs(1));
    }
    for stream in slow {
        assert_eq!(last_words(stream), "HTTP/1.1 408 Request Timeout");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "a byte a second gains no time");
}

#[test]
fn an_address_has_few_connections() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[("BANTER_LIMITS__CONNECTIONS_PER_ADDRESS", "5")]);
    let mut open: Vec<TcpStream> = (0..5).map(|_| connect(&server)).collect();
    for stream in &mut open {
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    assert_eq!(last_words(connect(&server)), "HTTP/1.1 429 Too Many Requests");
    drop(open);
    let mut tries = 0;
    while last_words_of_live(&server) != "HTTP/1.1 200 OK" {
        tries += 1;
        assert!(tries < 100, "the places are free again");
        thread::sleep(Duration::from_millis(20));
    }
}

fn last_words_of_live(server: &Running) -> String {
    let mut stream = connect(server);
    let _ = stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    last_words(stream)
}

#[test]
fn heads_are_bounded_and_mean_one_thing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    for (request, expected) in [
        (format!("GET /live HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "x".repeat(40_000)), "431"),
        (format!("GET /live HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(200)), "431"),
        (
            "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            "400",
        ),
        ("POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "200"),
    ] {
        let mut stream = connect(&server);
        let _ = stream.write_all(request.as_bytes());
        let told = last_words(stream);
        assert_eq!(told.split(' ').nth(1), Some(expected), "{told} for {:.80}", request);
    }
}
