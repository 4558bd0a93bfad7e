//! Negated wishes: "I don't want to cancel my order" does not cancel it.

use super::{Draft, Phrase};
use crate::{catalogue::Intent, pattern::Pattern};

impl<'a> Draft<'a, '_> {
    /// Whether the utterance says that what an intent does is not wished.
    pub(super) fn negates(&self, intent: &Intent) -> bool {
        self.unwanted().is_some_and(|unwanted| unwanted.id == intent.id)
    }

    /// The intent that the utterance is about and says not to want.
    pub(super) fn unwanted(&self) -> Option<&'a Intent> {
        self.catalogue.intent(self.said.meaning.as_ref()?.unwanted.as_ref()?)
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
