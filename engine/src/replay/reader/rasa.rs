//! Rasa's end-to-end YAML: `stories` with `user`, `intent` and `action` (Rasa Open Source 2 and 3), and `test_cases`
//! with `user`, `bot`, `utter` and `slot_was_set` (Rasa Pro's `rasa test e2e`).

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::{FixtureReader, UNSAYABLE, foreign};
use crate::{
    catalogue::document::{Document, child},
    diagnostic::Diagnostic,
    handlers::source::regex,
    ids::IntentId,
    replay::{
        fixture::{Expectation, Fixture, FixtureLocation, Step, Subject},
        matcher::{self, Matcher},
    },
};

const HINT: &str = "the rest of the file is played; write a banter fixture to check this";

/// Whether a document is a Rasa test file.
pub fn is_one(value: &Value) -> bool {
    value.get("conversation").is_none() && ["stories", "test_cases"].iter().any(|key| value.get(key).is_some())
}

/// Reads the stories and test cases of a file. Unsupported parts are reported as warnings.
pub fn read(reader: &mut FixtureReader<'_>, document: &Document) -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for key in document.value.as_object().map(|fields| fields.keys()).into_iter().flatten() {
        if !["stories", "test_cases", "version"].contains(&key.as_str()) {
            unmapped(reader, document, &child("", key), &format!("`{key}` is not supported"));
        }
    }
    for (list, name) in [("stories", "story"), ("test_cases", "test_case")] {
        let Some(value) = document.value.get(list) else { continue };
        let Some(cases) = value.as_array() else {
            wrong(reader, document, &child("", list), &format!("`{list}` must be a list"));
            continue;
        };
        for (index, case) in cases.iter().enumerate() {
            let pointer = format!("/{list}/{index}");
            let mut mapping = Mapping { reader, document, pointer: pointer.clone(), steps: Vec::new() };
            mapping.case(case, name);
            let mut steps = mapping.steps;
            let title = match case.get(name) {
                Some(Value::String(title)) => title.clone(),
                Some(Value::Null) | None => "a story without a name".to_owned(),
                Some(other) => other.to_string(),
            };
            if steps.is_empty() {
                wrong(reader, document, &pointer, "the story has no `user` step");
            }
            steps.retain(|step| step.text != UNSAYABLE);
            if steps.is_empty() {
                continue;
            }
            fixtures.push(Fixture { steps, ..foreign(title, reader.location(document, &pointer)) });
        }
    }
    fixtures
}

struct Mapping<'a, 'b> {
    reader: &'a mut FixtureReader<'b>,
    document: &'a Document,
    pointer: String,
    steps: Vec<Step>,
}

impl Mapping<'_, '_> {
    fn case(&mut self, case: &Value, name: &str) {
        for key in case.as_object().map(|fields| fields.keys()).into_iter().flatten() {
            if key != name && key != "steps" {
                let pointer = child(&self.pointer, key);
                unmapped(self.reader, self.document, &pointer, &format!("`{key}` of a {name} is not supported"));
            }
        }
        let Some(steps) = case.get("steps").and_then(Value::as_array) else {
            return wrong(self.reader, self.document, &self.pointer, "`steps` is missing or not a list");
        };
        for (index, step) in steps.iter().enumerate() {
            let pointer = format!("{}/steps/{index}", self.pointer);
            let Some(fields) = step.as_object().filter(|fields| !fields.is_empty()) else {
                wrong(self.reader, self.document, &pointer, "a step must be a map such as `user: hello`");
                continue;
            };
            // `user` starts a turn, whatever the order of the keys.
            if let Some(user) = fields.get("user") {
                self.user(user, &child(&pointer, "user"));
            }
            for (key, value) in fields.iter().filter(|(key, _)| key.as_str() != "user") {
                self.expect(key, value, &child(&pointer, key));
            }
        }
    }

