//! banter beside nlp.js and semantic-router: `bench/peers [--json]`. All are trained on the same rows in the same order,
//! answer the same JSON with the intent and its score, and get the same requests in one run.
//!
//! - Known texts: the demo bot's English examples, from 500 senders over 32 connections, in five rounds of alternating
//!   blocks. Rate, latency, CPU and memory are medians of the rounds.
//! - From a second start, with whatever a peer keeps, to the first answer.
//! - BANKING77 and CLINC150 with ten examples per intent: accuracy and AUROC, by one draw.
//! - New texts: the rate of banter on CLINC150's test rows, and that of its encoders alone in batches, block by block.
//!
//! nlp.js runs behind fastify, and semantic-router behind uvicorn with the all-MiniLM-L6-v2 that banter uses, too
//! (`bench/peer/`). Neither stores anything; banter stores each turn durably.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_bench::{
    cache_folder,
    data::{Rows, draw},
    demo, embedder, encoder_folder, encoders, fail,
    http::{Connection, saying},
    metrics::{Prediction, accuracy, auroc, percentile},
    root,
    server::{Server, free_port},
    snapshot,
};
use banter_engine::{
    Engine,
    embedding::{Embedder, Urgency},
    handlers::script::Scripting,
    host::NoHost,
    language::Language,
    random::Random,
    text::normalize,
};
use clap::Parser;
use serde_json::{Value, json};

const CLIENTS: usize = 32;
const SENDERS: usize = 500;
const ROUNDS: usize = 5;
const BLOCK: Duration = Duration::from_secs(4);
const SHOTS: usize = 10;
/// Texts of a block of new texts.
const NEW: usize = 500;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Banter,
    Nlpjs,
    SemanticRouter,
}

const PEERS: [Peer; 3] = [Peer::Banter, Peer::Nlpjs, Peer::SemanticRouter];

/// A text, and its intent, which is empty out of scope.
type Labelled = (String, String);

fn main() {
    let arguments = Arguments::parse();
    let folder = cache_folder().join("peers/run");
    // What was trained in an earlier run.
    let _ = fs::remove_dir_all(&folder);
    let known = shuffled(demo_rows());
    let served: Vec<Served> = PEERS.iter().map(|peer| Served::measure(*peer, &known, &folder.join("known"))).collect();
    let known = rounds(&served, &known);
    let mut understood = Vec::new();
    for set in ["banking77", "clinc150"] {
        let (train, test) = public(set);
        let of = |peer: &Peer| Understood::measure(*peer, &train, &test, &folder.join(set));
        understood.push((set, PEERS.iter().map(of).collect::<Vec<_>>()));
    }
    let (_, of_clinc) = understood.last().unwrap_or_else(|| fail("no public set"));
    let new = of_clinc[0].to_encoder;
    if arguments.json {
        println!("{}", as_json(&served, &known, &understood, new));
    } else {
        print(&served, &known, &understood, new);
    }
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Banter => "banter",
            Self::Nlpjs => "nlp.js",
            Self::SemanticRouter => "semantic-router",
        }
    }

    /// Starts the peer, trained on the rows; it keeps in the folder what it can.
    fn start(self, rows: &[Labelled], folder: &Path) -> Server {
        let (folder, port) = (folder.join(self.name()), free_port());
        create(&folder);
        let installed = cache_folder().join("peers");
        let file = folder.join("rows.csv");
        let mut server = match self {
            Self::Banter => {
                write_bot(rows, &folder.join("bot"));
                let bot = folder.join("bot").to_string_lossy().into_owned();
                let quiet = ("BANTER_LOG__FILTER".to_owned(), "warn".to_owned());
                Server::start_with(&folder.join("data"), &[("BANTER_BOT".to_owned(), bot), quiet])
            }
            Self::Nlpjs => {
                write_rows(rows, &file);
                let mut command = Command::new("node");
                // It takes a folder `plugins` of the current folder for its own.
                command.current_dir(installed.join("nlpjs")).arg("server.js").arg(&file).arg(port.to_string());
                Server::of(command.arg(folder.join("model.json")), &folder, port)
            }
            Self::SemanticRouter => {
                write_rows(rows, &file);
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", installed.join("python"));
                command.arg(root().join("bench/peer/semantic_router/server.py")).arg(&file).arg(port.to_string());
                Server::of(command.arg(encoder_folder().join("minilm")), &folder, port)
            }
        };
        server.wait();
        server
    }
}

