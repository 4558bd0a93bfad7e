//! What a message costs beyond the model: `bench/serve [--json]`.
//!
//! Start to first answer; one new text at a time, and 32 at a time, against the embedder alone on the same texts in the same
//! run; a repeated text against the durable embedded store. Texts are made up of the demo bot's words, each a new one.

use std::{
    collections::HashSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{fail, http::Connection, metrics::percentile, model_options, root, server::Server};
use banter_engine::{embedding::model::Model, random::Random};
use clap::Parser;
use serde_json::json;

const SINGLE: usize = 300;
const CLIENTS: usize = 32;
const NEW: usize = 3_200;
const REPEATED_FOR: Duration = Duration::from_secs(4);

#[derive(Parser)]
struct Arguments {
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Only one new text at a time against the model, by turns.
    #[arg(long, conflicts_with = "json")]
    single: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/serve");
    // What an earlier run left would make this one's texts old.
    let _ = std::fs::remove_dir_all(&folder);
    first_answer(&folder);
    let second_start_s = first_answer(&folder);

    let texts = new_texts(SINGLE + NEW);
    let (single, many) = texts.split_at(SINGLE);
    let mut model = Model::load(&model_options()).unwrap_or_else(|error| fail(&error.to_string()));

    let mut server = Server::start(&folder);
    server.wait();
    let tokens: Vec<String> = (0..CLIENTS)
        .map(|i| server.log_in(&format!("user{i}")).unwrap_or_else(|error| fail(&error.to_string())))
        .collect();
    let (model_median, message_ms, overhead_ms) = one_at_a_time(&server, &tokens[0], single, &mut model);
    if arguments.single {
        println!(
            "a new text, alone: {message_ms:.2} ms; the model: {model_median:.2} ms; added (1 ms): {overhead_ms:.2} ms"
        );
        return;
    }
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
    println!(
        "{:<44} {overhead_ms:>7.2} ms {:>12} {:>8.2}",
        "  median of what is added to the model", "1 ms", overhead_ms
    );
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

/// Seconds from starting the process to the answer to a message on the open channel.
fn first_answer(folder: &Path) -> f64 {
    let start = Instant::now();
    let mut server = Server::start(folder);
    let mut connection = server.wait();
    let body = json!({ "sender": "start", "message": "where is my order" });
    match connection.post("/webhooks/rest/webhook", "", &body) {
        Ok((200, _)) => start.elapsed().as_secs_f64(),
        other => fail(&format!("the first message: {other:?}")),
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

/// Seconds for texts in batches of as many as there are clients.
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

/// The medians of the model, of a message, and of the difference for the same text. Each text is timed both ways by turns, since
/// the speed of a machine drifts, and the model's caches are as cold after a message as before one.
fn one_at_a_time(server: &Server, token: &str, texts: &[String], model: &mut Model) -> (f64, f64, f64) {
    let mut connection = connect(server);
    let (mut model_ms, mut message_ms) = (Vec::new(), Vec::new());
    for text in texts {
        model_ms.push(milliseconds(|| run(model, std::slice::from_ref(text))));
        message_ms.push(milliseconds(|| send(&mut connection, token, text)));
    }
    let mut added: Vec<f64> = message_ms.iter().zip(&model_ms).map(|(message, model)| message - model).collect();
    (percentile(&mut model_ms, 0.5), percentile(&mut message_ms, 0.5), percentile(&mut added, 0.5))
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Texts a second of the embedder alone, and messages a second of new texts from all clients at once; by turns in blocks.
fn many_at_a_time(server: &Server, tokens: &[String], texts: &[String], model: &mut Model) -> (f64, f64) {
    let (mut alone_s, mut served_s) = (0.0, 0.0);
    for block in texts.chunks(texts.len() / 8) {
        alone_s += batches_alone(model, block);
        served_s += all_clients(server, tokens, block);
    }
    (texts.len() as f64 / alone_s, texts.len() as f64 / served_s)
}

/// Seconds until all clients together have sent all texts.
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

/// Messages a second of one text from all clients at once.
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
    match connection.post("/messages/send", token, &json!({ "text": text })) {
        Ok((200, _)) => {}
        other => fail(&format!("a message: {other:?}")),
    }
}