    /// A location without a pointer, because `--update` does not write files of other tools.
    fn location(&self, pointer: &str) -> FixtureLocation {
        self.reader.line(&self.document.file, self.document.line(pointer))
    }

    fn user(&mut self, value: &Value, pointer: &str) {
        let Some(text) = value.as_str() else {
            return wrong(self.reader, self.document, pointer, "`user` must be a text");
        };
        let (mut text, entities) = plain(text.trim());
        if text.starts_with('/') {
            let message = format!("`{text}` names an intent instead of a message; the message is skipped");
            unmapped(self.reader, self.document, pointer, &message);
            UNSAYABLE.clone_into(&mut text);
        }
        let odd: Vec<String> = entities.iter().filter_map(|mark| mark.odd.clone()).collect();
        for odd in odd {
            unmapped(self.reader, self.document, pointer, &odd);
        }
        let location = self.location(pointer);
        let mut step = Step {
            speaker: super::SOMEBODY.to_owned(),
            text,
            after: None,
            answered: None,
            location: location.clone(),
            expectations: Vec::new(),
            events: None,
        };
        for RasaMark { name, value, .. } in entities {
            let Some(name) = name else { continue };
            if self.reader.catalogue.entities.contains_key(&name) {
                let matcher = value.map_or(Matcher::Anything, |value| Matcher::Equals(value.into()));
                let expectation = Expectation { subject: Subject::Entity(name), matcher, location: location.clone() };
                step.expectations.push(expectation);
            } else {
                unmapped(self.reader, self.document, pointer, &format!("the bot has no entity `{name}`"));
            }
        }
        self.steps.push(step);
    }

    fn expect(&mut self, key: &str, value: &Value, pointer: &str) {
        match (key, value) {
            ("intent", Value::String(name)) if self.reader.catalogue.intent(&IntentId::new(name)).is_some() => {
                self.push(Subject::Intent, Matcher::Equals(name.as_str().into()), pointer);
            }
            ("intent", name) => {
                unmapped(self.reader, self.document, pointer, &format!("the bot has no intent {name}"));
            }
            ("bot", Value::String(text)) if text.trim().is_empty() => {
                wrong(self.reader, self.document, pointer, "the text of `bot` is empty");
            }
            ("bot", Value::String(text)) => {
                let matcher = Matcher::Contains(text.trim().to_owned(), false);
                self.push(Subject::Text, matcher, pointer);
            }
            ("utter", Value::String(name)) | ("action", Value::String(name)) => self.action(name, pointer),
            ("slot_was_set", value) => self.slots(value, pointer, true),
            ("slot_was_not_set", value) => self.slots(value, pointer, false),
            _ => unmapped(self.reader, self.document, pointer, &format!("the step `{key}` is not supported")),
        }
    }

    /// `utter_greet` stands for the text `utter_greet` or `greet`, or for the reply of the intent `greet`; any other
    /// action is a script.
    fn action(&mut self, name: &str, pointer: &str) {
        let catalogue = self.reader.catalogue;
        let bare = name.trim_start_matches("utter_").trim_start_matches("action_");
        let keys = [name.to_owned(), bare.to_owned(), format!("reply:{bare}")];
        if let Some(key) = keys.into_iter().find(|key| matcher::has_text(catalogue, key)) {
            // Several actions may follow one message; each is a part of the reply.
            return self.push(Subject::Text, Matcher::OneOf(matcher::parts_of(catalogue, &key)), pointer);
        }
        let file = format!("{bare}.rhai");
        let scripts = catalogue.intents.iter().filter_map(|intent| match &intent.handler {
            crate::catalogue::Handler::Script(function) => Some(function.script.path().trim_start_matches("scripts/")),
            _ => None,
        });
        if scripts.into_iter().any(|path| path == file) {
            return self.push(Subject::Handler, Matcher::Equals(file.into()), pointer);
        }
        let message = format!("the bot has neither a text nor a script for `{name}`");
        unmapped(self.reader, self.document, pointer, &message);
    }

