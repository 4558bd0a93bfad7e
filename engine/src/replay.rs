//! Replay: a conversation fixture is played against a snapshot, and the differences come back as data.
//!
//! [`replay`] is a function of snapshot and fixture: time, chance, users, starting states and what the outside answers stand in the
//! fixture. Scripts and plugins are those that serve users.

mod compare;
pub mod coverage;
pub mod fixture;
pub mod matcher;
pub mod mutation;
pub mod pinned;
pub mod reader;
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
    engine::{Engine, EngineError},
    snapshot::Snapshot,
    state::DialogueState,
    turn::{Message, Turn},
};
use fixture::{Fixture, Place, Step, Stubs};

pub use compare::{EFFECT_KEYS, actual, differences_of, effects, rounded, suggestions};
use stubs::StubHost;

/// Where two things differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was looked at: `text`, `slots.city`, `effects[1].payload`.
    pub field: String,
    /// What the fixture expects, as a person would write it.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// Where the expectation stands; where none does, the turn.
    pub place: Place,
    /// Whether `expected` is the text itself, so that both can be compared word by word.
    pub literal: bool,
    /// What came, for `--update`, and where to write it: JSON pointers and values. None where rewriting the expectation mends nothing.
    #[serde(skip)]
    pub replacements: Vec<(String, Value)>,
}

/// One message of a fixture, played.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which of the fixture's users spoke.
    pub speaker: String,
    /// What they said.
    pub user: String,
    /// Where it stands.
    pub place: Place,
    /// What the bot made of it.
    pub turn: Turn,
    /// Where that differs from what was expected.
    pub differences: Vec<Difference>,
    /// Parts of the world that the turn asked and that a fixture stands for: `http`, `kv`, `plugin`.
    pub outside: BTreeSet<&'static str>,
    /// Plugins that were called.
    pub plugins: Vec<String>,
    /// Places of the stubs that answered.
    pub stubs: BTreeSet<Place>,
}

/// A fixture, played.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its messages, those of the setup first.
    pub turns: Vec<Played>,
}

impl Outcome {
    /// Whether nothing differs.
    pub fn passed(&self) -> bool {
        self.turns.iter().all(|played| played.differences.is_empty())
    }

    /// Places of the stubs that stand in the fixture's own file, and that none of its turns asked for. What several fixtures share
    /// need not be of use to each.
    pub fn idle_stubs(&self, fixture: &Fixture) -> Vec<Place> {
        let stubs = fixture.stubs.http.iter().map(|stub| &stub.place);
        let stubs = stubs.chain(fixture.stubs.plugins.values().map(|stub| &stub.place));
        let used = |place: &&Place| self.turns.iter().any(|played| played.stubs.contains(*place));
        stubs.filter(|place| place.file == fixture.place.file && !used(place)).cloned().collect()
    }
}

/// One user of a fixture in the middle of it.
struct Speaker {
    id: i64,
    dialog: i64,
    state: DialogueState,
    kept: BTreeMap<String, Value>,
    said: u64,
}

/// Plays a fixture. Its time stands still but for what `after` lets pass.
///
/// # Errors
/// Those of [`Engine::reply`]; nothing that an author can write gives one.
pub fn replay(engine: &Engine, snapshot: &Snapshot, fixture: &Fixture) -> Result<Outcome, EngineError> {
    play(engine, snapshot, fixture, &mut |_| true)
}

/// [`replay`] that ends at the first turn for which `go_on` is false.
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
    let mut outcome = Outcome { name: fixture.name.clone(), file: fixture.place.file.clone(), turns: Vec::new() };
    for step in &fixture.steps {
        now = later(now, step.after.as_ref());
        if fixture.independent {
            speakers.clear();
        }
        let count = speakers.len() as i64;
        let speaker = speakers.entry(&step.speaker).or_insert_with(|| begin(fixture, &step.speaker, count));
        let played = take_turn(engine, snapshot, fixture, &stubs, step, speaker, &now)?;
        let more = go_on(&played);
        outcome.turns.push(played);
        if !more {
            break;
        }
    }
    Ok(outcome)
}

fn later(now: Zoned, after: Option<&Span>) -> Zoned {
    // The reader has tried the sum already.
    after.and_then(|span| now.checked_add(*span).ok()).unwrap_or(now)
}

fn begin(fixture: &Fixture, name: &str, count: i64) -> Speaker {
    let user = fixture.users.get(name);
    Speaker {
        id: user.and_then(|user| user.id).unwrap_or(2 + count),
        dialog: 1 + count,
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
    let host = Arc::new(StubHost::new(Arc::clone(&snapshot.catalogue), Arc::clone(stubs), speaker.kept.clone()));
    let seed = seed_of(fixture.seed, speaker.dialog, speaker.said);
    let message = Message { text: &step.text, user: speaker.id, dialog: speaker.dialog, seed };
    let turn = engine.with_host(host.clone()).reply(snapshot, &speaker.state, &message, now.clone())?;
    speaker.said += 1;
    speaker.state = turn.state.clone();
    speaker.kept.extend(turn.kept.clone());
    let seen = host.seen();
    let differences = compare::differences(&snapshot.catalogue, step, &turn, &seen.missing);
    Ok(Played {
        speaker: step.speaker.clone(),
        user: step.text.clone(),
        place: step.place.clone(),
        turn,
        differences,
        outside: seen.outside,
        plugins: seen.plugins,
        stubs: seen.used,
    })
}

/// Where the chance of a turn comes from: the fixture's seed, the dialogue, and how many messages it had before.
pub fn seed_of(seed: u64, dialog: i64, said: u64) -> u64 {
    seed.rotate_left(32) ^ dialog.unsigned_abs().rotate_left(16) ^ said
}
