//! Performs what the dialogue decides.

use std::time::Instant;

use serde_json::Value;

use super::Work;
use crate::{
    catalogue::{Intent, PatternAnswer, ScriptFunction, SlotSpec},
    dialogue::{Action, Phrase, Saying, Verdict, apply, begin, checked, failed, proceed},
    handlers::{api::value::plain, effect::Effect, script::Scripting},
    ids::IntentId,
    pattern::Pattern,
    template::Text,
    turn::{AnsweredBy, Event, Output, micros_since},
};

/// Limit on what is done in one turn, whatever handlers return.
const MAX_ACTIONS: usize = 1_000;
/// Limit on the number of jumps in one turn.
const MAX_JUMPS: usize = 8;

impl<'a> Work<'a> {
    /// Performs all actions, and those that they lead to.
    pub(super) fn perform(&mut self) {
        let mut jumps = 0;
        for _ in 0..MAX_ACTIONS {
            let Some(action) = self.actions.pop_front() else { break };
            match action {
                Action::Show(output) => self.turn.outputs.push(output),
                Action::Say(saying) => self.say(&saying),
                Action::Excuse => self.say_failure(),
                Action::HandOff => self.turn.hand_off = true,
                Action::Proceed { form } => self.proceed(form.as_ref()),
                Action::Run(intent) => self.run_intent(intent),
                Action::Check { intent, slot, function } => self.check(intent, slot, function),
                Action::Jump(target) => {
                    jumps += 1;
                    self.jump(&target, jumps);
                }
            }
        }
        if self.ran && self.turn.outputs.is_empty() && !self.turn.hand_off {
            self.say_fallback();
        }
    }

    /// Goes on with what waits.
    fn proceed(&mut self, form: Option<&IntentId>) {
        self.answered = true;
        if self.turn.hand_off {
            return;
        }
        if self.turn.outputs.is_empty() && self.ran {
            self.say_fallback();
        }
        let state = std::mem::take(&mut self.turn.state);
        let next = proceed(state, &self.said, self.catalogue(), form);
        self.take(next);
    }

    /// Runs an intent's handler and applies what it returns.
    fn run_intent(&mut self, intent: &'a Intent) {
        let start = Instant::now();
        self.ran = true;
        if !self.answered {
            self.turn.intent = Some(intent.id.clone());
        }
        let (by, effects) = self.run_handler(intent);
        if !self.answered {
            self.turn.handler = by.clone();
        }
        let state = std::mem::take(&mut self.turn.state);
        let applied = apply(state, &self.said, self.catalogue(), (intent, &by), effects);
        self.take(applied);
        self.turn.timings.handle_us += micros_since(start);
    }

    /// Runs the script that checks the value of a slot, says what it says, and goes on.
    fn check(&mut self, intent: &'a Intent, slot: &'a SlotSpec, function: &ScriptFunction) {
        let start = Instant::now();
        let said = self.run_script(intent, function, Scripting::check);
        let verdict = match said.as_deref() {
            Some([]) => Verdict::Good,
            Some(_) => Verdict::Refused,
            None => Verdict::Failed,
        };
        for effect in said.into_iter().flatten() {
            if let Effect::Say { text, suggestions } = effect {
                self.turn.outputs.push(Output::Text { text, suggestions });
            }
        }
        let state = std::mem::take(&mut self.turn.state);
        let next = checked(state, &self.said, self.catalogue(), (intent, slot), verdict);
        self.take(next);
        self.turn.timings.handle_us += micros_since(start);
    }

    fn jump(&mut self, target: &str, jumps: usize) {
        self.trace(format!("jump to {target}"));
        let found = self.catalogue().intent(&IntentId::new(target));
        let message = match found {
            Some(intent) if jumps <= MAX_JUMPS => {
                let state = std::mem::take(&mut self.turn.state);
                let begun = begin(state, &self.said, self.catalogue(), intent);
                return self.take(begun);
            }
            Some(_) => format!("there are more than {MAX_JUMPS} jumps in one turn"),
            None => "there is no such intent".to_owned(),
        };
        // A plugin's failed jump is reported under the plugin's name.
        self.turn.events.push(match &self.turn.handler {
            by @ AnsweredBy::Plugin(_) => failed(by, format!("jump to `{target}`: {message}")),
            _ => Event::JumpFailed { intent: target.to_owned(), message },
        });
    }