    /// Reads `- city: Moscow`, `- city`, or a list of both.
    fn slots(&mut self, value: &Value, pointer: &str, set: bool) {
        let mut add = |name: &str, value: Option<&Value>, pointer: &str| {
            if !set {
                self.reader.check_known(self.document, name, "slots", pointer);
            }
            let condition = value.map_or(Matcher::Anything, |value| Matcher::Equals(value.clone()));
            let matcher = if set { condition } else { Matcher::Not(Box::new(condition)) };
            self.push(Subject::Slot(name.to_owned()), matcher, pointer);
        };
        match value {
            Value::String(name) => add(name, None, pointer),
            Value::Object(fields) if fields.is_empty() => {
                wrong(self.reader, self.document, pointer, "no slot is named");
            }
            Value::Array(items) if items.is_empty() => wrong(self.reader, self.document, pointer, "no slot is named"),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| add(name, Some(value), pointer)),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.slots(item, &child(pointer, index), set);
                }
            }
            _ => wrong(self.reader, self.document, pointer, "write a slot as its name, or as `name: value`"),
        }
    }

    fn push(&mut self, subject: Subject, matcher: Matcher, pointer: &str) {
        let location = self.location(pointer);
        match self.steps.last_mut() {
            // A turn may say several things; each is a part of the reply.
            Some(step) => step.expectations.push(Expectation { subject, matcher, location }),
            None => unmapped(self.reader, self.document, pointer, "there is no message before this step"),
        }
    }
}

/// A marked entity: its name and value, if given, and a message about what is not supported.
#[derive(Debug, Default)]
struct RasaMark {
    name: Option<String>,
    value: Option<String>,
    odd: Option<String>,
}

impl RasaMark {
    /// Parses `city` or, with a value, `city:moscow`.
    fn short(text: &str) -> Self {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim().to_owned())),
            None => (text, None),
        };
        Self { name: Some(name.trim().to_owned()), value, odd: None }
    }

    /// Parses `{"entity": "city", "value": "moscow"}`.
    fn long(json: &str) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(json) else {
            return Self { odd: Some(format!("the mark `{json}` is not JSON")), ..Self::default() };
        };
        let field = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let others: Vec<&str> =
            fields.keys().map(String::as_str).filter(|key| !["entity", "value"].contains(key)).collect();
        let odd = match field("entity") {
            None => Some(format!("the mark `{json}` names no entity")),
            Some(_) if !others.is_empty() => {
                Some(format!("`{}` of the mark `{json}` is not supported", others.join("`, `")))
            }
            Some(_) => None,
        };
        Self { name: field("entity"), value: field("value"), odd }
    }
}

/// Splits a message into its text and its marks: `[Moscow](city)`, `[Moscow]{"entity": "city", "value": "moscow"}`.
fn plain(text: &str) -> (String, Vec<RasaMark>) {
    static MARK: LazyLock<Regex> = LazyLock::new(|| regex(r"\[([^\]]+)\](?:\(([^)]+)\)|(\{[^}]+\}))"));
    let mut entities = Vec::new();
    let bare = MARK.replace_all(text, |found: &Captures<'_>| {
        entities.extend(found.get(2).map(|short| RasaMark::short(short.as_str())));
        entities.extend(found.get(3).map(|json| RasaMark::long(json.as_str())));
        found[1].to_owned()
    });
    (bare.into_owned(), entities)
}

fn unmapped(reader: &mut FixtureReader<'_>, document: &Document, pointer: &str, message: &str) {
    reader.diagnostics.push(Diagnostic::warning(document.key_location(pointer), message).hint(HINT));
}

fn wrong(reader: &mut FixtureReader<'_>, document: &Document, pointer: &str, message: &str) {
    let diagnostic = Diagnostic::error(document.location(pointer), message);
    reader.diagnostics.push(diagnostic.hint("see Rasa's documentation of end-to-end tests"));
}
