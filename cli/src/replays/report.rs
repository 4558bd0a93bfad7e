//! What came of a replay, for programs. It holds no times and no paths of this machine: two runs give the same bytes.

use std::collections::BTreeMap;

use banter_engine::{
    catalogue::{
        Catalogue,
        fault::{FaultReport, Faults},
    },
    replay::{
        Difference, Outcome, Played,
        coverage::Coverage,
        fixture::{Fixture, Place},
        rounded, suggestions,
    },
    turn::{Explain, Turn, TurnKind},
};
use serde::Serialize;
use serde_json::Value;

use super::Ran;

/// All of a replay.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The bot.
    pub bot: String,
    /// Its version.
    pub catalogue_version: String,
    /// Fixtures without a difference.
    pub passed: usize,
    /// Fixtures of which a client sees nothing, so that nothing was compared.
    pub skipped: usize,
    /// Fixtures with one.
    pub failed: usize,
    /// Fixtures that a failure kept from being played.
    pub not_run: usize,
    /// Messages that were played.
    pub turns: usize,
    /// Expectations that cannot be seen from outside.
    pub not_compared: usize,
    /// In the order of their files.
    pub fixtures: Vec<FixtureReport>,
    /// What the fixtures reach; of servers nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What of other tools' files was not mapped.
    pub warnings: Vec<FaultReport>,
}

/// One fixture.
#[derive(Debug, Serialize)]
pub struct FixtureReport {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The line on which it begins.
    pub line: usize,
    /// Its tags.
    pub tags: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Stubs of its own that no message asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle_stubs: Vec<Place>,
    /// Its messages.
    pub turns: Vec<TurnReport>,
}

/// How a fixture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing differs.
    Passed,
    /// Something does.
    Failed,
    /// Nothing of it can be seen from outside.
    Skipped,
}

impl Verdict {
    /// Of a fixture that was played here or, with what was seen of each message, on servers.
    pub fn of(outcome: &Outcome, seen: Option<&dyn Fn(usize) -> Seen>) -> Self {
        if !outcome.passed() {
            return Self::Failed;
        }
        let Some(seen) = seen else { return Self::Passed };
        let seen: Vec<Seen> = (0..outcome.turns.len()).map(seen).collect();
        let left = seen.iter().any(|one| !one.sent || !one.not_compared.is_empty());
        if left && seen.iter().all(|one| one.compared == 0) { Self::Skipped } else { Self::Passed }
    }
}

/// What a client saw of a message.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whether it was sent at all.
    pub sent: bool,
    /// Expectations that were compared.
    pub compared: usize,
    /// Those that were not, with the reason where it is another than that no client sees them.
    pub not_compared: Vec<String>,
}

/// What a client saw of a message of a fixture, by the places of both.
pub type Outside<'a> = dyn Fn(usize, usize) -> Seen + 'a;

/// One message.
#[derive(Debug, Serialize)]
pub struct TurnReport {
    /// Who of the fixture's users.
    pub speaker: String,
    /// What they said.
    pub user: String,
    /// Where it stands.
    pub line: usize,
    /// The reply; none to a message that was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Quick replies of the last text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestions: Option<Value>,
    /// What only the engine sees.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
    /// What differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What was expected and cannot be seen from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
    /// Why the turn is as it is, where something differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// What only the engine sees of a turn.
#[derive(Debug, Serialize)]
pub struct Inside {
    /// How the message was taken.
    #[serde(rename = "type")]
    pub kind: TurnKind,
    /// Slots that the turn filled or changed.
    pub slots: BTreeMap<String, Value>,
    /// Whether a person was called.
    pub hand_off: bool,
    /// Failures of handlers, by kind.
    pub events: Vec<&'static str>,
    /// The intent that answered.
    pub intent: Option<String>,
    /// Of the best intent.
    pub probability: Option<f64>,
    /// Who answered.
    pub handler: String,
}

impl Report {
    /// Of what ran, here or, with `outside`, on servers.
    pub fn of(
        catalogue: &Catalogue,
        fixtures: &[Fixture],
        ran: &[Ran],
        warnings: &Faults,
        outside: Option<&Outside<'_>>,
    ) -> Self {
        let reports: Vec<FixtureReport> = ran
            .iter()
            .map(|one| {
                let fixture = &fixtures[one.index];
                match outside {
                    Some(outside) => FixtureReport::of(fixture, &one.outcome, Some(&|turn| outside(one.index, turn))),
                    None => FixtureReport::of(fixture, &one.outcome, None),
                }
            })
            .collect();
        let count = |verdict: Verdict| reports.iter().filter(|fixture| fixture.verdict == verdict).count();
        let (passed, skipped, failed) = (count(Verdict::Passed), count(Verdict::Skipped), count(Verdict::Failed));
        let turns = || reports.iter().flat_map(|fixture| &fixture.turns);
        Self {
            bot: catalogue.name.clone(),
            catalogue_version: catalogue.version.clone(),
            passed,
            skipped,
            failed,
            not_run: fixtures.len() - reports.len(),
            turns: turns().count(),
            not_compared: turns().map(|turn| turn.not_compared.len()).sum(),
            coverage: outside.is_none().then(|| Coverage::of(catalogue, ran.iter().map(|one| &one.outcome))),
            warnings: warnings.reports(),
            fixtures: reports,
        }
    }
}

impl FixtureReport {
    fn of(fixture: &Fixture, outcome: &Outcome, seen: Option<&dyn Fn(usize) -> Seen>) -> Self {
        let turns = outcome.turns.iter().enumerate();
        Self {
            name: fixture.name.clone(),
            file: fixture.place.file.clone(),
            line: fixture.place.line,
            tags: fixture.tags.clone(),
            verdict: Verdict::of(outcome, seen),
            idle_stubs: if seen.is_none() { outcome.idle_stubs(fixture) } else { Vec::new() },
            turns: turns
                .map(|(index, played)| {
                    let before = outcome.turns[..index].iter().rev().find(|one| one.speaker == played.speaker);
                    TurnReport::of(played, before, seen.map(|seen| seen(index)))
                })
                .collect(),
        }
    }
}

impl TurnReport {
    fn of(played: &Played, before: Option<&Played>, seen: Option<Seen>) -> Self {
        let turn = &played.turn;
        let here = seen.is_none();
        let seen = seen.unwrap_or(Seen { sent: true, ..Seen::default() });
        Self {
            speaker: played.speaker.clone(),
            user: played.user.clone(),
            line: played.place.line,
            text: seen.sent.then(|| turn.text()),
            suggestions: seen.sent.then(|| suggestions(&turn.outputs)),
            inside: here.then(|| Inside::of(turn, before.map(|before| &before.turn))),
            differences: played.differences.clone(),
            not_compared: seen.not_compared,
            explain: (here && !played.differences.is_empty()).then(|| turn.explain.clone()),
        }
    }
}

impl Inside {
    fn of(turn: &Turn, before: Option<&Turn>) -> Self {
        Self {
            kind: turn.kind,
            slots: turn.filled_since(before).map(|(name, value)| (name.clone(), value.clone())).collect(),
            hand_off: turn.hand_off,
            events: turn.events.iter().map(|event| event.kind()).collect(),
            intent: turn.intent.as_ref().map(ToString::to_string),
            probability: turn.probability.map(rounded),
            handler: turn.handler.clone(),
        }
    }
}
