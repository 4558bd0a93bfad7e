//! What a handler returns, applied to the state.

use super::{Action, Draft};
use crate::{
    catalogue::Intent,
    handlers::{effect::Effect, plugin::FailureKind},
    state::{ActiveContext, Answered},
    turn::{AnsweredBy, Event, Output},
};

/// Limit on the number of slots in a dialogue, over all intents. The state is stored with every turn.
const MAX_SLOTS: usize = 200;
/// The same for contexts.
const MAX_CONTEXTS: usize = 50;
/// In milliseconds.
const MINUTE: i64 = 60_000;

impl<'a> Draft<'a, '_> {
    /// Applies effects in order. A jump comes last.
    pub(super) fn apply(&mut self, intent: &'a Intent, by: &AnsweredBy, effects: Vec<Effect>) {
        let mut target = None;
        if !intent.slots.is_empty() && !intent.small_talk {
            self.step.state.last = Some(Answered { intent: intent.id.clone(), turns: 0 });
        }
        for effect in effects {
            if let Err(message) = self.apply_one(intent, effect, &mut target) {
                self.step.events.push(failed(by, message));
            }
        }
        self.step.actions.extend(target.map(Action::Jump));
    }

    /// # Errors
    /// Why the effect cannot be applied.
    fn apply_one(&mut self, intent: &'a Intent, effect: Effect, target: &mut Option<String>) -> Result<(), String> {
        let state = &mut self.step.state;
        match effect {
            Effect::Say { text, .. } if text.trim().is_empty() => return Err("say: the text is empty".to_owned()),
            Effect::Say { text, suggestions } => self.show(Output::Text { text, suggestions }),
            Effect::Image(url) => self.show(Output::Image { url }),
            Effect::Payload(value) => self.show(Output::Payload { value }),
            Effect::Ask { slot, text } => return self.ask_slot(intent, &slot, text),
            Effect::SetSlot(name, value) if value.is_null() => {
                state.slots.remove(&name);
            }
            Effect::SetSlot(name, _) if state.slots.len() >= MAX_SLOTS && !state.slots.contains_key(&name) => {
                return Err(format!("set_slot(\"{name}\"): a dialogue may have at most {MAX_SLOTS} slots"));
            }
            Effect::SetSlot(name, value) => {
                state.slots.insert(name, value);
            }
            Effect::SetContext { name, turns: 0, .. } => {
                state.contexts.remove(&name);
            }
            Effect::SetContext { name, .. }
                if state.contexts.len() >= MAX_CONTEXTS && !state.contexts.contains_key(&name) =>
            {
                return Err(format!("set_context(\"{name}\"): a dialogue may have at most {MAX_CONTEXTS} contexts"));
            }
            Effect::SetContext { name, turns, minutes, values } => {
                // A context ages at the start of each following turn.
                let turns = turns.saturating_add(1);
                let until = minutes.map(|minutes| self.said.at.saturating_add(i64::from(minutes) * MINUTE));
                state.contexts.insert(name, ActiveContext { turns, until, values });
            }
            Effect::SetLanguage(code) => return self.set_language(&code),
            Effect::Jump(intent) => *target = Some(intent),
            Effect::HandOff(text) => self.call_person(text),
            Effect::End => *state = state.renewed(),
        }
        Ok(())
    }

    fn show(&mut self, output: Output) {
        self.step.actions.push(Action::Show(output));
    }

    fn ask_slot(&mut self, intent: &'a Intent, name: &str, text: Option<String>) -> Result<(), String> {
        match intent.slots.iter().find(|slot| slot.name == name) {
            Some(slot) => {
                self.ask_for(intent, slot, text);
                // The handler asks, not the form.
                self.step.handler = None;
                Ok(())
            }
            None => {
                self.say(&self.catalogue.fallback.text);
                Err(format!("ask(\"{name}\"): the intent `{}` has no such slot", intent.id))
            }
        }
    }

    fn set_language(&mut self, code: &str) -> Result<(), String> {
        let Some(language) = self.catalogue.language(code) else {
            return Err(format!("set_language(\"{code}\"): not one of the bot's languages"));
        };
        self.step.language = language.clone();
        self.step.state.language = Some(language.clone());
        self.step.state.language_pinned = true;
        Ok(())
    }
}

/// An effect that cannot be applied is a failure of the handler.
pub fn failed(by: &AnsweredBy, message: String) -> Event {
    match by {
        AnsweredBy::Plugin(plugin) => Event::PluginFailed {
            plugin: plugin.clone(),
            kind: FailureKind::BadReply.as_str().to_owned(),
            message,
            retryable: false,
        },
        AnsweredBy::Script(file) => Event::ScriptFailed { file: format!("scripts/{file}"), line: 0, message },
        other => Event::ScriptFailed { file: other.to_string(), line: 0, message },
    }
}
