//! Repairs during a form: cancel, start over, go back, skip, repeat, help.

use super::Draft;
use crate::{
    catalogue::{Intent, SlotSpec},
    pattern::Pattern,
    state::{Form, Stage},
    text::fold,
    turn::{AnsweredBy, Output, TurnKind},
    understanding::Cue,
};

impl<'a> Draft<'a, '_> {
    /// Does what the user says about the form itself. The form is in the state.
    pub(super) fn repair(&mut self, cue: Cue, intent: &'a Intent, slot: &'a SlotSpec) {
        self.step.kind = TurnKind::Form;
        self.step.intent = Some(intent.id.clone());
        match cue {
            Cue::Cancel => self.cancel(intent),
            Cue::Restart => self.restart_form(intent),
            Cue::Back => self.go_back(intent),
            Cue::Skip => self.skip(intent, slot),
            Cue::Repeat | Cue::NoneOfThese => {
                self.rule("the question is repeated".to_owned());
                self.step.handler = Some(AnsweredBy::Form);
                self.say_question_again(intent);
            }
            Cue::Help => {
                self.rule("the question is explained".to_owned());
                match &slot.help {
                    Some(help) => {
                        self.step.handler = Some(AnsweredBy::Pattern(Pattern::FormHelp));
                        self.say(help);
                    }
                    None => self.say_pattern(Pattern::FormHelp, Vec::new()),
                }
                self.say_question_again(intent);
            }
        }
    }

    /// Cancels the form through the bot's own `cancel` intent, if it has one. Of several, the one with the utterance as
    /// an example, or the first.
    pub(super) fn cancel(&mut self, intent: &'a Intent) {
        self.step.state.form = None;
        self.step.kind = TurnKind::Matched;
        self.rule(format!("the form of `{}` is cancelled", intent.id));
        let word = fold(self.said.reading.text());
        let has_word = |intent: &&Intent| intent.examples.iter().any(|example| fold(&example.text) == word);
        let mut own = self.catalogue.intents.iter().filter(|intent| intent.cancels);
        match own.clone().find(has_word).or_else(|| own.next()) {
            Some(own) => self.start(own),
            None => {
                self.step.intent = None;
                self.step.handler = Some(AnsweredBy::Cancelled);
                self.say(&self.catalogue.cancelled);
            }
        }
    }

    /// Cancels the form through an intent with that role.
    pub(super) fn cancel_with(&mut self, intent: &'a Intent, other: &'a Intent) {
        self.step.state.form = None;
        self.trace(format!("the form of `{}` is cancelled", intent.id));
        self.step.kind = TurnKind::Matched;
        self.start(other);
    }

    pub(super) fn restart_form(&mut self, intent: &'a Intent) {
        self.rule(format!("the form of `{}` starts over", intent.id));
        self.step.state.form = None;
        for slot in &intent.slots {
            self.step.state.slots.remove(&slot.name);
        }
        self.say_pattern(Pattern::Restarted, Vec::new());
        self.ask_or_run(intent);
        self.step.handler = Some(AnsweredBy::Pattern(Pattern::Restarted));
    }

    /// Asks the last question before this one again.
    pub(super) fn go_back(&mut self, intent: &'a Intent) {
        let Some(form) = self.step.state.form.take() else { return };
        let asked = if form.stage == Stage::Slot { form.slot.as_str() } else { "" };
        let before = intent.slots.iter().take_while(|slot| slot.name != asked);
        let earlier = before.filter(|slot| slot.required && form.filled.contains(&slot.name)).last();
        match earlier {
            Some(slot) => {
                self.rule(format!("back to the question for `{}`", slot.name));
                self.step.state.form = Some(form);
                self.ask_for(intent, slot, None);
            }
            None => {
                self.rule("there is no earlier question".to_owned());
                self.step.state.form = Some(form);
                self.say_pattern(Pattern::CannotGoBack, Vec::new());
                self.say_question_again(intent);
            }
        }
    }

    /// A question for an optional slot, which only a handler asks, may stay without an answer.
    fn skip(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        if !slot.required {
            self.rule(format!("`{}` is skipped", slot.name));
            return self.ask_or_run(intent);
        }
        if !self.counts_unanswered(intent) {
            return;
        }
        self.rule(format!("`{}` cannot be skipped", slot.name));
        self.say_pattern(Pattern::CannotSkip, Vec::new());
        self.say_question(slot);
    }

    /// Handles a cue outside forms that no intent of the bot answers. Returns false if it means nothing there.
    pub(super) fn repair_outside(&mut self) -> bool {
        let Some(cue) = self.said.cue else { return false };
        let kind = std::mem::replace(&mut self.step.kind, TurnKind::Matched);
        match cue {
            Cue::Restart => {
                self.rule("the dialogue starts over".to_owned());
                self.step.state = self.step.state.renewed();
                self.say_pattern(Pattern::Restarted, Vec::new());
            }
            Cue::Repeat => {
                self.rule("the last reply is repeated".to_owned());
                let last = self.step.state.recent.iter().rev().map(|exchange| exchange.bot.clone());
                match last.into_iter().find(|said| !said.is_empty()) {
                    Some(text) => {
                        self.step.handler = Some(AnsweredBy::Pattern(Pattern::Repeated));
                        self.step.actions.push(super::Action::Show(Output::Text { text, suggestions: Vec::new() }));
                    }
                    None => self.say_pattern(Pattern::NothingToRepeat, Vec::new()),
                }
            }
            Cue::Back => {
                self.rule("there is nothing to go back to".to_owned());
                self.say_pattern(Pattern::CannotGoBack, Vec::new());
            }
            Cue::Cancel | Cue::Skip | Cue::Help | Cue::NoneOfThese => {
                self.step.kind = kind;
                return false;
            }
        }
        true
    }

    /// Asks for one slot of an intent again, of which the others keep their values.
    pub(super) fn change(&mut self, intent: &'a Intent, slot: &'a SlotSpec) {
        self.rule(format!("`{}` is to be changed", slot.name));
        self.step.kind = TurnKind::Form;
        self.step.intent = Some(intent.id.clone());
        if self.step.state.form.is_none() {
            self.step.state.form = Some(Form::asking(&intent.id, &slot.name));
        }
        self.ask_for(intent, slot, None);
    }
}
