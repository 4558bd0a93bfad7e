//! Accuracy of the classifier on intent data sets: `bench/accuracy [--train CSV --test CSV [--shots N]] [--json]`.
//!
//! Without files, it measures the project's claims on `../shared/data` and prints a table. Each row has a baseline from
//! the same run, the nearest neighbour by raw cosine, and the ratio to it. In rows named "grown", the bot got its last
//! 400 examples by eight reloads; the time is that of one reload. The last row is the largest supported bot: 20,000
//! examples of both sets, with intents split into 1,000 parts; any part of the right intent counts as right.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use banter_bench::{
    cache_folder,
    data::{Rows, draw},
    embedder, encoders_of, english, fail,
    metrics::{Prediction, accuracy, auroc, calibration_error, recall},
    root,
};
use banter_engine::{
    background::background,
    cache::IntentCache,
    decide::{
        classifier::Classifier,
        training::{Fitted, Sample, SampleChange, TrainingSet, train},
    },
    embedding::{Embedder, Embedding, Vector, encoders::OTHERS},
    ids::IntentId,
    index::{IntentIndex, exact::Exact},
    random::Random,
};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::json;

/// The share of in-scope rows that are rejected where the recall of the others is measured.
const REJECTED: f64 = 0.012;
/// The largest supported bot.
const MOST_EXAMPLES: usize = 20_000;
const MOST_INTENTS: usize = 1_000;
/// Reloads of a growing bot, and the new examples of each: too few to refit the classifier from scratch.
const STEPS: usize = 8;
const STEP: usize = 50;
/// Separates the name of an intent from the number of its part.
const PART: char = '/';

#[derive(Parser)]
struct Arguments {
    /// CSV file with the training rows.
    #[arg(long, requires = "test")]
    train: Option<PathBuf>,
    /// CSV file with the test rows; an empty intent means out of scope.
    #[arg(long, requires = "train")]
    test: Option<PathBuf>,
    /// Train on this many rows per intent. The result is the mean of ten draws with seeds 1 to 10, because single draws
    /// differ by two points and more.
    #[arg(long)]
    shots: Option<usize>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// The encoders, by the names of their folders; the default is that of English.
    #[arg(long, value_delimiter = ',')]
    encoders: Vec<String>,
    /// Measure only the rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The number of draws of few examples.
    #[arg(long, default_value_t = 10)]
    draws: u64,
}

struct Measured {
    accuracy: f64,
    baseline: f64,
    auroc: Option<f64>,
    /// The share of out-of-scope rows that are below the score which 1.2 % of the others are below.
    recall: Option<f64>,
    ece: f64,
    fit_s: f64,
    per_query_ms: f64,
}

fn main() {
    let arguments = Arguments::parse();
    let embedder = match arguments.encoders.as_slice() {
        [] => embedder(),
        names => encoders_of(&BTreeMap::from([(OTHERS.to_owned(), names.to_vec())])).of(&english()),
    };
    let embedder = embedder.unwrap_or_else(|error| fail(&format!("{error}; {}", error.hint())));
    match (&arguments.train, &arguments.test) {
        (Some(train), Some(test)) => {
            let (train, test) = (read(train), read(test));
            let measured = regime(&train, &test, (arguments.shots, arguments.draws), &*embedder);
            if arguments.json {
                println!("{}", as_json(&measured));
            } else {
                print_header();
                print_row("given files", &measured);
            }
        }
        _ => table(&*embedder, &arguments),
    }
}

fn table(embedder: &dyn Embedder, arguments: &Arguments) {
    let Arguments { json: as_object, ref only, draws, .. } = *arguments;
    let folder = root().join("../shared/data");
    let mut all = serde_json::Map::new();
    if !as_object {
        print_header();
    }
    let set_of = |set: &str, part: &str| read(&folder.join(format!("{set}.{part}.csv")));
    let mut tell = |name: &str, measure: &dyn Fn() -> Measured| {
        if !name.contains(only.as_str()) {
            return;
        }
        let measured = measure();
        if as_object {
            all.insert(name.to_owned(), as_json(&measured));
        } else {
            print_row(name, &measured);
        }
    };
    for (name, set, shots) in [
        ("BANKING77 2-shot", "banking77", Some(2)),
        ("BANKING77 10-shot", "banking77", Some(10)),
        ("BANKING77 full", "banking77", None),
        ("CLINC150 10-shot", "clinc150", Some(10)),
        ("CLINC150 full", "clinc150", None),
    ] {
        tell(name, &|| regime(&set_of(set, "train"), &set_of(set, "test"), (shots, draws), embedder));
    }
    // The same sets after hot reloads, for comparison with the rows "full".
    for (name, set) in [("BANKING77 grown", "banking77"), ("CLINC150 grown", "clinc150")] {
        tell(name, &|| grown(&set_of(set, "train"), &set_of(set, "test"), embedder));
    }
    let both = |part: &str| Rows { rows: [set_of("banking77", part).rows, set_of("clinc150", part).rows].concat() };
    tell("1,000 intents", &|| regime(&in_parts(both("train"), embedder), &both("test"), (None, draws), embedder));
    if as_object {
        println!("{}", serde_json::Value::Object(all));
    }
}

