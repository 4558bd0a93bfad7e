//! Shows a replay to people: a line per fixture, each difference word by word, the explanation of the turn, and a
//! summary.

use std::fmt::Write as _;

use banter_engine::{
    diagnostic::{DiagnosticReport, Severity},
    replay::fixture::FixtureLocation,
    turn::Explain,
};
use similar::{DiffTag, TextDiff};

use super::report::{FixtureReport, FixtureVerdict, Report, TurnReport};
use crate::failure::{counted, fixtures_skipped};

/// The maximum number of unreached items that are listed per kind.
const FEW: usize = 6;
const NOT_ASKED: &str = "no message of the fixture uses this stub";

#[derive(Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// One line with the verdict of a fixture.
pub fn line(paint: Paint, verdict: FixtureVerdict, file: &str, name: &str, turns: usize) -> String {
    let mark = match verdict {
        FixtureVerdict::Passed => paint.green("ok  "),
        FixtureVerdict::Failed => paint.red("FAIL"),
        FixtureVerdict::Skipped => paint.dim("skip"),
    };
    let turns = counted(turns, "turn");
    // A line break in a name would start a new line, which CI might read as a command.
    let name = name.replace(char::is_control, " ");
    format!("{mark} {file}  {name}  {}", paint.dim(&turns))
}

/// All differences of a fixture.
pub fn failures(paint: Paint, fixture: &FixtureReport) -> String {
    let mut out = String::new();
    for turn in fixture.turns.iter().filter(|turn| !turn.differences.is_empty()) {
        let _ = writeln!(out, "\n{}", paint.bold(&format!("{}: {}", fixture.file, fixture.name)));
        let _ = writeln!(out, "  {} {}", paint.dim(&format!("{:>4} |", turn.line)), said(turn));
        for difference in &turn.differences {
            let location = format!("{}:{}", difference.location.file, difference.location.line);
            let _ = writeln!(out, "  {}  {}", difference.field, paint.dim(&location));
            let (expected, actual) = (plain(&difference.expected), plain(&difference.actual));
            let _ = writeln!(out, "    expected  {}", indent(&expected));
            let _ = writeln!(out, "    actual    {}", indent(&actual));
            // The words of a condition are banter's, not the bot's.
            let literal = difference.literal.then(|| words(paint, &expected, &actual));
            if let Some(words) = literal.flatten() {
                let _ = writeln!(out, "    diff      {}", indent(&words));
            }
        }
        if let Some(why) = &turn.explain {
            out.push_str(&explain(paint, turn, why));
        }
        if let Some(first) =
            turn.differences.iter().find(|one| !one.replacements.is_empty() && !one.location.pointer.is_empty())
        {
            let _ = writeln!(out, "  {}", hint(first.location.line, &first.location.file));
        }
    }
    out
}

/// Warnings about stubs that no message used.
pub fn idle_stubs(paint: Paint, report: &Report) -> String {
    let places = report.fixtures.iter().flat_map(|fixture| &fixture.idle_stubs);
    let line = |location: &FixtureLocation| {
        format!("{} {}:{}: {NOT_ASKED}\n", paint.bold("warning:"), location.file, location.line)
    };
    places.map(line).collect()
}

/// The message on one line: a line that begins with `::` would be a command to CI.
fn said(turn: &TurnReport) -> String {
    plain(&format!("{}: {}", turn.speaker, turn.user)).replace('\n', " ")
}

fn hint(line: usize, file: &str) -> String {
    format!("hint: if the new answer is right, change line {line} of {file}, or run with --update")
}

/// The text without control characters, which a terminal would interpret.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n              ")
}

/// The word-by-word diff of two texts; `None` if they have little in common.
fn words(paint: Paint, old: &str, new: &str) -> Option<String> {
    let diff = TextDiff::from_words(old, new);
    if diff.ratio() < 0.3 {
        return None;
    }
    let (before, after) = (diff.old_slices(), diff.new_slices());
    let mut out = String::new();
    for op in diff.ops() {
        let (old, new) = (before[op.old_range()].concat(), after[op.new_range()].concat());
        if op.tag() == DiffTag::Equal {
            out.push_str(&old);
            continue;
        }
        if !old.is_empty() {
            out.push_str(&paint.red(&format!("[-{old}-]")));
        }
        if !new.is_empty() {
            out.push_str(&paint.green(&format!("{{+{new}+}}")));
        }
    }
    Some(out)
}

