//! The report of a replay, for programs. It contains no times and no paths of this machine, so two runs give the same
//! bytes.

use std::collections::BTreeMap;

use banter_engine::{
    catalogue::Catalogue,
    diagnostic::{DiagnosticReport, Diagnostics},
    replay::{
        self, Difference, Outcome, Played,
        coverage::Coverage,
        fixture::{Fixture, FixtureLocation, Step},
        rounded, suggestions,
    },
    turn::{Explain, Turn, TurnKind},
};
use serde::Serialize;
use serde_json::Value;

use super::PlayedFixture;

/// The report of a whole replay.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name of the bot.
    pub bot: String,
    pub catalogue_version: String,
    /// Fixtures without differences.
    pub passed: usize,
    /// Fixtures of which nothing could be compared: a client cannot see it, or they need a plugin that is not built.
    pub skipped: usize,
    /// Fixtures with differences.
    pub failed: usize,
    /// Fixtures not played because an earlier failure ended the run.
    pub not_run: usize,
    pub turns: usize,
    /// Expectations that were compared.
    pub compared: usize,
    /// Expectations that a client cannot see.
    pub not_compared: usize,
    /// Fixtures that were skipped because they need a plugin that is not built, by plugin.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub absent_plugins: BTreeMap<String, usize>,
    /// In the order of their files.
    pub fixtures: Vec<FixtureReport>,
    /// What the fixtures reach; unknown for servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// The parts of other tools' files that could not be mapped.
    pub warnings: Vec<DiagnosticReport>,
}

#[derive(Debug, Serialize)]
pub struct FixtureReport {
    pub name: String,
    pub file: String,
    /// The first line, counted from 1.
    pub line: usize,
    pub tags: Vec<String>,
    pub verdict: FixtureVerdict,
    /// The fixture's own stubs that no message used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle_stubs: Vec<FixtureLocation>,
    pub turns: Vec<TurnReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FixtureVerdict {
    Passed,
    Failed,
    /// Nothing could be compared.
    Skipped,
}

impl FixtureVerdict {
    /// The verdict of a fixture played locally, or on servers if `seen` says what a client saw of each message.
    pub fn of(outcome: &Outcome, seen: Option<&dyn Fn(usize) -> Seen>) -> Self {
        if !outcome.absent_plugins().is_empty() {
            return Self::Skipped;
        }
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
    /// Expectations that were not compared, with the reason unless it is that no client sees them.
    pub not_compared: Vec<String>,
}

/// What a client saw of a message, by the index of the fixture and of the turn.
pub type Outside<'a> = dyn Fn(usize, usize) -> Seen + 'a;

/// One message and its reply.
#[derive(Debug, Serialize)]
pub struct TurnReport {
    /// The fixture's user who speaks.
    pub speaker: String,
    /// The message.
    pub user: String,
    /// The line of the message, counted from 1.
    pub line: usize,
    /// The reply; `None` if the message was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Quick replies of the last text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestions: Option<Value>,
    /// Details that only the engine sees; `None` on servers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Expectations that a client cannot see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
    /// The explanation of the turn, if something differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// Details of a turn that only the engine sees.
#[derive(Debug, Serialize)]
pub struct Inside {
    /// How the message was handled.
    #[serde(rename = "type")]
    pub kind: TurnKind,
    /// Slots that the turn filled or changed.
    pub slots: BTreeMap<String, Value>,
    /// Whether the turn handed off to a person.
    pub hand_off: bool,
    /// The kinds of the turn's events, such as handler failures.
    pub events: Vec<&'static str>,
    /// The intent that answered.
    pub intent: Option<String>,
    /// The probability of the best intent.
    pub probability: Option<f64>,
    /// The handler that answered.
    pub handler: String,
}

impl Report {
    /// The report of a local run, or of a run on servers if `outside` is given.
    pub fn of(
        catalogue: &Catalogue,
        fixtures: &[Fixture],
        ran: &[PlayedFixture],
        warnings: &Diagnostics,
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
        let count = |verdict: FixtureVerdict| reports.iter().filter(|fixture| fixture.verdict == verdict).count();
        let (passed, skipped, failed) =
            (count(FixtureVerdict::Passed), count(FixtureVerdict::Skipped), count(FixtureVerdict::Failed));
        let turns = || reports.iter().flat_map(|fixture| &fixture.turns);
        Self {
            bot: catalogue.name.clone(),
            catalogue_version: catalogue.version.clone(),
            passed,
            skipped,
            failed,
            not_run: fixtures.len() - reports.len(),
            turns: turns().count(),
            compared: ran.iter().map(|one| compared(&fixtures[one.index], one, outside)).sum(),
            not_compared: turns().map(|turn| turn.not_compared.len()).sum(),
            absent_plugins: replay::skipped(ran.iter().map(|one| &one.outcome)),
            coverage: outside.is_none().then(|| Coverage::of(catalogue, ran.iter().map(|one| &one.outcome))),
            warnings: warnings.reports(),
            fixtures: reports,
        }
    }
}

/// The number of a fixture's expectations that were compared.
fn compared(fixture: &Fixture, ran: &PlayedFixture, outside: Option<&Outside<'_>>) -> usize {
    if !ran.outcome.absent_plugins().is_empty() {
        return 0;
    }
    let turns = 0..ran.outcome.turns.len();
    match outside {
        Some(outside) => turns.map(|turn| outside(ran.index, turn).compared).sum(),
        None => fixture.steps[turns].iter().map(Step::expected).sum(),
    }
}

impl FixtureReport {
    fn of(fixture: &Fixture, outcome: &Outcome, seen: Option<&dyn Fn(usize) -> Seen>) -> Self {
        let turns = outcome.turns.iter().enumerate();
        Self {
            name: fixture.name.clone(),
            file: fixture.location.file.clone(),
            line: fixture.location.line,
            tags: fixture.tags.clone(),
            verdict: FixtureVerdict::of(outcome, seen),
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
            line: played.location.line,
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
            handler: turn.handler.to_string(),
        }
    }
}
