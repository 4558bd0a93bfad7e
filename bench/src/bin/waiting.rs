//! What 500 requests cost that wait for answers from outside: `bench/waiting [--json]`.
//!
//! - The server's threads and memory while they wait, compared with before.
//! - The rate of 32 other clients meanwhile, compared with the blocks before and after.
//! - The time from storing an answer to the end of the request that waits for it, while the other clients go on.
//!
//! The embedded store, the demo bot, one machine for server and clients. If the environment names external stores
//! (`eval "$(make -s services-env)"`), a second server on them takes the answers, so that they travel over the bus.

use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_bench::{
    fail,
    http::{Connection, posting},
    metrics::percentile,
    root,
    server::Server,
    table::{self, Row},
};
use clap::Parser;
use serde_json::{Value, json};

const USERS: usize = 100;
/// Each has the most that a user may have.
const DIALOGUES: usize = 5;
const WAITING: usize = USERS * DIALOGUES;
const CLIENTS: usize = 32;
const BLOCK: Duration = Duration::from_secs(3);
const KEY: &str = "key of the external AI";
/// The demo bot hands this off.
const QUESTION: &str = "I want to talk to a human";

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

/// A dialogue, and the token of its user.
struct Dialogue {
    user: i64,
    id: i64,
    token: String,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/waiting");
    let _ = fs::remove_dir_all(&folder);
    let settings = [
        ("BANTER_HAND_OFF__KEY", KEY),
        ("BANTER_HAND_OFF__WAIT_SECONDS", "600"),
        ("BANTER_LOG__FILTER", "warn"),
        ("SECRET_KEY_JWT", "a secret of both servers, 0123456789"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut server = Server::start_with(&folder, &settings);
    drop(server.wait());
    let second = std::env::var_os("BANTER_STORES__POSTGRES").map(|_| {
        let mut second = Server::start_with(&folder.join("second"), &settings);
        drop(second.wait());
        second
    });
    let dialogues: Vec<Dialogue> = (0..USERS).flat_map(|user| create(&server, user)).collect();
    let tokens: Vec<String> = (0..CLIENTS).map(|client| log_in(&server, &format!("client{client}"))).collect();
    // The first block warms the caches.
    rate(&server, &tokens);
    let rows = measure(&server, second.as_ref().unwrap_or(&server), &dialogues, &tokens);
    table::print(&rows, arguments.json);
}

/// Measures `server`; the answers come through `answering`.
fn measure(server: &Server, answering: &Server, dialogues: &[Dialogue], tokens: &[String]) -> [Row; 6] {
    let before = rate(server, tokens);
    let (threads, memory) = (threads_of(server), server.resident_kib());
    let answered: Vec<Mutex<Option<Instant>>> = dialogues.iter().map(|_| Mutex::default()).collect();
    let (mut delays, rates, held, later) = thread::scope(|scope| {
        let asking: Vec<_> = dialogues
            .iter()
            .map(|dialogue| {
                let work = move || ask(server, dialogue);
                thread::Builder::new()
                    .stack_size(256 * 1024)
                    .spawn_scoped(scope, work)
                    .unwrap_or_else(|e| fail(&e.to_string()))
            })
            .collect();
        await_all(server);
        let held = (threads_of(server), server.resident_kib());
        thread::sleep(Duration::from_secs(10));
        let later = server.resident_kib();
        let during = rate(server, tokens);
        let stop = AtomicBool::new(false);
        let delays: Vec<f64> = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    rate_for(server, tokens, Duration::from_millis(200));
                }
            });
            answer_all(answering, dialogues, &answered);
            let ends: Vec<Instant> =
                asking.into_iter().map(|one| one.join().unwrap_or_else(|_| fail("a wait failed"))).collect();
            stop.store(true, Ordering::SeqCst);
            ends.iter().zip(&answered).map(|(end, answered)| since(*end, answered)).collect()
        });
        (delays, during, held, later)
    });
    let after = rate(server, tokens);
    let row = |name, unit, ours, baseline, is| Row { name, unit, ours, baseline, is };
    let mib = |kib: u64| kib as f64 / 1024.0;
    [
        row("threads, 500 requests wait", "", held.0 as f64, threads as f64, "before they wait"),
        row("memory, 500 requests wait", "MiB", mib(held.1), mib(memory), "before they wait"),
        row("  10 s later", "MiB", mib(later), mib(held.1), "when they began to wait"),
        row("32 other clients meanwhile", "/s", rates, f64::midpoint(before, after), "before and after"),
        row("from an answer to its request", "ms", percentile(&mut delays, 0.5), 50.0, "allowed"),
        row("  the slowest of 500", "ms", percentile(&mut delays, 1.0), 1_000.0, "allowed"),
    ]
}

