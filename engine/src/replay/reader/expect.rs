//! Reads `expect:` of a turn.

use std::collections::BTreeMap;

use serde_json::Value;

use super::FixtureReader;
use crate::{
    catalogue::document::{Document, child},
    diagnostic::{Diagnostic, choose_hint},
    ids::IntentId,
    replay::{
        EFFECT_KEYS,
        fixture::{Expectation, FixtureLocation, Subject},
        matcher::{self, Lists, Matcher, check_bounds},
        wire::ExpectFile,
    },
    turn::{Event, TurnKind},
};

/// Adds the expectations of a file to `out`; `negated` is true inside `not`.
pub fn read(
    reader: &mut FixtureReader<'_>,
    document: &Document,
    file: &ExpectFile,
    pointer: &str,
    negated: bool,
    out: &mut Vec<Expectation>,
    events: &mut Option<(Matcher, FixtureLocation)>,
) {
    let mut add = Adding { reader, document, pointer, negated, out };
    let texts = [
        ("intent", &file.intent, Subject::Intent),
        ("handler", &file.handler, Subject::Handler),
        ("text", &file.text, Subject::Text),
        ("language", &file.language, Subject::Language),
        ("catalogue_version", &file.catalogue_version, Subject::CatalogueVersion),
    ];
    for (key, value, subject) in texts {
        if let Some(value) = value {
            add.one(value, subject, key, Lists::AllHold);
        }
    }
    if let Some(kind) = file.kind {
        let kind = serde_json::to_value(TurnKind::from(kind)).unwrap_or_default();
        add.push(Matcher::Equals(kind), Subject::Type, "type");
    }
    if let Some(bounds) = file.probability {
        add.probability(bounds.min, bounds.max);
    }
    add.map(&file.entities, "entities", Subject::Entity);
    add.map(&file.slots, "slots", Subject::Slot);
    add.map(&file.contexts, "contexts", Subject::Context);
    add.map(&file.kept, "kept", Subject::Kept);
    if let Some(hand_off) = file.hand_off {
        add.push(Matcher::Equals(hand_off.into()), Subject::HandOff, "hand_off");
    }
    for (key, list, subject) in
        [("suggestions", &file.suggestions, Subject::Suggestions), ("effects", &file.effects, Subject::Effects)]
    {
        if let Some(list) = list {
            add.one(&Value::Array(list.clone()), subject, key, Lists::Items);
        }
    }
    if let Some(list) = &file.events {
        *events = add.events(&Value::Array(list.clone())).or(events.take());
    }
    if let Some(inner) = &file.not {
        let pointer = child(pointer, "not");
        if negated {
            let diagnostic = Diagnostic::error(document.key_location(&pointer), "`not` is not allowed inside `not`");
            reader.diagnostics.push(diagnostic.hint("write what is expected instead"));
            return;
        }
        read(reader, document, inner, &pointer, true, out, events);
    }
}

struct Adding<'a, 'b> {
    reader: &'a mut FixtureReader<'b>,
    document: &'a Document,
    pointer: &'a str,
    negated: bool,
    out: &'a mut Vec<Expectation>,
}

impl Adding<'_, '_> {
    fn probability(&mut self, min: Option<f64>, max: Option<f64>) {
        let at = child(self.pointer, "probability");
        // An invalid bound is already reported.
        let given = self.document.value.pointer(&at).and_then(Value::as_object).map_or(0, serde_json::Map::len);
        let read = usize::from(min.is_some()) + usize::from(max.is_some());
        if let Err(message) = check_bounds(min, max)
            && given == read
        {
            let diagnostic = Diagnostic::error(self.document.key_location(&at), message);
            self.reader.diagnostics.push(diagnostic.hint("write a bound such as `{ min: 0.8 }`"));
        }
        self.push(Matcher::Within(min, max), Subject::Probability, "probability");
    }

