//! What is wrong with a bot's files: where, what, and how to mend it. Collected, never thrown: an author sees all at once.

use std::{collections::BTreeMap, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// Whether a fault keeps the bot from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The bot is refused.
    Error,
    /// The bot works; the author should look.
    Warning,
}

/// A place in a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path inside the bot's folder.
    pub file: String,
    /// Bytes of the file; an empty range at 0 for the file as a whole.
    pub span: Range<usize>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether it refuses the bot.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Fault {
    /// An error.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place, message: message.into(), hint: None }
    }

    /// A warning.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// The same fault with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All faults of a bot and the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    sources: BTreeMap<String, String>,
}

/// A fault as a program reads it (`banter check --json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Whether it refuses the bot.
    pub severity: Severity,
    /// Path inside the bot's folder.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Adds those of other files.
    pub fn append(&mut self, others: Self) {
        self.list.extend(others.list);
        self.sources.extend(others.sources);
    }

    /// Makes the text of a file known, for the lines in reports.
    pub fn add_source(&mut self, file: &str, text: &str) {
        // Places count from behind a byte-order mark.
        self.sources.insert(file.to_owned(), text.strip_prefix('\u{FEFF}').unwrap_or(text).to_owned());
    }

    /// Whether any fault refuses the bot.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many there are of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|fault| fault.severity == severity).count()
    }

    /// Forgets what is told twice, as of a file that several others name.
    pub fn tell_once(&mut self) {
        self.list.sort_by(|a, b| order(a).cmp(&order(b)));
        self.list.dedup();
    }

    /// All of them by file and place.
    pub fn sorted(&self) -> Vec<&Fault> {
        let mut list: Vec<&Fault> = self.list.iter().collect();
        list.sort_by(|a, b| order(a).cmp(&order(b)));
        list.dedup();
        list
    }

    /// The faults with lines and columns, counted from 1, for programs.
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

    /// The faults as text, each with its line and a caret; `colour` for terminals.
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

/// A span on one line, inside the text, at character boundaries and not empty where the text allows.
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

/// The known word that `word` was likely meant to be.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        // Any other word of one letter is as near.
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

/// A hint that names the likely word, or else the known ones.
pub fn choose_hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = did_you_mean(word, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    match all.len() {
        0 => "there are none yet".to_owned(),
        1..=12 => format!("known here: {}", all.join(", ")),
        more => format!("known here: {}, and {} more", all[..12].join(", "), more - 12),
    }
}
