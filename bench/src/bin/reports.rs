//! What the console's lists cost with 1,000,000 stored turns: `bench/reports [--json] [--turns N]`.
//!
//! The 95th percentile of each search and of the numbers, beside the same with a hundredth of the turns. The embedded
//! store; if the environment names external stores (`eval "$(make -s services-env)"`), MongoDB.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_bench::{
    fail,
    metrics::percentile,
    root,
    table::{self, Row},
};
use banter_engine::state::DialogueState;
use banter_server::{
    assembly::open_backend,
    config::{Config, Overrides},
};
use banter_stores::{
    Appended, DialogueId, HandOffChange, Millis, NewTurn, Period, Provider, Stores, TurnFilter, UserId,
    clock::SystemClock,
};
use clap::Parser;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

const DIALOGUES: usize = 1_000;
/// Dialogues that are written at a time.
const WRITERS: usize = 64;
/// Of each query.
const RUNS: usize = 40;
const DAY: Millis = 86_400_000;
/// The turns lie in this many days.
const DAYS: Millis = 90;
/// The end of the period: 2026-11-01.
const END: Millis = 1_793_491_200_000;
const INTENTS: usize = 40;
const VERSIONS: usize = 20;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Turns that are stored.
    #[arg(long, default_value_t = 1_000_000)]
    turns: usize,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = root().join(".cache/bench/reports");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| fail(&error.to_string()));
    let rows = runtime.block_on(measure(folder, arguments.turns));
    table::print(&rows, arguments.json);
}

async fn measure(folder: PathBuf, turns: usize) -> Vec<Row> {
    let overrides = Overrides { data_dir: Some(folder), ..Overrides::default() };
    let (config, _) = Config::load(None, &overrides).unwrap_or_else(|error| fail(&error.to_string()));
    let backend = open_backend(&config, Arc::new(SystemClock)).await.unwrap_or_else(|error| fail(&error.to_string()));
    let stores = backend.stores();
    let user = stores.users.create_user(Provider::Channel, "of bench/reports", None, END).await;
    let user = expect(user).unwrap_or_else(|| fail("these stores have the turns of an earlier run"));
    let mut dialogues = Vec::new();
    for number in 0..DIALOGUES {
        let made = stores.dialogues.create_dialogue(user, &format!("d{number}"), u32::MAX, END).await;
        dialogues.push(expect(made).unwrap_or_else(|| fail("a dialogue is not created")));
    }
    let few = turns / 100;
    fill(&stores, user, &dialogues, 0..few, turns).await;
    let mut before = Vec::new();
    for query in QUERIES {
        before.push(p95(&stores, query).await);
    }
    fill(&stores, user, &dialogues, few..turns, turns).await;
    let mut rows = Vec::new();
    for (query, baseline) in QUERIES.into_iter().zip(before) {
        let ours = p95(&stores, query).await;
        rows.push(Row { name: query.name, unit: "ms", ours, baseline, is: "with a hundredth of the turns" });
    }
    backend.close().await;
    rows
}

/// Stores turns, one after another in each dialogue.
async fn fill(stores: &Stores, user: UserId, dialogues: &[DialogueId], numbers: std::ops::Range<usize>, all: usize) {
    let (begin, begun) = (numbers.start, Instant::now());
    let each = stream::iter(dialogues.iter().enumerate()).map(|(place, dialogue)| {
        let own = numbers.clone().filter(move |number| number % DIALOGUES == place);
        async move {
            for number in own {
                let stored = expect(expect(stores.turns.submit(turn(user, *dialogue, number, all)).await).await);
                if stored != Appended::Stored {
                    fail(&format!("a turn is not stored: {stored:?}"));
                }
            }
        }
    });
    each.buffer_unordered(WRITERS).collect::<Vec<()>>().await;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{} turns stored in {seconds:.0} s", numbers.end - begin);
}

/// A turn of the period; the later its number, the later it was made.
fn turn(user: UserId, dialogue: DialogueId, number: usize, all: usize) -> NewTurn {
    let created_at = END - DAYS * DAY + (DAYS * DAY) / all as Millis * number as Millis;
    let id = format!("{:08x}{number:016x}", created_at / 1_000);
    let rare = number.is_multiple_of(10_000);
    let outcome = if number.is_multiple_of(20) { "unknown" } else { "matched" };
    let intent = if rare { "rare".to_owned() } else { format!("intent_{}", number * number % INTENTS) };
    let text = format!("where is my order number {number}, please");
    NewTurn {
        id,
        dialogue,
        user,
        seq: (number / DIALOGUES) as i64 + 1,
        created_at,
        response: format!("Order {number} is on its way and arrives tomorrow."),
        classification: classification(number, all, &intent, outcome),
        outputs: json!([{ "type": "text", "text": "It is on its way." }]),
        state: DialogueState::default(),
        idempotency: None,
        hand_off: HandOffChange::default(),
        kept: std::collections::BTreeMap::new(),
        text,
    }
}

