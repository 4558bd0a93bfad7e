//! The cost of a message beyond the model: `bench/serve [--json]`.
//!
//! - The time from start to the first answer.
//! - New texts, one at a time and 32 at a time, compared with the embedder alone on the same texts in the same run.
//! - A repeated text, stored durably in the embedded store.
//! - Known, different texts of 500 senders over the REST channel, and the memory after them.
//!
//! With `--against`, another build of the server runs beside this one, and both get the same load in alternating
//! blocks.
//!
//! The new texts are random sequences of words that fit the demo bot.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{
    embedder, fail,
    http::{Connection, posting, saying},
    metrics::percentile,
    root,
    server::Server,
    table::{self, Row},
    texts::new_texts,
};
use banter_engine::embedding::{Embedder, Urgency};
use clap::Parser;
use serde_json::json;

const SINGLE: usize = 300;
const CLIENTS: usize = 32;
const NEW: usize = 3_200;
const REPEATED_FOR: Duration = Duration::from_secs(1);
const SENDERS: usize = 500;
const KNOWN: usize = 1_000;
/// Blocks of each measurement with several servers; they alternate.
const BLOCKS: usize = 4;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Measure only new texts one at a time, alternating with the model.
    #[arg(long, conflicts_with = "json")]
    single: bool,
    /// Only send known texts for so many seconds, for a profiler.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["json", "single", "against"])]
    known: Option<u64>,
    /// Number of texts for --single.
    #[arg(long, value_name = "COUNT", requires = "single", default_value_t = SINGLE)]
    texts: usize,
    /// Another build of the server. Both get the same load in alternating blocks, so that drift of the machine affects
    /// both alike.
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/serve");
    if let Some(seconds) = arguments.known {
        return only_known(&folder.join("known"), Duration::from_secs(seconds));
    }
    // Data of an earlier run could already hold these texts.
    let _ = std::fs::remove_dir_all(&folder);
    first_answer(&folder);
    let second_start_s = first_answer(&folder);

    let model = embedder().unwrap_or_else(|error| fail(&error.to_string()));
    let mut server = Server::start(&folder);
    server.wait();
    if arguments.single {
        return single(&arguments, &folder, &server, &*model);
    }
    let other = arguments.against.as_ref().map(|binary| {
        let mut other = Server::start_binary(binary, &folder.join("against"), &[]);
        other.wait();
        other
    });
    let servers: Vec<Target<'_>> = [Some(&server), other.as_ref()].into_iter().flatten().map(Target::of).collect();
    let measured = Measured::run(&servers, &*model);
    let mut rows = vec![Row {
        name: "second start to first answer",
        unit: "s",
        ours: second_start_s,
        baseline: 1.5,
        is: "allowed",
    }];
    rows.extend(measured.rows());
    if servers.len() == 2 {
        rows.extend(measured.rows_against());
    }
    table::print(&rows, arguments.json);
}

/// What was measured; vectors have an element per server.
struct Measured {
    /// Medians in milliseconds.
    model_ms: f64,
    message_ms: Vec<f64>,
    overhead_ms: f64,
    /// Texts per second.
    batch_rate: f64,
    many_rates: Vec<f64>,
    repeated_rates: Vec<f64>,
    known_rates: Vec<f64>,
    /// Of the first server, at the end.
    resident_mib: f64,
}

