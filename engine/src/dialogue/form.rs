//! Forms: utterances fill an intent's slots, and the bot asks for missing ones one by one.

use serde_json::Value;

use super::{
    CERTAIN, Draft, LIKELY, Unclassified,
    slots::{value_for, value_of},
};
use crate::{
    catalogue::{Intent, SlotSpec},
    decide::Decision,
    entities::{Entity, EntitySpec},
    ids::IntentId,
    state::{Form, Stage},
    turn::{AnsweredBy, Event, TurnKind},
    understanding::Cue,
};

impl<'a> Draft<'a, '_> {
    /// Handles an utterance during a form, by what the form waits for.
    pub(super) fn go_on_with_form(&mut self, form: Form) -> Result<(), Unclassified> {
        let Some(intent) = self.catalogue.intent(&form.intent) else { return self.drop_form(form) };
        match form.stage {
            Stage::Confirm | Stage::Change => self.go_on_with_summary(form, intent),
            Stage::Resume => self.go_on_after_question(form, intent),
            Stage::Slot => self.go_on_with_slot(form, intent),
        }
    }

    /// Handles an answer to a question, a repair, or another request.
    pub(super) fn go_on_with_slot(&mut self, form: Form, intent: &'a Intent) -> Result<(), Unclassified> {
        let Some(slot) = intent.slots.iter().find(|slot| slot.name == form.slot) else { return self.drop_form(form) };
        let cue = self.said.cue.filter(|cue| *cue != Cue::NoneOfThese && !self.is_value(slot));
        self.step.state.form = Some(form);
        if let Some(cue) = cue {
            self.repair(cue, intent, slot);
            return Ok(());
        }
        if self.correct_in_form(intent, slot)? {
            return Ok(());
        }
        if self.said.reading.text().is_empty() {
            self.ask_again(intent, slot);
            return Ok(());
        }
        if let Some(answer) = self.answer(intent, slot)
            && (self.is_about(intent) || self.other_request(intent, LIKELY)?.is_none())
        {
            let mut others = self.remainder(intent).values;
            let value = value_said(slot, &answer, &others);
            if !self.admits(slot, &value) {
                self.ask_again(intent, slot);
                return Ok(());
            }
            self.step.kind = TurnKind::Form;
            self.rule(format!("the message answers the question for `{}`", slot.name));
            others.retain(|entity| entity.start >= answer.end || entity.end <= answer.start);
            others.retain(|entity| !slot.many || entity.entity != answer.entity);
            self.fill(intent, slot, value);
            for (name, list) in self.with_added(intent, &others) {
                self.fill_admitted(intent, &name, list);
            }
            self.fill_from(intent, &self.said.reading, &others);
            self.ask_or_run(intent);
            return Ok(());
        }
        let decision = self.decision()?;
        let own = self.unwanted().is_some_and(|unwanted| unwanted.id == intent.id);
        if (slot.entity.is_some() || own) && self.refuses_in_form(intent) {
            return Ok(());
        }
        match decision {
            Decision::Matched(id) => self.leave_form(&id, intent, slot),
            Decision::Ambiguous(_) | Decision::Unknown if slot.entity.is_none() => self.take_whole(intent, slot),
            Decision::Ambiguous(_) | Decision::Unknown => self.ask_again(intent, slot),
        }
        Ok(())
    }

    /// Handles a form that no longer fits the catalogue. If only the slot is gone, the form goes on with its other
    /// slots. If the intent is gone, the bot says so and handles the message as a new request.
    fn drop_form(&mut self, form: Form) -> Result<(), Unclassified> {
        self.step.events.push(Event::StateDropped { name: format!("{}.{}", form.intent, form.slot) });
        if let Some(intent) = self.catalogue.intent(&form.intent) {
            if self.said.cue == Some(Cue::Cancel) {
                self.cancel(intent);
                return Ok(());
            }
            self.step.kind = TurnKind::Form;
            self.rule(format!("the form no longer has the slot `{}`", form.slot));
            self.step.state.form = Some(form);
            self.fill_from(intent, &self.said.reading, &self.said.reading.entities_for(intent));
            self.ask_or_run(intent);
            return Ok(());
        }
        let decision = self.decision()?;
        self.step.handler = Some(AnsweredBy::Dropped);
        self.say(&self.catalogue.dropped);
        if matches!(decision, Decision::Matched(_)) {
            self.act(decision);
        } else {
            self.rule(format!("the intent `{}` no longer exists", form.intent));
        }
        Ok(())
    }

    /// Whether the utterance is one of the values that the author lists for a slot, whatever else it could mean.
    fn is_value(&self, slot: &SlotSpec) -> bool {
        let Some(name) = &slot.entity else { return false };
        let is_list = matches!(self.catalogue.entities.get(name), Some(EntitySpec::Values { .. }));
        is_list && self.said.reading.values_of(name).next().is_some()
    }

    /// Whether the utterance says nothing beside values and the words of an intent.
    fn is_about(&self, intent: &Intent) -> bool {
        self.remainder(intent).says_nothing_else()
    }

    /// The other intent that the utterance matches with at least this probability.
    pub(super) fn other_request(&mut self, intent: &Intent, certain: f32) -> Result<Option<&'a Intent>, Unclassified> {
        let Decision::Matched(id) = self.decision()? else { return Ok(None) };
        let other = self.catalogue.intent(&id).filter(|other| other.id != intent.id && !other.small_talk);
        Ok(other.filter(|_| self.best_probability().is_some_and(|best| best >= certain)))
    }

    /// Handles a message that matches an intent during a form. A slot without an entity accepts any message that
    /// neither cancels nor certainly is another request.
    fn leave_form(&mut self, wanted: &IntentId, intent: &'a Intent, slot: &'a SlotSpec) {
        let Some(other) = self.catalogue.intent(wanted) else { return self.ask_again(intent, slot) };
        if other.cancels {
            return self.cancel_with(intent, other);
        }
        let certain = other.id != intent.id && self.best_probability().is_some_and(|best| best >= CERTAIN);
        if slot.entity.is_none() && !certain {
            return self.take_whole(intent, slot);
        }
        let confident = self.best_probability().is_some_and(|best| best >= LIKELY);
        if other.id == intent.id || !confident {
            return self.ask_again(intent, slot);
        }
        self.interrupt(intent, other);
    }

    fn take_whole(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.step.kind = TurnKind::Form;
        self.rule(format!("the whole message answers the question for `{}`", slot.name));
        self.fill(intent, slot, Value::String(self.said.reading.text().to_owned()));
        self.ask_or_run(intent);
    }

    /// The entity that answers the question for a slot, if the message contains one.
    fn answer(&self, intent: &Intent, slot: &SlotSpec) -> Option<Entity> {
        let wanted = slot.entity.as_ref()?;
        let rest = self.remainder(intent);
        if rest.values.is_empty() && !rest.refused.is_empty() {
            return None;
        }
        let found = rest.values.iter().find(|entity| &entity.entity == wanted).cloned();
        // Another slot of the intent may have taken an overlap; the slot that is asked for has priority.
        found.or_else(|| {
            let refused = |entity: &Entity| rest.refused.iter().any(|other| other.start == entity.start);
            self.said.reading.values_of(wanted).find(|entity| !refused(entity)).cloned()
        })
    }

    fn ask_again(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        if !self.counts_unanswered(intent) {
            return;
        }
        self.rule(format!("the message has no answer for `{}`", slot.name));
        if self.say_why_not(slot) {
            return self.say_question(slot);
        }
        let times = self.step.state.form.as_ref().map_or(0, |form| form.unanswered as usize);
        match slot.retry.get(times.saturating_sub(1)).or(slot.retry.last()) {
            Some(retry) => self.say(retry),
            None => self.say_question(slot),
        }
    }

    /// Counts an utterance that does not answer a form's question. After the author's number of tries the form ends, and
    /// false is returned.
    pub(super) fn counts_unanswered(&mut self, intent: &Intent) -> bool {
        self.step.kind = TurnKind::Form;
        self.step.intent = Some(intent.id.clone());
        self.step.handler = Some(AnsweredBy::Form);
        let Some(form) = &mut self.step.state.form else { return true };
        form.unanswered += 1;
        let (unanswered, slot) = (form.unanswered, form.slot.clone());
        if unanswered <= self.catalogue.fallback.tries {
            return true;
        }
        let asked = if slot.is_empty() { "the summary".to_owned() } else { format!("`{slot}`") };
        self.rule(format!("{asked} was not answered {unanswered} times: the form ends"));
        self.step.state.form = None;
        self.not_understood();
        false
    }
}

/// What an answer gives a slot: with `many`, the values beside it, too.
fn value_said(slot: &SlotSpec, answer: &Entity, beside: &[Entity]) -> Value {
    let all = beside.iter().filter(|entity| slot.many && entity.entity == answer.entity).take(slot.most_values());
    value_of(slot, all).unwrap_or_else(|| value_for(slot, answer))
}
