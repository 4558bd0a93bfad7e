//! Negated wishes: "I don't want to cancel my order" does not cancel it.

use super::{Draft, Phrase};
use crate::{catalogue::Intent, pattern::Pattern, turn::TurnKind};

impl<'a> Draft<'a, '_> {
    /// The intent that the utterance is about and says not to want.
    pub(super) fn unwanted(&self) -> Option<&'a Intent> {
        self.catalogue.intent(self.said.meaning.as_ref()?.unwanted.as_ref()?)
    }

    /// Handles a refusal during a form: of the form's own intent, which cancels it, or of another, after which it goes on.
    /// Returns false if nothing is refused.
    pub(super) fn refuses_in_form(&mut self, intent: &'a Intent) -> bool {
        let Some(unwanted) = self.unwanted() else { return false };
        if unwanted.id == intent.id {
            self.cancel(intent);
            return true;
        }
        self.step.kind = TurnKind::Form;
        self.rule(format!("`{}` is not wanted", unwanted.id));
        self.step.intent = Some(unwanted.id.clone());
        self.say_pattern(Pattern::Negated, vec![("title", Phrase::Title(unwanted))]);
        self.say_question_again(intent);
        true
    }

    /// Starts the intent that the author names for this case or, without one, asks what is wanted instead.
    pub(super) fn do_not(&mut self, intent: &'a Intent) {
        self.rule(format!("`{}` is not wanted", intent.id));
        match intent.negated.as_ref().and_then(|id| self.catalogue.intent(id)) {
            Some(instead) => self.start(instead),
            None => {
                self.step.intent = Some(intent.id.clone());
                self.say_pattern(Pattern::Negated, vec![("title", Phrase::Title(intent))]);
            }
        }
    }
}
