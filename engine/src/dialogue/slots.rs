//! The slots of an intent: filled from an utterance, and asked for one by one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Action, Draft, Phrase, Verdict};
use crate::{
    catalogue::{Intent, ScriptFunction, SlotSpec},
    entities::{Entity, Impossible},
    handlers::api::value::plain,
    pattern::Pattern,
    state::{Form, Stage},
    turn::{AnsweredBy, Output},
    understanding::Reading,
    values::{Fault, Prefer},
};

/// The values of entities for an intent's slots, in the order of the slots. Each entity fills one slot: the one whose
/// role the word before it tells, else the first that is free.
pub fn values_for(
    intent: &Intent,
    reading: &Reading,
    entities: &[Entity],
    is_free: impl Fn(&SlotSpec) -> bool,
) -> Vec<(String, Value)> {
    let free: Vec<&SlotSpec> = intent.slots.iter().filter(|slot| is_free(slot)).collect();
    let by_role = |entity: &Entity| slot_by_role(intent, reading, entity).map(|slot| slot.name.as_str());
    let told: Vec<Option<&str>> = entities.iter().map(by_role).collect();
    let mut used: Vec<bool> = vec![false; entities.len()];
    let mut values: Vec<Option<Value>> = vec![None; free.len()];
    for by_role in [true, false] {
        for (slot, value) in free.iter().zip(&mut values).filter(|(_, value)| value.is_none()) {
            let fits = |at: usize| {
                let role = told[at];
                !used[at]
                    && Some(&entities[at].entity) == slot.entity.as_ref()
                    && if by_role { role == Some(&slot.name) } else { role.is_none() }
            };
            let own: Vec<usize> = (0..entities.len()).filter(|at| fits(*at)).take(slot.most_values()).collect();
            own.iter().for_each(|at| used[*at] = true);
            *value = value_of(slot, own.iter().map(|at| &entities[*at]));
        }
    }
    free.iter().zip(values).filter_map(|(slot, value)| Some((slot.name.clone(), value?))).collect()
}

/// What entities that are all of a slot's kind give it; `None` without any.
pub fn value_of<'e>(slot: &SlotSpec, mut entities: impl Iterator<Item = &'e Entity>) -> Option<Value> {
    if !slot.many {
        return entities.next().map(|entity| value_for(slot, entity));
    }
    let values: Vec<Value> = entities.map(|entity| value_for(slot, entity)).collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

/// The value of one entity in a slot, which may prefer the past. A composed value is an object of its parts.
pub fn value_for(slot: &SlotSpec, entity: &Entity) -> Value {
    if !entity.parts.is_empty() {
        return json!(entity.parts);
    }
    let past = entity.past.as_ref().filter(|_| slot.prefer == Prefer::Past);
    Value::String(past.unwrap_or(&entity.value).clone())
}

/// Whether a slot's value is that of an entity, or has it in a list.
pub fn is_said(value: &Value, entity: &Entity) -> bool {
    each(value).iter().any(|value| match value {
        Value::String(text) => *text == entity.value || entity.past.as_ref() == Some(text),
        other => *other == json!(entity.parts),
    })
}

/// One value, or those of a list.
pub fn each(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
}

/// The role of a value for an intent, by the word before it in the examples.
pub fn role_of<'a>(intent: &'a Intent, reading: &Reading, entity: &Entity) -> Option<&'a str> {
    slot_by_role(intent, reading, entity)?.role.as_deref()
}

/// The slot whose role fits a value best, by the word before it in the examples.
fn slot_by_role<'a>(intent: &'a Intent, reading: &Reading, entity: &Entity) -> Option<&'a SlotSpec> {
    let before = reading.word_before(entity.start)?.plain();
    let count = |slot: &SlotSpec| {
        let role = slot.role.as_deref()?;
        Some(intent.vocabulary().role_count(slot.entity.as_deref()?, role, before)).filter(|count| *count > 0)
    };
    let own = intent.slots.iter().filter(|slot| slot.entity.as_ref() == Some(&entity.entity));
    own.filter_map(|slot| Some((count(slot)?, slot))).max_by_key(|(count, _)| *count).map(|(_, slot)| slot)
}

