//! `expect:` of a turn.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reader;
use crate::{
    catalogue::{
        IntentId,
        document::{Document, child},
        fault::{Fault, choose_hint, did_you_mean},
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
        match subject {
            Subject::Intent => add.check_intent(value),
            Subject::Language => add.check_language(value),
            _ => {}
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
            if key != "entities" && (value.is_null() || self.negated) {
                self.check_absent(name, key, &pointer);
            }
            if let Some(matcher) = self.reader.matcher(self.document, value, &pointer, Lists::Items) {
                self.push_at(matcher, subject(name.clone()), &pointer);
            }
        }
    }

    /// What must not be there is not there under a name with a typo either, so such a test passes for ever.
    fn check_absent(&mut self, name: &str, key: &str, pointer: &str) {
        let known = self.reader.names();
        let meant = did_you_mean(name, known.iter().map(String::as_str));
        if let Some(meant) = meant.filter(|meant| *meant != name) {
            let place = self.document.key_place(pointer);
            let fault = Fault::warning(place, format!("nothing in the bot names `{name}`, so {key} never has it"));
            self.reader.faults.push(fault.hint(format!("did you mean `{meant}`?")));
        }
    }

    fn check_language(&mut self, value: &Value) {
        let catalogue = self.reader.catalogue;
        let Some(code) = value.as_str().filter(|code| code.chars().all(|c| c.is_ascii_alphabetic())) else { return };
        if catalogue.language(code).is_none() {
            let known = catalogue.languages.iter().map(|language| language.code());
            let place = self.document.place(&child(self.pointer, "language"));
            let fault = Fault::error(place, format!("the bot does not speak `{code}`"));
            self.reader.faults.push(fault.hint(choose_hint(code, known)));
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
