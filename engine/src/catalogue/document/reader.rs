//! Builds a [`Document`] from the events of the YAML parser.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::{Document, child};
use crate::diagnostic::{Diagnostic, Location};

const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 32;

/// Fills a document from its text.
///
/// # Errors
/// The first syntax error or exceeded limit.
pub(super) fn read(document: Document, text: &str) -> Result<Document, Diagnostic> {
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut reader =
        YamlReader { parser: Parser::new_from_str(text), text, offsets, document, anchors: HashMap::new(), nodes: 0 };
    reader.read()?;
    Ok(reader.document)
}

struct YamlReader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    offsets: Vec<usize>,
    document: Document,
    anchors: HashMap<usize, Value>,
    nodes: usize,
}

impl<'a> YamlReader<'a> {
    fn read(&mut self) -> Result<(), Diagnostic> {
        let mut seen = false;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) if seen => {
                    return Err(self
                        .diagnostic(span, "the file has more than one YAML document")
                        .hint("remove the `---`"));
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                other => {
                    seen = true;
                    self.document.value = self.node(other, span, "", 0)?;
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                let location = Location { file: self.document.file.clone(), span: at..at };
                Err(Diagnostic::error(location, format!("this is not valid YAML: {}", error.info()))
                    .hint(self.syntax_hint(at)))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax_hint(&self, at: usize) -> &'static str {
        let before = &self.text[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].lines().next().unwrap_or("").trim_start();
        // The most common mistake: an example that starts with a marked entity.
        if line.starts_with("- [") {
            return "an example that begins with `[` needs quotes: '[laptop](product) is broken'";
        }
        if line.contains('\t') {
            return "YAML is indented with spaces, not with tabs";
        }
        "look for a missing quote, or a line indented differently from its neighbours"
    }

    fn node(&mut self, event: Event<'a>, span: Span, pointer: &str, depth: usize) -> Result<Value, Diagnostic> {
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            let diagnostic = self.diagnostic(span, format!("the file is nested more than {MAX_DEPTH} levels deep"));
            return Err(diagnostic.hint("look for an unclosed bracket, or nest less"));
        }
        let mut range = self.range(span);
        // A quoted text ends at its closing quote; the parser's span includes a trailing comment.
        if let Some(end) = self.text.get(range.start..).and_then(quoted) {
            range.end = range.start + end;
        }
        self.document.spans.insert(pointer.to_owned(), range);
        let (anchor, value) = match event {
            Event::Alias(anchor) => (0, self.alias(anchor, span)?),
            Event::Scalar(text, style, anchor, tag) => (anchor, self.scalar(&text, style, tag, span)?),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(pointer, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(pointer, depth)?),
            _ => {
                return Err(self
                    .diagnostic(span, "this is not valid YAML: a value was expected")
                    .hint("write one, or remove the key"));
            }
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, pointer: &str, depth: usize) -> Result<Value, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                self.end(pointer, span);
                return Ok(Value::Array(items));
            }
            let inner = child(pointer, items.len());
            items.push(self.node(event, span, &inner, depth + 1)?);
        }
    }

    fn mapping(&mut self, pointer: &str, depth: usize) -> Result<Value, Diagnostic> {
        let mut fields = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => {
                    self.end(pointer, span);
                    return Ok(Value::Object(fields));
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.diagnostic(span, "a key must be a text").hint("put the key in quotes")),
            };
            if fields.contains_key(&key) {
                let twin =
                    self.diagnostic(span, format!("the key `{key}` appears twice")).hint("merge both, or rename one");
                self.document.twins.push(twin);
                let (event, span) = self.next()?;
                // A separate pointer, so that its locations do not hide those of the first.
                self.node(event, span, &child(pointer, format!("{key} (again)")), depth + 1)?;
                continue;
            }
            let inner = child(pointer, &key);
            let range = self.range(span);
            self.document.keys.insert(inner.clone(), range);
            let (event, span) = self.next()?;
            let value = self.node(event, span, &inner, depth + 1)?;
            fields.insert(key, value);
        }
    }

    /// Notes where a collection ends. Only one in brackets has an end of its own; a block collection is reported as
    /// ending where the next token begins.
    fn end(&mut self, pointer: &str, span: Span) {
        let start = self.range(span).start;
        if self.text.get(start..).is_some_and(|text| text.starts_with([']', '}'])) {
            self.document.ends.insert(pointer.to_owned(), start + 1);
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, Diagnostic> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(self
                .diagnostic(span, "the alias refers to an anchor that is not defined before it")
                .hint("a text that begins with `*` needs quotes"));
        };
        let size = weigh(value);
        self.count(size, span)?;
        Ok(self.anchors[&anchor].clone())
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(self
            .diagnostic(span, format!("the file expands to more than {MAX_NODES} values"))
            .hint(if self.anchors.is_empty() { "split the file" } else { "use fewer aliases, or split the file" }))
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<Cow<'a, Tag>>,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::String(text.to_owned())),
            Some(tag) if !tag.is_yaml_core_schema() => {
                let diagnostic =
                    self.diagnostic(span, format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix));
                Err(diagnostic.hint("remove it; a text that begins with `!` needs quotes"))
            }
            _ if style != ScalarStyle::Plain => Ok(Value::String(text.to_owned())),
            _ => Ok(plain(text)),
        }
    }

    fn diagnostic(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Location { file: self.document.file.clone(), span: self.range(span) }, message)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(span.start.index())..self.byte(span.end.index())
    }

    /// Converts a character index, as the parser counts, into a byte offset.
    fn byte(&self, index: usize) -> usize {
        self.offsets.get(index).or(self.offsets.last()).copied().unwrap_or(0)
    }
}

/// YAML 1.2's core schema: `no` is a text, as the author of a bot means it.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !digits.ends_with(['e', 'E']);
    // "007" and "+7" are codes, not numbers.
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") || text.starts_with('+');
    if numeric && !padded {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Number(number.into());
        }
        if let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

/// The number of values that a copy counts as; a long text counts as several.
fn weigh(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / 16,
        Value::Array(items) => 1 + items.iter().map(weigh).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(weigh).sum::<usize>(),
        _ => 1,
    }
}

/// The length in bytes, quotes included, of the quoted text at the start of `text`.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if quote == '"' => drop(rest.next()),
            // A doubled quote stands for one quote.
            '\'' if quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == '\'') => drop(rest.next()),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
