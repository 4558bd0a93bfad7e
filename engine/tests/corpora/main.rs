//! Values beside those of Duckling's corpora, which the crate `duckling` carries in its sources (BSD-3-Clause).

mod expected;
mod haskell;

use std::{collections::BTreeMap, path::Path};

use banter_engine::values::{Convention, Finder, Kind, Setting};

/// The share of all utterances that are read as the corpora have it.
const LEAST: f64 = 0.9;

const CORPORA: &[(Kind, &str, &[&str])] = &[
    (Kind::Number, "Numeral", &["allExamples"]),
    (Kind::Ordinal, "Ordinal", &["allExamples"]),
    (Kind::AnyTime, "Time", &["allExamples", "defaultCorpus"]),
    (Kind::Duration, "Duration", &["allExamples"]),
    (Kind::Money, "AmountOfMoney", &["allExamples"]),
    (Kind::Quantity, "Quantity", &["allExamples"]),
    (Kind::Quantity, "Volume", &["allExamples"]),
    (Kind::Quantity, "Distance", &["allExamples"]),
    (Kind::Temperature, "Temperature", &["allExamples"]),
    (Kind::Phone, "PhoneNumber", &["allExamples"]),
    (Kind::Email, "Email", &["allExamples"]),
    (Kind::Url, "Url", &["allExamples"]),
];

/// An utterance whose value is not the corpus's.
struct Miss {
    utterance: String,
    /// The corpus's value and ours.
    what: String,
}

/// Under their corpora.
type Misses = BTreeMap<String, Vec<Miss>>;

fn run(folder: &Path) -> (Misses, usize) {
    let mut misses = Misses::new();
    let mut count = 0;
    for (kind, name, lists) in CORPORA {
        for (convention, code) in [(Convention::English, "EN"), (Convention::Russian, "RU")] {
            let setting = Setting { convention, ..Setting::example() };
            let file = folder.join(format!("{name}/{code}/Corpus.hs"));
            let general = folder.join(format!("{name}/Corpus.hs"));
            let mut examples = if file.exists() { haskell::examples(&file, lists) } else { Vec::new() };
            if convention == Convention::English && *kind != Kind::AnyTime && general.exists() {
                examples.extend(haskell::examples(&general, lists));
            }
            for example in examples {
                for utterance in example.utterances {
                    count += 1;
                    let found = Finder::new(&utterance, &setting).find(*kind);
                    let right = matches!(found.as_slice(), [one] if expected::is(&one.value, &example.value));
                    if !right {
                        let values: Vec<_> = found.into_iter().map(|found| found.value).collect();
                        let what = format!("{} | {values:?}", example.value);
                        let miss = Miss { utterance, what };
                        misses.entry(format!("{name} {code}")).or_default().push(miss);
                    }
                }
            }
        }
    }
    (misses, count)
}

/// The misses that are known, each with its reason: corpus, utterance, reason.
const KNOWN: &str = include_str!("misses.txt");

#[test]
fn values_are_those_of_duckling() {
    let (misses, count) = run(&haskell::folder());
    let known: BTreeMap<(&str, &str), &str> = KNOWN
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            let [corpus, utterance, reason] = parts[..] else { panic!("corpus, utterance and reason: {line}") };
            ((corpus, utterance), reason)
        })
        .collect();
    let mut missed: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (corpus, misses) in &misses {
        for Miss { utterance, what } in misses {
            missed.insert((corpus, utterance), what);
        }
    }
    for ((corpus, utterance), what) in missed.iter().filter(|(miss, _)| !known.contains_key(*miss)) {
        println!("not in misses.txt: {corpus} | {utterance} | {what}");
    }
    for (corpus, utterance) in known.keys().filter(|miss| !missed.contains_key(*miss)) {
        println!("no longer missed: {corpus} | {utterance}");
    }
    assert!(known.keys().eq(missed.keys()), "misses.txt lists what is missed, with its reason");
    let missed: usize = misses.values().map(Vec::len).sum();
    let share = 1.0 - missed as f64 / count as f64;
    println!("{missed} of {count} missed, {share:.3}");
    assert!(share >= LEAST, "{share:.3} of {count}");
}
