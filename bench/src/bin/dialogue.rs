//! What the dialogue adds to a turn, and how often its rules misread: `bench/dialogue [--json] [--train CSV --test CSV]`.
//!
//! The engine's part of a turn, without the embedding, in conversations of the demo bot with a form, entities and repairs;
//! the baseline is a message that is only matched. With files, a bot of their training rows hears each test row first in
//! a dialogue, and after an answer: the share of in-scope rows that a rule other than matching takes.

use std::{path::PathBuf, sync::Arc, time::Instant};

use banter_bench::{
    data::Rows,
    demo, encoders, fail, snapshot,
    table::{self, Row},
};
use banter_engine::{
    Engine, Request, Snapshot,
    catalogue::bundle::Bundle,
    handlers::script::Scripting,
    host::NoHost,
    state::{Answered, DialogueState},
    turn::{AnsweredBy, Message, Turn},
};
use clap::Parser;
use serde_json::json;

/// Repetitions of each conversation.
const RUNS: usize = 200;
/// The bound of the engine's part of a turn, in microseconds.
const LIMIT_US: f64 = 300.0;
/// The share of false triggers that is allowed.
const LIMIT: f64 = 0.005;

const CONVERSATIONS: [&[&str]; 3] = [
    &["change the delivery address", "A-1042", "sorry, the order is B-2210", "go back", "B-2210", "12 Long Avenue"],
    &["cancel order B-2210", "how much is delivery", "never mind", "yes, but B-4400", "да"],
    &["отменить заказ", "B-2210", "нет", "номер заказа", "B-4400", "да", "не отменяйте заказ"],
];
const PLAIN: &[&str] = &["what are your payment methods"];

#[derive(Parser)]
struct Arguments {
    /// CSV file with the training rows.
    #[arg(long, requires = "test")]
    train: Option<PathBuf>,
    /// CSV file with the test rows; an empty intent means out of scope.
    #[arg(long, requires = "train")]
    test: Option<PathBuf>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let engine = Engine::new(Arc::new(encoders()), Arc::new(Scripting::new()), Arc::new(NoHost));
    let mut rows = Vec::new();
    match (&arguments.train, &arguments.test) {
        (Some(train), Some(test)) => {
            let [train, test] = [train, test].map(|path| Rows::read(path).unwrap_or_else(|message| fail(&message)));
            rows.extend(false_triggers(&engine, &train, &test));
        }
        _ => {
            let snapshot = snapshot(&engine, &demo());
            let plain = median(&engine, &snapshot, &[PLAIN]);
            let ours = median(&engine, &snapshot, &CONVERSATIONS);
            rows.push(Row {
                name: "a turn with a form and repairs",
                unit: "µs",
                ours,
                baseline: plain,
                is: "a plain match",
            });
            rows.push(Row { name: "  (bound)", unit: "µs", ours, baseline: LIMIT_US, is: "the bound" });
        }
    }
    table::print(&rows, arguments.json);
}

fn say(engine: &Engine, snapshot: &Snapshot, state: &DialogueState, text: &str) -> Turn {
    let message = Message { text, user: 1, dialogue: 1, seed: 1 };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let turn = engine.reply(snapshot, Request::new(snapshot, message, state, now));
    turn.unwrap_or_else(|error| fail(&error.to_string()))
}

/// The median time of a turn without the embedding, in microseconds.
fn median(engine: &Engine, snapshot: &Snapshot, conversations: &[&[&str]]) -> f64 {
    let mut times = Vec::new();
    for run in 0..=RUNS {
        for conversation in conversations {
            let mut state = DialogueState::default();
            for text in *conversation {
                let start = Instant::now();
                let turn = say(engine, snapshot, &state, text);
                let own = start.elapsed().as_secs_f64() * 1e6 - turn.timings.embed_us as f64;
                // The first run fills what is computed once.
                times.extend((run > 0).then_some(own));
                state = turn.state;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A bot with one reply for each intent of the rows.
fn bot_of(rows: &Rows) -> Bundle {
    let mut bundle = Bundle::of(&[("bot.yaml", "name: rows\nlanguages: [en]\nfallback: { text: Pardon? }\n")]);
    let classes = rows.classes();
    for (intent, class) in &classes {
        let examples: Vec<&str> = rows
            .rows
            .iter()
            .filter(|(_, own)| own.as_ref() == Some(intent))
            .map(|(text, _)| text.as_str())
            // It would mark an entity.
            .filter(|text| !text.contains('['))
            .collect();
        // JSON is YAML.
        let file =
            json!({ "intent": format!("i{class}"), "examples": { "en": examples }, "handler": { "reply": "Yes." } });
        bundle.files.insert(format!("intents/i{class}.yaml"), file.to_string().into_bytes());
    }
    bundle
}

fn false_triggers(engine: &Engine, train: &Rows, test: &Rows) -> Vec<Row> {
    let snapshot = snapshot(engine, &bot_of(train));
    let answered = snapshot.catalogue.intents[0].id.clone();
    let after = DialogueState { last: Some(Answered { intent: answered, turns: 0 }), ..DialogueState::default() };
    let in_scope: Vec<&String> =
        test.rows.iter().filter(|(_, intent)| intent.is_some()).map(|(text, _)| text).collect();
    let share = |state: &DialogueState| {
        let triggered = in_scope.iter().filter(|text| {
            let turn = say(engine, &snapshot, state, text);
            let taken = is_taken(&turn);
            if taken {
                eprintln!("{text} | {} | {:?}", turn.explain.rule, turn.explain.trace);
            }
            taken
        });
        triggered.count() as f64 / in_scope.len() as f64
    };
    let row = |name, ours| Row { name, unit: "", ours, baseline: LIMIT, is: "the bound" };
    vec![row("first in a dialogue", share(&DialogueState::default())), row("after an answer", share(&after))]
}

/// Whether a rule other than matching has taken a message.
fn is_taken(turn: &Turn) -> bool {
    let reread = turn.explain.trace.iter().any(|step| step.starts_with("read as"));
    let matched = matches!(turn.handler, AnsweredBy::Reply | AnsweredBy::Fallback | AnsweredBy::Clarify);
    reread || !matched || turn.explain.rule.contains("the message ")
}
