//! Runs handlers and applies their effects.

use std::{sync::Arc, time::Instant};

use super::{Work, micros};
use crate::{
    catalogue::{Handler, Intent},
    handlers::{
        call::{CallInput, Library},
        context::Context,
        effect::Effect,
        plugin::{FailureKind, PluginCall, PluginFailure},
        script::{Ran, Script},
    },
    host::Host,
    ids::IntentId,
    state::DialogueState,
    turn::{AnsweredBy, Event, Output},
};

/// Limit on the number of jumps in one turn.
const MAX_JUMPS: usize = 8;
/// Limit on the number of slots in a dialogue, over all intents.
const MAX_SLOTS: usize = 200;

impl<'a> Work<'a> {
    /// Runs an intent's handler, and those of intents it jumps to.
    pub(super) fn handle(&mut self, intent: &'a Intent) {
        let start = Instant::now();
        let mut next = Some(intent);
        let mut jumps = 0;
        while let Some(intent) = next.take() {
            self.turn.intent = Some(intent.id.clone());
            if let Some(slot) = self.missing_slot(intent) {
                self.ask_for(intent, slot, None);
                break;
            }
            let Some(target) = self.run_handler(intent) else { break };
            jumps += 1;
            next = self.jump_target(&target, jumps);
        }
        if self.turn.outputs.is_empty() && !self.turn.hand_off {
            self.say_fallback();
        }
        self.turn.timings.handle_us = micros(start);
    }