fn read(path: &std::path::Path) -> Rows {
    Rows::read(path).unwrap_or_else(|message| fail(&message))
}

/// Measures one fit, or the mean over draws.
fn regime(train: &Rows, test: &Rows, (shots, draws): (Option<usize>, u64), embedder: &dyn Embedder) -> Measured {
    let classes = train.classes();
    let all = train.samples(&classes);
    let Some(shots) = shots else { return measure(&all, test, &classes, embedder) };
    let runs: Vec<Measured> =
        (1..=draws).map(|seed| measure(&draw(&all, classes.len(), shots, seed), test, &classes, embedder)).collect();
    let mean = |value: fn(&Measured) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
    Measured {
        accuracy: mean(|m| m.accuracy),
        baseline: mean(|m| m.baseline),
        auroc: runs.iter().map(|m| m.auroc).sum::<Option<f64>>().map(|sum| sum / runs.len() as f64),
        recall: runs.iter().map(|m| m.recall).sum::<Option<f64>>().map(|sum| sum / runs.len() as f64),
        ece: mean(|m| m.ece),
        fit_s: mean(|m| m.fit_s),
        per_query_ms: mean(|m| m.per_query_ms),
    }
}

/// The largest supported bot: splits each intent into parts around some of its examples, and assigns each example to
/// the nearest.
fn in_parts(mut train: Rows, embedder: &dyn Embedder) -> Rows {
    let mut random = Random::new(1);
    train.rows.retain(|(_, intent)| intent.is_some());
    random.shuffle(&mut train.rows);
    train.rows.truncate(MOST_EXAMPLES);
    let texts: Vec<String> = train.rows.iter().map(|(text, _)| text.clone()).collect();
    let vectors = embed(&texts, embedder);
    let mut members: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (_, intent)) in train.rows.iter().enumerate() {
        members.entry(intent.clone().unwrap_or_default()).or_default().push(at);
    }
    let (mut examples_left, mut parts_left) = (train.rows.len(), MOST_INTENTS);
    for (intent, members) in members {
        let parts = (parts_left * members.len() / examples_left.max(1)).clamp(1, members.len());
        (examples_left, parts_left) = (examples_left - members.len(), parts_left - parts);
        let middles = Exact::new(&members[..parts].iter().map(|at| vectors[*at].clone()).collect::<Vec<_>>());
        for at in members {
            train.rows[at].1 = Some(format!("{intent}{PART}{}", middles.nearest(&vectors[at], 1)[0].node));
        }
    }
    train
}

/// The intent that a part belongs to.
fn whole(intent: &str) -> &str {
    intent.split(PART).next().unwrap_or(intent)
}

fn measure(samples: &[Sample], test: &Rows, classes: &BTreeMap<String, usize>, embedder: &dyn Embedder) -> Measured {
    let vectors = embed(&texts_of(samples), embedder);
    let start = Instant::now();
    let fitted = fit(samples, &vectors, classes.len(), embedder);
    let classifier = Classifier::new(fitted, intents(classes), samples, &vectors, None);
    let fit_s = start.elapsed().as_secs_f64();
    evaluate(&classifier, (samples, &vectors), test, embedder, fit_s)
}

fn fit(samples: &[Sample], vectors: &[Vector], classes: usize, embedder: &dyn Embedder) -> Fitted {
    let texts = background(&english());
    let of_background = embed(&texts, embedder);
    let background = (texts.as_slice(), of_background.as_slice());
    train(&TrainingSet { samples, vectors, background, blocks: embedder.blocks(), classes }, &mut |_, _| {})
}

/// Fits the classifier to most samples, then updates it with the rest in steps, as reloads of a growing bot do.
fn grown(train_rows: &Rows, test: &Rows, embedder: &dyn Embedder) -> Measured {
    let classes = train_rows.classes();
    let mut samples = train_rows.samples(&classes);
    Random::new(1).shuffle(&mut samples);
    let vectors = embed(&texts_of(&samples), embedder);
    let mut known = samples.len() - STEPS * STEP;
    let fitted = fit(&samples[..known], &vectors[..known], classes.len(), embedder);
    let mut classifier = Classifier::new(fitted, intents(&classes), &samples[..known], &vectors[..known], None);
    let start = Instant::now();
    while known < samples.len() {
        let next = known + STEP;
        let origin = (0..next).map(|at| (at < known).then_some(at)).collect();
        let change = SampleChange { origin, class_of: (0..classes.len()).map(Some).collect(), count: STEP };
        if !classifier.fitted().can_follow(&change) {
            fail("too many changed examples for an update");
        }
        let (before, after) = (&samples[..known], &samples[..next]);
        classifier = classifier.follow(intents(&classes), before, after, &vectors[..next], &change);
        known = next;
    }
    let fit_s = start.elapsed().as_secs_f64() / STEPS as f64;
    evaluate(&classifier, (&samples, &vectors), test, embedder, fit_s)
}

