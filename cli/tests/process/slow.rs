//! Slow clients and scripts do not block others: a client that stops within a body, and a script that waits for a page.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    client::{log_in, post},
    support::Running,
};

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[("BANTER_LIMITS__BODY_SECONDS", "1")]);
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head =
        "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(br#"{"email":"ann@mail.example""#).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

/// A turn blocks the thread that computes it, so another thread must handle the sockets in the meantime.
#[test]
fn others_are_served_while_a_turn_waits() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("bot");
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    page.set_nonblocking(true).unwrap();
    let host = page.local_addr().unwrap();
    let script = format!("fn handle(ctx) {{ http_get(\"http://{host}/\").body }}\n");
    let yaml = format!(
        "name: slow\nlanguages: [en]\nfallback: {{ text: No. }}\nhttp: {{ allow: [\"{host}\"], private: true, timeout_ms: 10000 }}\n"
    );
    for (path, content) in [
        ("bot.yaml", yaml.as_str()),
        (
            "intents/count.yaml",
            "intent: count\nexamples: { en: [count sheep, please count the sheep] }\nhandler: { script: count.rhai }\n",
        ),
        ("intents/hello.yaml", "intent: hello\nexamples: { en: [hello, good morning] }\nhandler: { reply: Hello! }\n"),
        ("scripts/count.rhai", script.as_str()),
    ] {
        let path = bot.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    // With one worker, a turn that blocks it without a replacement would stop the server.
    let environment =
        [("BANTER_BOT", bot.to_str().unwrap()), ("BANTER_WORKERS", "1"), ("BANTER_OUTSIDE__PRIVATE", "true")];
    let server = Running::start(folder.path(), &environment);
    let (address, token) = (&server.address, log_in(&server.address, "ann@mail.example").unwrap());
    thread::scope(|scope| {
        let sent = scope.spawn(|| post(address, "/messages/send", &token, &json!({ "text": "count sheep" })));
        // The turn is running now, and ends only when the page answers.
        let mut asked = loop {
            match page.accept() {
                Ok((asked, _)) => break asked,
                Err(_) => assert!(!sent.is_finished(), "the script did not ask for the page"),
            }
            thread::yield_now();
        };
        assert_eq!(ureq::get(format!("{address}/live")).call().unwrap().status(), 200);
        asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nseven").unwrap();
        assert_eq!(sent.join().unwrap().unwrap()["response"], "seven");
    });
}