/// The explanation of a turn.
fn explain(paint: Paint, turn: &TurnReport, why: &Explain) -> String {
    let mut out = String::new();
    let mut add = |name: &str, text: &str| {
        let _ = writeln!(out, "    {} {}", paint.dim(&format!("{name:<9}")), plain(text));
    };
    if let Some(inside) = &turn.inside {
        add("handler", &inside.handler);
    }
    add("rule", &why.rule);
    for candidate in why.candidates.iter().take(3) {
        add("intent", &format!("{:.3} {}", candidate.probability, candidate.intent));
    }
    for near in why.neighbours.iter().take(3) {
        add("near", &format!("{:.3} \"{}\" of {}", near.similarity, near.text, near.intent));
    }
    for step in &why.trace {
        add("then", step);
    }
    out
}

/// The summary: the counts, and what no fixture reached. Lists only a few items per kind unless `all` is set.
pub fn summary(paint: Paint, report: &Report, seconds: f64, all: bool) -> String {
    let mut out = String::new();
    let counts = format!("{} passed, {} failed", report.passed, report.failed);
    let counts = if report.failed == 0 { paint.green(&counts) } else { paint.red(&counts) };
    let _ = write!(out, "\n{counts}");
    if report.skipped > 0 {
        let why = if report.absent_plugins.is_empty() { "a client cannot see what they expect" } else { "see below" };
        let _ = write!(out, ", {} skipped ({why})", report.skipped);
    }
    if report.not_run > 0 {
        let _ = write!(out, ", {} not run", report.not_run);
    }
    let (turns, expectations) = (counted(report.turns, "turn"), counted(report.compared, "expectation"));
    let _ = writeln!(out, "; {turns}, {expectations} in {seconds:.2} s");
    for (plugin, count) in &report.absent_plugins {
        out.push_str(&fixtures_skipped(plugin, *count));
    }
    if report.not_compared > 0 {
        let (what, were) = match report.not_compared {
            1 => ("expectation", "was"),
            _ => ("expectations", "were"),
        };
        let _ = writeln!(out, "{} {what} {were} not compared: not visible to a client", report.not_compared);
    }
    let Some(coverage) = &report.coverage else { return out };
    let rows = [
        ("intents", &coverage.intents),
        ("slots", &coverage.slots),
        ("handlers", &coverage.handlers),
        ("script lines", &coverage.lines),
    ];
    for (name, reached) in rows {
        let part = format!("{}/{}", reached.reached, reached.total);
        let missed = match reached.missed.len() {
            0 => String::new(),
            more if more > FEW && !all => {
                format!("not reached: {}, and {} more (--coverage)", reached.missed[..FEW].join(", "), more - FEW)
            }
            _ => format!("not reached: {}", reached.missed.join(", ")),
        };
        let _ = writeln!(out, "{name:<13} {:>3} %  {part:>9}  {}", reached.percent(), paint.dim(&missed));
    }
    out
}

/// GitHub annotations, one per difference.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for fixture in &report.fixtures {
        for turn in &fixture.turns {
            for difference in &turn.differences {
                let location = &difference.location;
                let message = format!(
                    "{}: after \"{}\", {} should be {} but is {}",
                    fixture.name, turn.user, difference.field, difference.expected, difference.actual
                );
                let title = format!("banter replay: {}", difference.field);
                let (file, title, message) = (property(&location.file), property(&title), escape(&message));
                let _ = writeln!(out, "::error file={file},line={},title={title}::{message}", location.line);
            }
        }
        for location in &fixture.idle_stubs {
            let _ = writeln!(out, "::warning file={},line={}::{NOT_ASKED}", property(&location.file), location.line);
        }
    }
    out
}

/// GitHub annotations for the diagnostics of files.
pub fn github_diagnostics(diagnostics: &[DiagnosticReport]) -> String {
    let line = |diagnostic: &DiagnosticReport| {
        let kind = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
        let (file, line, column) = (property(&diagnostic.file), diagnostic.line, diagnostic.column);
        let hint = diagnostic.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!(
            "::{kind} file={file},line={line},col={column},title=banter replay::{}\n",
            escape(&format!("{}{hint}", diagnostic.message))
        )
    };
    diagnostics.iter().map(line).collect()
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}
