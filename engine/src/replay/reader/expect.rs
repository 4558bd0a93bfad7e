//! `expect:` of a turn.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reader;
use crate::{
    catalogue::{
        IntentId,
        document::{Document, child},
        fault::{Fault, choose_hint},
    },
    replay::{
        fixture::{Expectation, Place, Subject},
        matcher::{Lists, Matcher},
        wire::ExpectFile,
    },
    turn::TurnKind,
};

/// Adds what a file expects; `negated` inside `not`.
pub fn read(
    reader: &mut Reader<'_>,
    document: &Document,
    file: &ExpectFile,
    pointer: &str,
    negated: bool,
    out: &mut Vec<Expectation>,
    events: &mut Option<(Matcher, Place)>,
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
        let Some(value) = value else { continue };
        if subject == Subject::Intent {
            add.check_intent(value);
        }
        add.one(value, subject, key, Lists::AllHold);
    }
    if let Some(kind) = file.kind {
        let kind = serde_json::to_value(TurnKind::from(kind)).unwrap_or_default();
        add.push(Matcher::Equals(kind), Subject::Type, "type");
    }
    if let Some(bounds) = file.probability {
        add.push(Matcher::Within(bounds.min, bounds.max), Subject::Probability, "probability");
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
        let pointer = child(pointer, "events");
        if negated {
            let fault = Fault::error(document.key_place(&pointer), "`events` cannot stand inside `not`");
            reader.faults.push(fault.hint("no failure is expected anyway, unless `events` names one"));
        } else if let Some(matcher) = reader.matcher(document, &Value::Array(list.clone()), &pointer, Lists::Items) {
            *events = Some((matcher, reader.place(document, &pointer)));
        }
    }
    if let Some(inner) = &file.not {
        let pointer = child(pointer, "not");
        if negated {
            let fault = Fault::error(document.key_place(&pointer), "`not` inside `not`");
            reader.faults.push(fault.hint("say what is expected instead"));
            return;
        }
        read(reader, document, inner, &pointer, true, out, events);
    }
}

struct Adding<'a, 'b> {
    reader: &'a mut Reader<'b>,
    document: &'a Document,
    pointer: &'a str,
    negated: bool,
    out: &'a mut Vec<Expectation>,
}

impl Adding<'_, '_> {
    fn one(&mut self, value: &Value, subject: Subject, key: &str, lists: Lists) {
        let pointer = child(self.pointer, key);
        if let Some(matcher) = self.reader.matcher(self.document, value, &pointer, lists) {
            self.push(matcher, subject, key);
        }
    }

    fn push(&mut self, matcher: Matcher, subject: Subject, key: &str) {
        self.push_at(matcher, subject, &child(self.pointer, key));
    }

    fn push_at(&mut self, matcher: Matcher, subject: Subject, pointer: &str) {
        let matcher = if self.negated { Matcher::Not(Box::new(matcher)) } else { matcher };
        let place = self.reader.place(self.document, pointer);
        self.out.push(Expectation { subject, matcher, place });
    }

    fn map(&mut self, values: &BTreeMap<String, Value>, key: &str, subject: fn(String) -> Subject) {
        let pointer = child(self.pointer, key);
        for (name, value) in values {
            let pointer = child(&pointer, name);
            if key == "entities" && !self.reader.catalogue.entities.contains_key(name) {
                let known = self.reader.catalogue.entities.keys().map(String::as_str);
                let fault = Fault::error(self.document.key_place(&pointer), format!("the bot has no entity `{name}`"));
                self.reader.faults.push(fault.hint(choose_hint(name, known)));
            }
            if let Some(matcher) = self.reader.matcher(self.document, value, &pointer, Lists::Items) {
                self.push_at(matcher, subject(name.clone()), &pointer);
            }
        }
    }

    /// A typo here would fail for a reason that nobody sees.
    fn check_intent(&mut self, value: &Value) {
        let Some(name) = value.as_str().filter(|name| !name.is_empty()) else { return };
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain && self.reader.catalogue.intent(&IntentId::new(name)).is_none() {
            let known: Vec<&str> = self.reader.catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
            let place = self.document.place(&child(self.pointer, "intent"));
            let fault = Fault::error(place, format!("the bot has no intent `{name}`"));
            self.reader.faults.push(fault.hint(choose_hint(name, known)));
        }
    }
}
