//! Forms: messages fill an intent's slots, and the bot asks for missing ones one by one.

use serde_json::Value;

use super::{Draft, Unclassified};
use crate::{
    catalogue::{Intent, SlotSpec},
    decide::Decision,
    entities::{EntitySpec, phrase_words},
    ids::IntentId,
    state::Form,
    text::fold,
    turn::{AnsweredBy, Event, TurnKind},
};

/// Words that can only mean leaving a form, whatever the bot's intents are.
const CANCEL_WORDS: [&str; 16] = [
    "cancel",
    "cancel it",
    "stop",
    "quit",
    "exit",
    "never mind",
    "nevermind",
    "forget it",
    "отмена",
    "отмени",
    "отменить",
    "отмени это",
    "стоп",
    "хватит",
    "не надо",
    "выход",
];
/// A slot without an entity accepts any message, except one that matches another intent with at least this probability.
const CERTAIN: f32 = 0.95;

impl<'a> Draft<'a, '_> {
    /// Handles a message during a form: an answer, a cancellation, or another request.
    pub(super) fn go_on_with_form(&mut self, form: Form) -> Result<(), Unclassified> {
        let Some((intent, slot)) = self.form_parts(&form) else { return self.drop_form(form) };
        if self.is_plain_cancel(slot) {
            self.rule(format!("the form of `{}` is cancelled", intent.id));
            self.cancel();
            return Ok(());
        }
        self.step.state.form = Some(form);
        if let Some(value) = self.answer(slot) {
            self.step.kind = TurnKind::Form;
            self.rule(format!("the message answers the question for `{}`", slot.name));
            self.fill(&slot.name, value);
            self.fill_from(intent, &self.said.reading);
            self.ask_or_run(intent);
            return Ok(());
        }
        match self.decision()? {
            Decision::Matched(id) => self.leave_form(&id, intent, slot),
            Decision::Ambiguous(..) | Decision::Unknown if slot.entity.is_none() => self.take_whole(intent, slot),
            Decision::Ambiguous(..) | Decision::Unknown => self.ask_again(intent, slot),
        }
        Ok(())
    }

    /// Handles a form that no longer fits the catalogue. If only the slot is gone, the form goes on with its other
    /// slots. If the intent is gone, the bot says so and handles the message as a new request.
    fn drop_form(&mut self, form: Form) -> Result<(), Unclassified> {
        self.step.events.push(Event::StateDropped { name: format!("{}.{}", form.intent, form.slot) });
        if let Some(intent) = self.catalogue.intent(&form.intent) {
            self.step.kind = TurnKind::Form;
            self.rule(format!("the form no longer has the slot `{}`", form.slot));
            self.step.state.form = Some(form);
            self.fill_from(intent, &self.said.reading);
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

    /// Whether the message is a word that cancels every form. It is not if the author lists that word among the slot's
    /// values.
    fn is_plain_cancel(&self, slot: &SlotSpec) -> bool {
        if !CANCEL_WORDS.contains(&phrase_words(self.said.reading.text()).join(" ").as_str()) {
            return false;
        }
        let spec = slot.entity.as_ref().and_then(|entity| self.catalogue.entities.get(entity));
        !matches!(spec, Some(EntitySpec::Values { .. })) || self.answer(slot).is_none()
    }

    /// Cancels a form through the bot's own `cancel` intent, if it has one. Of several, the one with the word as an
    /// example, or the first.
    fn cancel(&mut self) {
        self.step.kind = TurnKind::Matched;
        let word = fold(self.said.reading.text());
        let has_word = |intent: &&Intent| intent.examples.iter().any(|example| fold(&example.text) == word);
        let mut own = self.catalogue.intents.iter().filter(|intent| intent.cancels);
        match own.clone().find(has_word).or_else(|| own.next()) {
            Some(own) => self.start(own),
            None => {
                self.step.handler = Some(AnsweredBy::Cancelled);
                self.say(&self.catalogue.cancelled);
            }
        }
    }

    fn form_parts(&self, form: &Form) -> Option<(&'a Intent, &'a SlotSpec)> {
        let intent = self.catalogue.intent(&form.intent)?;
        let slot = intent.slots.iter().find(|slot| slot.name == form.slot)?;
        Some((intent, slot))
    }

    /// Handles a message that matches an intent during a form. A slot without an entity accepts any message that
    /// neither cancels nor certainly is another request.
    fn leave_form(&mut self, wanted: &IntentId, intent: &'a Intent, slot: &'a SlotSpec) {
        let Some(other) = self.catalogue.intent(wanted) else { return self.ask_again(intent, slot) };
        if other.cancels {
            self.step.state.form = None;
            self.trace(format!("the form of `{}` is cancelled", intent.id));
            self.step.kind = TurnKind::Matched;
            return self.start(other);
        }
        let certain = other.id != intent.id && self.best_probability().is_some_and(|best| best >= CERTAIN);
        if slot.entity.is_none() && !certain {
            return self.take_whole(intent, slot);
        }
        if other.id == intent.id {
            return self.ask_again(intent, slot);
        }
        self.step.state.form = None;
        self.trace(format!("the form of `{}` is left for `{}`", intent.id, other.id));
        self.step.kind = TurnKind::Matched;
        self.start(other);
    }

    fn take_whole(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.step.kind = TurnKind::Form;
        self.rule(format!("the whole message answers the question for `{}`", slot.name));
        self.fill(&slot.name, Value::String(self.said.reading.text().to_owned()));
        self.ask_or_run(intent);
    }

    /// The value for a slot's entity, if the message contains one.
    fn answer(&self, slot: &SlotSpec) -> Option<Value> {
        let wanted = slot.entity.as_ref()?;
        let found = self.said.reading.entities().iter().find(|entity| &entity.entity == wanted);
        // `find_all` may have given an overlap to another entity; in a form the slot's entity has priority.
        let found = found
            .cloned()
            .or_else(|| self.catalogue.entities.get(wanted)?.find(wanted, self.said.reading.text()).into_iter().next());
        found.map(|entity| Value::String(entity.value))
    }

    fn ask_again(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.step.kind = TurnKind::Form;
        self.step.intent = Some(intent.id.clone());
        let unanswered = self.step.state.form.as_ref().map_or(0, |form| form.unanswered) + 1;
        if unanswered > self.catalogue.fallback.tries {
            self.rule(format!("`{}` was not answered {unanswered} times: the form ends", slot.name));
            self.step.state.form = None;
            return self.not_understood();
        }
        self.rule(format!("the message has no answer for `{}`", slot.name));
        self.step.handler = Some(AnsweredBy::Form);
        if let Some(form) = &mut self.step.state.form {
            form.unanswered = unanswered;
        }
        match slot.retry.as_ref().or(slot.ask.as_ref()) {
            Some(text) => self.say(text),
            // A script may ask for a slot with a text of its own, which the form does not keep.
            None => self.say(&self.catalogue.fallback.text),
        }
    }
}
