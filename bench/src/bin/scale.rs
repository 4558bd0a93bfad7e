//! How costs grow: `bench/scale [--most N] [--charts FOLDER] [--json]`.
//!
//! - The index that the engine chooses, from 1,000 synthetic examples on: the time to build and store it, to
//!   load it, its memory, the time of a search, and recall@10.
//! - A turn of one client with a known text: by the length of its history, by the number of users, and by the number of
//!   intents. The baseline of each row is the smallest of its kind.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use banter_bench::{
    chart::{Line, draw},
    fail,
    http::Connection,
    memory::resident_kib,
    metrics::percentile,
    root,
    server::Server,
    vectors::{clusters, micros, recall},
};
use banter_engine::{
    index::{choose, exact::Exact},
    random::Random,
};
use clap::Parser;
use serde_json::{Value, json};

const EXAMPLES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
const INTENTS: [usize; 3] = [10, 100, 1_000];
const QUERIES: usize = 200;
const KNOWN: &str = "how can I pay";
/// Turns that are measured from each point on.
const MEASURED: usize = 200;

#[derive(Parser)]
struct Arguments {
    /// The largest number of examples in the index; 1000000 takes a quarter of an hour or more.
    #[arg(long, default_value_t = 100_000)]
    most: usize,
    /// Draw the charts of docs/performance.md into this folder.
    #[arg(long)]
    charts: Option<PathBuf>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let indexes: Vec<Index> =
        EXAMPLES.into_iter().filter(|count| *count <= arguments.most).map(Index::measure).collect();
    let turns = Turns::measure();
    if let Some(folder) = &arguments.charts {
        draw_charts(folder, &indexes, &turns);
    }
    if arguments.json {
        let indexes: Vec<Value> = indexes.iter().map(Index::json).collect();
        println!("{}", json!({ "indexes": indexes, "turns_ms": turns.json() }));
        return;
    }
    println!(
        "{:>9} {:>6} {:>9} {:>8} {:>8} {:>9} {:>10}",
        "examples", "index", "build s", "load s", "MiB", "search µs", "recall@10"
    );
    for Index { examples, name, build_s, load_s, mib, search_us, recall } in &indexes {
        println!("{examples:>9} {name:>6} {build_s:>9.2} {load_s:>8.2} {mib:>8.0} {search_us:>9.0} {recall:>10.4}");
    }
    println!("\n{:<28} {:>9} {:>9} {:>7}", "a turn, by the number of", "count", "ms", "ratio");
    for (name, points) in turns.rows() {
        for (count, ms) in points {
            println!("{name:<28} {count:>9} {ms:>9.3} {:>7.2}", ms / points[0].1);
        }
    }
}

/// What an index of so many examples costs.
struct Index {
    examples: usize,
    name: &'static str,
    /// To build and store it.
    build_s: f64,
    load_s: f64,
    /// Of the vectors and the index.
    mib: f64,
    search_us: f64,
    recall: f64,
}

impl Index {
    fn measure(examples: usize) -> Self {
        let folder = root().join(".cache/bench/scale/index");
        let _ = fs::remove_dir_all(&folder);
        let before = resident_mib();
        let vectors = clusters(examples + QUERIES, examples as u64);
        let (vectors, queries) = vectors.split_at(examples);
        let start = Instant::now();
        drop(choose(vectors, Some(&folder)));
        let build_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let index = choose(vectors, Some(&folder));
        let load_s = start.elapsed().as_secs_f64();
        let mib = resident_mib() - before;
        let search_us = micros(queries, |query| index.nearest(query, 10));
        let recall = recall(&Exact::new(vectors), &*index, queries);
        Self { examples, name: index.name(), build_s, load_s, mib, search_us, recall }
    }

    fn json(&self) -> Value {
        let Self { examples, name, build_s, load_s, mib, search_us, recall } = self;
        json!({ "examples": examples, "index": name, "build_s": build_s, "load_s": load_s, "mib": mib,
            "search_us": search_us, "recall_at_10": recall })
    }
}

fn resident_mib() -> f64 {
    resident_kib(std::process::id()) as f64 / 1024.0
}

/// Medians of a turn in milliseconds, by count.
struct Turns {
    history: Vec<(usize, f64)>,
    users: Vec<(usize, f64)>,
    intents: Vec<(usize, f64)>,
}

