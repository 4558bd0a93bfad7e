//! The slots of an intent: filled from an utterance, and asked for one by one.

use std::sync::Arc;

use serde_json::Value;

use super::{Action, Draft};
use crate::{
    catalogue::{Intent, SlotSpec},
    state::Form,
    turn::{AnsweredBy, Output},
    understanding::Reading,
};

impl<'a> Draft<'a, '_> {
    /// Fills slots from a text's entities. At the start of a form, clears slots that are not filled, unless they have
    /// `remember`.
    pub(super) fn fill_from(&mut self, intent: &Intent, reading: &Reading) {
        let filled: Vec<String> = self.step.state.form.as_ref().map_or_else(Vec::new, |form| form.filled.clone());
        let fresh = self.step.state.form.is_none();
        let entities = Arc::clone(reading.entities());
        let mut used: Vec<bool> = vec![false; entities.len()];
        for slot in &intent.slots {
            if filled.contains(&slot.name) {
                continue;
            }
            let wanted = slot.entity.as_deref();
            let place = entities.iter().enumerate().position(|(i, e)| !used[i] && Some(e.entity.as_str()) == wanted);
            match place {
                Some(place) => {
                    used[place] = true;
                    self.fill(&slot.name, Value::String(entities[place].value.clone()));
                }
                None if fresh && !slot.remember => {
                    self.step.state.slots.remove(&slot.name);
                }
                None => {}
            }
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

    /// The first required slot without a value.
    pub(super) fn missing_slot(&self, intent: &'a Intent) -> Option<&'a SlotSpec> {
        intent.slots.iter().find(|slot| slot.required && !self.step.state.slots.contains_key(&slot.name))
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
        state.form = Some(Form { intent: intent.id.clone(), slot: slot.name.clone(), filled, unanswered: 0 });
        match (text, &slot.ask) {
            (Some(text), _) => self.step.actions.push(Action::Show(Output::Text { text, suggestions: Vec::new() })),
            (None, Some(ask)) => self.say(ask),
            (None, None) => self.say(&self.catalogue.fallback.text),
        }
    }
}
