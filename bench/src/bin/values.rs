//! How fast and how surely values are found: `bench/values [--json] [--test CSV …]`.
//!
//! The time of all kinds in one sentence of about 60 characters beside that of the crate `duckling`, and in 10 and 100 such
//! sentences beside one. With files, the finds in their rows that nobody has reviewed as right, per 1,000 rows; these are
//! listed. `bench/reviewed_finds.txt` has one reviewed find a line: the kind and the words.

use std::{collections::BTreeSet, hint::black_box, path::PathBuf, time::Instant};

use banter_bench::{
    data::Rows,
    fail,
    table::{self, Row},
};
use banter_engine::values::{Convention, Finder, Kind, Setting};
use clap::Parser;
use duckling::{Context, DimensionKind, Lang, Locale, Options};

/// Repetitions of each measurement.
const RUNS: usize = 2_000;
/// The bound of one sentence, in microseconds.
const LIMIT_US: f64 = 60.0;
/// False finds per 1,000 sentences that are allowed.
const LIMIT_FALSE: f64 = 2.0;

const SENTENCES: [&str; 4] = [
    "I would like to return the kettle on friday at 5 pm please",
    "how do I change the delivery address of my order number two",
    "я хочу вернуть чайник в пятницу в 5 вечера, если это можно.",
    "можно ли получить скидку десять процентов на 3 заказа завтра",
];

const DIMENSIONS: [DimensionKind; 12] = [
    DimensionKind::Numeral,
    DimensionKind::Ordinal,
    DimensionKind::Time,
    DimensionKind::Duration,
    DimensionKind::AmountOfMoney,
    DimensionKind::Quantity,
    DimensionKind::Volume,
    DimensionKind::Distance,
    DimensionKind::Temperature,
    DimensionKind::PhoneNumber,
    DimensionKind::Email,
    DimensionKind::Url,
];

const REVIEWED: &str = include_str!("../../reviewed_finds.txt");

#[derive(Parser)]
struct Arguments {
    /// CSV files with sentences.
    #[arg(long)]
    test: Vec<PathBuf>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    if arguments.test.is_empty() {
        let ours = median(&|| SENTENCES.iter().map(|sentence| ours(sentence)).sum()) / SENTENCES.len() as f64;
        let theirs = median(&|| SENTENCES.iter().map(|sentence| theirs(sentence)).sum()) / SENTENCES.len() as f64;
        rows.push(Row {
            name: "a sentence of 60 characters",
            unit: "µs",
            ours,
            baseline: theirs,
            is: "duckling 0.4.0",
        });
        rows.push(Row { name: "  (bound)", unit: "µs", ours, baseline: LIMIT_US, is: "the bound" });
        for (name, times) in [("  10 sentences, each", 10), ("  100 sentences, each", 100)] {
            let text = format!("{}. ", SENTENCES[0]).repeat(times);
            let many = median(&|| self::ours(&text)) / times as f64;
            let one = median(&|| self::ours(SENTENCES[0]));
            rows.push(Row { name, unit: "µs", ours: many, baseline: one, is: "one alone" });
        }
    } else {
        rows.push(unreviewed(&arguments.test));
    }
    table::print(&rows, arguments.json);
}

/// What an entity may be.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::AnyTime)
}

fn setting(text: &str) -> Setting {
    Setting::of_text(text, None)
}

fn ours(text: &str) -> usize {
    let setting = setting(text);
    let finder = Finder::new(text, &setting);
    kinds().map(|kind| black_box(finder.find(kind)).len()).sum()
}

fn theirs(text: &str) -> usize {
    let language = if setting(text).convention == Convention::Russian { Lang::RU } else { Lang::EN };
    let locale = Locale::new(language, None);
    black_box(duckling::parse(text, &locale, &DIMENSIONS, &Context::default(), &Options::default())).len()
}

/// The median time of a run in microseconds.
fn median(run: &dyn Fn() -> usize) -> f64 {
    // A slow run need not be repeated so often.
    let start = Instant::now();
    black_box(run());
    let runs = if start.elapsed().as_millis() > 1 { RUNS / 20 } else { RUNS };
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Finds in 1,000 rows that nobody has reviewed as right.
fn unreviewed(files: &[PathBuf]) -> Row {
    let reviewed: BTreeSet<&str> = REVIEWED.lines().collect();
    let (mut count, mut wrong) = (0, 0);
    for file in files {
        let rows = Rows::read(file).unwrap_or_else(|message| fail(&message));
        for (text, _) in rows.rows {
            count += 1;
            let setting = setting(&text);
            let finder = Finder::new(&text, &setting);
            let mut is_wrong = false;
            for kind in kinds() {
                for found in finder.find(kind) {
                    let find = format!("{kind:?} {}", text[found.start..found.end].to_lowercase());
                    if !reviewed.contains(find.as_str()) {
                        eprintln!("{find} | {text}");
                        is_wrong = true;
                    }
                }
            }
            wrong += usize::from(is_wrong);
        }
    }
    let ours = wrong as f64 * 1_000.0 / f64::from(count);
    Row { name: "false finds in 1,000 sentences", unit: "", ours, baseline: LIMIT_FALSE, is: "the bound" }
}