fn intents(classes: &BTreeMap<String, usize>) -> Vec<IntentId> {
    classes.keys().map(|name| IntentId::new(name)).collect()
}

fn texts_of(samples: &[Sample]) -> Vec<String> {
    samples.iter().map(|sample| sample.text.clone()).collect()
}

fn evaluate(
    classifier: &Classifier,
    (samples, vectors): (&[Sample], &[Vector]),
    test: &Rows,
    embedder: &dyn Embedder,
    fit_s: f64,
) -> Measured {
    let queries: Vec<String> = test.rows.iter().map(|(text, _)| text.clone()).collect();
    let query_vectors = embed(&queries, embedder);
    // Time the queries first, while the cache of classifications is empty.
    let start = Instant::now();
    let timed = test.rows.len().min(500);
    for ((text, _), vector) in test.rows.iter().zip(&query_vectors).take(timed) {
        std::hint::black_box(classifier.classify(text, vector));
    }
    let per_query_ms = start.elapsed().as_secs_f64() * 1e3 / timed.max(1) as f64;

    let exact = Exact::new(vectors);
    let predictions: Vec<(Prediction, bool)> = test
        .rows
        .par_iter()
        .zip(&query_vectors)
        .map(|((text, intent), vector)| {
            let best = &classifier.classify(text, vector).candidates[0];
            let right = intent.as_deref() == Some(whole(best.intent.as_str()));
            let nearest = exact.nearest(vector, 1)[0].node;
            let known = intent.as_deref() == Some(whole(classifier.intents()[samples[nearest].class].as_str()));
            (Prediction { probability: best.probability, right, in_scope: intent.is_some() }, known)
        })
        .collect();
    let inside = predictions.iter().filter(|(p, _)| p.in_scope).count().max(1);
    let baseline = predictions.iter().filter(|(p, known)| p.in_scope && *known).count() as f64 / inside as f64;
    let predictions: Vec<Prediction> = predictions.into_iter().map(|(p, _)| p).collect();
    Measured {
        accuracy: accuracy(&predictions),
        baseline,
        auroc: auroc(&predictions),
        recall: recall(&predictions, REJECTED),
        ece: calibration_error(&predictions),
        fit_s,
        per_query_ms,
    }
}

fn embed(texts: &[String], embedder: &dyn Embedder) -> Vec<Vector> {
    let mut cache = IntentCache::open(&cache_folder().join("vectors.bin"), embedder);
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("embedding {bar:30} {pos}/{len}").unwrap_or(ProgressStyle::default_bar()),
    );
    let vectors = cache.vectors(embedder, texts, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let vectors = vectors.unwrap_or_else(|error| fail(&error.to_string()));
    if let Err(error) = cache.save(texts) {
        eprintln!("warning: could not save the vectors: {error}");
    }
    vectors
}

fn as_json(m: &Measured) -> serde_json::Value {
    json!({
        "accuracy": m.accuracy, "oos_auroc": m.auroc, "oos_recall": m.recall, "ece": m.ece, "fit_s": m.fit_s, "per_query_ms": m.per_query_ms,
        "baseline_1nn_accuracy": m.baseline, "ratio_to_1nn": m.accuracy / m.baseline,
    })
}

fn print_header() {
    println!(
        "{:<20} {:>9} {:>10} {:>11} {:>7} {:>8} {:>13} {:>9} {:>8}",
        "", "accuracy", "oos AUROC", "oos recall", "ECE", "fit s", "ms per query", "1-NN raw", "ratio"
    );
}

fn print_row(name: &str, m: &Measured) {
    let [auroc, recall] = [m.auroc, m.recall].map(|value| value.map_or("-".to_owned(), |value| format!("{value:.4}")));
    println!(
        "{name:<20} {:>8.2}% {auroc:>10} {recall:>11} {:>7.3} {:>8.2} {:>13.3} {:>8.2}% {:>8.3}",
        m.accuracy * 100.0,
        m.ece,
        m.fit_s,
        m.per_query_ms,
        m.baseline * 100.0,
        m.accuracy / m.baseline
    );
}
