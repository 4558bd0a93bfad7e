//! Botium's plain text conversations (`.convo.txt`): a name, then sections `#me` and `#bot`. A text under `#bot` must
//! be part of the reply, in any case, as Botium compares by default (`includesIgnoreCase`); `*` in it matches anything.
//! The name of an utterance list (`.utterances.txt`) stands for any of its utterances under `#bot`, and for the first
//! under `#me`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FixtureReader, SOMEBODY, UNSAYABLE, foreign};
use crate::{
    catalogue::document::decode,
    diagnostic::{Diagnostic, Location},
    ids::IntentId,
    replay::{
        fixture::{Expectation, Fixture, Step, Subject},
        matcher::Matcher,
    },
};

/// File ending of conversations.
pub const CONVERSATION: &str = ".convo.txt";
/// File ending of utterance lists.
pub const UTTERANCES: &str = ".utterances.txt";
const HINT: &str = "the rest of the file is played; write a banter fixture to check this";
/// Unsupported Botium commands: words in capitals at the start of a line.
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

/// Supported asserters; each needs an argument.
const ASSERTERS: [&str; 14] = [
    "INTENT",
    "INTENT_CONFIDENCE",
    "ENTITIES",
    "BUTTONS",
    "TEXT",
    "TEXT_IC",
    "TEXT_EXACT",
    "TEXT_EXACT_IC",
    "TEXT_CONTAINS_ANY",
    "TEXT_CONTAINS_ANY_IC",
    "TEXT_CONTAINS_ALL",
    "TEXT_CONTAINS_ALL_IC",
    "TEXT_REGEXP",
    "TEXT_REGEXP_IC",
];

