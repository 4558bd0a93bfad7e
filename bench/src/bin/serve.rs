//! The cost of a message beyond the model: `bench/serve [--json]`.
//!
//! - The time from start to the first answer.
//! - New texts, one at a time and 32 at a time, compared with the embedder alone on the same texts in the same run.
//! - A repeated text, stored durably in the embedded store.
//!
//! The new texts are random sequences of words that fit the demo bot.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{
    fail,
    http::{Connection, posting},
    metrics::percentile,
    model_options, root,
    server::Server,
};
use banter_engine::{embedding::model::Model, random::Random};
use clap::Parser;
use serde_json::json;

const SINGLE: usize = 300;
const CLIENTS: usize = 32;
const NEW: usize = 3_200;
const REPEATED_FOR: Duration = Duration::from_secs(4);

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Measure only new texts one at a time, alternating with the model.
    #[arg(long, conflicts_with = "json")]
    single: bool,
    /// Number of texts for --single.
    #[arg(long, value_name = "COUNT", requires = "single", default_value_t = SINGLE)]
    texts: usize,
    /// Another build of the server for --single. Both get each text, so that drift of the machine affects both alike.
    #[arg(long, value_name = "BINARY", requires = "single")]
    against: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/serve");
    // Data of an earlier run could already hold these texts.
    let _ = std::fs::remove_dir_all(&folder);
    first_answer(&folder);
    let second_start_s = first_answer(&folder);

    let mut model = Model::load(&model_options()).unwrap_or_else(|error| fail(&error.to_string()));
    let mut server = Server::start(&folder);
    server.wait();
    if arguments.single {
        return single(&arguments, &folder, &server, &mut model);
    }
    let texts = new_texts(SINGLE + NEW);
    let (single, many) = texts.split_at(SINGLE);
    let tokens: Vec<String> = (0..CLIENTS).map(|i| log_in(&server, &format!("user{i}"))).collect();
    let Single { mut model_ms, mut messages_ms } = one_at_a_time(&[(&server, &tokens[0])], single, &mut model);
    let overhead_ms = median_added(&messages_ms[0], &model_ms);
    let (model_median, message_ms) = (percentile(&mut model_ms, 0.5), percentile(&mut messages_ms[0], 0.5));
    let (batch_rate, many_rate) = many_at_a_time(&server, &tokens, many, &mut model);
    drop(model);
    let repeated_rate = repeated(&server, &tokens);

    let report = json!({
        "second_start_to_answer_s": second_start_s,
        "model_median_ms": model_median,
        "message_median_ms": message_ms,
        "overhead_median_ms": overhead_ms,
        "ratio_single_to_model": message_ms / model_median,
        "embedder_batch_per_s": batch_rate,
        "messages_32_per_s": many_rate,
        "ratio_32_to_embedder": many_rate / batch_rate,
        "repeated_per_s": repeated_rate,
        "ratio_repeated_to_3000": repeated_rate / 3_000.0,
    });
    if arguments.json {
        println!("{report}");
        return;
    }
    println!("{:<44} {:>10} {:>12} {:>8}", "", "measured", "baseline", "ratio");
    println!(
        "{:<44} {second_start_s:>8.2} s {:>12} {:>8}",
        "second start to first answer",
        "1.5 s",
        format!("{:.2}", second_start_s / 1.5)
    );
    println!(
        "{:<44} {message_ms:>7.2} ms {:>12} {:>8.2}",
        "a new text, alone (baseline: the model)",
        format!("{model_median:.2} ms"),
        message_ms / model_median
    );
    println!("{:<44} {overhead_ms:>7.2} ms {:>12} {:>8.2}", "  median overhead over the model", "1 ms", overhead_ms);
    println!(
        "{:<44} {many_rate:>8.0}/s {:>12} {:>8.2}",
        "new texts, 32 clients (baseline: batches)",
        format!("{batch_rate:.0}/s"),
        many_rate / batch_rate
    );
    println!(
        "{:<44} {repeated_rate:>8.0}/s {:>12} {:>8.2}",
        "a repeated text, 32 clients",
        "3000/s",
        repeated_rate / 3_000.0
    );
}

/// Seconds from starting the process to the answer to a message on the REST channel.
fn first_answer(folder: &Path) -> f64 {
    let start = Instant::now();
    let mut server = Server::start(folder);
    let mut connection = server.wait();
    let body = json!({ "sender": "start", "message": "where is my order" });
    match connection.post("/webhooks/rest/webhook", "", &body) {
        Ok((200, _)) => start.elapsed().as_secs_f64(),
        other => fail(&format!("the first message failed: {other:?}")),
    }
}

/// Texts of 4 to 14 words that the server has not seen.
fn new_texts(count: usize) -> Vec<String> {
    const WORDS: [&str; 40] = [
        "where",
        "is",
        "my",
        "order",
        "the",
        "parcel",
        "delivery",
        "to",
        "London",
        "please",
        "tell",
        "me",
        "how",
        "much",
        "it",
        "costs",
        "and",
        "when",
        "will",
        "arrive",
        "где",
        "мой",
        "заказ",
        "сколько",
        "стоит",
        "доставка",
        "в",
        "Москву",
        "вернуть",
        "деньги",
        "за",
        "товар",
        "refund",
        "card",
        "payment",
        "was",
        "declined",
        "twice",
        "yesterday",
        "again",
    ];
    let mut random = Random::new(std::process::id().into());
    let mut seen = HashSet::new();
    while seen.len() < count {
        let words: Vec<&str> = (0..4 + random.below(11)).map(|_| WORDS[random.below(WORDS.len())]).collect();
        seen.insert(words.join(" "));
    }
    let mut texts: Vec<String> = seen.into_iter().collect();
    texts.sort();
    random.shuffle(&mut texts);
    texts
}

/// Seconds to embed the texts in batches, with one text per client in each batch.
fn batches_alone(model: &mut Model, texts: &[String]) -> f64 {
    let start = Instant::now();
    texts.chunks(CLIENTS).for_each(|batch| run(model, batch));
    start.elapsed().as_secs_f64()
}

fn run(model: &mut Model, texts: &[String]) {
    match model.run(texts) {
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
fn one_at_a_time(servers: &[(&Server, &str)], texts: &[String], model: &mut Model) -> Single {
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
fn single(arguments: &Arguments, folder: &Path, server: &Server, model: &mut Model) {
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

fn log_in(server: &Server, name: &str) -> String {
    server.log_in(name).unwrap_or_else(|error| fail(&error.to_string()))
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Texts per second of the embedder alone, and messages per second with new texts from all clients, in alternating
/// blocks.
fn many_at_a_time(server: &Server, tokens: &[String], texts: &[String], model: &mut Model) -> (f64, f64) {
    let (mut alone_s, mut served_s) = (0.0, 0.0);
    for block in texts.chunks(texts.len() / 8) {
        alone_s += batches_alone(model, block);
        served_s += all_clients(server, tokens, block);
    }
    (texts.len() as f64 / alone_s, texts.len() as f64 / served_s)
}

/// Seconds until the clients together have sent all texts.
fn all_clients(server: &Server, tokens: &[String], texts: &[String]) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for token in tokens {
            scope.spawn(|| {
                let mut connection = connect(server);
                while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    send(&mut connection, token, text);
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

/// Messages per second when all clients repeat one text.
fn repeated(server: &Server, tokens: &[String]) -> f64 {
    let count = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for token in tokens {
            scope.spawn(|| {
                let mut connection = connect(server);
                while start.elapsed() < REPEATED_FOR {
                    send(&mut connection, token, "what are your opening hours");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
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