impl Turns {
    fn measure() -> Self {
        let folder = root().join(".cache/bench/scale/server");
        let _ = fs::remove_dir_all(&folder);
        let mut server = Server::start(&folder.join("demo"));
        let mut client = server.wait();
        let history = COUNTS.map(|count| {
            let talker = format!("talker {count}");
            for _ in 0..count {
                say(&mut client, &talker, KNOWN);
            }
            (count, median(MEASURED, || say(&mut client, &talker, KNOWN)))
        });
        let (mut known, mut random) = (0, Random::new(1));
        let users = COUNTS.map(|count| {
            for user in known..count {
                say(&mut client, &format!("user {user}"), KNOWN);
            }
            known = count;
            (count, median(MEASURED, || say(&mut client, &format!("user {}", random.below(count)), KNOWN)))
        });
        drop(server);
        let intents = INTENTS.map(|count| (count, of_intents(count, &folder))).to_vec();
        Self { history: history.to_vec(), users: users.to_vec(), intents }
    }

    fn rows(&self) -> [(&'static str, &[(usize, f64)]); 3] {
        [("messages in the history", &self.history), ("users", &self.users), ("intents", &self.intents)]
    }

    fn json(&self) -> Value {
        let rows = self.rows().map(|(name, points)| (name.to_owned(), json!(points)));
        Value::Object(rows.into_iter().collect())
    }
}

/// The median turn with a bot of so many intents, of five examples each.
fn of_intents(count: usize, folder: &Path) -> f64 {
    let bot = folder.join(format!("bot{count}"));
    let write = |path: &str, text: &str| {
        let path = bot.join(path);
        let written = fs::create_dir_all(path.parent().unwrap_or(&bot)).and_then(|()| fs::write(&path, text));
        written.unwrap_or_else(|error| fail(&format!("cannot write {}: {error}", path.display())));
    };
    write("bot.yaml", "name: large\nlanguages: [en]\nfallback: { text: Pardon? }\n");
    for intent in 0..count {
        let topic = topic(intent);
        let examples = ["what about the T", "please tell me more of the T", "T", "I need a T", "where is the T"];
        let examples = examples.map(|example| example.replace('T', &topic));
        // JSON is YAML.
        let file =
            json!({ "intent": format!("i{intent}"), "examples": { "en": examples }, "handler": { "reply": topic } });
        write(&format!("intents/i{intent}.yaml"), &file.to_string());
    }
    let environment = [("BANTER_BOT".to_owned(), bot.display().to_string())];
    let mut server = Server::start_with(&folder.join(format!("data{count}")), &environment);
    let mut client = server.wait();
    let text = format!("what about the {}", topic(count / 2));
    say(&mut client, "talker", &text);
    median(MEASURED, || say(&mut client, "talker", &text))
}

/// Two made-up words that no other intent has together.
fn topic(intent: usize) -> String {
    const SYLLABLES: [&str; 10] = ["ba", "ko", "ri", "tu", "me", "sol", "dan", "pel", "vix", "gor"];
    let word = |number: usize| [number / 100, number / 10, number].map(|digit| SYLLABLES[digit % 10]).concat();
    format!("{} {}", word(intent), word(997 - intent % 997))
}

/// Sends a message on the REST channel; returns the seconds that it took.
fn say(client: &mut Connection, sender: &str, text: &str) -> f64 {
    let start = Instant::now();
    match client.say(sender, text) {
        Ok((200, _)) => start.elapsed().as_secs_f64(),
        other => fail(&format!("a message failed: {other:?}")),
    }
}

/// The median of some turns, in milliseconds.
fn median(turns: usize, mut turn: impl FnMut() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..turns).map(|_| 1e3 * turn()).collect();
    percentile(&mut times, 0.5)
}

fn draw_charts(folder: &Path, indexes: &[Index], turns: &Turns) {
    fs::create_dir_all(folder).unwrap_or_else(|error| fail(&format!("cannot create {}: {error}", folder.display())));
    let line = |name, value: fn(&Index) -> f64| {
        // A logarithmic axis has no zero.
        let points = indexes.iter().map(|index| (index.examples as f64, value(index).max(1e-3))).collect();
        Line { name, points }
    };
    let build = [line("build and store", |index| index.build_s), line("load", |index| index.load_s)];
    draw(&folder.join("index_build.svg"), ["Building the index", "examples", "seconds"], &build);
    let memory = [line("vectors and index", |index| index.mib)];
    draw(&folder.join("index_memory.svg"), ["Memory of the index", "examples", "MiB"], &memory);
    let search = [line("ten nearest", |index| index.search_us)];
    draw(&folder.join("index_search.svg"), ["A search in the index", "examples", "microseconds"], &search);
    let turns: Vec<Line> = turns
        .rows()
        .into_iter()
        .map(|(name, points)| Line { name, points: points.iter().map(|(count, ms)| (*count as f64, *ms)).collect() })
        .collect();
    draw(&folder.join("turn.svg"), ["A turn with a known text", "count", "milliseconds"], &turns);
}
