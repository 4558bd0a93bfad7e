//! What an utterance changes of the values that an intent has: it replaces them, adds to a list or takes from it, or
//! changes a part of a composed value.

use serde_json::{Map, Value, json};

use super::{
    Draft,
    remainder::Remainder,
    slots::{each, value_for, values_for},
};
use crate::{
    catalogue::{Intent, SlotSpec},
    entities::{Composition, Entity, EntitySpec},
};

impl Draft<'_, '_> {
    /// The values of the utterance for slots that have another value or none, except those that are refused.
    pub(super) fn changed_values(&self, intent: &Intent, rest: &Remainder) -> Vec<(String, Value)> {
        // A value that is known already is only named beside the one that is meant.
        let known = |slot: &SlotSpec, entity: &Entity| {
            self.step.state.slots.get(&slot.name).is_some_and(|known| *known == value_for(slot, entity))
        };
        let is_known = |entity: &Entity| {
            let mut own = intent.slots.iter().filter(|slot| slot.entity.as_ref() == Some(&entity.entity));
            own.any(|slot| known(slot, entity))
        };
        let (_, new): (Vec<Entity>, Vec<Entity>) = rest.values.iter().cloned().partition(is_known);
        let meant = if new.is_empty() { &rest.values } else { &new };
        let mut values = values_for(intent, &self.said.reading, meant, |_| true);
        for slot in &intent.slots {
            let place = values.iter().position(|(name, _)| *name == slot.name);
            let said = place.map(|place| values.remove(place).1);
            let value = match said {
                said if slot.many => self.list_with(slot, said.as_ref().map_or(&[], each), rest),
                None => self.with_parts(intent, slot, rest),
                said => said,
            };
            values.extend(value.map(|value| (slot.name.clone(), value)));
        }
        self.changed(values)
    }

    /// The values that differ from those of their slots.
    pub(super) fn changed(&self, values: Vec<(String, Value)>) -> Vec<(String, Value)> {
        values.into_iter().filter(|(slot, value)| self.step.state.slots.get(slot) != Some(value)).collect()
    }

    /// The lists that have values already, with what is said beside an answer: "and a soup, to Moscow".
    pub(super) fn with_added(&self, intent: &Intent, beside: &[Entity]) -> Vec<(String, Value)> {
        let lists = intent.slots.iter().filter(|slot| slot.many && self.step.state.slots.contains_key(&slot.name));
        let added = lists.filter_map(|slot| {
            let said: Vec<Value> = beside
                .iter()
                .filter(|entity| Some(&entity.entity) == slot.entity.as_ref())
                .map(|entity| value_for(slot, entity))
                .collect();
            let list = self.step.state.slots.get(&slot.name).map_or(&[][..], each);
            (!said.is_empty()).then(|| (slot.name.clone(), joined(slot, list, &said)))
        });
        added.collect()
    }

    /// What the utterance makes of a list: without what is refused, and with what is said beside what it has, if words
    /// say that it is added; else what is said takes its place. `None` if nothing changes, or nothing is left.
    fn list_with(&self, slot: &SlotSpec, said: &[Value], rest: &Remainder) -> Option<Value> {
        let known = self.step.state.slots.get(&slot.name).map_or(&[][..], each);
        let refused = rest.refused.iter().filter(|entity| Some(&entity.entity) == slot.entity.as_ref());
        let refused: Vec<Value> = refused.map(|entity| value_for(slot, entity)).collect();
        if said.is_empty() && refused.is_empty() {
            return None;
        }
        let is_refused = |value: &Value| refused.iter().any(|refused| names(refused, value));
        let kept: Vec<Value> = known.iter().filter(|value| !is_refused(value)).cloned().collect();
        let keeps = rest.adds || !refused.is_empty();
        let list = if keeps { joined(slot, &kept, said) } else { joined(slot, &[], said) };
        (!each(&list).is_empty()).then_some(list)
    }

    /// A composed value with the parts that are said alone: "no, a large one". Parts that fill slots of their own do not
    /// count.
    fn with_parts(&self, intent: &Intent, slot: &SlotSpec, rest: &Remainder) -> Option<Value> {
        let spec = self.catalogue.entities.get(slot.entity.as_ref()?)?;
        let EntitySpec::Composed(Composition { parts, .. }) = spec else { return None };
        let known = self.step.state.slots.get(&slot.name)?.as_object()?;
        let is_own = |part: &String| intent.slots.iter().any(|slot| slot.entity.as_ref() == Some(part));
        let said = |part: &&String| rest.values.iter().find(|value| value.entity == **part);
        let changed: Map<String, Value> = parts
            .iter()
            .filter(|part| !is_own(part))
            .filter_map(|part| Some((part.clone(), json!(said(&part)?.value))))
            .collect();
        (!changed.is_empty()).then(|| Value::Object(known.clone().into_iter().chain(changed).collect()))
    }
}

/// Two lists as one, as long as a slot may have.
fn joined(slot: &SlotSpec, one: &[Value], other: &[Value]) -> Value {
    Value::Array(one.iter().chain(other).take(slot.most_values()).cloned().collect())
}

/// Whether a value that is refused is that value: of a composed one, the parts that were said count.
fn names(refused: &Value, value: &Value) -> bool {
    match (refused, value) {
        (Value::Object(refused), Value::Object(value)) => {
            refused.iter().all(|(name, part)| part.is_null() || value.get(name) == Some(part))
        }
        _ => refused == value,
    }
}
