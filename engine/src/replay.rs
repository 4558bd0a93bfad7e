//! Replay: plays a conversation fixture against a snapshot and returns the differences as data.
//!
//! [`replay`] depends on nothing but the snapshot and the fixture. The fixture defines the time, the seed, the users,
//! their initial dialogue states and the answers of the outside world. Scripts and plugins are those that serve users.

mod compare;
pub mod coverage;
pub mod fixture;
pub mod matcher;
pub mod mutation;
mod names;
pub mod pinned;
pub mod reader;
pub mod record;
pub mod redactor;
pub mod rewrite;
mod stubs;
pub mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{Span, Zoned};
use serde::Serialize;
use serde_json::Value;

use crate::{
    engine::{Engine, EngineError, Request},
    snapshot::Snapshot,
    state::DialogueState,
    turn::{Message, Turn},
};
use fixture::{Fixture, FixtureLocation, Step, Stubs};

pub use compare::{EFFECT_KEYS, actual, differences_of, effects, rounded, suggestions};
use stubs::{Notes, StubHost, stubbed};

/// A difference between a turn and what the fixture expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The compared part of the turn: `text`, `slots.city`, `effects[1].payload`.
    pub field: String,
    /// What the fixture expects, as readable text.
    pub expected: String,
    /// What the turn contained.
    pub actual: String,
    /// Location of the expectation; if there is none, of the turn.
    #[serde(rename = "place")]
    pub location: FixtureLocation,
    /// Whether `expected` is the literal text, so that the two can be compared word by word.
    pub literal: bool,
    /// For `--update`: JSON pointers into the fixture and the values to write there. Empty if rewriting the expectation
    /// would not fix the difference.
    #[serde(skip)]
    pub replacements: Vec<(String, Value)>,
}

/// One message of a fixture after it was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// The fixture's user who sent the message.
    pub speaker: String,
    /// The text of the message.
    pub user: String,
    /// Location of the message.
    pub location: FixtureLocation,
    /// The resulting turn.
    pub turn: Turn,
    /// Differences between the turn and what was expected.
    pub differences: Vec<Difference>,
    /// Parts of the outside world that the turn used and the fixture replaced: `http`, `kv`, `plugin`.
    pub outside: BTreeSet<&'static str>,
    /// Names of the plugins that were called.
    pub plugins: Vec<String>,
    /// Of these, the ones without a file and without a stub.
    pub absent: BTreeSet<String>,
    /// Locations of the stubs that answered.
    pub stubs: BTreeSet<FixtureLocation>,
}

/// The result of playing a fixture.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The fixture's name.
    pub name: String,
    /// The fixture's file.
    pub file: String,
    /// The messages, those of the setup first.
    pub turns: Vec<Played>,
}

impl Outcome {
    /// Plugins that the fixture needs and that have no file (`optional: true`). Nothing of such a fixture is compared.
    pub fn absent_plugins(&self) -> BTreeSet<&str> {
        self.turns.iter().flat_map(|played| &played.absent).map(String::as_str).collect()
    }

    /// Whether there are no differences.
    pub fn passed(&self) -> bool {
        self.turns.iter().all(|played| played.differences.is_empty())
    }

    /// Locations of stubs in the fixture's own file that no turn used. Shared stubs are left out: not every fixture
    /// needs all of them.
    pub fn idle_stubs(&self, fixture: &Fixture) -> Vec<FixtureLocation> {
        let stubs = fixture.stubs.http.iter().map(|stub| &stub.location);
        let stubs = stubs.chain(fixture.stubs.plugins.values().map(|stub| &stub.location));
        let used = |location: &&FixtureLocation| self.turns.iter().any(|played| played.stubs.contains(*location));
        stubs.filter(|location| location.file == fixture.location.file && !used(location)).cloned().collect()
    }
}

/// How many fixtures were not compared because of each absent plugin.
pub fn skipped<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for plugin in outcomes.into_iter().flat_map(Outcome::absent_plugins) {
        *counts.entry(plugin.to_owned()).or_default() += 1;
    }
    counts
}

/// The progress of one user of a fixture.
struct Speaker {
    id: i64,
    dialogue: i64,
    state: DialogueState,
    kept: BTreeMap<String, Value>,
    said: u64,
}

