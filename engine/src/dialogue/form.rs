//! Forms: messages fill an intent's slots, and the bot asks for missing ones one by one.

use std::sync::Arc;

use serde_json::Value;

use super::{EngineError, Work};
use crate::{
    catalogue::{Intent, SlotSpec},
    decide::Decision,
    entities::{EntitySpec, phrase_words},
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

impl<'a> Work<'a> {
    /// Handles a message during a form: an answer, a cancellation, or another request.
    pub(super) fn go_on_with_form(&mut self, form: Form) -> Result<(), EngineError> {
        let Some((intent, slot)) = self.form_parts(&form) else { return self.drop_form(form) };
        if self.is_plain_cancel(slot) {
            self.rule(format!("the form of `{}` is cancelled", intent.id));
            self.cancel();
            return Ok(());
        }
        self.turn.state.form = Some(form);
        if let Some(value) = self.answer(slot) {
            self.turn.kind = TurnKind::Form;
            self.rule(format!("the message answers the question for `{}`", slot.name));
            self.fill(&slot.name, value);
            self.fill_from_message(intent);
            self.go_on_with_intent(intent);
            return Ok(());
        }
        match self.classify()? {
            Decision::Matched(id) => self.leave_form(&id, intent, slot),
            Decision::Ambiguous(..) | Decision::Unknown if slot.entity.is_none() => self.take_whole(intent, slot),
            Decision::Ambiguous(..) | Decision::Unknown => self.ask_again(intent, slot),
        }
        Ok(())
    }

    /// Handles a form that no longer fits the catalogue. If only the slot is gone, the form goes on with its other
    /// slots. If the intent is gone, the bot says so and handles the message as a new request.
    fn drop_form(&mut self, form: Form) -> Result<(), EngineError> {
        self.turn.events.push(Event::StateDropped { name: format!("{}.{}", form.intent, form.slot) });
        if let Some(intent) = self.catalogue().intent(&form.intent) {
            self.turn.kind = TurnKind::Form;
            self.rule(format!("the form no longer has the slot `{}`", form.slot));
            self.turn.state.form = Some(form);
            self.fill_from_message(intent);
            self.go_on_with_intent(intent);
            return Ok(());
        }
        let decision = self.classify()?;
        self.turn.handler = AnsweredBy::Dropped;
        self.say(&self.catalogue().dropped, Vec::new(), &[]);
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
        if !CANCEL_WORDS.contains(&phrase_words(self.heard.text()).join(" ").as_str()) {
            return false;
        }
        let spec = slot.entity.as_ref().and_then(|entity| self.catalogue().entities.get(entity));
        !matches!(spec, Some(EntitySpec::Values { .. })) || self.answer(slot).is_none()
    }

    /// Cancels a form through the bot's own `cancel` intent, if it has one. Of several, the one with the word as an
    /// example, or the first.
    fn cancel(&mut self) {
        self.turn.kind = TurnKind::Matched;
        let word = fold(self.heard.text());
        let has_word = |intent: &&Intent| intent.examples.iter().any(|example| fold(&example.text) == word);
        let mut own = self.catalogue().intents.iter().filter(|intent| intent.cancels);
        match own.clone().find(has_word).or_else(|| own.next()) {
            Some(own) => self.start_intent(own),
            None => {
                self.turn.handler = AnsweredBy::Cancelled;
                self.say(&self.catalogue().cancelled, Vec::new(), &[]);
            }
        }
    }

    fn form_parts(&self, form: &Form) -> Option<(&'a Intent, &'a SlotSpec)> {
        let intent = self.catalogue().intent(&form.intent)?;
        let slot = intent.slots.iter().find(|slot| slot.name == form.slot)?;
        Some((intent, slot))
    }

    /// Handles a message that matches an intent during a form. A slot without an entity accepts any message that
    /// neither cancels nor certainly is another request.
    fn leave_form(&mut self, wanted: &crate::ids::IntentId, intent: &'a Intent, slot: &'a SlotSpec) {
        let Some(other) = self.catalogue().intent(wanted) else { return self.ask_again(intent, slot) };
        if other.cancels {
            self.turn.state.form = None;
            self.trace(format!("the form of `{}` is cancelled", intent.id));
            self.turn.kind = TurnKind::Matched;
            return self.start_intent(other);
        }
        let certain = other.id != intent.id && self.turn.probability.is_some_and(|probability| probability >= CERTAIN);
        if slot.entity.is_none() && !certain {
            return self.take_whole(intent, slot);
        }
        if other.id == intent.id {
            return self.ask_again(intent, slot);
        }
        self.turn.state.form = None;
        self.trace(format!("the form of `{}` is left for `{}`", intent.id, other.id));
        self.turn.kind = TurnKind::Matched;
        self.start_intent(other);
    }

    fn take_whole(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.turn.kind = TurnKind::Form;
        self.rule(format!("the whole message answers the question for `{}`", slot.name));
        self.fill(&slot.name, Value::String(self.heard.text().to_owned()));
        self.go_on_with_intent(intent);
    }

    /// The value for a slot's entity, if the message contains one.
    fn answer(&self, slot: &SlotSpec) -> Option<Value> {
        let wanted = slot.entity.as_ref()?;
        let found = self.reading().entities().iter().find(|entity| &entity.entity == wanted);
        // `find_all` may have given an overlap to another entity; in a form the slot's entity has priority.
        let found = found
            .cloned()
            .or_else(|| self.catalogue().entities.get(wanted)?.find(wanted, self.heard.text()).into_iter().next());
        found.map(|entity| Value::String(entity.value))
    }

    fn ask_again(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.turn.kind = TurnKind::Form;
        self.turn.intent = Some(intent.id.clone());
        let unanswered = self.turn.state.form.as_ref().map_or(0, |form| form.unanswered) + 1;
        if unanswered > self.catalogue().fallback.tries {
            self.rule(format!("`{}` was not answered {unanswered} times: the form ends", slot.name));
            self.turn.state.form = None;
            return self.not_understood();
        }
        self.rule(format!("the message has no answer for `{}`", slot.name));
        self.turn.handler = AnsweredBy::Form;
        if let Some(form) = &mut self.turn.state.form {
            form.unanswered = unanswered;
        }
        match slot.retry.as_ref().or(slot.ask.as_ref()) {
            Some(text) => self.say(text, Vec::new(), &[]),
            // A script may ask for a slot with a text of its own, which the form does not keep.
            None => self.say_fallback(),
        }
    }

    /// Fills slots from the message's entities. At the start of a form, clears slots that are not filled, unless they
    /// have `remember`.
    pub(super) fn fill_from_message(&mut self, intent: &Intent) {
        let filled: Vec<String> = self.turn.state.form.as_ref().map_or_else(Vec::new, |form| form.filled.clone());
        let fresh = self.turn.state.form.is_none();
        let entities = Arc::clone(self.reading().entities());
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
                    let value = Value::String(entities[place].value.clone());
                    self.fill(&slot.name, value);
                }
                None if fresh && !slot.remember => {
                    self.turn.state.slots.remove(&slot.name);
                }
                None => {}
            }
        }
    }

    fn fill(&mut self, slot: &str, value: Value) {
        self.trace(format!("slot {slot} = {value}"));
        self.turn.state.slots.insert(slot.to_owned(), value);
        if let Some(form) = &mut self.turn.state.form {
            form.filled.push(slot.to_owned());
            form.unanswered = 0;
        }
    }

    /// Asks the next question or, if no slot is missing, runs the handler.
    pub(super) fn go_on_with_intent(&mut self, intent: &'a Intent) {
        self.turn.intent = Some(intent.id.clone());
        match self.missing_slot(intent) {
            Some(slot) => self.ask_for(intent, slot, None),
            None => {
                self.turn.state.form = None;
                self.handle(intent);
            }
        }
    }

    /// The first required slot without a value.
    pub(super) fn missing_slot(&self, intent: &'a Intent) -> Option<&'a SlotSpec> {
        intent.slots.iter().find(|slot| slot.required && !self.turn.state.slots.contains_key(&slot.name))
    }

    /// Asks for a slot; the form then waits for the answer.
    pub(super) fn ask_for(&mut self, intent: &Intent, slot: &SlotSpec, text: Option<String>) {
        self.turn.handler = AnsweredBy::Form;
        let mut filled = self.turn.state.form.take().map(|form| form.filled).unwrap_or_default();
        filled.extend(
            intent.slots.iter().map(|slot| slot.name.clone()).filter(|name| self.turn.state.slots.contains_key(name)),
        );
        filled.sort();
        filled.dedup();
        filled.retain(|name| name != &slot.name);
        self.turn.state.slots.remove(&slot.name);
        self.turn.state.form = Some(Form { intent: intent.id.clone(), slot: slot.name.clone(), filled, unanswered: 0 });
        match (text, &slot.ask) {
            (Some(text), _) => self.turn.outputs.push(crate::turn::Output::Text { text, suggestions: Vec::new() }),
            (None, Some(ask)) => self.say(ask, Vec::new(), &[]),
            (None, None) => self.say_fallback(),
        }
    }
}
