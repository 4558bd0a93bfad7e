//! Diagnostics of a bot's files: location, message and hint. They are collected, so that an author sees all at once.

use std::{collections::BTreeMap, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a diagnostic prevents the bot from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The bot is refused.
    Error,
    /// The bot runs, but the author should look at this.
    Warning,
}

/// A location in a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Path inside the bot's folder.
    pub file: String,
    /// Byte range in the file; empty at 0 for the file as a whole.
    pub span: Range<usize>,
}

/// One diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it prevents the bot from running.
    pub severity: Severity,
    /// Location of the problem.
    pub location: Location,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A diagnostic that refuses the bot.
    pub fn error(location: Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, location, message: message.into(), hint: None }
    }

    /// A diagnostic that does not refuse the bot.
    pub fn warning(location: Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(location, message) }
    }

    /// Adds a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All diagnostics of a bot, and the texts that they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    sources: BTreeMap<String, String>,
}

/// A diagnostic for programs (`banter check --json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiagnosticReport {
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
    #[schema(nullable = false)]
    pub hint: Option<String>,
}

impl Diagnostics {
    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
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
        self.list.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Sorts the diagnostics and drops duplicates, which arise when several files refer to the same broken one.
    pub fn tell_once(&mut self) {
        self.list.sort_by(|a, b| order(a).cmp(&order(b)));
        self.list.dedup();
    }

    /// All diagnostics, ordered by file and location, without duplicates.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        list.sort_by(|a, b| order(a).cmp(&order(b)));
        list.dedup();
        list
    }

    /// The diagnostics with line and column numbers, for programs.
    pub fn reports(&self) -> Vec<DiagnosticReport> {
        let report = |diagnostic: &Diagnostic| {
            let (line, column) = self.line_of(&diagnostic.location);
            DiagnosticReport {
                severity: diagnostic.severity,
                file: diagnostic.location.file.clone(),
                line,
                column,
                message: diagnostic.message.clone(),
                hint: diagnostic.hint.clone(),
            }
        };
        self.sorted().into_iter().map(report).collect()
    }

    /// The diagnostics as text, each with its source line and a marker; `colour` is for terminals.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in self.sorted() {
            out.push_str(&renderer.render(&[self.group(diagnostic)]));
            out.push_str("\n\n");
        }
        out
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = self.sources.get(&diagnostic.location.file).map_or("", String::as_str);
        let span = visible(&diagnostic.location.span, source);
        let snippet =
            Snippet::source(source).path(&diagnostic.location.file).annotation(AnnotationKind::Primary.span(span));
        let group = level.primary_title(&diagnostic.message).element(snippet);
        match &diagnostic.hint {
            Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
            None => group,
        }
    }

    fn line_of(&self, location: &Location) -> (usize, usize) {
        let source = self.sources.get(&location.file).map_or("", String::as_str);
        let before = source.get(..location.span.start.min(source.len())).unwrap_or("");
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }
}

fn order(diagnostic: &Diagnostic) -> (&str, usize, usize, Severity, &str) {
    (
        &diagnostic.location.file,
        diagnostic.location.span.start,
        diagnostic.location.span.end,
        diagnostic.severity,
        &diagnostic.message,
    )
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
        0 => "there are none yet".to_owned(),
        1..=12 => format!("available: {}", all.join(", ")),
        more => format!("available: {}, and {} more", all[..12].join(", "), more - 12),
    }
}
