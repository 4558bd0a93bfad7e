//! Whether a bot knows its own business from everything else: `bench/scope [--json]`.
//!
//! - The demo bot: the share of everyday questions that it answers as if they were its own, and the share of paraphrases
//!   of its intents that it understands. Nothing is tuned on these texts (`bench/data/`).
//! - Bots with a few of its intents, in ten draws: the same shares.

use std::{collections::BTreeSet, sync::Arc};

use banter_bench::{
    data::Rows,
    demo, encoders, fail, first_intent, root, snapshot,
    table::{self, Row},
};
use banter_engine::{
    Engine,
    background::background,
    cache::IntentCache,
    catalogue::Catalogue,
    decide::{
        classifier::Classifier,
        training::{Sample, TrainingSet, train},
    },
    embedding::{Embedder, Vector},
    handlers::script::Scripting,
    host::NoHost,
    random::Random,
};
use clap::Parser;

const DRAWS: u64 = 10;
/// Everyday questions that may be answered, and paraphrases that must be understood: the demo bot, small bots.
const FOREIGN: [f64; 2] = [0.02, 0.03];
const UNDERSTOOD: [f64; 2] = [38.0 / 40.0, 0.9];

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let engine = Engine::new(Arc::new(encoders()), Arc::new(Scripting::new()), Arc::new(NoHost));
    let snapshot = snapshot(&engine, &demo());
    let catalogue = &*snapshot.catalogue;
    let embedder = engine.embedder(catalogue).unwrap_or_else(|error| fail(&error.to_string()));
    let read = |name: &str| {
        let path = root().join(format!("bench/data/{name}.csv"));
        Rows::read(&path).unwrap_or_else(|message| fail(&message))
    };
    let percent =
        |name, ours, baseline| Row { name, unit: "%", ours: 100.0 * ours, baseline: 100.0 * baseline, is: "wanted" };
    let mut rows = Vec::new();
    for (names, [everyday, paraphrases]) in [
        (["demo bot, everyday, en", "  paraphrases, en"], ["everyday.en", "paraphrases.en"]),
        (["demo bot, everyday, ru", "  paraphrases, ru"], ["everyday.ru", "paraphrases.ru"]),
    ] {
        let answered = share(&read(everyday), |text, _| first_intent(&engine, &snapshot, text).is_some());
        let right =
            share(&read(paraphrases), |text, wanted| first_intent(&engine, &snapshot, text).as_deref() == wanted);
        rows.push(percent(names[0], answered, FOREIGN[0]));
        rows.push(percent(names[1], right, UNDERSTOOD[0]));
    }
    let both =
        |name: &str| Rows { rows: ["en", "ru"].map(|language| read(&format!("{name}.{language}")).rows).concat() };
    let small = SmallBots { catalogue, embedder: &*embedder, everyday: both("everyday"), said: both("paraphrases") };
    for (names, count) in [
        (["1 intent, everyday", "  paraphrases"], 1),
        (["2 intents, everyday", "  paraphrases"], 2),
        (["5 intents, everyday", "  paraphrases"], 5),
        (["10 intents, everyday", "  paraphrases"], 10),
    ] {
        let (answered, right) = small.measure(count);
        rows.push(percent(names[0], answered, FOREIGN[1]));
        rows.push(percent(names[1], right, UNDERSTOOD[1]));
    }
    table::print(&rows, arguments.json);
}

/// The share of rows for which `holds`, of their texts and intents.
fn share(rows: &Rows, holds: impl Fn(&str, Option<&str>) -> bool) -> f64 {
    let count = rows.rows.iter().filter(|(text, intent)| holds(text, intent.as_deref())).count();
    count as f64 / rows.rows.len().max(1) as f64
}

/// Bots with some intents of the demo bot.
struct SmallBots<'a> {
    catalogue: &'a Catalogue,
    embedder: &'a dyn Embedder,
    everyday: Rows,
    said: Rows,
}

impl SmallBots<'_> {
    /// The shares of everyday questions that are answered, and of paraphrases that are understood.
    fn measure(&self, intents: usize) -> (f64, f64) {
        let (mut answered, mut right) = (0.0, 0.0);
        for seed in 1..=DRAWS {
            let mut order: Vec<usize> = (0..self.catalogue.intents.len()).collect();
            Random::new(seed).shuffle(&mut order);
            let chosen: BTreeSet<usize> = order.into_iter().take(intents).collect();
            let classifier = self.classifier(&chosen);
            let names: Vec<&str> = chosen.iter().map(|at| self.catalogue.intents[*at].id.as_str()).collect();
            let said = self.said.rows.iter().filter(|(_, intent)| names.contains(&intent.as_deref().unwrap_or("")));
            let said = Rows { rows: said.cloned().collect() };
            let best = |text: &str| {
                let vector = &self.embed(&[text.to_owned()])[0];
                let best = classifier.classify(text, vector).candidates.into_iter().next();
                best.filter(|best| best.probability >= self.catalogue.threshold).map(|best| best.intent.to_string())
            };
            answered += share(&self.everyday, |text, _| best(text).is_some());
            right += share(&said, |text, wanted| best(text).as_deref() == wanted);
        }
        (answered / DRAWS as f64, right / DRAWS as f64)
    }

    fn classifier(&self, chosen: &BTreeSet<usize>) -> Classifier {
        let intents = || chosen.iter().map(|at| &self.catalogue.intents[*at]);
        let samples: Vec<Sample> = intents()
            .enumerate()
            .flat_map(|(class, intent)| {
                intent.examples.iter().map(move |example| Sample { text: example.text.clone(), class })
            })
            .collect();
        let texts: Vec<String> = samples.iter().map(|sample| sample.text.clone()).collect();
        let (vectors, background) = (self.embed(&texts), background(&self.catalogue.languages));
        let of_background = self.embed(&background);
        let (background, blocks) = ((background.as_slice(), of_background.as_slice()), self.embedder.blocks());
        let set = TrainingSet { samples: &samples, vectors: &vectors, background, blocks, classes: chosen.len() };
        let fitted = train(&set, &mut |_, _| {});
        Classifier::new(fitted, intents().map(|intent| intent.id.clone()).collect(), &samples, &vectors, None)
    }

    fn embed(&self, texts: &[String]) -> Vec<Vector> {
        let mut cache = IntentCache::in_memory(self.embedder);
        cache.vectors(self.embedder, texts, &mut |_, _| {}).unwrap_or_else(|error| fail(&error.to_string()))
    }
}
