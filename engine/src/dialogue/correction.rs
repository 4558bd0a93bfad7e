//! Corrections: "no, to Berlin", «не в Москву, а в Казань», "change the date", before and after the answer. And elliptic
//! follow-ups, which ask the last intent again with another value: "and to London?".

use super::{
    CERTAIN, Draft, MAX_ASIDE, Unclassified,
    remainder::Remainder,
    slots::{is_said, values_for},
};
use crate::{
    catalogue::{Intent, SlotSpec},
    decide::Decision,
    entities::Entity,
    text::fold,
    turn::TurnKind,
};

/// Words beside a value, if no word says that it corrects or follows up, at most.
const MAX_ASIDE_ALONE: usize = 1;

impl<'a> Draft<'a, '_> {
    /// Takes values for other slots than the one that is `asked` for: those that correct a value, and those that are all
    /// that is said. Returns false if there are none.
    pub(super) fn correct_in_form(&mut self, intent: &'a Intent, asked: &'a SlotSpec) -> Result<bool, Unclassified> {
        let rest = self.remainder(intent);
        let answers = asked.entity.as_ref().is_some_and(|entity| self.said.reading.values_of(entity).next().is_some());
        let alone = asked.entity.is_some() && rest.says_nothing_else() && rest.own == 0 && !answers;
        let is_other =
            |slot: &SlotSpec| slot.name != asked.name && (alone || self.step.state.slots.contains_key(&slot.name));
        let changed = self.changed(values_for(intent, &self.said.reading, &rest.values, is_other));
        let marked = self.marks_change(&rest) || rest.changes || !rest.named.is_empty();
        if !marked && (changed.is_empty() || !alone) {
            return Ok(false);
        }
        if !changed.is_empty() {
            if !rest.says_nothing_else() && (rest.others > MAX_ASIDE || self.other_request(intent, CERTAIN)?.is_some())
            {
                return Ok(false);
            }
            self.step.kind = TurnKind::Form;
            for (slot, value) in changed {
                self.rule(format!("the message has a value for `{slot}`"));
                self.fill_admitted(intent, &slot, value);
            }
            self.ask_or_run(intent);
            return Ok(true);
        }
        match self.slot_to_change(intent, &rest).filter(|slot| slot.name != asked.name) {
            Some(slot) if rest.says_nothing_else() && rest.values.is_empty() => {
                self.change(intent, slot);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Corrects the last answered intent, or asks it again with another value. Returns false if the utterance does
    /// neither.
    pub(super) fn correct_last(&mut self) -> Result<bool, Unclassified> {
        let Some(last) = self.step.state.last.clone() else { return Ok(false) };
        let Some(intent) = self.catalogue.intent(&last.intent) else { return Ok(false) };
        let rest = self.remainder(intent);
        let values = self.changed_values(intent, &rest);
        if values.is_empty() {
            let slot =
                self.slot_to_change(intent, &rest).filter(|_| rest.says_nothing_else() && rest.values.is_empty());
            return Ok(slot.is_some_and(|slot| {
                self.change(intent, slot);
                true
            }));
        }
        if !self.is_about_last(intent, &rest)? {
            return Ok(false);
        }
        self.step.kind = TurnKind::Matched;
        let what = if rest.corrects { "corrects" } else { "follows up" };
        self.rule(format!("the message {what} `{}`", intent.id));
        for (slot, value) in values {
            self.fill_admitted(intent, &slot, value);
        }
        self.step.state.fallbacks = 0;
        self.ask_or_run(intent);
        Ok(true)
    }

    /// Whether an utterance with a value is about the last intent, and not a wish of its own. Without further words, it is.
    /// With words of the intent, or if it is an example, an intent of its own may fit better. With other words, it must
    /// say that something was wrong, or that the same is asked again.
    fn is_about_last(&mut self, intent: &'a Intent, rest: &Remainder) -> Result<bool, Unclassified> {
        if rest.says_nothing_else() && (rest.corrects || (rest.own == 0 && !self.is_example())) {
            return Ok(true);
        }
        let marked = self.marks_change(rest) || rest.follows;
        if rest.others > if marked { MAX_ASIDE } else { MAX_ASIDE_ALONE } {
            return Ok(false);
        }
        if self.marks_change(rest) {
            return Ok(self.other_request(intent, CERTAIN)?.is_none());
        }
        Ok(!matches!(self.decision()?, Decision::Matched(_)))
    }

    /// Whether an utterance says that a value was wrong: in words, by refusing it, or by naming it beside another one of
    /// the same entity.
    fn marks_change(&self, rest: &Remainder) -> bool {
        let is_known = |entity: &Entity| self.step.state.slots.values().any(|value| is_said(value, entity));
        let beside = |one: &Entity| rest.values.iter().any(|other| other.entity == one.entity && !is_known(other));
        let replaced = rest.values.iter().any(|entity| is_known(entity) && beside(entity));
        rest.corrects || !rest.refused.is_empty() || replaced
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
    pub(super) fn is_example(&self) -> bool {
        self.catalogue.words().examples.contains(&fold(self.said.reading.text()))
    }
}
