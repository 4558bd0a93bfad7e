//! Negated wishes: "I don't want to cancel my order" does not cancel it.

use super::{Draft, Phrase};
use crate::{
    catalogue::{Intent, PatternAnswer},
    pattern::Pattern,
    state::PendingWish,
    turn::TurnKind,
};

impl<'a> Draft<'a, '_> {
    /// The intent that the utterance is about and says not to want.
    pub(super) fn unwanted(&self) -> Option<&'a Intent> {
        self.catalogue.intent(self.said.meaning.as_ref()?.unwanted.as_ref()?)
    }

    /// Handles a refusal during a form: of the form's own intent, which cancels it, or of another, after which it goes on.
    /// Returns false if nothing is refused.
    pub(super) fn refuses_in_form(&mut self, intent: &'a Intent) -> bool {
        let Some(unwanted) = self.unwanted() else { return false };
        let instead = self.instead();
        if unwanted.id == intent.id {
            self.cancel(intent);
            self.step.state.wishes.extend(instead.map(|(_, wish)| wish));
            return true;
        }
        if let Some((other, _)) = instead.filter(|(other, _)| other.id != intent.id) {
            self.rule(format!("`{}` is not wanted, but `{}`", unwanted.id, other.id));
            self.interrupt(intent, other);
            return true;
        }
        self.step.kind = TurnKind::Form;
        self.rule(format!("`{}` is not wanted", unwanted.id));
        self.step.intent = Some(unwanted.id.clone());
        self.say_pattern(Pattern::Negated, vec![("title", Phrase::Title(unwanted))]);
        // An intent that is started instead speaks for itself.
        if matches!(self.catalogue.patterns.get(&Pattern::Negated), Some(PatternAnswer::Text(_))) {
            self.say_question_again(intent);
        }
        true
    }

    /// What the utterance asks for instead of what it refuses.
    fn instead(&self) -> Option<(&'a Intent, PendingWish)> {
        let wish = self.said.meaning.as_ref()?.instead.as_ref()?;
        let intent = self.catalogue.intent(&wish.intent).filter(|intent| self.may_start(intent))?;
        Some((intent, self.pending(intent, wish)))
    }

    /// Starts what is asked for instead, or the intent that the author names for this case; without one, asks what is
    /// wanted.
    pub(super) fn do_not(&mut self, intent: &'a Intent) {
        if let Some((other, wish)) = self.instead() {
            self.rule(format!("`{}` is not wanted, but `{}`", intent.id, other.id));
            self.step.state.fallbacks = 0;
            return self.start_wish(wish);
        }
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
