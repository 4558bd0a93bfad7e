//! What became of versions, for people at a terminal.

use std::fmt::Write;

use banter_engine::catalogue::{
    diff::{CatalogueDiff, ValueDiff},
    fault::{FaultReport, Severity},
};
use banter_engine::forecast::Changed;

use super::{
    gate::{FixtureDifference, GateReport},
    releases::{Fleet, Forecast, Published},
};

/// Digits of a version that people are shown.
pub const SHORT: usize = 12;
/// Lines of each kind.
const LINES: usize = 20;

/// The first digits of a version.
pub fn short(version: &str) -> &str {
    version.get(..SHORT).unwrap_or(version)
}

/// One line on what was published.
pub fn published(published: &Published) -> String {
    let warnings = published.report.faults.iter().filter(|fault| fault.severity == Severity::Warning).count();
    let told = match warnings {
        0 => String::new(),
        1 => ", 1 warning (see `banter check`)".to_owned(),
        more => format!(", {more} warnings (see `banter check`)"),
    };
    format!("{} is in use: {}{told}", short(&published.version), summary(&published.diff))
}

/// What is different, in a few words.
pub fn summary(diff: &CatalogueDiff) -> String {
    let words = |counts: &[(usize, &str, &str)]| {
        let some = counts.iter().filter(|(count, ..)| *count > 0);
        some.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let examples =
        |of: fn(&banter_engine::catalogue::diff::IntentDiff) -> usize| diff.intents_changed.iter().map(of).sum();
    let changes = diff.intents_changed.iter().map(|intent| intent.changes.len()).sum();
    let told = words(&[
        (diff.intents_added.len(), "intent added", "intents added"),
        (diff.intents_removed.len(), "intent removed", "intents removed"),
        (examples(|intent| intent.examples_added.len()), "example added", "examples added"),
        (examples(|intent| intent.examples_removed.len()), "example removed", "examples removed"),
        (diff.texts.len(), "text changed", "texts changed"),
        (diff.thresholds.len(), "threshold changed", "thresholds changed"),
        (changes, "handler or slot changed", "handlers or slots changed"),
    ]);
    let files = words(&[
        (diff.files_added.len(), "file added", "files added"),
        (diff.files_removed.len(), "file removed", "files removed"),
        (diff.files_changed.len(), "file changed", "files changed"),
    ]);
    [told, files].into_iter().find(|words| !words.is_empty()).unwrap_or_else(|| "nothing has changed".to_owned())
}

/// All that keeps a version out.
pub fn refusal(report: &GateReport) -> String {
    let mut out = String::new();
    for fault in report.faults.iter().filter(|fault| fault.severity == Severity::Error) {
        out.push_str(&self::fault(fault));
    }
    for difference in report.differences.iter().take(LINES) {
        out.push_str(&self::difference(difference));
    }
    more(&mut out, report.differences.len());
    let errors = report.faults.iter().filter(|fault| fault.severity == Severity::Error).count();
    let _ = match (errors, report.differences.len()) {
        (0, differing) => write!(out, "not taken: {differing} expectations of its own fixtures are not met"),
        (errors, _) => write!(out, "not taken: {errors} {}", if errors == 1 { "error" } else { "errors" }),
    };
    out
}

fn fault(fault: &FaultReport) -> String {
    let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!("  hint: {hint}\n"));
    format!("error: {}:{}: {}\n{hint}", fault.file, fault.line, fault.message)
}

fn difference(difference: &FixtureDifference) -> String {
    let FixtureDifference { file, line, user, field, expected, actual } = difference;
    format!("error: {file}:{line}: after \"{user}\", {field} should be {expected} and is {actual}\n")
}

fn more(out: &mut String, count: usize) {
    if count > LINES {
        let _ = writeln!(out, "… and {} more", count - LINES);
    }
}