    fn jump_target(&mut self, target: &str, jumps: usize) -> Option<&'a Intent> {
        self.trace(format!("jump to {target}"));
        let found = self.catalogue().intent(&IntentId::new(target));
        let failure = match found {
            Some(_) if jumps <= MAX_JUMPS => None,
            Some(_) => Some(format!("there are more than {MAX_JUMPS} jumps in one turn")),
            None => Some("there is no such intent".to_owned()),
        };
        if let Some(message) = failure {
            // A plugin's failed jump is reported under the plugin's name.
            if matches!(self.turn.handler, AnsweredBy::Plugin(_)) {
                self.effect_failed(format!("jump to `{target}`: {message}"));
            } else {
                self.turn.events.push(Event::JumpFailed { intent: target.to_owned(), message });
            }
            return None;
        }
        found
    }

    /// Runs one handler; returns the intent that it jumps to, if any.
    fn run_handler(&mut self, intent: &'a Intent) -> Option<String> {
        match &intent.handler {
            Handler::Reply { text, suggest } => {
                self.turn.handler = AnsweredBy::Reply;
                let suggestions = suggest.get(&self.turn.language).cloned().unwrap_or_default();
                self.say(text, suggestions, &[]);
                None
            }
            Handler::HandOff { text } => {
                self.turn.handler = AnsweredBy::HandOff;
                self.turn.hand_off = true;
                self.say(text, Vec::new(), &[]);
                None
            }
            Handler::Jump(target) => Some(target.to_string()),
            Handler::Script { script, function } => self.run_script(intent, script, function),
            Handler::Plugin(name) => self.run_plugin(intent, name),
        }
    }

    fn run_script(&mut self, intent: &'a Intent, script: &Script, function: &str) -> Option<String> {
        self.turn.handler = AnsweredBy::script(script.path());
        let context = self.context(intent);
        let host: Arc<dyn Host> = self.outside.clone();
        let input = CallInput {
            library: Library { plugins: Arc::clone(&self.plugins), ..self.catalogue().library.clone() },
            host: &host,
            context,
            now: self.now.clone(),
            random: &mut self.random,
            kept: &mut self.turn.kept,
            events: &mut self.turn.events,
            footprint: &mut self.turn.footprint,
        };
        match self.engine.scripting.call(script, function, input) {
            Ok(Ran { effects, operations, fuel }) => {
                self.turn.explain.operations += operations;
                self.turn.explain.fuel += fuel;
                self.trace(format!("{} {function}: {} effects, {operations} operations", script.path(), effects.len()));
                self.apply(intent, effects)
            }
            Err(error) => {
                self.trace(format!("{}:{}: {}", script.path(), error.line, error.message));
                self.turn.events.push(Event::ScriptFailed {
                    file: script.path().to_owned(),
                    line: error.line,
                    message: error.message,
                });
                self.say_fallback();
                None
            }
        }
    }

    fn run_plugin(&mut self, intent: &'a Intent, name: &str) -> Option<String> {
        self.turn.handler = AnsweredBy::Plugin(name.to_owned());
        let context = self.context(intent);
        let host: Arc<dyn Host> = self.outside.clone();
        let call = PluginCall {
            context: &context,
            arguments: None,
            host: &host,
            now: self.now.clone(),
            random: &mut self.random,
            kept: &mut self.turn.kept,
            replayed: false,
        };
        let replied = match self.plugins.get(name) {
            Some(plugin) => {
                self.turn.footprint.clock |= plugin.reads_clock();
                plugin.call(call)
            }
            None => Err(PluginFailure::new(FailureKind::Missing, "bot.yaml does not name it")),
        };
        match replied {
            Ok(reply) => {
                self.turn.explain.fuel += reply.fuel;
                self.trace(format!("plugin:{name}: {} effects, {} fuel", reply.effects.len(), reply.fuel));
                self.apply(intent, reply.effects)
            }
            Err(failure) => {
                self.trace(format!("plugin:{name}: {}: {failure}", failure.kind.as_str()));
                match &failure.user_text {
                    Some(text) => self.turn.outputs.push(Output::Text { text: text.clone(), suggestions: Vec::new() }),
                    None => self.say_fallback(),
                }
                self.turn.events.push(failure.event(name));
                None
            }
        }
    }

    fn context(&self, intent: &Intent) -> Context {
        let mut slots = self.turn.state.slots.clone();
        for slot in &intent.slots {
            slots.entry(slot.name.clone()).or_insert(serde_json::Value::Null);
        }
        Context {
            text: self.heard.text().to_owned(),
            language: self.turn.language.clone(),
            intent: intent.id.clone(),
            probability: self.turn.probability.unwrap_or(1.0),
            entities: self.reading().entities().to_vec(),
            slots,
            contexts: self.turn.state.contexts.keys().cloned().collect(),
            user: self.message.user,
            dialogue: self.message.dialogue,
            history: self.turn.state.recent.iter().cloned().collect(),
        }
    }

    /// Applies effects in order. Returns the target of the last jump, which runs after them.
    fn apply(&mut self, intent: &'a Intent, effects: Vec<Effect>) -> Option<String> {
        let mut target = None;
        for effect in effects {
            match effect {
                Effect::Say { text, .. } if text.trim().is_empty() => {
                    self.effect_failed("say: the text is empty".to_owned());
                }
                Effect::Say { text, suggestions } => self.turn.outputs.push(Output::Text { text, suggestions }),
                Effect::Image(url) => self.turn.outputs.push(Output::Image { url }),
                Effect::Payload(value) => self.turn.outputs.push(Output::Payload { value }),
                Effect::Ask { slot, text } => self.ask_slot(intent, &slot, text),
                Effect::SetSlot(name, value) if value.is_null() => {
                    self.turn.state.slots.remove(&name);
                }
                Effect::SetSlot(name, value) => self.set_slot(name, value),
                Effect::SetContext(name, 0) => {
                    self.turn.state.contexts.remove(&name);
                }
                Effect::SetContext(name, turns) => {
                    // A context ages at the start of each following turn.
                    self.turn.state.contexts.insert(name, turns.saturating_add(1));
                }
                Effect::SetLanguage(code) => self.set_language(&code),
                Effect::Jump(intent) => target = Some(intent),
                Effect::HandOff(text) => self.call_person(text),
                Effect::End => {
                    let language = self.turn.state.language.clone();
                    let recent = std::mem::take(&mut self.turn.state.recent);
                    let pinned = self.turn.state.language_pinned;
                    self.turn.state =
                        DialogueState { language, language_pinned: pinned, recent, ..DialogueState::default() };
                }
            }
        }
        target
    }

    fn ask_slot(&mut self, intent: &'a Intent, name: &str, text: Option<String>) {
        match intent.slots.iter().find(|slot| slot.name == name) {
            Some(slot) => {
                let handler = self.turn.handler.clone();
                self.ask_for(intent, slot, text);
                self.turn.handler = handler;
            }
            None => {
                let message = format!("ask(\"{name}\"): the intent `{}` has no such slot", intent.id);
                self.effect_failed(message);
                self.say_fallback();
            }
        }
    }

    /// Reports an effect that cannot be applied as a failure of the handler.
    fn effect_failed(&mut self, message: String) {
        self.turn.events.push(match &self.turn.handler {
            AnsweredBy::Plugin(plugin) => Event::PluginFailed {
                plugin: plugin.clone(),
                kind: FailureKind::BadReply.as_str().to_owned(),
                message,
                retryable: false,
            },
            AnsweredBy::Script(file) => Event::ScriptFailed { file: format!("scripts/{file}"), line: 0, message },
            other => Event::ScriptFailed { file: other.to_string(), line: 0, message },
        });
    }

    /// Sets a slot. The number of slots is limited because the state is stored with every turn.
    fn set_slot(&mut self, name: String, value: serde_json::Value) {
        if self.turn.state.slots.len() >= MAX_SLOTS && !self.turn.state.slots.contains_key(&name) {
            let message = format!("set_slot(\"{name}\"): a dialogue may have at most {MAX_SLOTS} slots");
            self.effect_failed(message);
            return;
        }
        self.turn.state.slots.insert(name, value);
    }

    fn set_language(&mut self, code: &str) {
        match self.catalogue().language(code) {
            Some(language) => {
                self.turn.language = language.clone();
                self.turn.state.language = Some(language.clone());
                self.turn.state.language_pinned = true;
            }
            None => {
                let message = format!("set_language(\"{code}\"): not one of the bot's languages");
                self.effect_failed(message);
            }
        }
    }
}