/// Plays a fixture. Its clock moves only by `after`.
///
/// # Errors
/// Those of [`Engine::reply`]. Nothing in a fixture can cause one.
pub fn replay(engine: &Engine, snapshot: &Snapshot, fixture: &Fixture) -> Result<Outcome, EngineError> {
    play(engine, snapshot, fixture, &mut |_| true)
}

/// Like [`replay`], but stops after the first turn for which `go_on` returns false.
///
/// # Errors
/// Those of [`replay`].
pub fn play(
    engine: &Engine,
    snapshot: &Snapshot,
    fixture: &Fixture,
    go_on: &mut dyn FnMut(&Played) -> bool,
) -> Result<Outcome, EngineError> {
    let zone = fixture.time_zone.clone().unwrap_or_else(|| snapshot.catalogue.time_zone.clone());
    let mut now = fixture.now.to_zoned(zone);
    let stubs = Arc::new(fixture.stubs.clone());
    let mut speakers: BTreeMap<&str, Speaker> = BTreeMap::new();
    let mut outcome = Outcome { name: fixture.name.clone(), file: fixture.location.file.clone(), turns: Vec::new() };
    for step in &fixture.steps {
        now = later(now, step.after.as_ref());
        if fixture.independent {
            speakers.clear();
        }
        let count = speakers.len() as i64;
        let speaker = speakers.entry(&step.speaker).or_insert_with(|| begin(fixture, &step.speaker, count));
        if let Some(answer) = &step.answered {
            speaker.state.end_hand_off(answer);
        }
        let played = take_turn(engine, snapshot, fixture, &stubs, step, speaker, &now)?;
        let more = go_on(&played);
        outcome.turns.push(played);
        if !more {
            break;
        }
    }
    if !outcome.absent_plugins().is_empty() {
        outcome.turns.iter_mut().for_each(|played| played.differences.clear());
    }
    Ok(outcome)
}

fn later(now: Zoned, after: Option<&Span>) -> Zoned {
    // The reader has checked that the sum is in range.
    after.and_then(|span| now.checked_add(*span).ok()).unwrap_or(now)
}

fn begin(fixture: &Fixture, name: &str, count: i64) -> Speaker {
    let user = fixture.users.get(name);
    Speaker {
        id: user.and_then(|user| user.id).unwrap_or(2 + count),
        dialogue: 1 + count,
        state: user.map(|user| user.state.clone()).unwrap_or_default(),
        kept: user.map(|user| user.kept.clone()).unwrap_or_default(),
        said: 0,
    }
}

fn take_turn(
    engine: &Engine,
    snapshot: &Snapshot,
    fixture: &Fixture,
    stubs: &Arc<Stubs>,
    step: &Step,
    speaker: &mut Speaker,
    now: &Zoned,
) -> Result<Played, EngineError> {
    let notes = Notes::default();
    let catalogue = &snapshot.catalogue;
    let host = StubHost::new(Arc::clone(catalogue), Arc::clone(stubs), speaker.kept.clone(), notes.clone());
    let plugins = stubbed(&catalogue.library.plugins, stubs, &notes);
    let seed = seed_of(fixture.seed, speaker.dialogue, speaker.said);
    let message = Message { text: &step.text, user: speaker.id, dialogue: speaker.dialogue, seed };
    let request = Request { message, state: &speaker.state, now: now.clone(), plugins };
    let turn = engine.with_host(Arc::new(host)).reply(snapshot, request)?;
    speaker.said += 1;
    speaker.state = turn.state.clone();
    speaker.kept.extend(turn.kept.clone());
    let asked = notes.asked();
    let differences = compare::differences(&snapshot.catalogue, step, &turn, &asked.missing);
    Ok(Played {
        speaker: step.speaker.clone(),
        user: step.text.clone(),
        location: step.location.clone(),
        turn,
        differences,
        outside: asked.outside,
        plugins: asked.plugins,
        absent: asked.absent,
        stubs: asked.used,
    })
}

/// The seed of a turn: derived from the fixture's seed, the dialogue, and the number of earlier messages in it.
pub fn seed_of(seed: u64, dialogue: i64, said: u64) -> u64 {
    seed.rotate_left(32) ^ dialogue.unsigned_abs().rotate_left(16) ^ said
}