/// A peer that serves, and what its start took.
struct Served {
    peer: Peer,
    server: Server,
    /// Seconds from the second start to the first answer.
    start_s: f64,
}

impl Served {
    fn measure(peer: Peer, rows: &[Labelled], folder: &Path) -> Self {
        drop(peer.start(rows, folder));
        let start = Instant::now();
        let server = peer.start(rows, folder);
        ask(&mut connect(&server), &saying("first", &rows[0].0));
        Self { peer, server, start_s: start.elapsed().as_secs_f64() }
    }
}

/// Medians of the rounds of a peer with known texts.
struct Known {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    resident_mib: f64,
}

/// Known texts for all peers, in alternating blocks. The first round only warms the caches.
fn rounds(served: &[Served], rows: &[Labelled]) -> Vec<Known> {
    let known = |number: usize| saying(&format!("sender{}", number % SENDERS), &rows[number % rows.len()].0);
    let mut blocks: Vec<[Vec<f64>; 4]> = served.iter().map(|_| Default::default()).collect();
    for round in 0..=ROUNDS {
        for (one, measured) in served.iter().zip(&mut blocks) {
            let (begun, cpu) = (Instant::now(), one.server.cpu_s());
            let mut times = by_all(&one.server, |connection, number| {
                let request = (begun.elapsed() < BLOCK).then(|| known(number))?;
                let sent = Instant::now();
                ask(connection, &request);
                Some(sent.elapsed().as_secs_f64() * 1e3)
            });
            let (seconds, count) = (begun.elapsed().as_secs_f64(), times.len() as f64);
            let cpu_us = 1e6 * (one.server.cpu_s() - cpu) / count;
            let values = [count / seconds, percentile(&mut times, 0.5), percentile(&mut times, 0.99), cpu_us];
            if round > 0 {
                measured.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
            }
        }
    }
    let median = |values: &mut Vec<f64>| percentile(values, 0.5);
    let median_of = |(one, [rate, p50, p99, cpu]): (&Served, &mut [Vec<f64>; 4])| Known {
        rate: median(rate),
        p50_ms: median(p50),
        p99_ms: median(p99),
        cpu_us: median(cpu),
        resident_mib: one.server.resident_kib() as f64 / 1024.0,
    };
    served.iter().zip(&mut blocks).map(median_of).collect()
}

/// What a peer makes of a public set.
struct Understood {
    accuracy: f64,
    auroc: Option<f64>,
    /// New texts per second.
    rate: f64,
    /// Its ratio to the rate of banter's encoders alone, in batches.
    to_encoder: f64,
}

impl Understood {
    fn measure(peer: Peer, train: &[Labelled], test: &[Labelled], folder: &Path) -> Self {
        let server = peer.start(train, folder);
        let model = embedder().unwrap_or_else(|error| fail(&error.to_string()));
        let (mut served_s, mut alone_s) = (0.0, 0.0);
        let mut predictions = Vec::new();
        for (at, block) in test.chunks(NEW).enumerate() {
            let start = Instant::now();
            predictions.extend(predict(&server, at, block));
            served_s += start.elapsed().as_secs_f64();
            let start = Instant::now();
            embed(&*model, block);
            alone_s += start.elapsed().as_secs_f64();
        }
        Self {
            accuracy: accuracy(&predictions),
            auroc: auroc(&predictions),
            rate: test.len() as f64 / served_s,
            to_encoder: alone_s / served_s,
        }
    }
}

