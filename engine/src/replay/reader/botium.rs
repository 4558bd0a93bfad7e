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
            answered: None,
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
        let wanted = self.wanted(line).and_then(|wanted| {
            let word = line.split(' ').next().unwrap_or(line);
            let several = negated && wanted.len() > 1;
            if several { Err(format!("`!{word}` with several values is not supported")) } else { Ok(wanted) }
        });
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(message) => return self.unmapped(span, message),
        };
        let location = self.reader.line(self.path, number);
        for (subject, matcher) in wanted {
            let matcher = if negated { Matcher::Not(Box::new(matcher)) } else { matcher };
            self.push(Expectation { subject, matcher, location: location.clone() }, &span);
        }
    }

    /// What a line of the bot asks for, or why that is not supported.
    fn wanted(&self, line: &str) -> Result<Vec<(Subject, Matcher)>, String> {
        if let Some(variable) = variable(line) {
            return Err(format!("the variable `{variable}` is not supported"));
        }
        if line.len() > 1 && line.starts_with('?') {
            return Err("an optional text (`?`) is not supported".to_owned());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        if ASSERTERS.contains(&word) && names(rest).next().is_none() {
            return Err(format!("`{word}` needs an argument"));
        }
        let any_case = word.ends_with("_IC");
        let part =
            |name: &str| Matcher::Contains(if any_case { name.to_lowercase() } else { name.to_owned() }, any_case);
        let text = |matcher| Ok(vec![(Subject::Text, matcher)]);
        match word {
            "INTENT" if self.reader.catalogue.intent(&IntentId::new(rest)).is_none() => {
                Err(format!("the bot has no intent `{rest}`"))
            }
            "INTENT" => Ok(vec![(Subject::Intent, Matcher::Equals(rest.into()))]),
            "INTENT_CONFIDENCE" => {
                let percent = rest.parse::<f64>().map_err(|_| format!("`{rest}` is not a number"))?;
                Ok(vec![(Subject::Probability, Matcher::Within(Some(percent / 100.0), None))])
            }
            "ENTITIES" => self.entities(rest),
            "BUTTONS" => {
                // In any order.
                let button = |name| vec![Matcher::Rest, Matcher::Equals(Value::from(name)), Matcher::Rest];
                Ok(names(rest).map(|name| (Subject::Suggestions, Matcher::Items(button(name)))).collect())
            }
            "TEXT" | "TEXT_EXACT" => text(Matcher::Equals(rest.into())),
            "TEXT_EXACT_IC" | "TEXT_IC" => {
                let exact = pattern(word, &format!("^(?:{})$", regex::escape(rest)));
                text(Matcher::Pattern(exact.map_err(|_| format!("`{rest}` is too long"))?))
            }
            "TEXT_CONTAINS_ANY_IC" | "TEXT_CONTAINS_ANY" => text(Matcher::OneOf(names(rest).map(part).collect())),
            "TEXT_CONTAINS_ALL_IC" | "TEXT_CONTAINS_ALL" => {
                Ok(names(rest).map(|name| (Subject::Text, part(name))).collect())
            }
            "TEXT_REGEXP" | "TEXT_REGEXP_IC" => {
                let pattern = pattern(word, rest).map_err(|_| format!("the pattern `{rest}` is invalid"))?;
                text(Matcher::Pattern(pattern))
            }
            _ if is_command(line) && !self.utterances.contains_key(line) => Err(format!("`{word}` is not supported")),
            _ => text(self.said(line)),
        }
    }

    /// The entities that the message must have, and no others; a trailing `...` allows others.
    fn entities(&self, rest: &str) -> Result<Vec<(Subject, Matcher)>, String> {
        let known = &self.reader.catalogue.entities;
        let wanted: Vec<&str> =
            names(rest).map(|name| name.trim_end_matches("...")).filter(|n| !n.is_empty()).collect();
        let unknown: Vec<&str> = wanted.iter().copied().filter(|name| !known.contains_key(*name)).collect();
        if !unknown.is_empty() {
            return Err(format!("the bot has no entity `{}`", unknown.join("`, `")));
        }
        let others = known.keys().filter(|name| !rest.ends_with("...") && !wanted.contains(&name.as_str()));
        let absent = others.map(|name| (Subject::Entity(name.clone()), Matcher::Equals(Value::Null)));
        let present = wanted.iter().map(|name| (Subject::Entity((*name).to_owned()), Matcher::Anything));
        Ok(present.chain(absent).collect())
    }

    /// A text of the bot: the line itself, or one of the utterances that it names.
    fn said(&self, line: &str) -> Matcher {
        let texts = self.utterances.get(line);
        let texts = texts.map_or(vec![line], |list| list.iter().map(String::as_str).collect());
        let mut matchers: Vec<Matcher> = texts.into_iter().map(says).collect();
        let only = if matchers.len() == 1 { matchers.pop() } else { None };
        only.unwrap_or(Matcher::OneOf(matchers))
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

/// The arguments of an asserter.
fn names(rest: &str) -> impl Iterator<Item = &str> {
    rest.split('|').map(str::trim).filter(|name| !name.is_empty())
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
