//! `--mutate`: breaks the bot on purpose, and reports the mutations that no fixture notices, with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use banter_engine::{
    Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    policy::Ceiling,
    replay::{
        Outcome,
        mutation::{self, Kind, Mutation},
        play,
    },
};
use rayon::prelude::*;
use serde::Serialize;

use super::{PlayedFixture, Rig};
use crate::{failure::Failure, progress::CountBar};

/// The result of one mutation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fate {
    #[serde(flatten)]
    pub mutation: Mutation,
    /// The fixture that noticed it, or `check` if the loader refuses such a bot.
    pub noticed_by: Option<String>,
    /// Why no fixture noticed it.
    pub reason: Option<String>,
}

/// The results of all mutations.
#[derive(Debug, Serialize)]
pub struct Mutants {
    pub noticed: usize,
    pub total: usize,
    /// For each kind: the number noticed, and the total.
    pub by_kind: BTreeMap<Kind, [usize; 2]>,
    pub fates: Vec<Fate>,
}

impl Mutants {
    /// The share noticed, from 0 to 100; 100 if there are no mutations.
    pub fn percent(&self) -> usize {
        (self.noticed * 100).checked_div(self.total).unwrap_or(100)
    }
}

/// Breaks the bot of a rig `count` times. `ran` holds the results on the intact bot, which must have passed.
///
/// # Errors
/// The model fails.
pub fn run(rig: &Rig, ran: &[PlayedFixture], count: usize, seed: u64) -> Result<Mutants, Failure> {
    let mutations = mutation::choose(&rig.bundle, count, seed);
    let bar = CountBar::new("mutations", Some(mutations.len() as u64));
    let done = std::sync::atomic::AtomicUsize::new(0);
    let reach = Reach::of(ran);
    let fates: Vec<Fate> = mutations
        .into_par_iter()
        .map(|mutation| {
            let fate = try_one(rig, ran, &reach, mutation);
            bar.show(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as u64 + 1);
            fate
        })
        .collect::<Result<_, _>>()?;
    let noticed = |fate: &&Fate| fate.noticed_by.is_some();
    let mut by_kind: BTreeMap<Kind, [usize; 2]> = BTreeMap::new();
    for fate in &fates {
        let counts = by_kind.entry(fate.mutation.kind).or_default();
        counts[0] += usize::from(fate.noticed_by.is_some());
        counts[1] += 1;
    }
    Ok(Mutants { noticed: fates.iter().filter(noticed).count(), total: fates.len(), by_kind, fates })
}

/// Which fixtures reach what, so that the fixtures that may notice a mutation are played first.
struct Reach {
    intents: BTreeMap<String, BTreeSet<usize>>,
    files: BTreeMap<String, BTreeSet<usize>>,
    lines: BTreeSet<(String, usize)>,
    texts: BTreeMap<String, BTreeSet<usize>>,
}

impl Reach {
    fn of(ran: &[PlayedFixture]) -> Self {
        let mut reach =
            Self { intents: BTreeMap::new(), files: BTreeMap::new(), lines: BTreeSet::new(), texts: BTreeMap::new() };
        for one in ran {
            for played in &one.outcome.turns {
                reach.texts.entry(played.user.to_lowercase()).or_default().insert(one.index);
                if let Some(intent) = &played.turn.intent {
                    reach.intents.entry(intent.to_string()).or_default().insert(one.index);
                }
                for (file, line) in &played.turn.footprint.lines {
                    reach.files.entry(file.clone()).or_default().insert(one.index);
                    reach.lines.insert((file.clone(), *line));
                }
            }
        }
        reach
    }

    fn first(&self, mutation: &Mutation) -> BTreeSet<usize> {
        let by_text = mutation.example.as_ref().and_then(|text| self.texts.get(&text.to_lowercase()));
        let by_intent = mutation.intent.as_ref().and_then(|intent| self.intents.get(intent));
        let by_file = self.files.get(&mutation.file);
        [by_text, by_file, by_intent].into_iter().flatten().flatten().copied().collect()
    }
}

fn try_one(rig: &Rig, ran: &[PlayedFixture], reach: &Reach, mutation: Mutation) -> Result<Fate, Failure> {
    let broken = mutation.apply(&rig.bundle);
    let noticed = |by: String| Ok(Fate { mutation: mutation.clone(), noticed_by: Some(by), reason: None });
    let Some(snapshot) = snapshot(rig, &broken)? else { return noticed("check".to_owned()) };
    let first = reach.first(&mutation);
    // A fixture that was skipped proves nothing.
    let compared = |index: &usize| ran.iter().any(|one| one.index == *index && one.outcome.absent_plugins().is_empty());
    let rest = ran.iter().map(|one| one.index).filter(|index| !first.contains(index));
    for index in first.iter().copied().chain(rest).filter(compared) {
        let outcome = play(&rig.engine, &snapshot, &rig.fixtures[index], &mut |played| played.differences.is_empty());
        let outcome: Outcome = outcome.map_err(|error| Failure::usage(error.to_string(), "see the log"))?;
        if !outcome.passed() {
            return noticed(format!("{}: {}", outcome.file, outcome.name));
        }
    }
    let reason = reason(reach, &mutation, first.len());
    Ok(Fate { mutation, noticed_by: None, reason: Some(reason) })
}

/// The snapshot of a broken bot; `None` if the loader refuses it.
fn snapshot(rig: &Rig, broken: &Bundle) -> Result<Option<Snapshot>, Failure> {
    let mut diagnostics = Diagnostics::default();
    let Some(catalogue) = loader::load(broken, &rig.scripting, &*rig.plugins, &Ceiling::unlimited(), &mut diagnostics)
    else {
        return Ok(None);
    };
    let catalogue = Arc::new(catalogue);
    if let Some(snapshot) = rig.snapshot.with_catalogue(Arc::clone(&catalogue)) {
        return Ok(Some(snapshot));
    }
    let failed = |error: &dyn std::error::Error| Failure::usage(error.to_string(), "see the log");
    let embedder = rig.engine.embedder(&catalogue).map_err(|error| failed(&error))?;
    rig.snapshot.rebuild(catalogue, &*embedder).map(Some).map_err(|error| failed(&error))
}

fn reason(reach: &Reach, mutation: &Mutation, reached: usize) -> String {
    match mutation.kind {
        Kind::Script if !reach.lines.contains(&(mutation.file.clone(), mutation.line)) => {
            "no fixture runs this line".to_owned()
        }
        Kind::Script => "fixtures run this line, but the mutation changes nothing that they compare".to_owned(),
        Kind::Reply => "no fixture compares this text".to_owned(),
        Kind::Threshold if reached == 0 && mutation.intent.is_some() => "no fixture reaches this intent".to_owned(),
        Kind::Threshold => "no fixture message crosses the changed threshold".to_owned(),
        Kind::Slot => "no fixture makes the form ask for this slot, or answers it wrongly".to_owned(),
        Kind::Example => {
            "the other examples outweigh it: all fixture messages match the same intents as before".to_owned()
        }
    }
}