impl<'a> Draft<'a, '_> {
    /// Fills slots from entities. At the start of a form, clears slots that are not filled, unless they have `remember`.
    pub(super) fn fill_from(&mut self, intent: &'a Intent, reading: &Reading, entities: &[Entity]) {
        let filled: Vec<String> = self.step.state.form.as_ref().map_or_else(Vec::new, |form| form.filled.clone());
        let values = values_for(intent, reading, entities, |slot| !filled.contains(&slot.name));
        if self.step.state.form.is_none() {
            self.forget(intent, |slot| values.iter().any(|(name, _)| name == slot));
            self.look_at_remembered(intent);
        }
        for (slot, value) in values {
            self.fill_admitted(intent, &slot, value);
        }
        // A question tells what does not exist; for a slot that nobody asks for, it is told here.
        let slots = &self.step.state.slots;
        let is_empty = |slot: &&SlotSpec| !slots.contains_key(&slot.name) && slot.entity.is_some();
        let (asked, unasked): (Vec<&SlotSpec>, Vec<&SlotSpec>) =
            intent.slots.iter().filter(is_empty).partition(|slot| slot.required);
        let silent = unasked.into_iter().find(|slot| {
            let entity = slot.entity.as_deref().unwrap_or_default();
            reading.impossible(entity).is_some() && asked.iter().all(|asked| asked.entity != slot.entity)
        });
        if let Some(slot) = silent {
            self.say_impossible(slot);
        }
    }

    /// Clears an intent's slots, unless they have `remember` or are `kept`.
    pub(super) fn forget(&mut self, intent: &Intent, kept: impl Fn(&str) -> bool) {
        for slot in intent.slots.iter().filter(|slot| !slot.remember && !kept(&slot.name)) {
            self.step.state.slots.remove(&slot.name);
        }
    }

    /// Values from earlier in the dialogue come from another slot, another intent or another day: what this slot does not
    /// admit is forgotten, and what a script checks is checked again.
    fn look_at_remembered(&mut self, intent: &Intent) {
        for slot in intent.slots.iter().filter(|slot| slot.remember) {
            let Some(value) = self.step.state.slots.get(&slot.name) else { continue };
            if value.is_array() != slot.many || !self.admits(slot, value) {
                self.trace(format!("slot {}: {value} is not admitted here", slot.name));
                self.step.state.slots.remove(&slot.name);
            } else if slot.check.is_some() && !self.step.state.unchecked.contains(&slot.name) {
                self.step.state.unchecked.push(slot.name.clone());
            }
        }
    }

    /// Fills a slot, unless its range refuses the value; then the slot is empty, and the reason is said.
    pub(super) fn fill_admitted(&mut self, intent: &'a Intent, slot: &str, value: Value) {
        // A wish that waited may have a slot that a new version lacks.
        let Some(own) = intent.slots.iter().find(|own| own.name == slot) else { return };
        if self.admits(own, &value) {
            return self.fill(intent, own, value);
        }
        self.trace(format!("slot {slot}: {value} is not admitted"));
        self.step.state.slots.remove(slot);
        self.say_out_of_range(own, &value);
    }

    /// Whether a slot admits a value on the day of the turn, as far as its range and its list tell.
    pub(super) fn admits(&self, slot: &SlotSpec, value: &Value) -> bool {
        let today = self.said.reading.setting().now.date();
        each(value).iter().map(plain).all(|value| {
            slot.range.is_none_or(|range| range.admits(&value, today))
                && (slot.one_of.is_empty() || slot.one_of.contains(&value))
        })
    }

    /// Fills a slot. What scripts check of the intent is still to be done: a check may compare slots.
    pub(super) fn fill(&mut self, intent: &Intent, slot: &SlotSpec, value: Value) {
        let name = &slot.name;
        self.trace(format!("slot {name} = {value}"));
        let state = &mut self.step.state;
        state.slots.insert(name.clone(), value);
        for checked in intent.slots.iter().filter(|slot| slot.check.is_some()) {
            if state.slots.contains_key(&checked.name) && !state.unchecked.contains(&checked.name) {
                state.unchecked.push(checked.name.clone());
            }
        }
        if let Some(form) = &mut state.form {
            form.filled.push(name.clone());
            if slot.check.is_none() {
                form.unanswered = 0;
            }
        }
    }

    /// The first slot of an intent whose value a script has still to check.
    pub(super) fn unchecked_slot(&self, intent: &'a Intent) -> Option<(&'a SlotSpec, &'a ScriptFunction)> {
        let state = &self.step.state;
        let is_unchecked = |slot: &&SlotSpec| state.unchecked.contains(&slot.name);
        let slot = intent.slots.iter().filter(|slot| state.slots.contains_key(&slot.name)).find(is_unchecked)?;
        Some((slot, slot.check.as_ref()?))
    }

    /// Goes on after a script has checked a slot. A value that is not admitted is taken back, and asked for again if it is
    /// needed; what the script said of it is told already.
    pub(super) fn take_verdict(&mut self, intent: &'a Intent, slot: &'a SlotSpec, verdict: Verdict) {
        let state = &mut self.step.state;
        state.unchecked.retain(|name| name != &slot.name);
        if verdict == Verdict::Good {
            return self.ask_or_run(intent);
        }
        self.trace(format!("slot {}: the script does not admit the value", slot.name));
        let state = &mut self.step.state;
        state.slots.remove(&slot.name);
        let is_asked = state
            .form
            .as_ref()
            .is_some_and(|form| form.intent == intent.id && form.stage == Stage::Slot && form.slot == slot.name);
        if let Some(form) = state.form.as_mut().filter(|_| is_asked) {
            form.filled.retain(|name| name != &slot.name);
            if !self.counts_unanswered(intent) {
                return;
            }
        }
        if verdict == Verdict::Failed {
            self.step.actions.push(Action::Excuse);
        }
        if is_asked { self.say_question(slot) } else { self.ask_or_run(intent) }
    }

    /// The first required slot without a value whose condition holds.
    pub(super) fn missing_slot(&self, intent: &'a Intent) -> Option<&'a SlotSpec> {
        let slots = &self.step.state.slots;
        intent.slots.iter().find(|slot| slot.required && !slots.contains_key(&slot.name) && is_due(slot, slots))
    }

    /// Clears slots whose condition does not hold: a changed answer may make a later one meaningless.
    pub(super) fn forget_undue(&mut self, intent: &Intent) {
        // One that is cleared may be the condition of another.
        for _ in &intent.slots {
            let slots = &self.step.state.slots;
            let undue = intent.slots.iter().find(|slot| slots.contains_key(&slot.name) && !is_due(slot, slots));
            let Some(slot) = undue else { return };
            self.trace(format!("slot {} is not due", slot.name));
            self.step.state.slots.remove(&slot.name);
        }
    }

    /// Says why an answer fills no slot: its value is out of the range, or does not exist. Returns whether there is such a
    /// reason.
    pub(super) fn say_why_not(&mut self, slot: &'a SlotSpec) -> bool {
        let own = self.said.reading.entities_for_slot(slot);
        let values = own.iter().filter(|entity| Some(&entity.entity) == slot.entity.as_ref());
        let refused = values.map(|entity| value_for(slot, entity)).find(|value| !self.admits(slot, value));
        match refused {
            Some(value) => {
                self.say_out_of_range(slot, &value);
                true
            }
            None => self.say_impossible(slot),
        }
    }

    /// Says that what looks like a value of a slot does not exist. Returns whether there is such a thing.
    fn say_impossible(&mut self, slot: &SlotSpec) -> bool {
        let impossible = slot.entity.as_ref().and_then(|entity| self.said.reading.impossible(entity));
        let Some(Impossible { text, fault, .. }) = impossible else { return false };
        let pattern = match fault {
            Fault::NoSuchDay => Pattern::NoSuchDay,
            Fault::NoSuchTime => Pattern::NoSuchTime,
            Fault::OtherWeekday => Pattern::OtherWeekday,
            Fault::Nowhere => return false,
        };
        let said = Phrase::Plain(text.clone());
        self.trace(format!("slot {}: {pattern}", slot.name));
        self.say_pattern_beside(pattern, vec![("said", said)]);
        true
    }

    fn say_out_of_range(&mut self, slot: &'a SlotSpec, value: &Value) {
        let own = self.said.reading.entities_for_slot(slot);
        let own = own.into_iter().find(|entity| value_for(slot, entity) == *value);
        // A wish that waited has its value from an earlier utterance.
        let said = own.map_or_else(|| self.catalogue.shown(slot, value, &self.step.language), |entity| entity.text);
        let range = self.shown_admitted(slot);
        let values = vec![("said", Phrase::Plain(said)), ("range", Phrase::Plain(range))];
        match &slot.invalid {
            Some(invalid) => self.say_with(invalid, Vec::new(), values),
            None => self.say_pattern_beside(Pattern::OutOfRange, values),
        }
    }

    /// What a slot admits, in words.
    fn shown_admitted(&self, slot: &SlotSpec) -> String {
        let (language, today) = (&self.step.language, self.said.reading.setting().now.date());
        let range = slot.range.map(|range| range.shown(language, today));
        let listed = (!slot.one_of.is_empty()).then(|| slot.one_of.join(", "));
        range.into_iter().chain(listed).collect::<Vec<_>>().join("; ")
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
            None => {
                self.say_impossible(slot);
                self.say_question(slot);
            }
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
        (Some(value), Some(values)) => each(value).iter().any(|value| values.contains(&plain(value))),
    })
}
