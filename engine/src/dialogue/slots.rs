//! The slots of an intent: filled from an utterance, and asked for one by one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Draft};
use crate::{
    catalogue::{Intent, SlotSpec},
    entities::Entity,
    handlers::api::value::plain,
    state::{Form, Stage},
    turn::{AnsweredBy, Output},
};

/// The values of entities for an intent's slots, in the order of the slots. Each entity fills one slot.
pub fn values_for(intent: &Intent, entities: &[Entity], is_free: impl Fn(&SlotSpec) -> bool) -> Vec<(String, Value)> {
    let mut used: Vec<bool> = vec![false; entities.len()];
    let mut values = Vec::new();
    for slot in intent.slots.iter().filter(|slot| is_free(slot)) {
        let wanted = slot.entity.as_deref();
        let place = entities.iter().enumerate().position(|(i, e)| !used[i] && Some(e.entity.as_str()) == wanted);
        if let Some(place) = place {
            used[place] = true;
            values.push((slot.name.clone(), Value::String(entities[place].value.clone())));
        }
    }
    values
}

impl<'a> Draft<'a, '_> {
    /// Fills slots from entities. At the start of a form, clears slots that are not filled, unless they have `remember`.
    pub(super) fn fill_from(&mut self, intent: &Intent, entities: &[Entity]) {
        let filled: Vec<String> = self.step.state.form.as_ref().map_or_else(Vec::new, |form| form.filled.clone());
        let values = values_for(intent, entities, |slot| !filled.contains(&slot.name));
        if self.step.state.form.is_none() {
            self.forget(intent, |slot| values.iter().any(|(name, _)| name == slot));
        }
        for (slot, value) in values {
            self.fill(&slot, value);
        }
    }

    /// Clears an intent's slots, unless they have `remember` or are `kept`.
    pub(super) fn forget(&mut self, intent: &Intent, kept: impl Fn(&str) -> bool) {
        for slot in intent.slots.iter().filter(|slot| !slot.remember && !kept(&slot.name)) {
            self.step.state.slots.remove(&slot.name);
        }
    }

    pub(super) fn fill(&mut self, slot: &str, value: Value) {
        self.trace(format!("slot {slot} = {value}"));
        self.step.state.slots.insert(slot.to_owned(), value);
        if let Some(form) = &mut self.step.state.form {
            form.filled.push(slot.to_owned());
            form.unanswered = 0;
        }
    }

    /// The values of the utterance for slots that have another value or none, except those that are refused.
    pub(super) fn changed_values(&self, intent: &Intent, entities: &[Entity]) -> Vec<(String, Value)> {
        let slots = &self.step.state.slots;
        let values = values_for(intent, entities, |_| true);
        values.into_iter().filter(|(slot, value)| slots.get(slot) != Some(value)).collect()
    }

    /// The first required slot without a value whose condition holds.
    pub(super) fn missing_slot(&self, intent: &'a Intent) -> Option<&'a SlotSpec> {
        let slots = &self.step.state.slots;
        intent.slots.iter().find(|slot| slot.required && !slots.contains_key(&slot.name) && is_due(slot, slots))
    }

    /// Asks for a slot, with a text of its own or that of a script; the form then waits for the answer.
    pub(super) fn ask_for(&mut self, intent: &Intent, slot: &'a SlotSpec, text: Option<String>) {
        self.step.handler = Some(AnsweredBy::Form);
        let state = &mut self.step.state;
        let mut filled = state.form.take().map(|form| form.filled).unwrap_or_default();
        filled.extend(intent.slots.iter().map(|slot| slot.name.clone()).filter(|name| state.slots.contains_key(name)));
        filled.sort();
        filled.dedup();
        filled.retain(|name| name != &slot.name);
        state.slots.remove(&slot.name);
        state.form = Some(Form { filled, ..Form::asking(&intent.id, &slot.name) });
        match text {
            Some(text) => self.step.actions.push(Action::Show(Output::Text { text, suggestions: Vec::new() })),
            None => self.say_question(slot),
        }
    }

    /// Says a slot's question.
    pub(super) fn say_question(&mut self, slot: &'a SlotSpec) {
        // A script may ask for a slot with a text of its own, which the form does not keep.
        self.say(slot.ask.as_ref().unwrap_or(&self.catalogue.fallback.text));
    }

    /// Asks what a form waits for once more.
    pub(super) fn say_question_again(&mut self, intent: &'a Intent) {
        let Some(form) = &self.step.state.form else { return };
        let slot = intent.slots.iter().find(|slot| slot.name == form.slot);
        match (form.stage, slot, &intent.confirm) {
            (Stage::Slot | Stage::Resume, Some(slot), _) => self.say_question(slot),
            (Stage::Confirm | Stage::Change, _, Some(confirm)) => self.say_yes_or_no(confirm, Vec::new()),
            _ => {}
        }
    }
}

/// Whether the values of other slots make a slot due.
fn is_due(slot: &SlotSpec, slots: &BTreeMap<String, Value>) -> bool {
    slot.when.iter().all(|(other, values)| match (slots.get(other), values) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(value), Some(values)) => values.contains(&plain(value)),
    })
}