    /// The expected events. They are not among the expectations, because events without an expectation fail a turn.
    fn events(&mut self, list: &Value) -> Option<(Matcher, FixtureLocation)> {
        let (reader, document, pointer) = (&mut *self.reader, self.document, child(self.pointer, "events"));
        if self.negated {
            let diagnostic = Diagnostic::error(document.key_location(&pointer), "`events` is not allowed inside `not`");
            reader.diagnostics.push(diagnostic.hint("remove it: failures are unexpected unless `events` names them"));
            return None;
        }
        let matcher = reader.matcher(document, list, &pointer, Lists::Items)?;
        for name in matcher.literals().into_iter().filter(|name| !Event::KINDS.contains(name)) {
            let diagnostic = Diagnostic::error(document.location(&pointer), format!("there is no event kind `{name}`"));
            reader.diagnostics.push(diagnostic.hint(choose_hint(name, Event::KINDS)));
        }
        Some((matcher, reader.location(document, &pointer)))
    }

    fn one(&mut self, value: &Value, subject: Subject, key: &str, lists: Lists) {
        let pointer = child(self.pointer, key);
        if let Some(matcher) = self.reader.matcher(self.document, value, &pointer, lists) {
            self.check_names(&matcher, &subject, &pointer);
            if subject == Subject::Effects {
                self.check_effects(value, &pointer);
            }
            self.push(matcher, subject, key);
        }
    }

    /// Reports unknown names. A misspelt name would fail for no visible reason and, inside `not`, always pass.
    fn check_names(&mut self, matcher: &Matcher, subject: &Subject, pointer: &str) {
        for name in matcher.literals() {
            let (catalogue, handlers) = (self.reader.catalogue, self.reader.handlers());
            let (message, hint) = match subject {
                Subject::Intent if catalogue.intent(&IntentId::new(name)).is_none() => {
                    let known = catalogue.intents.iter().map(|intent| intent.id.as_str());
                    (format!("the bot has no intent `{name}`"), choose_hint(name, known))
                }
                Subject::Language if catalogue.language(name).is_none() => {
                    let known = catalogue.languages.iter().map(|language| language.code());
                    (format!("the bot does not speak `{name}`"), choose_hint(name, known))
                }
                Subject::Handler if !handlers.contains(name) => {
                    let known = handlers.iter().map(String::as_str);
                    (format!("the bot has no handler `{name}`"), choose_hint(name, known))
                }
                _ => continue,
            };
            self.reader.diagnostics.push(Diagnostic::error(self.document.location(pointer), message).hint(hint));
        }
    }

    /// Reports keys that no effect has: they would always be absent.
    fn check_effects(&mut self, value: &Value, pointer: &str) {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            let keys = || item.as_object().into_iter().flat_map(|fields| fields.keys());
            if keys().all(|key| matcher::KEYS.contains(&key.as_str())) {
                continue;
            }
            for key in keys().filter(|key| !EFFECT_KEYS.contains(&key.as_str())) {
                let location = self.document.key_location(&child(&child(pointer, index), key));
                let diagnostic = Diagnostic::error(location, format!("unknown key `{key}`"));
                self.reader.diagnostics.push(diagnostic.hint(choose_hint(key, EFFECT_KEYS)));
            }
        }
    }

    fn push(&mut self, matcher: Matcher, subject: Subject, key: &str) {
        self.push_at(matcher, subject, &child(self.pointer, key));
    }

    fn push_at(&mut self, matcher: Matcher, subject: Subject, pointer: &str) {
        let matcher = if self.negated { Matcher::Not(Box::new(matcher)) } else { matcher };
        let location = self.reader.location(self.document, pointer);
        self.out.push(Expectation { subject, matcher, location });
    }

    fn map(&mut self, values: &BTreeMap<String, Value>, key: &str, subject: fn(String) -> Subject) {
        let pointer = child(self.pointer, key);
        for (name, value) in values {
            let pointer = child(&pointer, name);
            if key == "entities" && !self.reader.catalogue.entities.contains_key(name) {
                let known = self.reader.catalogue.entities.keys().map(String::as_str);
                let diagnostic =
                    Diagnostic::error(self.document.key_location(&pointer), format!("the bot has no entity `{name}`"));
                self.reader.diagnostics.push(diagnostic.hint(choose_hint(name, known)));
            }
            let matcher = self.reader.matcher(self.document, value, &pointer, Lists::Items);
            let absent = value.is_null() || self.negated || matcher.as_ref().is_some_and(Matcher::forbids);
            if key != "entities" && absent {
                self.reader.check_known(self.document, name, key, &pointer);
            }
            if let Some(matcher) = matcher {
                self.push_at(matcher, subject(name.clone()), &pointer);
            }
        }
    }
}
