//! What waits: forms that were interrupted, and wishes that were said together.

use super::{Draft, Phrase, Unclassified, slots::values_for};
use crate::{
    catalogue::{Intent, ResumePolicy, vocabulary::NegatedText},
    ids::IntentId,
    pattern::Pattern,
    state::{Form, PendingWish, Resume, Stage},
    turn::{AnsweredBy, Event, TurnKind},
    understanding::{Consent, Wish},
};

/// Forms that wait for the end of another, at most. The outermost is given up first.
const MAX_SUSPENDED: usize = 3;

impl<'a> Draft<'a, '_> {
    /// Starts another intent during a form, which goes on afterwards.
    pub(super) fn interrupt(&mut self, intent: &'a Intent, other: &'a Intent) {
        let form = self.step.state.form.take();
        if let Some(form) = form.filter(|_| other.resume != ResumePolicy::Never) {
            let values = intent.slots.iter().filter_map(|slot| {
                let value = self.step.state.slots.get(&slot.name)?;
                Some((slot.name.clone(), value.clone()))
            });
            let resume = match other.resume {
                _ if other.small_talk => Resume::Quiet,
                ResumePolicy::Ask => Resume::Ask,
                ResumePolicy::AtOnce | ResumePolicy::Never => Resume::AtOnce,
            };
            let form = Form { values: values.collect(), resume, ..form };
            let suspended = &mut self.step.state.suspended;
            // Whoever asks for what waits already does not wait for it twice.
            suspended.retain(|waiting| waiting.intent != other.id && waiting.intent != intent.id);
            suspended.push(form);
            if suspended.len() > MAX_SUSPENDED {
                suspended.remove(0);
            }
        }
        self.trace(format!("the form of `{}` is left for `{}`", intent.id, other.id));
        self.step.kind = TurnKind::Matched;
        self.start(other);
    }

    /// Goes on with what waits, once an intent is answered and asks nothing. Returns whether more may wait. A form that was
    /// interrupted comes first: the wishes were said before the interruption.
    pub(super) fn proceed(&mut self, form: Option<&IntentId>) -> bool {
        let state = &mut self.step.state;
        if state.form.is_some() {
            return false;
        }
        if let Some(suspended) = state.suspended.pop() {
            self.resume(suspended);
            return true;
        }
        if !state.wishes.is_empty() {
            let wish = state.wishes.remove(0);
            self.start_wish(wish);
            return true;
        }
        let answered = state.last.as_ref().filter(|last| last.turns == 0).map(|last| &last.intent);
        if form.is_some() && answered == form {
            self.say_pattern(Pattern::Completed, Vec::new());
        }
        false
    }

    fn resume(&mut self, form: Form) {
        let Some(intent) = self.catalogue.intent(&form.intent) else {
            self.step.events.push(Event::StateDropped { name: form.intent.to_string() });
            return;
        };
        self.trace(format!("back to the form of `{}`", intent.id));
        let Form { values, resume, .. } = &form;
        self.forget(intent, |slot| values.contains_key(slot));
        self.step.state.slots.extend(values.clone());
        let resume = *resume;
        let mut form = Form { values: Default::default(), resume: Resume::default(), ..form };
        form.stage = match form.stage {
            _ if resume == Resume::Ask => Stage::Resume,
            // The summary is said again.
            Stage::Change => Stage::Confirm,
            stage => stage,
        };
        // The slot that was asked for has no value yet, whatever the other intent has set.
        self.step.state.slots.remove(&form.slot);
        self.step.state.form = Some(form);
        let title = vec![("title", Phrase::Title(intent))];
        match resume {
            Resume::Ask => self.ask_pattern(Pattern::ResumeAsked, title),
            Resume::AtOnce => {
                self.say_pattern(Pattern::Resumed, title);
                self.say_question_again(intent);
            }
            Resume::Quiet => self.say_question_again(intent),
        }
    }

    /// Handles the answer to whether a form goes on.
    pub(super) fn go_on_after_question(&mut self, mut form: Form, intent: &'a Intent) -> Result<(), Unclassified> {
        form.stage = if form.slot.is_empty() { Stage::Confirm } else { Stage::Slot };
        match self.consent(intent)? {
            Some(Consent::Yes) => {
                self.step.kind = TurnKind::Form;
                self.step.intent = Some(intent.id.clone());
                self.step.handler = Some(AnsweredBy::Form);
                self.rule(format!("the form of `{}` goes on", intent.id));
                self.step.state.form = Some(form);
                self.say_question_again(intent);
                Ok(())
            }
            Some(Consent::No) => {
                self.step.state.form = Some(form);
                self.cancel(intent);
                Ok(())
            }
            None => self.go_on_with_form(form),
        }
    }

    /// Starts the first of the wishes of one message; the others wait.
    pub(super) fn take_wishes(&mut self) -> bool {
        let said = self.said;
        let Some(meaning) = &said.meaning else { return false };
        let known = |wish: &&Wish| {
            let intent = self.catalogue.intent(&wish.intent)?;
            let reading = &wish.reading;
            let negated = NegatedText::of(reading.text(), reading.words()).is_some()
                && !intent.vocabulary().is_about_negation(reading.text(), reading.words());
            (!negated && self.may_start(intent)).then_some(intent)
        };
        let wishes: Vec<(&'a Intent, &Wish)> =
            meaning.wishes.iter().filter_map(|wish| Some((known(&wish)?, wish))).collect();
        let Some(((first, wish), later)) = wishes.split_first() else { return false };
        self.rule(match (later.first(), &meaning.left_out) {
            (Some((second, _)), _) => format!("the message asks for `{}` and for `{}`", first.id, second.id),
            _ => format!("a part of the message asks for `{}`", first.id),
        });
        let pending = later.iter().map(|(intent, wish)| self.pending(intent, wish)).collect();
        let first_wish = self.pending(first, wish);
        self.step.kind = TurnKind::Matched;
        self.step.state.fallbacks = 0;
        self.step.state.wishes = pending;
        self.start_wish(first_wish);
        if let Some(rest) = &meaning.left_out {
            self.say_pattern_beside(Pattern::LeftOut, vec![("rest", Phrase::Plain(rest.clone()))]);
        }
        true
    }

    /// A wish with the values of its words; what it lacks comes from the rest of the message, if that has one such value.
    pub(super) fn pending(&self, intent: &Intent, wish: &Wish) -> PendingWish {
        let own = values_for(intent, &wish.reading, &wish.reading.entities_for(intent), |_| true);
        let whole = self.said.reading.entities_for(intent);
        let only = |entity: &str| whole.iter().filter(|found| found.entity == entity).count() == 1;
        let lent = values_for(intent, &self.said.reading, &whole, |slot| slot.entity.as_deref().is_some_and(only));
        let slots = lent.into_iter().chain(own).collect();
        PendingWish { intent: intent.id.clone(), slots }
    }

    pub(super) fn start_wish(&mut self, wish: PendingWish) {
        let Some(intent) = self.catalogue.intent(&wish.intent) else {
            self.step.events.push(Event::StateDropped { name: wish.intent.to_string() });
            return;
        };
        self.forget(intent, |slot| wish.slots.contains_key(slot));
        for (slot, value) in wish.slots {
            self.fill_admitted(intent, &slot, value);
        }
        self.ask_or_run(intent);
    }
}
