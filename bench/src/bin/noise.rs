//! Whether the demo bot understands what people really type: `bench/noise [--json]`.
//!
//! 500 of its examples in each language are altered in each way of `alterations.rs`. The measured share of them has its
//! intent; the baseline is that of the same texts as they were. The last row of a language is the mean over its ways.

use std::sync::Arc;

use banter_bench::{
    alterations::Alteration,
    demo, encoders, first_intent, snapshot,
    table::{self, Row},
};
use banter_engine::{
    Engine, Snapshot, catalogue::Catalogue, handlers::script::Scripting, host::NoHost, random::Random,
};
use clap::Parser;
use rayon::prelude::*;

const TEXTS: usize = 500;
const ENGLISH: [(&str, Alteration); 6] = [
    ("English: typos", Alteration::Typos),
    ("English: a missing space", Alteration::MissingSpace),
    ("English: the other layout", Alteration::Layout),
    ("English: capitals", Alteration::Capitals),
    ("English: an emoji", Alteration::Emoji),
    ("English: a stretched letter", Alteration::Stretched),
];
const RUSSIAN: [(&str, Alteration); 8] = [
    ("Russian: typos", Alteration::Typos),
    ("Russian: a missing space", Alteration::MissingSpace),
    ("Russian: the other layout", Alteration::Layout),
    ("Russian: Latin letters", Alteration::Transliteration),
    ("Russian: ё written as е", Alteration::MissingYo),
    ("Russian: capitals", Alteration::Capitals),
    ("Russian: an emoji", Alteration::Emoji),
    ("Russian: a stretched letter", Alteration::Stretched),
];

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Print the altered texts that are not understood to standard error.
    #[arg(long)]
    verbose: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let engine = Engine::new(Arc::new(encoders()), Arc::new(Scripting::new()), Arc::new(NoHost));
    let bench = Noise { snapshot: snapshot(&engine, &demo()), engine, verbose: arguments.verbose };
    let mut rows = bench.rows("en", ("English: all", &ENGLISH));
    rows.extend(bench.rows("ru", ("Russian: all", &RUSSIAN)));
    table::print(&rows, arguments.json);
}

struct Noise {
    engine: Engine,
    snapshot: Snapshot,
    verbose: bool,
}

impl Noise {
    fn rows(&self, language: &str, (all, ways): (&'static str, &[(&'static str, Alteration)])) -> Vec<Row> {
        let texts = examples(&self.snapshot.catalogue, language);
        let clean = self.understood(&texts, |text, _| text.to_owned());
        let row = |name, ours: f64| Row {
            name,
            unit: "%",
            ours: 100.0 * ours,
            baseline: 100.0 * clean,
            is: "the texts as they were",
        };
        let shares: Vec<f64> =
            ways.iter().map(|(_, way)| self.understood(&texts, |text, random| way.apply(text, random))).collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let each = ways.iter().zip(&shares).map(|((name, _), share)| row(name, *share));
        each.chain([row(all, mean)]).collect()
    }

    /// The share of texts that have their intent after they are altered.
    fn understood(&self, texts: &[(String, String)], alter: impl Fn(&str, &mut Random) -> String + Sync) -> f64 {
        let right = texts.par_iter().enumerate().filter(|(seed, (text, wanted))| {
            let altered = alter(text, &mut Random::new(*seed as u64));
            let found = first_intent(&self.engine, &self.snapshot, &altered);
            let is_right = found.as_deref() == Some(wanted);
            if self.verbose && !is_right {
                eprintln!("{altered} ({text}): {} in place of {wanted}", found.as_deref().unwrap_or("nothing"));
            }
            is_right
        });
        right.count() as f64 / texts.len().max(1) as f64
    }
}

/// Examples of a language with their intents, drawn with a seed.
fn examples(catalogue: &Catalogue, language: &str) -> Vec<(String, String)> {
    let of_intent = |intent: &banter_engine::catalogue::Intent| {
        let examples = intent.examples.iter().filter(|example| example.language.code() == language);
        examples.map(|example| (example.text.clone(), intent.id.to_string())).collect::<Vec<_>>()
    };
    let mut texts: Vec<(String, String)> = catalogue.intents.iter().flat_map(of_intent).collect();
    Random::new(1).shuffle(&mut texts);
    texts.truncate(TEXTS);
    texts
}
