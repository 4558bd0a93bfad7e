//! The cost of a reload and its effect on clients: `bench/reload [--json]`.
//!
//! One server has 10,000 examples of BANKING77 and a fixture for each intent. 16 clients send without a pause: first
//! without reloads, then during reloads with one changed example or one changed reply. The reply names the version, so
//! that an answer from an inactive version is detected. Then follow 200 different reloads in a row, to measure memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{data::Rows, fail, http::Connection, metrics::percentile, root, server::Server};
use banter_engine::catalogue::bundle::Bundle;
use banter_server::catalogs::archive;
use clap::Parser;
use serde_json::{Value, json};

const PEACE: Duration = Duration::from_secs(8);
const EXAMPLES: usize = 10_000;
/// The baseline of memory is measured after this many reloads.
const SETTLED: usize = 10;

#[derive(Parser)]
struct Arguments {
    /// CSV file with examples and their intents.
    #[arg(long, default_value = "../shared/data/banking77.train.csv")]
    train: PathBuf,
    /// CSV file with the texts that clients send.
    #[arg(long, default_value = "../shared/data/banking77.test.csv")]
    test: PathBuf,
    /// Number of clients; they send without a pause.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Timed reloads of each kind.
    #[arg(long, default_value_t = 8)]
    timed: usize,
    /// Reloads in a row, to measure memory.
    #[arg(long, default_value_t = 200)]
    reloads: usize,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

/// The current bot.
struct Bot {
    /// Examples by intent.
    intents: BTreeMap<String, Vec<String>>,
    /// The number that replies name.
    number: u64,
}

impl Bot {
    fn read(path: &Path) -> Self {
        let rows = Rows::read(&root().join(path)).unwrap_or_else(|error| fail(&error));
        let mut intents: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (text, intent) in rows.rows.into_iter().take(EXAMPLES) {
            if let Some(intent) = intent {
                intents.entry(slug(&intent)).or_default().push(text);
            }
        }
        Self { intents, number: 0 }
    }

    fn bundle(&self) -> Bundle {
        let mut files = BTreeMap::new();
        let mut add = |path: String, text: String| drop(files.insert(path, text.into_bytes()));
        let number = self.number;
        add(
            "bot.yaml".to_owned(),
            format!(
                "name: bench\nlanguages: [en]\nfallback: {{ text: 'nothing of {number}' }}\nclarify: 'which of {number}'\n"
            ),
        );
        for (intent, examples) in &self.intents {
            let examples: String = examples.iter().map(|text| format!("    - {}\n", json!(text))).collect();
            let handler = "handler: { script: answer.rhai }";
            add(format!("intents/{intent}.yaml"), format!("intent: {intent}\nexamples:\n  en:\n{examples}{handler}\n"));
        }
        add("scripts/answer.rhai".to_owned(), "fn handle(ctx) { say(t(\"answer\")) }\n".to_owned());
        add("texts/answer.yaml".to_owned(), format!("answer: 'number {number}'\n"));
        for (intent, examples) in &self.intents {
            let user = json!(examples.last());
            let fixture =
                format!("conversation: {intent}\nturns:\n  - user: {user}\n    expect: {{ text: ~\"number\" }}\n");
            add(format!("fixtures/{intent}.yaml"), fixture);
        }
        Bundle { files }
    }

    fn change_text(&mut self) {
        self.number += 1;
    }

