//! Corrections: "no, to Berlin", «не в Москву, а в Казань», "change the date", before and after the answer. And elliptic
//! follow-ups, which ask the last intent again with another value: "and to London?".

use super::{Draft, Unclassified, remainder::Remainder, slots::values_for};
use crate::{
    catalogue::{Intent, SlotSpec},
    decide::Decision,
    text::fold,
    turn::TurnKind,
};

impl<'a> Draft<'a, '_> {
    /// Corrects a slot that was filled before the question for `asked`. Returns false if the utterance corrects none.
    pub(super) fn correct_in_form(&mut self, intent: &'a Intent, asked: &'a SlotSpec) -> bool {
        let rest = self.remainder(intent);
        let marked = rest.corrects || rest.changes || !rest.named.is_empty();
        if !marked || !rest.is_empty() {
            return false;
        }
        let filled = |slot: &SlotSpec| slot.name != asked.name && self.step.state.slots.contains_key(&slot.name);
        let values = values_for(intent, &rest.values, filled);
        let changed: Vec<_> =
            values.into_iter().filter(|(slot, value)| self.step.state.slots.get(slot) != Some(value)).collect();
        if !changed.is_empty() {
            self.step.kind = TurnKind::Form;
            for (slot, value) in changed {
                self.rule(format!("the message corrects `{slot}`"));
                self.fill(&slot, value);
            }
            self.ask_or_run(intent);
            return true;
        }
        match self.slot_to_change(intent, &rest).filter(|slot| slot.name != asked.name) {
            Some(slot) if rest.values.is_empty() => {
                self.change(intent, slot);
                true
            }
            _ => false,
        }
    }

    /// Corrects the last answered intent, or asks it again with another value. Returns false if the utterance does
    /// neither.
    pub(super) fn correct_last(&mut self) -> Result<bool, Unclassified> {
        let Some(last) = self.step.state.last.clone() else { return Ok(false) };
        let Some(intent) = self.catalogue.intent(&last.intent) else { return Ok(false) };
        let rest = self.remainder(intent);
        if !rest.is_empty() {
            return Ok(false);
        }
        let values = self.changed_values(intent, &rest.values);
        if values.is_empty() {
            let slot = self.slot_to_change(intent, &rest).filter(|_| rest.values.is_empty());
            return Ok(slot.is_some_and(|slot| {
                self.change(intent, slot);
                true
            }));
        }
        // With words of the intent beside the value, an intent of its own may fit better; so it may if the whole text is
        // an example.
        if (rest.own > 0 || self.is_example()) && !rest.corrects && matches!(self.decision()?, Decision::Matched(_)) {
            return Ok(false);
        }
        self.step.kind = TurnKind::Matched;
        let what = if rest.corrects { "corrects" } else { "follows up" };
        self.rule(format!("the message {what} `{}`", intent.id));
        for (slot, value) in values {
            self.fill(&slot, value);
        }
        self.step.state.fallbacks = 0;
        self.ask_or_run(intent);
        Ok(true)
    }

    /// The slot that is to be asked again: the one that is named, or the one whose value is refused.
    pub(super) fn slot_to_change(&self, intent: &'a Intent, rest: &Remainder) -> Option<&'a SlotSpec> {
        let askable = |slot: &&SlotSpec| slot.ask.is_some();
        let named = |slot: &&SlotSpec| (rest.changes || rest.corrects) && rest.named.contains(&slot.name);
        let refused = |slot: &&SlotSpec| rest.refused.iter().any(|entity| Some(&entity.entity) == slot.entity.as_ref());
        let mut slots = intent.slots.iter().filter(askable);
        slots.clone().find(named).or_else(|| slots.find(refused))
    }

    /// Whether the utterance is an example of an intent, word for word.
    fn is_example(&self) -> bool {
        let said = fold(self.said.reading.text());
        self.catalogue.intents.iter().flat_map(|intent| &intent.examples).any(|example| fold(&example.text) == said)
    }
}
