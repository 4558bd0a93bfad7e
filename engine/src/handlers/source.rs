//! Analysis of script source text, for what Rhai's compiler does not report.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;
use rhai::Position;

use crate::diagnostic::Location;

/// A name that a script refers to in a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `t("key")`
    Text(String),
    /// `jump("intent")`
    Intent(String),
    /// `ask("slot")`
    Slot(String),
    /// `plugin("name")`
    Plugin(String),
    /// `set_context("name", …)`
    Context(String),
}

/// The line on which a function starts, counted from 1.
pub(super) fn line_of_function(source: &str, name: &str) -> usize {
    let plain = blank_texts(source);
    let defines = |line: &str| {
        line.split("fn ")
            .skip(1)
            .any(|rest| rest.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('(')))
    };
    plain.lines().position(defines).map_or(1, |at| at + 1)
}

/// The span of the word at a Rhai position.
pub(super) fn span_of(source: &str, position: Position) -> Range<usize> {
    let Some(line) = position.line() else { return source.len()..source.len() };
    let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &source[start.min(source.len())..];
    let column = position.position().unwrap_or(1).saturating_sub(1);
    let at = start + rest.char_indices().nth(column).map_or(0, |(at, _)| at);
    let length =
        source[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
    at..at + length.max(1)
}

pub(super) const KEYWORDS: [&str; 16] = [
    "if", "while", "for", "in", "switch", "return", "until", "loop", "throw", "catch", "fn", "else", "break",
    "continue", "let", "const",
];
/// Reserved words that look like possible names.
pub(super) const RESERVED: [&str; 16] = [
    "until", "do", "is", "this", "const", "import", "export", "as", "global", "match", "case", "default", "with",
    "new", "use", "shared",
];
/// Functions that are part of Rhai's grammar, so that no signature lists them.
pub(super) const KEYWORD_FUNCTIONS: [&str; 9] =
    ["print", "debug", "type_of", "Fn", "call", "curry", "is_def_var", "is_def_fn", "is_shared"];

pub(super) static CALL: LazyLock<Regex> = LazyLock::new(|| regex(r"([A-Za-z_][A-Za-z0-9_]*)\s*\("));
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"\b(t|jump|ask|plugin|set_context)\s*\(\s*"([^"\\]*)"\s*[,)]"#));

/// Compiles a constant pattern of the engine.
pub(crate) fn regex(pattern: &'static str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
}

/// Names that a script refers to in literals, with their locations.
pub(super) fn references(path: &str, source: &str) -> Vec<(Reference, Location)> {
    let commentless = blank(source, false);
    REFERENCE
        .captures_iter(&commentless)
        .filter_map(|found| {
            let name = found.get(2)?;
            let text = name.as_str().to_owned();
            let reference = match found.get(1)?.as_str() {
                "t" => Reference::Text(text),
                "jump" => Reference::Intent(text),
                "plugin" => Reference::Plugin(text),
                "set_context" => Reference::Context(text),
                _ => Reference::Slot(text),
            };
            Some((reference, Location { file: path.to_owned(), span: name.range() }))
        })
        .collect()
}

/// The source with comments and the contents of texts blanked out; byte offsets stay the same.
pub(crate) fn blank_texts(source: &str) -> String {
    blank(source, true)
}

fn blank(source: &str, texts: bool) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, hide) = if rest.starts_with(b"//") {
            (rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with(b"/*") {
            (comment_length(rest), true)
        } else if let Some(length) = raw_text_length(rest) {
            (length, texts)
        } else if matches!(rest[0], b'"' | b'`' | b'\'') {
            (text_length(rest), texts)
        } else {
            (1, false)
        };
        for byte in &rest[..length] {
            out.push(if hide && *byte != b'\n' { b' ' } else { *byte });
        }
        at += length;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Length of a comment in bytes; comments nest.
fn comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length in bytes of a raw literal such as `#"…"#`, which ends with as many `#` as it starts with.
fn raw_text_length(rest: &[u8]) -> Option<usize> {
    let signs = rest.iter().take_while(|byte| **byte == b'#').count();
    if signs == 0 || rest.get(signs) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', signs)).collect();
    let inside = &rest[signs + 1..];
    let length = inside.windows(end.len()).position(|window| window == end).map_or(inside.len(), |at| at + end.len());
    Some(signs + 1 + length)
}

/// Length of a literal in bytes, quotes included.
fn text_length(rest: &[u8]) -> usize {
    let quote = rest[0];
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if quote != b'`' => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}