/// Milliseconds from the answer to the end of its request.
fn since(end: Instant, answered: &Mutex<Option<Instant>>) -> f64 {
    let answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
    answered.map_or(f64::NAN, |at| end.saturating_duration_since(at).as_secs_f64() * 1e3)
}

/// Waits until all requests wait.
fn await_all(server: &Server) {
    let end = Instant::now() + Duration::from_secs(60);
    let mut connection = connect(server);
    // The server lists a hundred at a time, so each is leased until none is left.
    let mut waiting = 0;
    while waiting < WAITING {
        let headers = [("X-Messages-Key", KEY)];
        match connection.send("GET", "/messages?claim=3600", &headers, b"") {
            Ok((200, body)) => {
                let listed: Value = serde_json::from_str(&body).unwrap_or_default();
                waiting += listed["service_message"].as_array().map_or(0, Vec::len);
            }
            other => fail(&format!("what waits cannot be listed: {other:?}")),
        }
        if Instant::now() > end {
            fail(&format!("only {waiting} of {WAITING} requests wait"));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Answers all dialogues, one after another, and notes when each answer was stored.
fn answer_all(server: &Server, dialogues: &[Dialogue], answered: &[Mutex<Option<Instant>>]) {
    let mut connection = connect(server);
    for (dialogue, answered) in dialogues.iter().zip(answered) {
        let body = json!({ "user_id": dialogue.user, "dialog_id": dialogue.id, "text_user": "An answer." }).to_string();
        let headers = [("X-Messages-Key", KEY), ("Content-Type", "application/json")];
        match connection.send("POST", "/send/message/user", &headers, body.as_bytes()) {
            Ok((200, _)) => *answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            other => fail(&format!("an answer failed: {other:?}")),
        }
    }
}

/// Asks, and waits for the answer; returns when it came. If too many ask at once, it asks again.
fn ask(server: &Server, dialogue: &Dialogue) -> Instant {
    let body = json!({ "dialog_id": dialogue.id, "text_user": QUESTION }).to_string();
    let (bearer, key) = (format!("Bearer {}", dialogue.token), dialogue.id.to_string());
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", &key), ("Content-Type", "application/json")];
    let mut connection = connect(server);
    connection.wait_for(Duration::from_secs(300)).unwrap_or_else(|error| fail(&error.to_string()));
    loop {
        match connection.send("POST", "/send/message/ai", &headers, body.as_bytes()) {
            Ok((200, _)) => return Instant::now(),
            Ok((503, _)) => thread::sleep(Duration::from_millis(50)),
            other => fail(&format!("a question failed: {other:?}")),
        }
    }
}

/// A user with all dialogues that a user may have.
fn create(server: &Server, user: usize) -> Vec<Dialogue> {
    // External stores may have the users of an earlier run.
    let token = log_in(server, &format!("user{user}-of-{}", std::process::id()));
    let mut connection = connect(server);
    let mut call = |method: &str, path: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        match connection.send(method, path, &headers, body.as_bytes()) {
            Ok((200, body)) => serde_json::from_str::<Value>(&body).unwrap_or_default(),
            other => fail(&format!("{path} failed: {other:?}")),
        }
    };
    let id = call("GET", "/session/history", "")["user_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
    let made: Vec<Value> =
        (0..DIALOGUES).map(|_| call("POST", "/dialogs/create", r#"{"dialog_name":"waits"}"#)).collect();
    let dialogue =
        |made: Value| Dialogue { user: id, id: made["dialog"].as_i64().unwrap_or_default(), token: token.clone() };
    made.into_iter().map(dialogue).collect()
}

/// Messages per second when all clients repeat one text without a pause.
fn rate(server: &Server, tokens: &[String]) -> f64 {
    rate_for(server, tokens, BLOCK)
}

fn rate_for(server: &Server, tokens: &[String], time: Duration) -> f64 {
    let sent = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for token in tokens {
            scope.spawn(|| {
                let mut connection = connect(server);
                let request = posting("/messages/send", token, &json!({ "text": "what are your opening hours" }));
                while start.elapsed() < time {
                    match connection.exchange(&request) {
                        Ok((200, _)) => sent.fetch_add(1, Ordering::Relaxed),
                        other => fail(&format!("a message failed: {other:?}")),
                    };
                }
            });
        }
    });
    sent.into_inner() as f64 / start.elapsed().as_secs_f64()
}

fn threads_of(server: &Server) -> usize {
    let folder = format!("/proc/{}/task", server.id());
    fs::read_dir(folder).map_or_else(|error| fail(&error.to_string()), Iterator::count)
}

fn log_in(server: &Server, name: &str) -> String {
    server.log_in(name).unwrap_or_else(|error| fail(&error.to_string()))
}

fn connect(server: &Server) -> Connection {
    Connection::open(server.port).unwrap_or_else(|error| fail(&error.to_string()))
}