fn classification(number: usize, all: usize, intent: &str, outcome: &str) -> Value {
    let candidates: Vec<Value> =
        (0..5).map(|place| json!({ "intent": format!("intent_{place}"), "probability": 0.2 })).collect();
    let neighbours: Vec<Value> = (0..5)
        .map(|place| json!({ "text": "an example of an intent", "intent": format!("intent_{place}"), "similarity": 0.5 }))
        .collect();
    let failed = json!([{ "type": "plugin_failed", "plugin": "delivery", "kind": "trap", "message": "m" }]);
    json!({
        "type": outcome,
        "intent": (outcome == "matched").then_some(intent),
        "confidence": 0.9,
        "language": if number % 10 < 3 { "ru" } else { "en" },
        "entities": [],
        "handler": "order_status.rhai",
        "hand_off": number.is_multiple_of(500),
        "events": if number.is_multiple_of(1_000) { failed } else { json!([]) },
        "catalogue_version": format!("version-{}", number * VERSIONS / all),
        "latency_ms": (number % 97) as f64 / 7.0,
        "explain": {
            "rule": "`order_status` 0.98 reaches 0.45", "candidates": candidates, "in_scope": 0.98,
            "neighbours": neighbours, "trace": ["script order_status.rhai"], "operations": 120, "fuel": 0,
        },
        "timings": { "embed_us": 9_000, "decide_us": 30, "handle_us": 200 },
    })
}

/// A thing that the console asks for.
#[derive(Clone, Copy)]
struct Query {
    name: &'static str,
    asks: Asks,
}

#[derive(Clone, Copy)]
enum Asks {
    /// The newest conversations that fulfil a condition.
    List(fn(&mut TurnFilter)),
    /// The numbers of the last days, in so many steps.
    Numbers { days: Millis, steps: Millis },
}

const QUERIES: [Query; 9] = [
    Query { name: "all", asks: Asks::List(|_| {}) },
    Query { name: "a frequent intent", asks: Asks::List(|filter| filter.intent = Some("intent_1".to_owned())) },
    Query { name: "a rare intent", asks: Asks::List(|filter| filter.intent = Some("rare".to_owned())) },
    Query { name: "not understood", asks: Asks::List(|filter| filter.outcome = Some("unknown".to_owned())) },
    Query { name: "an old version", asks: Asks::List(|filter| filter.version = Some("version-2".to_owned())) },
    Query {
        name: "a language in a week long ago",
        asks: Asks::List(|filter| {
            filter.language = Some("ru".to_owned());
            (filter.since, filter.until) = (Some(END - 60 * DAY), Some(END - 53 * DAY));
        }),
    },
    // The worst case: all turns that a search may read are read in vain.
    Query { name: "a text that nobody said", asks: Asks::List(|filter| filter.text = Some("борщ".to_owned())) },
    Query { name: "numbers of a day", asks: Asks::Numbers { days: 1, steps: 24 } },
    Query { name: "numbers of 90 days", asks: Asks::Numbers { days: 90, steps: 90 } },
];

/// The 95th percentile, in milliseconds.
async fn p95(stores: &Stores, query: Query) -> f64 {
    let mut times = Vec::with_capacity(RUNS);
    // The numbers of a long period take seconds, not milliseconds.
    let runs = if matches!(query.asks, Asks::Numbers { days: 90, .. }) { 5 } else { RUNS };
    for _ in 0..runs {
        let begun = Instant::now();
        ask(stores, query.asks).await;
        times.push(milliseconds(begun.elapsed()));
    }
    percentile(&mut times, 0.95)
}

async fn ask(stores: &Stores, asks: Asks) {
    match asks {
        Asks::List(choose) => {
            let mut filter = TurnFilter::default();
            choose(&mut filter);
            expect(stores.reports.search(&filter, None, 30).await);
        }
        Asks::Numbers { days, steps } => {
            let since = END - days * DAY;
            expect(stores.reports.tally(Period { since, until: END, step: days * DAY / steps }).await);
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn expect<T>(result: Result<T, banter_stores::StoreError>) -> T {
    result.unwrap_or_else(|error| fail(&error.to_string()))
}