    /// Says a variant of a text. If that fails, records an event and says the fallback text instead.
    pub(super) fn say(&mut self, saying: &Saying<'a>) {
        let suggestions = saying.suggestions.iter().map(|phrase| self.phrase(phrase)).collect();
        let values: Vec<(&str, String)> =
            saying.values.iter().map(|(name, phrase)| (*name, self.phrase(phrase))).collect();
        match self.render(saying.text, &values) {
            Ok(text) => self.turn.outputs.push(Output::Text { text, suggestions }),
            Err(message) => {
                self.turn.events.push(Event::TextFailed { message });
                self.say_fallback();
            }
        }
    }

    pub(super) fn say_fallback(&mut self) {
        match self.render(&self.catalogue().fallback.text, &[]) {
            Ok(text) => self.turn.outputs.push(Output::Text { text, suggestions: Vec::new() }),
            Err(message) => self.turn.events.push(Event::TextFailed { message }),
        }
    }

    /// Says what the author says when a handler fails; without that, the fallback text.
    pub(super) fn say_failure(&mut self) {
        match self.catalogue().patterns.get(&Pattern::InternalError) {
            Some(PatternAnswer::Text(text)) => self.say(&Saying { text, suggestions: Vec::new(), values: Vec::new() }),
            Some(PatternAnswer::Jump(_)) | None => self.say_fallback(),
        }
    }

    fn phrase(&self, phrase: &Phrase<'a>) -> String {
        match phrase {
            Phrase::Title(intent) => self.title(intent),
            Phrase::Numbered(intents) => {
                let lines =
                    intents.iter().enumerate().map(|(at, intent)| format!("{}. {}", at + 1, self.title(intent)));
                lines.collect::<Vec<_>>().join("\n")
            }
            Phrase::Words(text) => text.in_language(&self.turn.language).into_iter().next().unwrap_or_default(),
            Phrase::Plain(words) => words.clone(),
        }
    }

    fn title(&self, intent: &Intent) -> String {
        intent.names(&self.turn.language).into_iter().next().unwrap_or_default()
    }

    fn render(&mut self, text: &Text, extra: &[(&str, String)]) -> Result<String, String> {
        let template = text
            .pick(&self.turn.language, &mut self.random)
            .ok_or_else(|| format!("a text is missing in `{}`", self.turn.language))?;
        let value = |name: &str| {
            let given = extra.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            given.or_else(|| self.shown_slot(name))
        };
        template.render(&value).map_err(|name| format!("a text needs a value for {{{name}}}"))
    }

    /// A slot's value as people read it, by the intent that speaks: that of the form in progress, or the one that answers.
    /// A slot of theirs without a value is a dash.
    fn shown_slot(&self, name: &str) -> Option<String> {
        let speakers = self.turn.state.form.iter().map(|form| &form.intent).chain(&self.turn.intent);
        let has_slot = |intent: &&Intent| intent.slots.iter().any(|slot| slot.name == name);
        let intent = speakers.filter_map(|id| self.catalogue().intent(id)).find(has_slot);
        match self.turn.state.slots.get(name) {
            Some(value) => Some(self.shown(intent, name, value)),
            None => intent.map(|_| "–".to_owned()),
        }
    }

    /// A slot's value as people read it.
    pub(super) fn shown(&self, intent: Option<&Intent>, slot: &str, value: &Value) -> String {
        match intent.and_then(|intent| intent.slots.iter().find(|own| own.name == slot)) {
            Some(slot) => self.catalogue().shown(slot, value, &self.turn.language),
            None => plain(value),
        }
    }

    pub(super) fn trace(&mut self, step: String) {
        self.turn.explain.trace.push(step);
    }
}
