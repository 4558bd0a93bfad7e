//! While the dialogue is handed off, somebody else answers.

use super::{Action, Draft};
use crate::turn::{AnsweredBy, Output, TurnKind};

impl Draft<'_, '_> {
    /// Says what the author lets the bot say while somebody else is to answer: nothing by default.
    pub(super) fn keep_waiting(&mut self) {
        self.rule("the dialogue is handed off".to_owned());
        self.step.kind = TurnKind::Waiting;
        self.step.handler = Some(AnsweredBy::Waiting);
        if let Some(text) = &self.catalogue.waiting.text {
            self.say(text);
        }
    }

    /// Hands off to a person.
    pub(super) fn call_person(&mut self, text: Option<String>) {
        self.step.actions.push(Action::HandOff);
        match text {
            Some(text) => self.step.actions.push(Action::Show(Output::Text { text, suggestions: Vec::new() })),
            None => self.say(&self.catalogue.handoff),
        }
    }
}