fn embed(model: &dyn Embedder, rows: &[Labelled]) {
    for batch in rows.chunks(CLIENTS) {
        let texts: Vec<String> = batch.iter().map(|(text, _)| text.clone()).collect();
        model.embed(&texts, Urgency::Patient).unwrap_or_else(|error| fail(&error.to_string()));
    }
}

/// Asks for each row of a block from all clients. Each row is a dialogue of its own.
fn predict(server: &Server, at: usize, rows: &[Labelled]) -> Vec<Prediction> {
    by_all(server, |connection, number| {
        let (text, intent) = rows.get(number)?;
        let said = ask(connection, &saying(&format!("{at}-{number}"), text));
        let (best, score) = said.rsplit_once(' ').unwrap_or((&said, "0"));
        let probability = score.parse().unwrap_or(0.0);
        Some(Prediction { probability, right: best == intent, in_scope: !intent.is_empty() })
    })
}

/// Numbers what all clients do at once, until `one` has nothing for a number. Returns what it returned, in no order.
fn by_all<T: Send>(server: &Server, one: impl Fn(&mut Connection, usize) -> Option<T> + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let client = || {
        let mut connection = connect(server);
        std::iter::from_fn(|| one(&mut connection, next.fetch_add(1, Ordering::Relaxed))).collect::<Vec<T>>()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap_or_else(|_| fail("a client failed"))).collect()
    })
}

fn connect(server: &Server) -> Connection {
    Connection::open(server.port).unwrap_or_else(|error| fail(&error.to_string()))
}

/// Sends a request; returns the text of the answer.
fn ask(connection: &mut Connection, request: &[u8]) -> String {
    match connection.exchange(request) {
        Ok((200, body)) => {
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            answer[0]["text"].as_str().unwrap_or_else(|| fail(&format!("no text in {body}"))).to_owned()
        }
        other => fail(&format!("a message failed: {other:?}")),
    }
}

/// The English examples of the demo bot.
fn demo_rows() -> Vec<Labelled> {
    let engine = Engine::new(Arc::new(encoders()), Arc::new(Scripting::new()), Arc::new(NoHost));
    let snapshot = snapshot(&engine, &demo());
    let english = Language::new("en");
    let rows = snapshot.catalogue.intents.iter().flat_map(|intent| {
        let own = intent.examples.iter().filter(|example| Some(&example.language) == english.as_ref());
        own.map(|example| (normalize(&example.text), intent.id.to_string()))
    });
    rows.collect()
}

/// Ten rows of each intent, and the test rows.
fn public(set: &str) -> (Vec<Labelled>, Vec<Labelled>) {
    let read = |part: &str| {
        let path = root().join(format!("../shared/data/{set}.{part}.csv"));
        Rows::read(&path).unwrap_or_else(|message| fail(&message))
    };
    let train = read("train");
    let classes = train.classes();
    let names: Vec<&String> = classes.keys().collect();
    let drawn = draw(&train.samples(&classes), classes.len(), SHOTS, 1);
    let drawn = drawn.into_iter().map(|sample| (sample.text, named(names[sample.class]))).collect();
    let test = read("test").rows.into_iter().map(|(text, intent)| (text, named(&intent.unwrap_or_default()))).collect();
    (shuffled(drawn), test)
}