impl Measured {
    fn run(servers: &[Target<'_>], model: &dyn Embedder) -> Self {
        let texts = new_texts(SINGLE + NEW);
        let (single, many) = texts.split_at(SINGLE);
        let alone: Vec<(&Server, &str)> =
            servers.iter().map(|target| (target.server, target.tokens[0].as_str())).collect();
        let Single { mut model_ms, mut messages_ms } = one_at_a_time(&alone, single, model);
        let overhead_ms = median_added(&messages_ms[0], &model_ms);
        let (batch_rate, many_rates) = many_at_a_time(servers, many, model);
        Self {
            model_ms: percentile(&mut model_ms, 0.5),
            message_ms: messages_ms.iter_mut().map(|times| percentile(times, 0.5)).collect(),
            overhead_ms,
            batch_rate,
            many_rates,
            repeated_rates: repeated(servers),
            known_rates: known(servers, &texts[..KNOWN]),
            resident_mib: servers[0].server.resident_kib() as f64 / 1024.0,
        }
    }

    fn rows(&self) -> [Row; 6] {
        let row = |name, unit, ours, baseline, is| Row { name, unit, ours, baseline, is };
        let (many, repeated, known) = (self.many_rates[0], self.repeated_rates[0], self.known_rates[0]);
        [
            row("a new text, alone", "ms", self.message_ms[0], self.model_ms, "the model"),
            row("  median overhead over the model", "ms", self.overhead_ms, 1.0, "a millisecond"),
            row("new texts, 32 clients", "/s", many, self.batch_rate, "the model in batches"),
            row("a repeated text, 32 clients", "/s", repeated, 3_000.0, "wanted"),
            row("memory after all messages", "MiB", self.resident_mib, 220.0, "allowed"),
            row("known texts, REST, 500 senders", "/s", known, repeated, "a repeated text"),
        ]
    }

    /// The first server compared with the second.
    fn rows_against(&self) -> [Row; 4] {
        let row = |name, unit, values: &[f64]| Row {
            name,
            unit,
            ours: values[0],
            baseline: values[1],
            is: "the other build",
        };
        [
            row("a new text, alone", "ms", &self.message_ms),
            row("new texts, 32 clients", "/s", &self.many_rates),
            row("a repeated text, 32 clients", "/s", &self.repeated_rates),
            row("known texts, REST, 500 senders", "/s", &self.known_rates),
        ]
    }
}

/// A server and the tokens of its clients.
struct Target<'a> {
    server: &'a Server,
    tokens: Vec<String>,
}

impl<'a> Target<'a> {
    fn of(server: &'a Server) -> Self {
        Self { server, tokens: (0..CLIENTS).map(|i| log_in(server, &format!("user{i}"))).collect() }
    }
}

/// Seconds from starting the process to the answer to a message on the REST channel.
fn first_answer(folder: &Path) -> f64 {
    let start = Instant::now();
    let mut server = Server::start(folder);
    let mut connection = server.wait();
    match connection.say("start", "where is my order") {
        Ok((200, _)) => start.elapsed().as_secs_f64(),
        other => fail(&format!("the first message failed: {other:?}")),
    }
}

/// Seconds to embed the texts in batches, with one text per client in each batch.
fn batches_alone(model: &dyn Embedder, texts: &[String]) -> f64 {
    let start = Instant::now();
    texts.chunks(CLIENTS).for_each(|batch| run(model, batch));
    start.elapsed().as_secs_f64()
}

fn run(model: &dyn Embedder, texts: &[String]) {
    match model.embed(texts, Urgency::Patient) {
        Ok(vectors) => drop(std::hint::black_box(vectors)),
        Err(error) => fail(&error.to_string()),
    }
}

/// Times of each text in milliseconds: of the model, and of the message to each server.
struct Single {
    model_ms: Vec<f64>,
    messages_ms: Vec<Vec<f64>>,
}

/// Times each text in all ways before the next one, because the machine's speed drifts. The order of servers rotates,
/// so that CPU caches affect all alike.
fn one_at_a_time(servers: &[(&Server, &str)], texts: &[String], model: &dyn Embedder) -> Single {
    let mut connections: Vec<(Connection, &str)> =
        servers.iter().map(|(server, token)| (connect(server), *token)).collect();
    let mut single = Single { model_ms: Vec::new(), messages_ms: vec![Vec::new(); servers.len()] };
    for (turn, text) in texts.iter().enumerate() {
        single.model_ms.push(milliseconds(|| run(model, std::slice::from_ref(text))));
        for place in 0..connections.len() {
            let place = (place + turn) % connections.len();
            let (connection, token) = &mut connections[place];
            // Build the request before the clock starts: that is the client's time.
            let request = message(token, text);
            single.messages_ms[place].push(milliseconds(|| exchange(connection, &request)));
        }
    }
    single
}

/// The median of the differences, text by text.
fn median_added(longer: &[f64], shorter: &[f64]) -> f64 {
    let mut added: Vec<f64> = longer.iter().zip(shorter).map(|(longer, shorter)| longer - shorter).collect();
    percentile(&mut added, 0.5)
}

/// Sends one new text at a time, to one or two builds of the server.
fn single(arguments: &Arguments, folder: &Path, server: &Server, model: &dyn Embedder) {
    let texts = new_texts(arguments.texts);
    let token = log_in(server, "single");
    let other = arguments.against.as_ref().map(|binary| {
        let mut other = Server::start_binary(binary, &folder.join("against"), &[]);
        other.wait();
        let token = log_in(&other, "single");
        (other, token)
    });
    let mut servers = vec![(server, token.as_str())];
    servers.extend(other.iter().map(|(other, token)| (other, token.as_str())));
    let Single { model_ms, messages_ms } = one_at_a_time(&servers, &texts, model);
    let median = |times: &[f64]| percentile(&mut times.to_vec(), 0.5);
    for (name, message_ms) in ["this build", "the other"].into_iter().zip(&messages_ms) {
        println!(
            "{name}: a new text, alone: {:.2} ms; the model: {:.2} ms; overhead (baseline 1 ms): {:.3} ms",
            median(message_ms),
            median(&model_ms),
            median_added(message_ms, &model_ms)
        );
    }
    if let [this, other] = messages_ms.as_slice() {
        println!("this build takes {:+.0} µs more than the other for the same text", 1e3 * median_added(this, other));
    }
}

