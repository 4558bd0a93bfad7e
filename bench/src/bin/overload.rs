//! What a server does with twice the new texts that it can answer: `bench/overload [--json]`.
//!
//! Each text comes from a sender of its own: who talks gibberish is handed off, and then costs nothing. All senders have
//! said a known text before. 32 clients find the capacity. Then texts arrive at twice that rate, each at its own time,
//! whether the server keeps up or not; a time is counted from when its text was due. The baseline of the served requests
//! is 250 ms.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_bench::{
    fail,
    http::Connection,
    metrics::percentile,
    root,
    server::Server,
    table::{self, Row},
    texts::new_texts,
};
use clap::Parser;

const CLIENTS: usize = 32;
/// Texts that find the capacity.
const WARM: usize = 64;
const COUNTED: usize = 1_500;
/// How long the overload lasts.
const SECONDS: f64 = 10.0;
/// More texts than a server can be sent in this time.
const FLOOD: usize = 8_000;
/// Enough connections that no text waits for one.
const CONNECTIONS: usize = 512;
const ALLOWED_MS: f64 = 250.0;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/overload");
    // Data of an earlier run could already hold these texts.
    let _ = std::fs::remove_dir_all(&folder);
    let mut server = Server::start(&folder);
    server.wait();
    let texts = new_texts(WARM + COUNTED + FLOOD);
    by_clients(&server, &texts, Some("hello"));
    let (warm, rest) = texts.split_at(WARM);
    capacity(&server, warm);
    let (counted, rest) = rest.split_at(COUNTED);
    let capacity = capacity(&server, counted);
    let due = ((2.0 * capacity * SECONDS) as usize).min(rest.len());
    let answers = flood(&server, &rest[..due], 2.0 * capacity);
    let times = |status: u16| {
        let of = answers.iter().filter(|answer| answer.status == status);
        of.map(|answer| answer.ms).collect::<Vec<f64>>()
    };
    if let Some(other) = answers.iter().find(|answer| ![200, 503].contains(&answer.status)) {
        fail(&format!("a request got status {}", other.status));
    }
    let (mut served, mut refused) = (times(200), times(503));
    let row = |name, unit, ours, baseline, is| Row { name, unit, ours, baseline, is };
    let rows = [
        row("served under overload", "/s", served.len() as f64 / SECONDS, capacity, "32 clients"),
        row("  p99 of the served", "ms", percentile(&mut served, 0.99), ALLOWED_MS, "allowed"),
        row("  p99 of the refused", "ms", percentile(&mut refused, 0.99), ALLOWED_MS, "allowed"),
    ];
    table::print(&rows, arguments.json);
}

/// Answered texts per second with clients that wait for each answer.
fn capacity(server: &Server, texts: &[String]) -> f64 {
    texts.len() as f64 / by_clients(server, texts, None)
}

/// Seconds until all senders have said their text, or another one, with clients that wait for each answer.
fn by_clients(server: &Server, senders: &[String], instead: Option<&str>) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let next = &next;
            scope.spawn(move || {
                let mut connection = open(server);
                while let Some(sender) = senders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let status = say(&mut connection, sender, instead.unwrap_or(sender));
                    if status != 200 {
                        fail(&format!("a client below the capacity got status {status}"));
                    }
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

struct Answer {
    status: u16,
    /// From when the text was due.
    ms: f64,
}

/// Sends texts at a rate, whatever the server answers.
fn flood(server: &Server, texts: &[String], rate: f64) -> Vec<Answer> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let start = Instant::now() + Duration::from_millis(200);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let (next, answers) = (&next, &answers);
            scope.spawn(move || {
                let mut connection = open(server);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(text) = texts.get(at) else { return };
                    let due = start + Duration::from_secs_f64(at as f64 / rate);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let status = say(&mut connection, text, text);
                    let answer = Answer { status, ms: due.elapsed().as_secs_f64() * 1e3 };
                    answers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(answer);
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn open(server: &Server) -> Connection {
    Connection::open(server.port).unwrap_or_else(|error| fail(&format!("cannot connect: {error}")))
}

fn say(connection: &mut Connection, sender: &str, text: &str) -> u16 {
    match connection.say(sender, text) {
        Ok((status, _)) => status,
        Err(error) => fail(&format!("a message failed: {error}")),
    }
}
