//! YAML with places: a JSON value, and for each part of it the bytes it came from.
//!
//! Bounded on purpose: a document has a limit of nodes and of depth, and an alias counts as all that it stands for.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::fault::{Fault, Faults, Place};

const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 32;

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    /// Path inside the bot's folder.
    pub file: String,
    /// The content, aliases resolved.
    pub value: Value,
    /// Keys that stand twice; the first of each counts.
    pub twins: Vec<Fault>,
    spans: HashMap<String, Range<usize>>,
    keys: HashMap<String, Range<usize>>,
    /// Where collections in brackets end.
    ends: HashMap<String, usize>,
    /// Bytes at which lines begin.
    lines: Vec<usize>,
    /// Pointers of parts that are missing or wrong, which is told already.
    gaps: Vec<String>,
}

impl Document {
    /// Parses the one YAML document of a file.
    ///
    /// # Errors
    /// The first fault of syntax or of bounds, which ends the reading of the file.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Fault> {
        let text = decode(file, bytes)?;
        let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let document = Self { lines, gaps: Vec::new(), ..Self::unread(file) };
        let mut reader =
            Reader { parser: Parser::new_from_str(text), text, offsets, document, anchors: HashMap::new(), nodes: 0 };
        reader.read()?;
        Ok(reader.document)
    }

    /// The document of a file that is not there or cannot be parsed: everything of it is a gap.
    pub fn unread(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            value: Value::Null,
            twins: Vec::new(),
            spans: HashMap::new(),
            keys: HashMap::new(),
            ends: HashMap::new(),
            lines: Vec::new(),
            gaps: vec![String::new()],
        }
    }

    /// [`Document::parse`] for a reader of many files: the text and all that is wrong go into `faults`.
    pub fn read(file: &str, bytes: &[u8], faults: &mut Faults) -> Option<Self> {
        faults.add_source(file, &String::from_utf8_lossy(bytes));
        match Self::parse(file, bytes) {
            Ok(mut document) => {
                std::mem::take(&mut document.twins).into_iter().for_each(|twin| faults.push(twin));
                Some(document)
            }
            Err(fault) => {
                faults.push(fault);
                None
            }
        }
    }

    /// Notes that the value at a pointer is missing or wrong, and that this is told.
    pub fn lack(&mut self, pointer: String) {
        self.gaps.push(pointer);
    }

    /// Whether anything at a pointer, around it or inside it is missing or wrong, so that nothing follows from what is not there.
    pub fn lacks(&self, pointer: &str) -> bool {
        let within = |inner: &str, outer: &str| beneath(inner, outer, "").is_some();
        self.gaps.iter().any(|gap| within(gap, pointer) || within(pointer, gap))
    }

    /// Takes the key `from` of the map at a pointer for `to`, places and all; false where the map has one already.
    pub fn rename(&mut self, pointer: &str, from: &str, to: &str) -> bool {
        let Some(map) = self.value.pointer_mut(pointer).and_then(Value::as_object_mut) else { return false };
        if map.contains_key(to) || !map.contains_key(from) {
            return false;
        }
        let named = |key: String| if key == from { to.to_owned() } else { key };
        *map = std::mem::take(map).into_iter().map(|(key, value)| (named(key), value)).collect();
        let (old, new) = (child(pointer, from), child(pointer, to));
        for places in [&mut self.spans, &mut self.keys] {
            let moved: Vec<(String, Range<usize>)> =
                places.iter().filter_map(|(key, span)| Some((beneath(key, &old, &new)?, span.clone()))).collect();
            places.extend(moved);
        }
        let ends: Vec<(String, usize)> =
            self.ends.iter().filter_map(|(key, end)| Some((beneath(key, &old, &new)?, *end))).collect();
        self.ends.extend(ends);
        true
    }

    /// Where the bytes `part` of the text at a pointer stand in the file, or the text as a whole where it is not written there as it is
    /// read.
    pub fn place_inside(&self, pointer: &str, text: &str, part: Range<usize>, bytes: &[u8]) -> Place {
        let place = self.place(pointer);
        let find = || {
            let (source, wanted) = (decode(&self.file, bytes).ok()?, text.get(part.clone())?);
            let extent = self.extent(pointer, source)?;
            let written = source.get(extent.clone())?;
            // A text in several lines is written with indents.
            let whole = || Some(written.find(text)? + part.start);
            let at = extent.start + whole().or_else(|| written.find(wanted))?;
            Some(Place { span: at..at + wanted.len(), ..place.clone() })
        };
        find().unwrap_or(place)
    }

    /// Where the value at a JSON pointer stands; for what has no place of its own, the nearest part around it.
    pub fn place(&self, pointer: &str) -> Place {
        self.find(&self.spans, pointer)
    }

    /// Where the key of the value at a JSON pointer stands.
    pub fn key_place(&self, pointer: &str) -> Place {
        match self.keys.get(pointer) {
            Some(span) => Place { file: self.file.clone(), span: span.clone() },
            None => self.place(pointer),
        }
    }

    /// The line of the key of a value at a JSON pointer, or of the value where it has none; counted from 1.
    pub fn line(&self, pointer: &str) -> usize {
        let start = self.key_place(pointer).span.start;
        self.lines.partition_point(|line| *line <= start).max(1)
    }

    /// All bytes of the value at a JSON pointer, without what follows it.
    pub fn extent(&self, pointer: &str, text: &str) -> Option<Range<usize>> {
        let mut own = self.spans.get(pointer)?.clone();
        if own.is_empty() && self.value.pointer(pointer).is_some_and(Value::is_null) {
            // `key:` with nothing behind it.
            let key = self.keys.get(pointer)?;
            let colon = key.end + text.get(key.end..)?.find(':')? + 1;
            return Some(colon..colon);
        }
        // A block scalar's span begins behind its `|` or `>`.
        let gap = self.keys.get(pointer).and_then(|key| Some((key.end, text.get(key.end..own.start)?)));
        if let Some((key, header)) = gap.and_then(|(key, gap)| Some((key, gap.find(['|', '>'])?)))
            && text.get(key..key + header).is_some_and(|colon| colon.trim() == ":")
        {
            own.start = key + header;
        }
        let is_block = !text.get(own.start..)?.starts_with(['[', '{', '"', '\'', '|', '>']);
        let inside = format!("{pointer}/");
        let parts = self.spans.iter().filter(|(key, _)| is_block && key.starts_with(&inside));
        let inner = parts.map(|(key, span)| self.ends.get(key).copied().unwrap_or(span.end)).max();
        let end = self.ends.get(pointer).copied().or(inner).unwrap_or(own.end);
        let value = text.get(own.start..end)?;
        Some(own.start..own.start + value.trim_end().len())
    }

    fn find(&self, spans: &HashMap<String, Range<usize>>, pointer: &str) -> Place {
        let mut path = pointer;
        let span = loop {
            if let Some(span) = spans.get(path) {
                break span.clone();
            }
            match path.rfind('/') {
                Some(at) => path = &path[..at],
                None => break 0..0,
            }
        };
        Place { file: self.file.clone(), span }
    }
}