/// Sends texts that the server has had before.
fn only_known(folder: &Path, duration: Duration) {
    let mut server = Server::start(folder);
    server.wait();
    let (target, texts) = (Target::of(&server), new_texts(KNOWN));
    let start = Instant::now();
    while start.elapsed() < duration {
        known(std::slice::from_ref(&target), &texts);
    }
}

fn log_in(server: &Server, name: &str) -> String {
    server.log_in(name).unwrap_or_else(|error| fail(&error.to_string()))
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Texts per second of the embedder alone, and messages per second of each server with new texts from all clients, in
/// alternating blocks.
fn many_at_a_time(servers: &[Target<'_>], texts: &[String], model: &dyn Embedder) -> (f64, Vec<f64>) {
    let (mut alone_s, mut served_s) = (0.0, vec![0.0; servers.len()]);
    for block in texts.chunks(texts.len() / 8) {
        alone_s += batches_alone(model, block);
        for (target, seconds) in servers.iter().zip(&mut served_s) {
            *seconds += all_clients(target, block);
        }
    }
    let count = texts.len() as f64;
    (count / alone_s, served_s.into_iter().map(|seconds| count / seconds).collect())
}

/// Seconds until the clients together have sent all texts.
fn all_clients(target: &Target<'_>, texts: &[String]) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for token in &target.tokens {
            scope.spawn(|| {
                let mut connection = connect(target.server);
                while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    send(&mut connection, token, text);
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

/// Messages per second of each server when all clients repeat one text.
fn repeated(servers: &[Target<'_>]) -> Vec<f64> {
    by_turns(servers, |target, client, _| message(&target.tokens[client], "what are your opening hours"))
}

/// Messages per second of each server over the REST channel: 500 senders, 32 connections, texts that the server has had
/// before.
fn known(servers: &[Target<'_>], texts: &[String]) -> Vec<f64> {
    let request = |number: usize| {
        let sender = format!("sender{}", number % SENDERS);
        saying(&sender, &texts[number % texts.len()])
    };
    for target in servers {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut connection = connect(target.server);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= texts.len() {
                            break;
                        }
                        exchange(&mut connection, &request(number));
                    }
                });
            }
        });
    }
    by_turns(servers, |_, _, number| request(number))
}

/// Messages per second of each server when all clients send without a pause, in alternating blocks. `request` gets the
/// client and the number of the message.
fn by_turns(servers: &[Target<'_>], request: impl Fn(&Target<'_>, usize, usize) -> Vec<u8> + Sync) -> Vec<f64> {
    let mut sent = vec![(0, 0.0); servers.len()];
    for _ in 0..BLOCKS {
        for (target, (messages, seconds)) in servers.iter().zip(&mut sent) {
            let next = AtomicUsize::new(*messages);
            let start = Instant::now();
            thread::scope(|scope| {
                for client in 0..CLIENTS {
                    let (next, request) = (&next, &request);
                    scope.spawn(move || {
                        let mut connection = connect(target.server);
                        while start.elapsed() < REPEATED_FOR {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            exchange(&mut connection, &request(target, client, number));
                        }
                    });
                }
            });
            *seconds += start.elapsed().as_secs_f64();
            *messages = next.into_inner();
        }
    }
    sent.into_iter().map(|(messages, seconds)| messages as f64 / seconds).collect()
}

fn connect(server: &Server) -> Connection {
    Connection::open(server.port).unwrap_or_else(|error| fail(&error.to_string()))
}

fn send(connection: &mut Connection, token: &str, text: &str) {
    exchange(connection, &message(token, text));
}

fn message(token: &str, text: &str) -> Vec<u8> {
    posting("/messages/send", token, &json!({ "text": text }))
}

fn exchange(connection: &mut Connection, request: &[u8]) {
    match connection.exchange(request) {
        Ok((200, _)) => {}
        other => fail(&format!("a message failed: {other:?}")),
    }
}