/// A whole diff.
pub fn diff(diff: &CatalogueDiff) -> String {
    let mut out = String::new();
    for (sign, files) in [("+", &diff.files_added), ("-", &diff.files_removed), ("~", &diff.files_changed)] {
        files.iter().for_each(|file| _ = writeln!(out, "{sign} {file}"));
    }
    for (sign, intents) in [("+", &diff.intents_added), ("-", &diff.intents_removed)] {
        intents.iter().for_each(|(intent, count)| _ = writeln!(out, "{sign} intent {intent}, {count} examples"));
    }
    for intent in &diff.intents_changed {
        let _ = writeln!(out, "~ intent {}", intent.intent);
        intent.examples_added.iter().for_each(|example| _ = writeln!(out, "    + {example}"));
        intent.examples_removed.iter().for_each(|example| _ = writeln!(out, "    - {example}"));
        intent.changes.iter().for_each(|change| value(&mut out, change));
    }
    for (what, values) in [("texts", &diff.texts), ("thresholds", &diff.thresholds)] {
        if !values.is_empty() {
            let _ = writeln!(out, "~ {what}");
            values.iter().for_each(|change| value(&mut out, change));
        }
    }
    if out.is_empty() {
        out.push_str("nothing is different\n");
    }
    out
}

fn value(out: &mut String, change: &ValueDiff) {
    let _ = writeln!(out, "    {}", change.what);
    change.from.iter().for_each(|from| _ = writeln!(out, "      - {from}"));
    change.to.iter().for_each(|to| _ = writeln!(out, "      + {to}"));
}

/// What would be answered otherwise.
pub fn forecast(forecast: &Forecast) -> String {
    let mut out = format!(
        "of {}{} utterances of users in the last {} days, {} would be answered otherwise\n",
        if forecast.more { "the newest " } else { "" },
        forecast.utterances,
        forecast.days,
        forecast.changed
    );
    forecast.of_users.iter().take(LINES).for_each(|changed| out.push_str(&self::changed(changed)));
    more(&mut out, forecast.of_users.len());
    let _ = writeln!(out, "of the fixtures' messages, {}", forecast.of_fixtures.len());
    forecast.of_fixtures.iter().take(LINES).for_each(|changed| out.push_str(&self::changed(changed)));
    more(&mut out, forecast.of_fixtures.len());
    out
}

fn changed(changed: &Changed) -> String {
    let place = changed.place.as_ref().map_or(String::new(), |place| format!("{place}: "));
    let one = |answer: &banter_engine::forecast::Answered| {
        let intent = answer.intent.as_deref().unwrap_or("no intent");
        format!("{intent}: {}", answer.text.replace('\n', " / "))
    };
    format!("  {place}{}\n    - {}\n    + {}\n", changed.text, one(&changed.from), one(&changed.to))
}

/// The servers, a line each, and the versions' match rates.
pub fn fleet(fleet: &Fleet) -> String {
    let mut out = String::new();
    match &fleet.activation {
        None => out.push_str("nothing was published yet\n"),
        Some(activation) => {
            let canary = activation.canary.as_ref().map_or(String::new(), |canary| {
                format!(", {} % of the users have {}", canary.percent, short(&canary.version))
            });
            let _ = writeln!(
                out,
                "{} is in use (generation {}, {} by {}){canary}",
                short(&activation.version),
                activation.generation,
                activation.reason,
                activation.by
            );
        }
    }
    let width = fleet.servers.iter().map(|server| server.record.name.chars().count()).max().unwrap_or(0);
    for server in &fleet.servers {
        let record = &server.record;
        let state = match (&record.problem, server.current) {
            (_, true) => "runs it".to_owned(),
            (Some(problem), _) => format!("is behind: {problem}"),
            (None, false) => format!("is behind, at generation {}", record.generation),
        };
        let id = record.id.get(..6).unwrap_or(&record.id);
        let _ = writeln!(out, "  {:<width$}  {id}  {}  {state}", record.name, short(&record.version));
    }
    if !fleet.versions.is_empty() {
        let _ = writeln!(
            out,
            "{:<SHORT$}  {:>10} {:>10} {:>9} {:>9} {:>9}",
            "version", "match rate", "matched", "ambiguous", "unknown", "failed"
        );
    }
    for (version, counts) in &fleet.versions {
        let rate = counts.match_rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let numbers = counts.counts;
        let _ = writeln!(
            out,
            "{:<SHORT$}  {rate:>10} {:>10} {:>9} {:>9} {:>9}",
            short(version),
            numbers.matched,
            numbers.ambiguous,
            numbers.unknown,
            numbers.failed
        );
    }
    out
}