    fn change_example(&mut self) {
        self.number += 1;
        let at = self.number as usize % self.intents.len();
        if let Some(examples) = self.intents.values_mut().nth(at) {
            examples[0] = format!("{}, and this is number {}", examples[1], self.number);
        }
    }
}

fn slug(intent: &str) -> String {
    intent.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What clients know about versions: the newest that is certainly active, and the newest that may be.
#[derive(Default)]
struct Known {
    surely: AtomicU64,
    maybe: AtomicU64,
    reloading: AtomicBool,
    /// Whether the server has embedded all texts once: the cost of the model is not measured here.
    warm: AtomicBool,
    stop: AtomicBool,
}

/// An answer: its time, whether a reload was running, and whether it came from an allowed version.
struct Seen {
    milliseconds: f64,
    reloading: bool,
    good: bool,
    warm: bool,
}

fn talk(port: u16, token: &str, texts: &[String], known: &Known) -> Vec<Seen> {
    let mut connection = Connection::open(port).unwrap_or_else(|error| fail(&error.to_string()));
    let mut seen = Vec::new();
    for text in texts.iter().cycle() {
        if known.stop.load(Ordering::Relaxed) {
            break;
        }
        let (least, before) = (known.surely.load(Ordering::SeqCst), known.reloading.load(Ordering::SeqCst));
        let sent = Instant::now();
        let answer = connection.post("/messages/send", token, &json!({ "text": text }));
        let milliseconds = sent.elapsed().as_secs_f64() * 1e3;
        let (most, after) = (known.maybe.load(Ordering::SeqCst), known.reloading.load(Ordering::SeqCst));
        let warm = known.warm.load(Ordering::Relaxed);
        let good = match &answer {
            Ok((200, body)) => number_of(body).is_some_and(|number| (least..=most).contains(&number)),
            _ => false,
        };
        if !good {
            eprintln!("wrong answer, expected a version from {least} to {most}: {answer:?}");
        }
        seen.push(Seen { milliseconds, reloading: before || after, good, warm });
    }
    seen
}

/// Resident memory in KiB after background work has ended.
fn resting(server: &Server) -> u64 {
    thread::sleep(Duration::from_secs(5));
    server.resident_kib()
}

/// The version that a reply names.
fn number_of(body: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(body).ok()?;
    value["response"].as_str()?.split_whitespace().last()?.parse().ok()
}

struct Admin<'a> {
    port: u16,
    key: String,
    known: &'a Known,
}

impl Admin<'_> {
    /// Publishes the current bot; returns the seconds until the server reports it active, and the response.
    fn reload(&self, bot: &Bot) -> (f64, Value) {
        let tar = archive::write(&bot.bundle()).unwrap_or_else(|error| fail(&error.to_string()));
        self.known.maybe.store(bot.number, Ordering::SeqCst);
        self.known.reloading.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let mut connection = Connection::open(self.port).unwrap_or_else(|error| fail(&error.to_string()));
        let headers = [("X-Admin-Key", self.key.as_str()), ("Content-Type", "application/x-tar")];
        let answer = connection.send("POST", "/admin/versions", &headers, &tar);
        let seconds = begun.elapsed().as_secs_f64();
        self.known.reloading.store(false, Ordering::SeqCst);
        match answer {
            Ok((200, body)) => {
                self.known.surely.store(bot.number, Ordering::SeqCst);
                (seconds, serde_json::from_str(&body).unwrap_or_default())
            }
            other => fail(&format!("a reload failed: {other:?}")),
        }
    }
}