/// Reads the conversation of a file. Unsupported parts are reported as warnings.
pub fn read(reader: &mut FixtureReader<'_>, path: &str, bytes: &[u8]) -> Option<Fixture> {
    reader.diagnostics.add_source(path, &String::from_utf8_lossy(bytes));
    let text = match decode(path, bytes) {
        Ok(text) => text,
        Err(diagnostic) => {
            reader.diagnostics.push(diagnostic);
            return None;
        }
    };
    let utterances = utterances(reader.files);
    let (name, steps, section, played_once) = (String::new(), Vec::new(), Section::Head, Vec::new());
    let mut convo = Convo { reader, path, utterances, name, steps, section, played_once };
    let mut at = 0;
    for (index, line) in text.split('\n').enumerate() {
        let span = Location { file: path.to_owned(), span: at..at + line.trim_end().len() };
        at += line.len() + 1;
        convo.line(line.trim(), index + 1, span);
    }
    let Convo { name, mut steps, played_once, .. } = convo;
    steps.retain(|step| step.text != UNSAYABLE);
    for (span, name, others) in played_once {
        let message = format!("only the first utterance of `{name}` is played, not the other {others}");
        reader
            .diagnostics
            .push(Diagnostic::warning(span, message).hint("write a conversation for each utterance that matters"));
    }
    for step in steps.iter().filter(|step| step.text.is_empty()) {
        let start: usize = text.split_inclusive('\n').take(step.location.line - 1).map(str::len).sum();
        let diagnostic =
            Diagnostic::error(Location { file: path.to_owned(), span: start..start }, "the section `#me` has no text");
        reader.diagnostics.push(diagnostic.hint("write what the user says on the next line"));
    }
    if steps.is_empty() {
        let location = Location { file: path.to_owned(), span: 0..0 };
        let diagnostic = Diagnostic::error(location, "the conversation has no `#me` with a text");
        reader.diagnostics.push(diagnostic.hint("write a line `#me`, and what the user says on the next line"));
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

/// Utterance lists by name.
fn utterances(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<String>> {
    let lists = files.iter().filter(|(path, _)| path.to_lowercase().ends_with(UTTERANCES));
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, mut list) in lists.filter_map(|(path, bytes)| list_of(decode(path, bytes).ok()?)) {
        // Several files may extend one list.
        all.entry(name).or_default().append(&mut list);
    }
    all
}

/// Splits an utterance file: the first line is the list's name, the rest are utterances.
fn list_of(text: &str) -> Option<(String, Vec<String>)> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let name = lines.next()?;
    Some((name, lines.collect()))
}

/// Reports errors in an utterance file.
pub fn check_utterances(reader: &mut FixtureReader<'_>, path: &str, bytes: &[u8]) {
    reader.diagnostics.add_source(path, &String::from_utf8_lossy(bytes));
    match decode(path, bytes) {
        Ok(text) if list_of(text).is_none_or(|(_, list)| list.is_empty()) => {
            let location = Location { file: path.to_owned(), span: 0..0 };
            let diagnostic = Diagnostic::error(location, "the file contains no utterances");
            reader
                .diagnostics
                .push(diagnostic.hint("write the list's name on the first line, then one utterance per line"));
        }
        Ok(_) => {}
        Err(diagnostic) => reader.diagnostics.push(diagnostic),
    }
}

struct Convo<'a, 'b> {
    reader: &'a mut FixtureReader<'b>,
    path: &'a str,
    utterances: BTreeMap<String, Vec<String>>,
    name: String,
    steps: Vec<Step>,
    section: Section,
    /// Lists of which only the first utterance is played: location, name, number of other utterances.
    played_once: Vec<(Location, String, usize)>,
}

impl Convo<'_, '_> {
    fn line(&mut self, line: &str, number: usize, span: Location) {
        if let Some(tag) = line.strip_prefix('#') {
            let (tag, rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            if !rest.trim().is_empty() && matches!(tag, "me" | "bot") {
                self.unmapped(span.clone(), format!("`{}` after `#{tag}` is not supported", rest.trim()));
            }
            self.section = match tag {
                "me" => Section::Me,
                "bot" => Section::Bot,
                _ => {
                    self.unmapped(span, format!("the section `#{tag}` is not supported"));
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
            // Lines between the name and the first section are a description.
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
            location: self.reader.line(self.path, line),
            expectations: Vec::new(),
            events: None,
        });
    }

    fn say(&mut self, name: &str, span: Location) {
        let line = name;
        if is_command(line) && !self.utterances.contains_key(line) {
            return self.unmapped(span, format!("`{}` is not supported", first(line)));
        }
        let (line, others) = match self.utterances.get(line).and_then(|list| list.split_first()) {
            Some((first, others)) => (first.clone(), others.len()),
            None => (line.to_owned(), 0),
        };
        if others > 0 {
            self.played_once.push((span.clone(), name.to_owned(), others));
        }
        let variable = variable(&line).map(str::to_owned);
        let Some(step) = self.steps.last_mut() else { return };
        if let Some(variable) = variable {
            UNSAYABLE.clone_into(&mut step.text);
            return self.unmapped(span, format!("the variable `{variable}` is not supported; the message is skipped"));
        }
        if !step.text.is_empty() {
            step.text.push('\n');
        }
        step.text.push_str(&line);
    }

    fn expect(&mut self, line: &str, number: usize, span: Location) {
        let (negated, line) = match line.strip_prefix('!') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, line),
        };
        if let Some(variable) = variable(line) {
            return self.unmapped(span, format!("the variable `{variable}` is not supported"));
        }
        if line.len() > 1 && line.starts_with('?') {
            return self.unmapped(span, "an optional text (`?`) is not supported".to_owned());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let names = || rest.split('|').map(str::trim).filter(|name| !name.is_empty());
        if ASSERTERS.contains(&word) && names().next().is_none() {
            return self.unmapped(span, format!("`{word}` needs an argument"));
        }
        let any_case = word.ends_with("_IC");
        let part = |name: &str| match any_case {
            true => Matcher::Contains(name.to_lowercase(), true),
            false => Matcher::Contains(name.to_owned(), false),
        };
        let mut found: Vec<(Subject, Matcher)> = Vec::new();
        match word {
            "INTENT" if self.reader.catalogue.intent(&IntentId::new(rest.trim())).is_some() => {
                found.push((Subject::Intent, Matcher::Equals(rest.trim().into())));
            }
            "INTENT" => return self.unmapped(span, format!("the bot has no intent `{}`", rest.trim())),
            "INTENT_CONFIDENCE" => match rest.trim().parse::<f64>() {
                Ok(percent) => found.push((Subject::Probability, Matcher::Within(Some(percent / 100.0), None))),
                Err(_) => return self.unmapped(span, format!("`{}` is not a number", rest.trim())),
            },
            "ENTITIES" => {
                // A trailing `...` allows further entities.
                let known = &self.reader.catalogue.entities;
                let wanted: Vec<&str> =
                    names().map(|name| name.trim_end_matches("...")).filter(|n| !n.is_empty()).collect();
                let unknown: Vec<&str> = wanted.iter().copied().filter(|name| !known.contains_key(*name)).collect();
                if !unknown.is_empty() {
                    return self.unmapped(span, format!("the bot has no entity `{}`", unknown.join("`, `")));
                }
                found.extend(wanted.iter().map(|name| (Subject::Entity((*name).to_owned()), Matcher::Anything)));
                if !rest.trim_end().ends_with("...") {
                    let others = known.keys().filter(|name| !wanted.contains(&name.as_str()));
                    found.extend(others.map(|name| (Subject::Entity(name.clone()), Matcher::Equals(Value::Null))));
                }
            }
            // In any order.
            "BUTTONS" => found.extend(names().map(|name| {
                let one = vec![Matcher::Rest, Matcher::Equals(Value::from(name)), Matcher::Rest];
                (Subject::Suggestions, Matcher::Items(one))
            })),
            "TEXT" | "TEXT_EXACT" => found.push((Subject::Text, Matcher::Equals(rest.trim().into()))),
            "TEXT_EXACT_IC" | "TEXT_IC" => match pattern(word, &format!("^(?:{})$", regex::escape(rest.trim()))) {
                Ok(pattern) => found.push((Subject::Text, Matcher::Pattern(pattern))),
                Err(_) => return self.unmapped(span, format!("`{}` is too long", rest.trim())),
            },
            "TEXT_CONTAINS_ANY_IC" | "TEXT_CONTAINS_ANY" => {
                found.push((Subject::Text, Matcher::OneOf(names().map(part).collect())));
            }
            "TEXT_CONTAINS_ALL_IC" | "TEXT_CONTAINS_ALL" => {
                found.extend(names().map(|name| (Subject::Text, part(name))));
            }
            "TEXT_REGEXP" | "TEXT_REGEXP_IC" => match pattern(word, rest.trim()) {
                Ok(pattern) => found.push((Subject::Text, Matcher::Pattern(pattern))),
                Err(_) => return self.unmapped(span, format!("the pattern `{}` is invalid", rest.trim())),
            },
            _ if is_command(line) && !self.utterances.contains_key(line) => {
                return self.unmapped(span, format!("`{word}` is not supported"));
            }
            _ => {
                let texts = self.utterances.get(line);
                let texts = texts.map_or(vec![line], |list| list.iter().map(String::as_str).collect());
                let mut matchers: Vec<Matcher> = texts.into_iter().map(says).collect();
                let only = if matchers.len() == 1 { matchers.pop() } else { None };
                found.push((Subject::Text, only.unwrap_or(Matcher::OneOf(matchers))));
            }
        }
        if negated && found.len() > 1 {
            return self.unmapped(span, format!("`!{word}` with several values is not supported"));
        }
        let location = self.reader.line(self.path, number);
        for (subject, matcher) in found {
            let matcher = if negated { Matcher::Not(Box::new(matcher)) } else { matcher };
            self.push(Expectation { subject, matcher, location: location.clone() }, &span);
        }
    }

    fn push(&mut self, expectation: Expectation, span: &Location) {
        match self.steps.last_mut() {
            Some(step) => step.expectations.push(expectation),
            None => self.unmapped(span.clone(), "the bot speaks before the user".to_owned()),
        }
    }

    fn unmapped(&mut self, span: Location, message: String) {
        self.reader.diagnostics.push(Diagnostic::warning(span, message).hint(HINT));
    }
}

/// Matches a part of the reply in any case; `*` matches anything.
fn says(line: &str) -> Matcher {
    if line.trim_matches('*').is_empty() {
        return Matcher::Anything;
    }
    let parts: Vec<String> = line.split('*').map(regex::escape).collect();
    match pattern("TEXT_REGEXP_IC", &format!("(?s){}", parts.join(".*"))) {
        Ok(pattern) if parts.len() > 1 => Matcher::Pattern(pattern),
        _ => Matcher::Contains(line.to_lowercase(), true),
    }
}

/// The first Botium variable in a text: `$name`, `${name}`, `$now_DE`. A price such as `$5` is not one.
fn variable(text: &str) -> Option<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '}' | '(' | ')');
    text.split(' ')
        .filter_map(|word| word.get(word.find('$')?..))
        .find(|word| word[1..].trim_start_matches('{').starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|word| &word[..word[1..].find(|c| !is_name(c)).map_or(word.len(), |end| end + 1)])
}

fn pattern(word: &str, pattern: &str) -> Result<regex::Regex, regex::Error> {
    let mut builder = regex::RegexBuilder::new(pattern);
    builder.size_limit(1 << 20).case_insensitive(word.ends_with("_IC")).build()
}

fn first(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or("")
}

/// Whether a line is an asserter or a logic hook: a word in capitals that has an underscore or is a known command.
fn is_command(line: &str) -> bool {
    let word = first(line);
    let capitals = word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
    capitals && (word.contains('_') || UNMAPPED.contains(&word))
}
