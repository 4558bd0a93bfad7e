//! Slow clients and scripts do not block others: a client that stops within a body, and a script that uses all its
//! time.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
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

/// A turn without others keeps its thread, so another thread must handle the sockets in the meantime.
#[test]
fn others_are_served_while_a_turn_that_is_alone_computes() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("bot");
    for (path, content) in [
        ("bot.yaml", "name: slow\nlanguages: [en]\nfallback: { text: No. }\n"),
        (
            "intents/count.yaml",
            "intent: count\nexamples: { en: [count sheep, please count the sheep] }\nhandler: { script: count.rhai }\n",
        ),
        ("intents/hello.yaml", "intent: hello\nexamples: { en: [hello, good morning] }\nhandler: { reply: Hello! }\n"),
        ("scripts/count.rhai", "fn handle(ctx) { let sheep = 0; loop { sheep += 1; } }\n"),
    ] {
        let path = bot.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let server = Running::start(folder.path(), &[("BANTER_BOT", bot.to_str().unwrap())]);
    let (address, token) = (&server.address, log_in(&server.address, "ann@mail.example").unwrap());
    let mut answered = 0;
    for _ in 0..20 {
        thread::scope(|scope| {
            // After this pause, one worker waits for the sockets, and all others wait for that one.
            thread::sleep(Duration::from_millis(20));
            let sent = scope.spawn(|| post(address, "/messages/send", &token, &json!({ "text": "count sheep" })));
            thread::sleep(Duration::from_millis(5));
            assert_eq!(ureq::get(format!("{address}/live")).call().unwrap().status(), 200);
            answered += usize::from(!sent.is_finished());
            assert_eq!(sent.join().unwrap().unwrap()["response"], "No.", "the script ends at its limits");
        });
    }
    // If all threads were blocked, no other request would be answered before the message. On a busy machine, a script
    // may end before the others arrive.
    assert!(answered > 5, "{answered} other requests were answered in the meantime");
}
