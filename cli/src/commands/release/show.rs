//! Shows versions, their differences and the fleet to people at a terminal.

use std::fmt::Write;

use banter_engine::{
    catalogue::diff::{CatalogueDiff, ValueDiff},
    diagnostic::{DiagnosticReport, Severity},
    forecast::Changed,
};

use banter_server::catalogs::{
    gate::{FixtureDifference, GateReport},
    serving::SHORT,
    terms::{Fleet, Forecast, Published},
};

pub use banter_server::catalogs::serving::short;

use crate::failure::{counted, fixtures_skipped};

/// The maximum number of lines of each kind.
const LINES: usize = 20;

/// An untrusted text on one line, without control characters that a terminal would interpret.
pub fn harmless(text: &str) -> String {
    text.replace('\n', " / ").chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// One line that describes a published version.
pub fn published(published: &Published) -> String {
    let told = match published.report.diagnostics.len() {
        0 => String::new(),
        warnings => format!(", {} (see `banter check`)", counted(warnings, "warning")),
    };
    format!("{} is in use: {}{told}", short(&published.version), summary(&published.diff))
}

/// The warnings of a version that passed.
pub fn warnings(report: &GateReport) -> String {
    let mut out: String = report.diagnostics.iter().take(LINES).map(diagnostic).collect();
    more(&mut out, report.diagnostics.len());
    out
}

/// The fixtures that were not compared, and why.
pub fn skipped(report: &GateReport) -> String {
    report.skipped.iter().map(|(plugin, count)| fixtures_skipped(plugin, *count)).collect()
}

/// A short summary of a diff.
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
    [told, files].into_iter().find(|words| !words.is_empty()).unwrap_or_else(|| "no changes".to_owned())
}

/// Everything that made the gate refuse a version.
pub fn refusal(report: &GateReport) -> String {
    let mut out = String::new();
    for diagnostic in report.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
        out.push_str(&self::diagnostic(diagnostic));
    }
    for difference in report.differences.iter().take(LINES) {
        out.push_str(&self::difference(difference));
    }
    more(&mut out, report.differences.len());
    let errors = report.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let _ = match (errors, report.differences.len()) {
        (0, 1) => write!(out, "rejected: 1 expectation in the bot's fixtures failed"),
        (0, differing) => write!(out, "rejected: {differing} expectations in the bot's fixtures failed"),
        (errors, _) => write!(out, "rejected: {}", counted(errors, "error")),
    };
    out
}

fn diagnostic(diagnostic: &DiagnosticReport) -> String {
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!("  hint: {}\n", harmless(hint)));
    let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    format!("{severity}: {}:{}: {}\n{hint}", harmless(&diagnostic.file), diagnostic.line, harmless(&diagnostic.message))
}

fn difference(difference: &FixtureDifference) -> String {
    let FixtureDifference { line, .. } = difference;
    let [file, user, field, expected, actual] =
        [&difference.file, &difference.user, &difference.field, &difference.expected, &difference.actual]
            .map(|text| harmless(text));
    format!("error: {file}:{line}: after \"{user}\", {field} should be {expected} but is {actual}\n")
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
        files.iter().for_each(|file| _ = writeln!(out, "{sign} {}", harmless(file)));
    }
    for (sign, intents) in [("+", &diff.intents_added), ("-", &diff.intents_removed)] {
        for (intent, count) in intents {
            let _ = writeln!(out, "{sign} intent {intent}, {}", counted(*count, "example"));
        }
    }
    for intent in &diff.intents_changed {
        let _ = writeln!(out, "~ intent {}", intent.intent);
        intent.examples_added.iter().for_each(|example| _ = writeln!(out, "    + {}", harmless(example)));
        intent.examples_removed.iter().for_each(|example| _ = writeln!(out, "    - {}", harmless(example)));
        intent.changes.iter().for_each(|change| value(&mut out, change));
    }
    for (what, values) in [("texts", &diff.texts), ("thresholds", &diff.thresholds)] {
        if !values.is_empty() {
            let _ = writeln!(out, "~ {what}");
            values.iter().for_each(|change| value(&mut out, change));
        }
    }
    if out.is_empty() {
        out.push_str("no differences\n");
    }
    out
}

fn value(out: &mut String, change: &ValueDiff) {
    let _ = writeln!(out, "    {}", harmless(&change.what));
    change.from.iter().for_each(|from| _ = writeln!(out, "      - {}", harmless(from)));
    change.to.iter().for_each(|to| _ = writeln!(out, "      + {}", harmless(to)));
}

/// The messages that would get other answers.
pub fn forecast(forecast: &Forecast) -> String {
    let mut out = format!(
        "{3} of {0}{1} from users in the last {2} days would get different answers\n",
        if forecast.more { "the newest " } else { "" },
        counted(forecast.utterances, "utterance"),
        forecast.days,
        forecast.changed
    );
    forecast.of_users.iter().take(LINES).for_each(|changed| out.push_str(&self::changed(changed)));
    more(&mut out, forecast.of_users.len());
    let _ = writeln!(out, "{} of the fixtures' messages would get different answers", forecast.of_fixtures.len());
    forecast.of_fixtures.iter().take(LINES).for_each(|changed| out.push_str(&self::changed(changed)));
    more(&mut out, forecast.of_fixtures.len());
    out
}

fn changed(changed: &Changed) -> String {
    let location = changed.location.as_ref().map_or(String::new(), |location| format!("{location}: "));
    let one = |answer: &banter_engine::forecast::Answered| {
        let intent = answer.intent.as_deref().unwrap_or("no intent");
        format!("{intent}: {}", harmless(&answer.text))
    };
    format!("  {location}{}\n    - {}\n    + {}\n", harmless(&changed.text), one(&changed.from), one(&changed.to))
}

/// The servers, one per line, and the versions' match rates.
pub fn fleet(fleet: &Fleet) -> String {
    let mut out = String::new();
    match &fleet.activation {
        None => out.push_str("nothing has been published yet\n"),
        Some(activation) => {
            let canary = activation.canary.as_ref().map_or(String::new(), |canary| {
                format!(", {}% of users have the canary {}", canary.percent, short(&canary.version))
            });
            let _ = writeln!(
                out,
                "{} is in use (generation {}, {} by {}){canary}",
                short(&activation.version),
                activation.generation,
                activation.reason.as_str(),
                harmless(&activation.by)
            );
        }
    }
    let width = fleet.servers.iter().map(|server| server.record.name.chars().count()).max().unwrap_or(0);
    for server in &fleet.servers {
        let record = &server.record;
        let state = match (&record.problem, server.current) {
            (_, true) => "up to date".to_owned(),
            (Some(problem), _) => format!("behind: {}", harmless(problem)),
            (None, false) => format!("behind, at generation {}", record.generation),
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
