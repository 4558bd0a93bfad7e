//! Slots of intents.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Loader;
use crate::{
    catalogue::{
        SlotSpec,
        document::{Document, child},
        lint::AllowedNames,
        range::Range,
        wire::{CheckFile, RangeFile, RetryFile, SlotFile, TextFile, WhenFile},
    },
    diagnostic::{Diagnostic, choose_hint},
    entities::EntitySpec,
    pattern::Pattern,
    template::Text,
    values::{Prefer, Setting},
};

const RANGE_HINT: &str = "write `least` or `most`: a number, a day such as 2026-12-31 or today+30, or a time such as 09:00, as the entity's `kind` has it";

impl Loader<'_> {
    /// Reads a slot.
    pub(super) fn slot(
        &mut self,
        name: String,
        value: Value,
        document: &Document,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> SlotSpec {
        let pointer = child("/slots", &name);
        let file = self.slot_file(&name, value, (document, &pointer), entities);
        if file.many && file.entity.is_none() {
            let location = document.location(&child(&pointer, "many"));
            let message = format!("`{name}` takes the whole message, so it cannot have many values");
            self.diagnostics.push(Diagnostic::error(location, message).hint("add `entity: …`, or remove `many`"));
        }
        let entity = file.entity.as_ref().and_then(|entity| entities.get(entity));
        let known = file.entity.is_none() || entity.is_some();
        self.check_one_of(&file, entity, document, &pointer);
        self.check_needless(&file, entity, document, &pointer);
        let range = file.range.filter(|_| known).and_then(|range| self.range(&range, entity, document, &pointer));
        let check = file.check.and_then(|CheckFile { script, function }| {
            let keys = ["script", "function"].map(|key| child(&child(&pointer, "check"), key));
            let function = function.unwrap_or_else(|| "check".to_owned());
            self.script_function((&script, &keys[0]), (function, &keys[1]), document)
        });
        let retry = self.retries(file.retry, document, &child(&pointer, "retry"));
        let mut text = |file: Option<TextFile>, key| {
            let names: &[&str] = if key == "invalid" { Pattern::OutOfRange.values() } else { &[] };
            Some(self.text(file?, document, &child(&pointer, key), AllowedNames::Only(names)))
        };
        let when = file.when.into_iter().map(|(slot, value)| {
            let values = match value {
                WhenFile::One(any) if any == "any" => None,
                WhenFile::One(value) => Some(vec![value]),
                WhenFile::Many(values) => Some(values),
            };
            (slot, values)
        });
        SlotSpec {
            location: document.key_location(&pointer),
            title: text(file.title, "title"),
            ask: text(file.ask, "ask"),
            retry,
            help: text(file.help, "help"),
            when: when.collect(),
            name,
            entity: file.entity,
            role: file.role,
            prefer: file.prefer,
            range,
            one_of: file.one_of.unwrap_or_default(),
            check,
            invalid: text(file.invalid, "invalid"),
            many: file.many,
            required: file.required,
            remember: file.remember,
        }
    }

    /// What an author wrote for a slot, with the diagnostics of what is wrong in it.
    fn slot_file(
        &mut self,
        name: &str,
        value: Value,
        (document, pointer): (&Document, &str),
        entities: &BTreeMap<String, EntitySpec>,
    ) -> SlotFile {
        let file: SlotFile = match serde_json::from_value(value) {
            Ok(file) => file,
            Err(error) => {
                let diagnostic = Diagnostic::error(document.location(pointer), error.to_string());
                self.diagnostics.push(diagnostic.hint(
                    "a slot has `entity`, `role`, `title`, `prefer`, `range`, `one_of`, `check`, `invalid`, `ask`, `retry`, `help`, `when`, `many`, `required` and `remember`",
                ));
                SlotFile::default()
            }
        };
        if let Some(entity) = &file.entity
            && !entities.contains_key(entity)
            && !self.is_entity(entity)
        {
            let known: Vec<&str> = entities.keys().map(String::as_str).collect();
            let diagnostic = Diagnostic::error(
                document.location(&child(pointer, "entity")),
                format!("there is no entity `{entity}`"),
            );
            self.diagnostics.push(diagnostic.hint(choose_hint(entity, known)));
        }
        if file.required && file.ask.is_none() && !document.lacks(pointer) {
            let diagnostic = Diagnostic::error(
                document.key_location(pointer),
                format!("the required slot `{name}` has no question"),
            );
            self.diagnostics.push(diagnostic.hint("add `ask: …`, or `required: false`"));
        }
        file
    }

    fn range(
        &mut self,
        file: &RangeFile,
        entity: Option<&EntitySpec>,
        document: &Document,
        slot: &str,
    ) -> Option<Range> {
        let kind = match entity {
            Some(EntitySpec::Kind(kind)) => Some(*kind),
            _ => None,
        };
        let range = Range::new(file, kind);
        if let Err(message) = &range {
            let diagnostic = Diagnostic::error(document.location(&child(slot, "range")), message.clone());
            self.diagnostics.push(diagnostic.hint(RANGE_HINT));
        }
        range.ok()
    }

    /// Reports admitted values that the slot can never have.
    fn check_one_of(&mut self, file: &SlotFile, entity: Option<&EntitySpec>, document: &Document, slot: &str) {
        let Some(one_of) = &file.one_of else { return };
        let pointer = child(slot, "one_of");
        let mut report = |pointer: &str, message: String, hint: String| {
            self.diagnostics.push(Diagnostic::error(document.location(pointer), message).hint(hint));
        };
        let country = self.country;
        match entity {
            _ if one_of.is_empty() => {
                report(&pointer, "`one_of` admits nothing".to_owned(), "list the values, or remove it".to_owned());
            }
            None if file.entity.is_none() => {
                let message = "`one_of` works only with an entity: a whole message has no list of values".to_owned();
                report(&pointer, message, "add `entity: …`, or use `check`".to_owned());
            }
            Some(EntitySpec::Composed(_)) => {
                let message = "`one_of` works only with values that have no parts".to_owned();
                report(&pointer, message, "use `check`".to_owned());
            }
            Some(spec) => {
                let listed = spec.values_listed();
                let is_value = |value: &str| match &listed {
                    Some(values) => values.contains(value),
                    None => {
                        let found = spec.find("", value, &Setting::of_text(value, country));
                        found.len() == 1 && found[0].value == value
                    }
                };
                for (index, value) in one_of.iter().enumerate().filter(|(_, value)| !is_value(value)) {
                    let hint = match &listed {
                        Some(values) => choose_hint(value, values.iter().copied()),
                        None => "write it as a script gets it: docs/bots.md lists the forms of values".to_owned(),
                    };
                    report(&child(&pointer, index), format!("`{value}` is no value of the slot's entity"), hint);
                }
            }
            None => {}
        }
    }

    /// Warns of keys that do nothing beside the others.
    fn check_needless(&mut self, file: &SlotFile, entity: Option<&EntitySpec>, document: &Document, slot: &str) {
        let mut warn = |key: &str, message: &str, hint: &str| {
            let location = document.key_location(&child(slot, key));
            self.diagnostics.push(Diagnostic::warning(location, message).hint(hint));
        };
        if file.invalid.is_some() && file.range.is_none() && file.one_of.is_none() {
            warn(
                "invalid",
                "`invalid` is never said",
                "it is said if `range` or `one_of` refuse a value; add one of them",
            );
        }
        let has_tense = matches!(entity, Some(EntitySpec::Kind(kind)) if kind.has_tense());
        if file.prefer == Prefer::Past && !has_tense {
            warn("prefer", "`prefer` does nothing here", "it is for entities of a `kind` with days or times");
        }
    }

    /// What is said when an answer does not fit: one text for each time.
    fn retries(&mut self, file: Option<RetryFile>, document: &Document, pointer: &str) -> Vec<Text> {
        let mut text = |file, pointer: &str| self.text(file, document, pointer, AllowedNames::Only(&[]));
        match file {
            Some(RetryFile::Text(file)) => vec![text(file, pointer)],
            Some(RetryFile::Numbered(files)) => {
                let numbered = files.into_iter().enumerate();
                numbered.map(|(at, file)| text(TextFile::ByLanguage(file), &child(pointer, at))).collect()
            }
            None => Vec::new(),
        }
    }

    /// Reports conditions of slots on slots that the intent does not have.
    pub(super) fn check_slot_conditions(&mut self, slots: &[SlotSpec], document: &Document) {
        let known: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        for slot in slots {
            for other in slot.when.keys().filter(|other| !known.contains(&other.as_str()) || **other == slot.name) {
                let pointer = child(&child(&child("/slots", &slot.name), "when"), other);
                let message = format!("`{}` depends on `{other}`, which is no other slot of this intent", slot.name);
                let diagnostic = Diagnostic::error(document.key_location(&pointer), message);
                let others = known.iter().copied().filter(|name| *name != slot.name);
                self.diagnostics.push(diagnostic.hint(choose_hint(other, others)));
            }
        }
    }
}