/// The bot's folder and the server on it, without the versions of earlier runs.
fn start(folder: &Path, bot: &Bot) -> Server {
    // Keep cached vectors, but start without versions.
    for name in ["banter.db", "banter.db-wal", "banter.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let place = folder.join("bot");
    let _ = std::fs::remove_dir_all(&place);
    for (path, bytes) in &bot.bundle().files {
        let path = place.join(path);
        let made = path.parent().map(std::fs::create_dir_all).transpose().and_then(|_| std::fs::write(&path, bytes));
        made.unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
    }
    let environment = [
        ("BANTER_BOT".to_owned(), place.display().to_string()),
        ("BANTER_RELOAD__WATCH".to_owned(), "false".to_owned()),
        ("BANTER_LOG__FILTER".to_owned(), "warn".to_owned()),
    ];
    let mut server = Server::start_with(folder, &environment);
    server.wait();
    server
}

/// The timed reloads: seconds of each, and the report of the last changed example.
#[derive(Default)]
struct Timed {
    examples: Vec<f64>,
    texts: Vec<f64>,
    report: Value,
}

impl Timed {
    fn run(count: usize, bot: &mut Bot, admin: &Admin<'_>) -> Self {
        let mut timed = Self::default();
        for _ in 0..count {
            bot.change_example();
            let (seconds, answer) = admin.reload(bot);
            timed.examples.push(seconds);
            timed.report = answer["report"].clone();
            thread::sleep(Duration::from_millis(300));
            bot.change_text();
            timed.texts.push(admin.reload(bot).0);
            thread::sleep(Duration::from_millis(300));
        }
        timed
    }
}

/// Timed reloads while clients talk: what the clients saw, and the times.
fn under_load(arguments: &Arguments, server: &Server, bot: &mut Bot, admin: &Admin<'_>) -> (Vec<Seen>, Timed) {
    let tokens: Vec<String> = (0..arguments.clients)
        .map(|client| server.log_in(&format!("user{client}")).unwrap_or_else(|error| fail(&error.to_string())))
        .collect();
    let said = Rows::read(&root().join(&arguments.test)).unwrap_or_else(|error| fail(&error));
    let said: Vec<String> = said.rows.into_iter().map(|(text, _)| text).take(400).collect();
    let known = admin.known;
    thread::scope(|scope| {
        let client = |client: usize, token| {
            let mut own = said.clone();
            own.rotate_left(client * said.len() / arguments.clients);
            scope.spawn(move || talk(server.port, token, &own, known))
        };
        let clients: Vec<_> = tokens.iter().enumerate().map(|(index, token)| client(index, token)).collect();
        thread::sleep(PEACE);
        known.warm.store(true, Ordering::Relaxed);
        thread::sleep(PEACE);
        let timed = Timed::run(arguments.timed, bot, admin);
        known.stop.store(true, Ordering::Relaxed);
        let seen = clients.into_iter().flat_map(|client| client.join().unwrap_or_else(|_| fail("a client failed")));
        (seen.collect(), timed)
    })
}

/// Reloads in a row; the resident memory in KiB after the first [`SETTLED`] and after all.
fn in_a_row(count: usize, server: &Server, bot: &mut Bot, admin: &Admin<'_>) -> (u64, u64) {
    let (mut settled, bar) = (0, indicatif::ProgressBar::new(count as u64));
    for reload in 1..=count {
        if reload % 2 == 0 {
            bot.change_text()
        } else {
            bot.change_example()
        }
        admin.reload(bot);
        bar.inc(1);
        if reload == SETTLED {
            settled = resting(server);
        }
    }
    bar.finish_and_clear();
    (settled, resting(server))
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/reload");
    let mut bot = Bot::read(&arguments.train);
    let server = start(&folder, &bot);
    let known = Known::default();
    let key = std::fs::read_to_string(folder.join("admin.key")).unwrap_or_else(|error| fail(&error.to_string()));
    let admin = Admin { port: server.port, key, known: &known };

    let (seen, mut timed) = under_load(&arguments, &server, &mut bot, &admin);
    let times = |chosen: &dyn Fn(&Seen) -> bool| {
        let mut times: Vec<f64> = seen.iter().filter(|one| chosen(one)).map(|one| one.milliseconds).collect();
        percentile(&mut times, 0.99)
    };
    let quiet_p99 = times(&|one| one.warm && !one.reloading);
    let busy_p99 = times(&|one| one.reloading);
    let (settled, after) = in_a_row(arguments.reloads, &server, &mut bot, &admin);
    let report = json!({
        "failed": seen.iter().filter(|one| !one.good).count(),
        "answers": seen.len(),
        "example_live_s": percentile(&mut timed.examples, 0.5),
        "example_live_worst_s": percentile(&mut timed.examples, 1.0),
        "text_live_s": percentile(&mut timed.texts, 0.5),
        "text_live_worst_s": percentile(&mut timed.texts, 1.0),
        "quiet_p99_ms": quiet_p99,
        "reload_p99_ms": busy_p99,
        "p99_ratio": busy_p99 / quiet_p99,
        "rss_settled_kib": settled,
        "rss_last_kib": after,
        "rss_growth_200": after as f64 / settled.max(1) as f64 - 1.0,
        "stages_ms": timed.report["took_ms"],
    });
    if arguments.json {
        println!("{report}");
    } else {
        print(&arguments, &report);
    }
}

fn print(arguments: &Arguments, report: &Value) {
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    let (answers, failed) = (&report["answers"], &report["failed"]);
    let Arguments { clients, reloads, .. } = arguments;
    println!("{EXAMPLES} examples, {clients} clients, {answers} answers, {failed} failed or from a wrong version");
    for (name, median, worst) in [
        ("one changed example", "example_live_s", "example_live_worst_s"),
        ("one changed reply", "text_live_s", "text_live_worst_s"),
    ] {
        println!("{name:<20} {:.3} s median, {:.3} s worst", number(median), number(worst));
    }
    println!(
        "p99                  {:.2} ms without reloads, {:.2} ms during a reload, ratio {:.2}",
        number("quiet_p99_ms"),
        number("reload_p99_ms"),
        number("p99_ratio")
    );
    let (settled, after) = (&report["rss_settled_kib"], &report["rss_last_kib"]);
    let growth = number("rss_growth_200") * 100.0;
    println!("memory               {settled} KiB after {SETTLED} reloads, {after} KiB after {reloads}, {growth:+.1} %");
    println!("stages of the last   {}", report["stages_ms"]);
}
