//! Botium's plain text conversations (`.convo.txt`): a name, then sections `#me` and `#bot`. Bots' texts are parts of the reply in any
//! case, as Botium compares them by default (`includesIgnoreCase`).

use serde_json::Value;

use super::{Reader, SOMEBODY, foreign};
use crate::{
    catalogue::{
        IntentId,
        document::decode,
        fault::{Fault, Place as Span},
    },
    replay::{
        fixture::{Expectation, Fixture, Step, Subject},
        matcher::Matcher,
    },
};

const HINT: &str = "the rest of the file is played; say the same in a fixture of banter's own to have this compared";
/// Words in capitals that begin a line of Botium's and are no text.
const UNMAPPED: [&str; 12] = [
    "MEDIA",
    "CARDS",
    "PAUSE",
    "SET_SCRIPTING_MEMORY",
    "ASSIGN_SCRIPTING_MEMORY",
    "UPDATE_CUSTOM",
    "WAITFORBOT",
    "INCLUDE",
    "JSON_PATH",
    "RESPONSE_LENGTH",
    "CHECKPOINT",
    "FORM",
];

/// The conversation of a file. What cannot be mapped is a warning with its line.
pub fn read(reader: &mut Reader<'_>, path: &str, bytes: &[u8]) -> Option<Fixture> {
    reader.faults.add_source(path, &String::from_utf8_lossy(bytes));
    let text = match decode(path, bytes) {
        Ok(text) => text,
        Err(fault) => {
            reader.faults.push(fault);
            return None;
        }
    };
    let mut convo = Convo { reader, path, name: String::new(), steps: Vec::new(), section: Section::Head };
    let mut at = 0;
    for (index, line) in text.split('\n').enumerate() {
        let span = Span { file: path.to_owned(), span: at..at + line.trim_end().len() };
        at += line.len() + 1;
        convo.line(line.trim(), index + 1, span);
    }
    let Convo { name, steps, .. } = convo;
    for step in steps.iter().filter(|step| step.text.is_empty()) {
        let start: usize = text.split_inclusive('\n').take(step.place.line - 1).map(str::len).sum();
        let fault = Fault::error(Span { file: path.to_owned(), span: start..start }, "the section `#me` has no text");
        reader.faults.push(fault.hint("write what the user says on the next line"));
    }
    if steps.is_empty() {
        let place = Span { file: path.to_owned(), span: 0..0 };
        let fault = Fault::error(place, "the conversation has no `#me` with a text");
        reader.faults.push(fault.hint("a line `#me`, and what the user says on the next"));
        return None;
    }
    let name = if name.is_empty() { path.to_owned() } else { name };
    Some(Fixture { steps, ..foreign(name, reader.line(path, 1)) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Head,
    Me,
    Bot,
    Other,
}

struct Convo<'a, 'b> {
    reader: &'a mut Reader<'b>,
    path: &'a str,
    name: String,
    steps: Vec<Step>,
    section: Section,
}

impl Convo<'_, '_> {
    fn line(&mut self, line: &str, number: usize, span: Span) {
        if let Some(tag) = line.strip_prefix('#') {
            let tag = tag.split_whitespace().next().unwrap_or("");
            self.section = match tag {
                "me" => Section::Me,
                "bot" => Section::Bot,
                _ => {
                    self.unmapped(span, format!("the section `#{tag}` is not mapped"));
                    Section::Other
                }
            };
            if self.section == Section::Me {
                self.begin(number);
            }
            return;
        }
        if line.is_empty() {
            return;
        }
        match self.section {
            Section::Head if self.name.is_empty() => line.clone_into(&mut self.name),
            Section::Head | Section::Other => {}
            Section::Me => self.say(line, span),
            Section::Bot => self.expect(line, number, span),
        }
    }

    fn begin(&mut self, line: usize) {
        self.steps.push(Step {
            speaker: SOMEBODY.to_owned(),
            text: String::new(),
            after: None,
            place: self.reader.line(self.path, line),
            expectations: Vec::new(),
            events: None,
        });
    }

    fn say(&mut self, line: &str, span: Span) {
        if is_command(line) {
            return self.unmapped(span, format!("`{}` is not mapped", first(line)));
        }
        let Some(step) = self.steps.last_mut() else { return };
        if !step.text.is_empty() {
            step.text.push('\n');
        }
        step.text.push_str(line);
    }

    fn expect(&mut self, line: &str, number: usize, span: Span) {
        let (negated, line) = match line.strip_prefix('!') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, line),
        };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let names = || rest.split('|').map(str::trim).filter(|name| !name.is_empty());
        let mut found: Vec<(Subject, Matcher)> = Vec::new();
        match word {
            "INTENT" if self.reader.catalogue.intent(&IntentId::new(rest.trim())).is_some() => {
                found.push((Subject::Intent, Matcher::Equals(rest.trim().into())));
            }
            "INTENT" => return self.unmapped(span, format!("the bot has no intent `{}`", rest.trim())),
            "INTENT_CONFIDENCE" => match rest.trim().parse::<f64>() {
                Ok(percent) => found.push((Subject::Probability, Matcher::Within(Some(percent / 100.0), None))),
                Err(_) => return self.unmapped(span, format!("`{}` is no number", rest.trim())),
            },
            "ENTITIES" => found.extend(names().map(|name| {
                let name = name.trim_end_matches("...");
                (Subject::Entity(name.to_owned()), Matcher::Anything)
            })),
            "BUTTONS" => found.push((
                Subject::Suggestions,
                Matcher::Items(
                    std::iter::once(Matcher::Rest)
                        .chain(names().flat_map(|name| [Matcher::Equals(Value::from(name)), Matcher::Rest]))
                        .collect(),
                ),
            )),
            "TEXT" | "TEXT_EXACT" => found.push((Subject::Text, Matcher::Equals(rest.trim().into()))),
            "TEXT_IC" | "TEXT_CONTAINS_ANY_IC" | "TEXT_CONTAINS_ANY" => found.push((
                Subject::Text,
                Matcher::OneOf(names().map(|name| Matcher::Contains(name.to_lowercase(), true)).collect()),
            )),
            "TEXT_CONTAINS_ALL_IC" | "TEXT_CONTAINS_ALL" => {
                found.extend(names().map(|name| (Subject::Text, Matcher::Contains(name.to_lowercase(), true))));
            }
            "TEXT_REGEXP" | "TEXT_REGEXP_IC" => match pattern(word, rest.trim()) {
                Ok(pattern) => found.push((Subject::Text, Matcher::Pattern(pattern))),
                Err(_) => return self.unmapped(span, format!("the pattern `{}` is not good", rest.trim())),
            },
            _ if is_command(line) => return self.unmapped(span, format!("`{word}` is not mapped")),
            _ => {
                // `*` stands for anything in Botium's wildcard mode.
                let matcher = Matcher::Contains(line.to_lowercase(), true);
                found.push((Subject::Text, if line == "*" { Matcher::Anything } else { matcher }));
            }
        }
        let place = self.reader.line(self.path, number);
        for (subject, matcher) in found {
            let matcher = if negated { Matcher::Not(Box::new(matcher)) } else { matcher };
            self.push(Expectation { subject, matcher, place: place.clone() }, &span);
        }
    }

    fn push(&mut self, expectation: Expectation, span: &Span) {
        match self.steps.last_mut() {
            Some(step) => step.expectations.push(expectation),
            None => self.unmapped(span.clone(), "the bot speaks before the user".to_owned()),
        }
    }

    fn unmapped(&mut self, span: Span, message: String) {
        self.reader.faults.push(Fault::warning(span, message).hint(HINT));
    }
}

fn pattern(word: &str, pattern: &str) -> Result<regex::Regex, regex::Error> {
    let mut builder = regex::RegexBuilder::new(pattern);
    builder.size_limit(1 << 20).case_insensitive(word.ends_with("_IC")).build()
}

fn first(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or("")
}

/// Asserters and logic hooks are words in capitals with an underscore or of the known ones.
fn is_command(line: &str) -> bool {
    let word = first(line);
    let capitals = word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
    capitals && (word.contains('_') || UNMAPPED.contains(&word))
}
