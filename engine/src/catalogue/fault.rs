//! Diagnostics of a bot's files: location, message and hint. They are collected, so that an author sees all at once.

use std::{collections::BTreeMap, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// Whether a diagnostic prevents the bot from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The bot is refused.
    Error,
    /// The bot runs, but the author should look at this.
    Warning,
}

/// A location in a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path inside the bot's folder.
    pub file: String,
    /// Byte range in the file; empty at 0 for the file as a whole.
    pub span: Range<usize>,
}

/// One diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether it prevents the bot from running.
    pub severity: Severity,
    /// Location of the problem.
    pub place: Place,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Fault {
    /// A diagnostic that refuses the bot.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place, message: message.into(), hint: None }
    }

    /// A diagnostic that does not refuse the bot.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Adds a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All diagnostics of a bot, and the texts that they point into.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    sources: BTreeMap<String, String>,
}

/// A diagnostic for programs (`banter check --json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Whether it prevents the bot from running.
    pub severity: Severity,
    /// Path inside the bot's folder.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Faults {
    /// Adds a diagnostic.
    pub fn push(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Adds the diagnostics and sources of another list.
    pub fn append(&mut self, others: Self) {
        self.list.extend(others.list);
        self.sources.extend(others.sources);
    }

    /// Registers the text of a file, for the excerpts in reports.
    pub fn add_source(&mut self, file: &str, text: &str) {
        // Spans do not count a byte-order mark.
        self.sources.insert(file.to_owned(), text.strip_prefix('\u{FEFF}').unwrap_or(text).to_owned());
    }

    /// Whether any diagnostic refuses the bot.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// The number of diagnostics of one severity; duplicates count.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|fault| fault.severity == severity).count()
    }

    /// Sorts the diagnostics and drops duplicates, which arise when several files refer to the same broken one.
    pub fn tell_once(&mut self) {
        self.list.sort_by(|a, b| order(a).cmp(&order(b)));
        self.list.dedup();
    }

    /// All diagnostics, ordered by file and location, without duplicates.
    pub fn sorted(&self) -> Vec<&Fault> {
        let mut list: Vec<&Fault> = self.list.iter().collect();
        list.sort_by(|a, b| order(a).cmp(&order(b)));
        list.dedup();
        list
    }

    /// The diagnostics with line and column numbers, for programs.
    pub fn reports(&self) -> Vec<FaultReport> {
        let report = |fault: &Fault| {
            let (line, column) = self.line_of(&fault.place);
            FaultReport {
                severity: fault.severity,
                file: fault.place.file.clone(),
                line,
                column,
                message: fault.message.clone(),
                hint: fault.hint.clone(),
            }
        };
        self.sorted().into_iter().map(report).collect()
    }

    /// The diagnostics as text, each with its source line and a marker; `colour` is for terminals.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for fault in self.sorted() {
            out.push_str(&renderer.render(&[self.group(fault)]));
            out.push_str("\n\n");
        }
        out
    }

    fn group<'a>(&'a self, fault: &'a Fault) -> Group<'a> {
        let level = match fault.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = self.sources.get(&fault.place.file).map_or("", String::as_str);
        let span = visible(&fault.place.span, source);
        let snippet = Snippet::source(source).path(&fault.place.file).annotation(AnnotationKind::Primary.span(span));
        let group = level.primary_title(&fault.message).element(snippet);
        match &fault.hint {
            Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
            None => group,
        }
    }

    fn line_of(&self, place: &Place) -> (usize, usize) {
        let source = self.sources.get(&place.file).map_or("", String::as_str);
        let before = source.get(..place.span.start.min(source.len())).unwrap_or("");
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }
}

fn order(fault: &Fault) -> (&str, usize, usize, Severity, &str) {
    (&fault.place.file, fault.place.span.start, fault.place.span.end, fault.severity, &fault.message)
}

/// Restricts a span to one line inside the text, at character boundaries, and not empty where the text allows.
fn visible(span: &Range<usize>, source: &str) -> Range<usize> {
    let mut start = span.start.min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
    let mut end = span.end.clamp(start, line_end);
    while !source.is_char_boundary(end) {
        end += 1;
    }
    if end == start {
        end = source[start..line_end].chars().next().map_or(start, |c| start + c.len_utf8());
    }
    start..end
}

/// The known word that `word` is most likely a misspelling of.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        // Every other short word is this close.
        0..3 => 0,
        length => length / 3,
    };
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A hint that names the likely word, or else lists the known ones.
pub fn choose_hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = did_you_mean(word, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    match all.len() {
        0 => "none is defined yet".to_owned(),
        1..=12 => format!("known here: {}", all.join(", ")),
        more => format!("known here: {}, and {} more", all[..12].join(", "), more - 12),
    }
}