/// A pointer at or under `old`, as one at or under `new`.
fn beneath(pointer: &str, old: &str, new: &str) -> Option<String> {
    let rest = pointer.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    Some(format!("{new}{rest}"))
}

/// How many bytes at the beginning of `text` are a text in quotes, these included.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if quote == '"' => drop(rest.next()),
            // Twice, it stands for itself.
            '\'' if quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == '\'') => drop(rest.next()),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A pointer one level down.
pub fn child(pointer: &str, key: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", key.to_string().replace('~', "~0").replace('/', "~1"))
}

/// The text of a file without its byte-order mark.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
        let place = Place { file: file.to_owned(), span: at..at };
        Fault::error(place, format!("line {line} is not UTF-8")).hint("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    offsets: Vec<usize>,
    document: Document,
    anchors: HashMap<usize, Value>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), Fault> {
        let mut seen = false;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) if seen => {
                    return Err(self.fault(span, "the file has more than one YAML document").hint("remove the `---`"));
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                other => {
                    seen = true;
                    self.document.value = self.node(other, span, "", 0)?;
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                let place = Place { file: self.document.file.clone(), span: at..at };
                Err(Fault::error(place, format!("this is not YAML: {}", error.info())).hint(self.syntax_hint(at)))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax_hint(&self, at: usize) -> &'static str {
        let before = &self.text[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].lines().next().unwrap_or("").trim_start();
        // The commonest slip of all: a marked entity at the head of an example.
        if line.starts_with("- [") {
            return "an example that begins with `[` needs quotes: '[laptop](product) is broken'";
        }
        if line.contains('\t') {
            return "YAML is indented with spaces, not with tabs";
        }
        "look for a missing quote, or an indent that differs from its neighbours"
    }

    fn node(&mut self, event: Event<'a>, span: Span, pointer: &str, depth: usize) -> Result<Value, Fault> {
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            let fault = self.fault(span, format!("the file nests deeper than {MAX_DEPTH} levels"));
            return Err(fault.hint("look for brackets that are never closed, or write it flatter"));
        }
        let mut range = self.range(span);
        // A text in quotes ends with them; the parser's span takes the comment behind it along.
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
                    .fault(span, "this is not YAML: a value was expected")
                    .hint("write one, or remove the key"));
            }
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, pointer: &str, depth: usize) -> Result<Value, Fault> {
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

    fn mapping(&mut self, pointer: &str, depth: usize) -> Result<Value, Fault> {
        let mut fields = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => {
                    self.end(pointer, span);
                    return Ok(Value::Object(fields));
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.fault(span, "a key must be a text").hint("put the key in quotes")),
            };
            if fields.contains_key(&key) {
                let twin = self.fault(span, format!("the key `{key}` stands twice")).hint("merge both, or rename one");
                self.document.twins.push(twin);
                let (event, span) = self.next()?;
                // Its places would hide those of the first.
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

    /// A collection has ended; one without brackets ends where something else begins, which tells nothing.
    fn end(&mut self, pointer: &str, span: Span) {
        let start = self.range(span).start;
        if self.text.get(start..).is_some_and(|text| text.starts_with([']', '}'])) {
            self.document.ends.insert(pointer.to_owned(), start + 1);
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, Fault> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(self
                .fault(span, "the alias names no anchor before it")
                .hint("a text that begins with `*` needs quotes"));
        };
        let size = weigh(value);
        self.count(size, span)?;
        Ok(self.anchors[&anchor].clone())
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(self
            .fault(span, format!("the file stands for more than {MAX_NODES} values"))
            .hint(if self.anchors.is_empty() { "split the file" } else { "write fewer aliases, or split the file" }))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<Cow<'a, Tag>>, span: Span) -> Result<Value, Fault> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::String(text.to_owned())),
            Some(tag) if !tag.is_yaml_core_schema() => {
                let fault = self.fault(span, format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix));
                Err(fault.hint("remove it; a text that begins with `!` needs quotes"))
            }
            _ if style != ScalarStyle::Plain => Ok(Value::String(text.to_owned())),
            _ => Ok(plain(text)),
        }
    }

    fn fault(&self, span: Span, message: impl Into<String>) -> Fault {
        Fault::error(Place { file: self.document.file.clone(), span: self.range(span) }, message)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(span.start.index())..self.byte(span.end.index())
    }

    /// The parser counts characters.
    fn byte(&self, index: usize) -> usize {
        self.offsets.get(index).or(self.offsets.last()).copied().unwrap_or(0)
    }
}

/// YAML 1.2's core schema: `no` is a text, as an author of a bot means it.
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

/// How many values a copy takes the room of; a long text counts as several.
fn weigh(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / 16,
        Value::Array(items) => 1 + items.iter().map(weigh).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(weigh).sum::<usize>(),
        _ => 1,
    }
}