/// The name of an intent in letters that every peer takes.
fn named(intent: &str) -> String {
    intent.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn shuffled(mut rows: Vec<Labelled>) -> Vec<Labelled> {
    Random::new(1).shuffle(&mut rows);
    rows
}

fn create(folder: &Path) {
    fs::create_dir_all(folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
}

fn write(path: PathBuf, text: impl AsRef<[u8]>) {
    fs::write(&path, text).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
}

fn write_rows(rows: &[Labelled], path: &Path) {
    let mut writer = csv::Writer::from_path(path).unwrap_or_else(|error| fail(&error.to_string()));
    let written = writer.write_record(["text", "intent"]);
    let written =
        rows.iter().fold(written, |done, (text, intent)| done.and_then(|()| writer.write_record([text, intent])));
    written.unwrap_or_else(|error| fail(&error.to_string()));
}

/// A bot that answers with the intent and its probability, and matches whatever is likeliest, if it is at all likely.
fn write_bot(rows: &[Labelled], folder: &Path) {
    create(&folder.join("intents"));
    create(&folder.join("scripts"));
    let bot = "name: peer\nlanguages: [en]\nmatching: { threshold: 0.05, margin: 0.0 }\nfallback: { text: none 0 }\n";
    write(folder.join("bot.yaml"), bot);
    write(folder.join("scripts/answer.rhai"), "fn handle(ctx) { say(`${ctx.intent} ${ctx.probability}`) }\n");
    let mut names: Vec<&String> = rows.iter().map(|(_, intent)| intent).collect();
    names.sort();
    names.dedup();
    for name in names {
        let mut file = format!("intent: {name}\nexamples:\n  en:\n");
        for (text, _) in rows.iter().filter(|(_, intent)| intent == name) {
            let _ = writeln!(file, "    - {}", json!(text));
        }
        file.push_str("handler: { script: answer.rhai }\n");
        write(folder.join(format!("intents/{name}.yaml")), file);
    }
}

fn as_json(served: &[Served], known: &[Known], understood: &[(&str, Vec<Understood>)], new: f64) -> Value {
    let peer = |(at, (one, known)): (usize, (&Served, &Known))| {
        let sets = understood.iter().map(|(set, of)| {
            let Understood { accuracy, auroc, rate, .. } = of[at];
            ((*set).to_owned(), json!({ "accuracy": accuracy, "auroc": auroc, "new_texts_per_s": rate }))
        });
        let sets: serde_json::Map<String, Value> = sets.collect();
        json!({
            "name": one.peer.name(), "rate": known.rate, "p50_ms": known.p50_ms, "p99_ms": known.p99_ms,
            "cpu_us": known.cpu_us, "resident_mb": known.resident_mib, "start_s": one.start_s, "sets": sets,
        })
    };
    json!({
        "known_text_ratio_to_nlpjs": known[0].rate / known[1].rate,
        "known_text_cpu_us": known[0].cpu_us,
        "new_text_ratio_to_encoder": new,
        "resident_mb": known[0].resident_mib,
        "peers": served.iter().zip(known).enumerate().map(peer).collect::<Vec<_>>(),
    })
}

fn print(served: &[Served], known: &[Known], understood: &[(&str, Vec<Understood>)], new: f64) {
    let line = |name: &str, values: Vec<f64>, digits: usize| {
        let shown: String = values.iter().map(|value| format!("{value:>17.digits$}")).collect();
        println!("{name:<34}{shown}   {:.2}  {:.2}", values[0] / values[1], values[0] / values[2]);
    };
    let names: String = served.iter().map(|one| format!("{:>17}", one.peer.name())).collect();
    println!("{:<34}{names}   ratios", "");
    let of = |value: fn(&Known) -> f64| known.iter().map(value).collect();
    line("known texts, messages/s", of(|known| known.rate), 0);
    line("  p50, ms", of(|known| known.p50_ms), 2);
    line("  p99, ms", of(|known| known.p99_ms), 2);
    line("  CPU of a message, µs", of(|known| known.cpu_us), 0);
    line("  memory after them, MiB", of(|known| known.resident_mib), 0);
    line("second start to first answer, s", served.iter().map(|one| one.start_s).collect(), 2);
    for (set, of) in understood {
        line(&format!("{set}, ten each: accuracy, %"), of.iter().map(|one| 100.0 * one.accuracy).collect(), 1);
        if of[0].auroc.is_some() {
            line("  AUROC, out of scope", of.iter().map(|one| one.auroc.unwrap_or(f64::NAN)).collect(), 3);
        }
        line("  new texts/s", of.iter().map(|one| one.rate).collect(), 0);
    }
    println!("banter's new texts, relative to its encoders alone in batches: {new:.2}");
}
