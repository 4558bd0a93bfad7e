//! The summary of a form: a question for yes or no before the handler runs.

use super::{Action, CERTAIN, Draft, LIKELY, MAX_ASIDE, Phrase, Unclassified, slots::values_for};
use crate::{
    catalogue::Intent,
    decide::Decision,
    lexicon::{FUNCTION, REQUEST, YES},
    pattern::Pattern,
    state::{Form, PendingWish, Stage},
    template::Text,
    turn::{AnsweredBy, Event, TurnKind},
    understanding::{Consent, Cue},
};

/// Beside a yes or a no, more words than this may be another request.
const MAX_BESIDE: usize = 1;

impl<'a> Draft<'a, '_> {
    /// Asks for a yes or a no to an intent's summary.
    pub(super) fn ask_to_confirm(&mut self, intent: &'a Intent, confirm: &'a Text) {
        let filled = intent.slots.iter().map(|slot| slot.name.clone());
        let filled = filled.filter(|name| self.step.state.slots.contains_key(name)).collect();
        self.step.handler = Some(AnsweredBy::Form);
        self.step.state.form = Some(Form { stage: Stage::Confirm, filled, ..Form::asking(&intent.id, "") });
        self.say_yes_or_no(confirm, Vec::new());
    }

    /// Says a question whose answers are offered as quick replies.
    pub(super) fn say_yes_or_no(&mut self, text: &'a Text, values: Vec<(&'static str, Phrase<'a>)>) {
        let answers: &[&str] = match self.step.language.code() {
            "en" => &["Yes", "No"],
            "ru" => &["Да", "Нет"],
            _ => &[],
        };
        self.say_with(text, answers.iter().map(|answer| Phrase::Plain((*answer).to_owned())).collect(), values);
    }

    /// Handles an utterance after the summary: a yes, a no, a change, or another request.
    pub(super) fn go_on_with_summary(&mut self, form: Form, intent: &'a Intent) -> Result<(), Unclassified> {
        let (stage, confirm) = (form.stage, intent.confirm.as_ref());
        let Some(confirm) = confirm else { return self.go_on_without_summary(intent) };
        self.step.state.form = Some(form);
        self.step.kind = TurnKind::Form;
        self.step.intent = Some(intent.id.clone());
        let rest = self.remainder(intent);
        let values = self.changed_values(intent, &rest);
        let consent = self.consent(intent)?;
        let certain = if self.is_question() { LIKELY } else { CERTAIN };
        if !values.is_empty()
            && (rest.says_nothing_else()
                || (rest.others <= MAX_ASIDE && self.other_request(intent, certain)?.is_none()))
        {
            for (slot, value) in values {
                self.rule(format!("the message changes `{slot}`"));
                self.fill_admitted(intent, &slot, value);
            }
            self.ask_or_run(intent);
            return Ok(());
        }
        if let Some(slot) = self.slot_to_change(intent, &rest).filter(|_| rest.says_nothing_else()) {
            self.change(intent, slot);
            return Ok(());
        }
        if stage == Stage::Change
            && let Some(slot) = rest.named.first().and_then(|name| intent.slots.iter().find(|slot| &slot.name == name))
        {
            self.change(intent, slot);
            return Ok(());
        }
        let beside = self.wish_beside_yes(intent)?;
        let consent = if beside.is_some() { Some(Consent::Yes) } else { consent };
        match (consent, self.said.cue) {
            (_, Some(Cue::Cancel)) if stage == Stage::Confirm && self.is_own_word(intent) => {
                self.confirm_again(intent, confirm)
            }
            (_, Some(Cue::Cancel)) => self.cancel(intent),
            (_, Some(Cue::Restart)) => self.restart_form(intent),
            (_, Some(Cue::Back)) => self.go_back(intent),
            (_, Some(Cue::Repeat | Cue::Help)) => {
                self.rule("the question is repeated".to_owned());
                self.step.handler = Some(AnsweredBy::Form);
                self.say_yes_or_no(confirm, Vec::new());
            }
            (Some(Consent::Yes), _) => self.confirm(intent, beside),
            (Some(Consent::No), _) | (_, Some(Cue::NoneOfThese)) if stage == Stage::Change && self.is_mere_no() => {
                self.cancel(intent);
            }
            (Some(Consent::No), _) if intent.slots.iter().all(|slot| slot.ask.is_none()) => self.cancel(intent),
            (Some(Consent::No), _) => self.ask_what_to_change(intent),
            _ => return self.go_on_with_other(intent, confirm),
        }
        Ok(())
    }

    /// Runs the handler; a wish that was said beside the yes waits for its end.
    fn confirm(&mut self, intent: &'a Intent, beside: Option<PendingWish>) {
        self.rule(format!("`{}` is confirmed", intent.id));
        self.step.state.wishes.extend(beside);
        // A new version of the bot may need more.
        if let Some(slot) = self.missing_slot(intent) {
            return self.ask_for(intent, slot, None);
        }
        self.step.state.form = None;
        self.step.actions.push(Action::Run(intent));
    }

    /// A new version of the bot asks for no confirmation. A yes runs the handler, a no does not; anything else is a new
    /// request.
    fn go_on_without_summary(&mut self, intent: &'a Intent) -> Result<(), Unclassified> {
        self.step.events.push(Event::StateDropped { name: format!("{}.confirm", intent.id) });
        match (self.consent(intent)?, self.said.cue) {
            (Some(Consent::No), _) | (_, Some(Cue::Cancel)) => self.cancel(intent),
            (Some(Consent::Yes), _) => self.ask_or_run(intent),
            _ => {
                let decision = self.decision()?;
                self.act(decision);
            }
        }
        Ok(())
    }

    fn go_on_with_other(&mut self, intent: &'a Intent, confirm: &'a Text) -> Result<(), Unclassified> {
        match self.decision()? {
            Decision::Matched(id) => match self.catalogue.intent(&id) {
                Some(other) if other.cancels => self.cancel_with(intent, other),
                Some(_) if self.refuses_in_form(intent) => {}
                Some(other) if other.id != intent.id => self.interrupt(intent, other),
                _ => self.confirm_again(intent, confirm),
            },
            Decision::Ambiguous(_) | Decision::Unknown => self.confirm_again(intent, confirm),
        }
        Ok(())
    }

    fn confirm_again(&mut self, intent: &'a Intent, confirm: &'a Text) {
        if !self.counts_unanswered(intent) {
            return;
        }
        self.rule("the message is neither a yes nor a no".to_owned());
        self.say_pattern(Pattern::ConfirmAgain, Vec::new());
        self.say_yes_or_no(confirm, Vec::new());
    }

    /// Whether an utterance says no and nothing else.
    fn is_mere_no(&self) -> bool {
        let reading = &self.said.reading;
        let no = Consent::of(reading.text(), reading.words(), |_| false);
        matches!(no, Some((Consent::No, 0))) || self.said.cue.is_some()
    }

    /// The other wish of an utterance that begins with a yes: "yes, and tell me when you are open".
    fn wish_beside_yes(&mut self, intent: &Intent) -> Result<Option<PendingWish>, Unclassified> {
        let reading = &self.said.reading;
        let begins = YES.at(reading.words(), 0).is_some_and(|length| reading.words().len() > length + MAX_BESIDE);
        if !begins {
            return Ok(None);
        }
        let other = self.other_request(intent, LIKELY)?.filter(|other| !other.cancels);
        let values = |other: &Intent| values_for(other, reading, &reading.entities_for(other), |_| true);
        Ok(other.map(|other| PendingWish { intent: other.id.clone(), slots: values(other).into_iter().collect() }))
    }

    fn is_question(&self) -> bool {
        let reading = &self.said.reading;
        reading.text().ends_with('?') || REQUEST.at(reading.words(), 0).is_some()
    }

    fn ask_what_to_change(&mut self, intent: &'a Intent) {
        self.rule(format!("`{}` is not confirmed", intent.id));
        if let Some(form) = &mut self.step.state.form {
            form.stage = Stage::Change;
        }
        let titles = intent.slots.iter().filter_map(|slot| slot.title.as_ref()).map(Phrase::Words).collect();
        self.say_pattern_with(Pattern::ChangeWhat, titles, Vec::new());
    }

    /// The yes or no in the utterance. Words of the intent, and its values, do not make it another message.
    pub(super) fn consent(&mut self, intent: &Intent) -> Result<Option<Consent>, Unclassified> {
        let said = self.said;
        let reading = &said.reading;
        let (words, entities) = (reading.words(), reading.entities_for(intent));
        let is_known = |at: usize| {
            reading.is_within(at, &entities)
                || FUNCTION.at(words, at) == Some(1)
                || intent.vocabulary().knows(&words[at])
        };
        match Consent::of(reading.text(), words, is_known) {
            // Beside a yes or a no stands an explanation, or another request.
            Some((consent, others)) if others > MAX_BESIDE => {
                let other = self.other_request(intent, CERTAIN)?;
                Ok(Some(consent).filter(|_| other.is_none()))
            }
            found => Ok(found.map(|(consent, _)| consent)),
        }
    }

    /// Whether a word of the utterance is one of the intent's: "cancel" is no refusal to cancel an order.
    fn is_own_word(&self, intent: &Intent) -> bool {
        self.said.reading.words().iter().any(|word| intent.vocabulary().knows(word))
    }
}
