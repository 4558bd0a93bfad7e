//! What came of a replay, for programs. It holds no times and no paths of this machine: two runs give the same bytes.

use std::collections::BTreeMap;

use banter_engine::{
    catalogue::{
        Catalogue,
        fault::{FaultReport, Faults},
    },
    replay::{Difference, Outcome, Played, coverage::Coverage, fixture::Fixture, rounded, suggestions},
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
    /// What the fixtures reach.
    pub coverage: Coverage,
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
    /// Whether nothing differs.
    pub passed: bool,
    /// Its messages.
    pub turns: Vec<TurnReport>,
}

/// One message.
#[derive(Debug, Serialize)]
pub struct TurnReport {
    /// Who of the fixture's users.
    pub speaker: String,
    /// What they said.
    pub user: String,
    /// Where it stands.
    pub line: usize,
    /// The reply.
    pub text: String,
    /// How the message was taken.
    #[serde(rename = "type")]
    pub kind: TurnKind,
    /// Quick replies of the last text.
    pub suggestions: Value,
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

impl Report {
    /// Of what ran. `not_compared` gives, for a fixture and a message of it, what could not be seen.
    pub fn of(
        catalogue: &Catalogue,
        fixtures: &[Fixture],
        ran: &[Ran],
        warnings: &Faults,
        not_compared: &dyn Fn(usize, usize) -> Vec<String>,
    ) -> Self {
        let reports: Vec<FixtureReport> = ran
            .iter()
            .map(|one| FixtureReport::of(&fixtures[one.index], &one.outcome, &|turn| not_compared(one.index, turn)))
            .collect();
        let passed = reports.iter().filter(|fixture| fixture.passed).count();
        let turns = || reports.iter().flat_map(|fixture| &fixture.turns);
        Self {
            bot: catalogue.name.clone(),
            catalogue_version: catalogue.version.clone(),
            passed,
            failed: reports.len() - passed,
            not_run: fixtures.len() - reports.len(),
            turns: turns().count(),
            not_compared: turns().map(|turn| turn.not_compared.len()).sum(),
            coverage: Coverage::of(catalogue, ran.iter().map(|one| &one.outcome)),
            warnings: warnings.reports(),
            fixtures: reports,
        }
    }
}

impl FixtureReport {
    fn of(fixture: &Fixture, outcome: &Outcome, not_compared: &dyn Fn(usize) -> Vec<String>) -> Self {
        let turns = outcome.turns.iter().enumerate();
        Self {
            name: fixture.name.clone(),
            file: fixture.place.file.clone(),
            line: fixture.place.line,
            tags: fixture.tags.clone(),
            passed: outcome.passed(),
            turns: turns
                .map(|(index, played)| {
                    let before = outcome.turns[..index].iter().rev().find(|one| one.speaker == played.speaker);
                    TurnReport::of(played, before, not_compared(index))
                })
                .collect(),
        }
    }
}

fn changed(before: Option<&Played>, turn: &Turn) -> BTreeMap<String, Value> {
    let old = before.map(|played| &played.turn.state.slots);
    let is_new = |(name, value): &(&String, &Value)| old.and_then(|old| old.get(*name)) != Some(*value);
    turn.state.slots.iter().filter(is_new).map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl TurnReport {
    fn of(played: &Played, before: Option<&Played>, not_compared: Vec<String>) -> Self {
        let turn = &played.turn;
        Self {
            speaker: played.speaker.clone(),
            user: played.user.clone(),
            line: played.place.line,
            text: turn.text(),
            kind: turn.kind,
            suggestions: suggestions(&turn.outputs),
            slots: changed(before, turn),
            hand_off: turn.hand_off,
            events: turn.events.iter().map(|event| event.kind()).collect(),
            intent: turn.intent.as_ref().map(ToString::to_string),
            probability: turn.probability.map(rounded),
            handler: turn.handler.clone(),
            differences: played.differences.clone(),
            not_compared,
            explain: (!played.differences.is_empty()).then(|| turn.explain.clone()),
        }
    }
}
