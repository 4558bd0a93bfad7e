//! YAML with locations: a JSON value, and the byte range of each of its parts.
//!
//! Input is bounded: a document has a limit on nodes and on depth, and an alias counts as everything it stands for.

mod reader;

use std::{collections::HashMap, ops::Range};

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Diagnostics, Location};

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    /// Path inside the bot's folder.
    pub file: String,
    /// The content, with aliases resolved.
    pub value: Value,
    /// Diagnostics for duplicate keys; the first occurrence counts.
    pub twins: Vec<Diagnostic>,
    spans: HashMap<String, Range<usize>>,
    keys: HashMap<String, Range<usize>>,
    /// End offsets of collections in brackets.
    ends: HashMap<String, usize>,
    /// Byte offsets of line starts.
    lines: Vec<usize>,
    /// Pointers to values that are missing or invalid and already reported.
    gaps: Vec<String>,
}

impl Document {
    /// Parses the one YAML document of a file.
    ///
    /// # Errors
    /// The first syntax error or exceeded limit; the file is not read any further.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        let text = decode(file, bytes)?;
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let document = Self { lines, gaps: Vec::new(), ..Self::unread(file) };
        reader::read(document, text)
    }

    /// A document for a file that is missing or cannot be parsed: all of it is a gap.
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

    /// Like [`Document::parse`], but adds the file's text and all diagnostics to `diagnostics`.
    pub fn read(file: &str, bytes: &[u8], diagnostics: &mut Diagnostics) -> Option<Self> {
        diagnostics.add_source(file, &String::from_utf8_lossy(bytes));
        match Self::parse(file, bytes) {
            Ok(mut document) => {
                std::mem::take(&mut document.twins).into_iter().for_each(|twin| diagnostics.push(twin));
                Some(document)
            }
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// Marks the value at a pointer as missing or invalid and already reported.
    pub fn lack(&mut self, pointer: String) {
        self.gaps.push(pointer);
    }

    /// Whether the value at a pointer, a part of it or something around it is missing or invalid. If so, follow-on
    /// errors must be suppressed.
    pub fn lacks(&self, pointer: &str) -> bool {
        let within = |inner: &str, outer: &str| beneath(inner, outer, "").is_some();
        self.gaps.iter().any(|gap| within(gap, pointer) || within(pointer, gap))
    }

    /// Renames the key `from` of the map at a pointer to `to` and moves its locations along. Returns false if `from` is
    /// missing or `to` already exists.
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

    /// The location of the bytes `part` of the text at a pointer. If the file does not contain the text literally
    /// (quotes, escapes, folded lines), the location of the whole text.
    pub fn place_inside(&self, pointer: &str, text: &str, part: Range<usize>, bytes: &[u8]) -> Location {
        let location = self.location(pointer);
        let find = || {
            let (source, wanted) = (decode(&self.file, bytes).ok()?, text.get(part.clone())?);
            let extent = self.extent(pointer, source)?;
            let written = source.get(extent.clone())?;
            // A multi-line text is indented in the file, so look for the part alone.
            let whole = || Some(written.find(text)? + part.start);
            let at = extent.start + whole().or_else(|| written.find(wanted))?;
            Some(Location { span: at..at + wanted.len(), ..location.clone() })
        };
        find().unwrap_or(location)
    }

    /// The location of the value at a JSON pointer; if it has none, that of the nearest enclosing value.
    pub fn location(&self, pointer: &str) -> Location {
        self.find(&self.spans, pointer)
    }

    /// The location of the key of the value at a JSON pointer.
    pub fn key_location(&self, pointer: &str) -> Location {
        match self.keys.get(pointer) {
            Some(span) => Location { file: self.file.clone(), span: span.clone() },
            None => self.location(pointer),
        }
    }

    /// The line of the value's key at a JSON pointer, or of the value if it has no key; counted from 1.
    pub fn line(&self, pointer: &str) -> usize {
        let start = self.key_location(pointer).span.start;
        self.lines.partition_point(|line| *line <= start).max(1)
    }

    /// The byte range of the whole value at a JSON pointer, without trailing white space.
    pub fn extent(&self, pointer: &str, text: &str) -> Option<Range<usize>> {
        let mut own = self.spans.get(pointer)?.clone();
        if own.is_empty() && self.value.pointer(pointer).is_some_and(Value::is_null) {
            // `key:` without a value.
            let key = self.keys.get(pointer)?;
            let colon = key.end + text.get(key.end..)?.find(':')? + 1;
            return Some(colon..colon);
        }
        // The span of a block scalar starts after its `|` or `>`.
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

    fn find(&self, spans: &HashMap<String, Range<usize>>, pointer: &str) -> Location {
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
        Location { file: self.file.clone(), span }
    }
}

/// Rebases a pointer at or under `old` to `new`.
fn beneath(pointer: &str, old: &str, new: &str) -> Option<String> {
    let rest = pointer.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    Some(format!("{new}{rest}"))
}

/// The JSON pointer of `key` under `pointer`.
pub fn child(pointer: &str, key: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", key.to_string().replace('~', "~0").replace('/', "~1"))
}

/// The file's text without a byte-order mark.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostic> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
        let location = Location { file: file.to_owned(), span: at..at };
        Diagnostic::error(location, format!("line {line} is not UTF-8")).hint("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}
