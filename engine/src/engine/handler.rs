//! Runs the handlers of intents: replies, scripts, plugins, hand-offs and jumps.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::Work;
use crate::{
    catalogue::{Handler, Intent, ScriptFunction},
    dialogue::{Phrase, Saying},
    handlers::{
        call::{CallInput, Library},
        context::{Context, Frame},
        effect::Effect,
        plugin::{FailureKind, PluginCall, PluginFailure},
        script::{Ran, Script, ScriptError, Scripting},
    },
    host::Host,
    state::Form,
    turn::{AnsweredBy, Event, Output},
};

impl<'a> Work<'a> {
    /// Runs an intent's handler; returns it, and what it asks the dialogue to do.
    pub(super) fn run_handler(&mut self, intent: &'a Intent) -> (AnsweredBy, Vec<Effect>) {
        match &intent.handler {
            Handler::Reply { text, suggest } => {
                let replies = suggest.get(&self.turn.language).into_iter().flatten();
                let suggestions = replies.cloned().map(Phrase::Plain).collect();
                self.say(&Saying { text, suggestions, values: Vec::new() });
                (AnsweredBy::Reply, Vec::new())
            }
            Handler::HandOff { text } => {
                self.turn.hand_off = true;
                self.say(&Saying { text, suggestions: Vec::new(), values: Vec::new() });
                (AnsweredBy::HandOff, Vec::new())
            }
            Handler::Jump(target) => (self.turn.handler.clone(), vec![Effect::Jump(target.to_string())]),
            Handler::Script(function) => {
                let effects = self.run_script(intent, function, Scripting::call).unwrap_or_else(|| {
                    self.say_failure();
                    Vec::new()
                });
                (AnsweredBy::script(function.script.path()), effects)
            }
            Handler::Plugin(name) => (AnsweredBy::Plugin(name.clone()), self.run_plugin(intent, name)),
        }
    }

    /// Runs a script function; `None` if it fails.
    pub(super) fn run_script(
        &mut self,
        intent: &Intent,
        ScriptFunction { script, function }: &ScriptFunction,
        run: fn(&Scripting, &Script, &str, CallInput<'_>) -> Result<Ran, ScriptError>,
    ) -> Option<Vec<Effect>> {
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
        match run(&self.engine.scripting, script, function, input) {
            Ok(Ran { effects, operations, fuel }) => {
                self.turn.explain.operations += operations;
                self.turn.explain.fuel += fuel;
                self.trace(format!("{} {function}: {} effects, {operations} operations", script.path(), effects.len()));
                Some(effects)
            }
            Err(error) => {
                self.trace(format!("{}:{}: {}", script.path(), error.line, error.message));
                self.turn.events.push(Event::ScriptFailed {
                    file: script.path().to_owned(),
                    line: error.line,
                    message: error.message,
                });
                None
            }
        }
    }

    fn run_plugin(&mut self, intent: &Intent, name: &str) -> Vec<Effect> {
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
                reply.effects
            }
            Err(failure) => {
                self.trace(format!("plugin:{name}: {}: {failure}", failure.kind.as_str()));
                match &failure.user_text {
                    Some(text) => self.turn.outputs.push(Output::Text { text: text.clone(), suggestions: Vec::new() }),
                    None => self.say_failure(),
                }
                self.turn.events.push(failure.event(name));
                Vec::new()
            }
        }
    }

    /// The form in progress, then those that wait for its end.
    fn frames(&self) -> Vec<Frame> {
        let state = &self.turn.state;
        let frame = |form: &Form, slots: BTreeMap<String, Value>| Frame {
            intent: form.intent.clone(),
            slot: form.slot.clone(),
            stage: form.stage,
            slots,
        };
        let current = state.form.iter().map(|form| {
            let slots = self.catalogue().intent(&form.intent).into_iter().flat_map(|intent| &intent.slots);
            let values = slots.filter_map(|slot| state.slots.get_key_value(&slot.name));
            frame(form, values.map(|(name, value)| (name.clone(), value.clone())).collect())
        });
        current.chain(state.suspended.iter().rev().map(|form| frame(form, form.values.clone()))).collect()
    }

    fn context(&self, intent: &Intent) -> Context {
        let mut slots = self.turn.state.slots.clone();
        for slot in &intent.slots {
            slots.entry(slot.name.clone()).or_insert(Value::Null);
        }
        let shown = slots.iter().filter(|(_, value)| !value.is_null());
        let shown = shown.map(|(name, value)| (name.clone(), self.shown(Some(intent), name, value))).collect();
        Context {
            text: self.said.reading.text().to_owned(),
            language: self.turn.language.clone(),
            intent: intent.id.clone(),
            probability: self.turn.probability.unwrap_or(1.0),
            entities: self.entities(Some(intent)),
            slots,
            shown,
            contexts: self.turn.state.contexts.clone(),
            frames: self.frames(),
            user: self.message.user,
            dialogue: self.message.dialogue,
            history: self.turn.state.recent.iter().cloned().collect(),
        }
    }
}
