//! Negated wishes: "I don't want to cancel my order" does not cancel it.

use super::{Draft, Phrase};
use crate::{catalogue::Intent, pattern::Pattern};

impl<'a> Draft<'a, '_> {
    /// Whether the utterance says that what an intent does is not wished.
    pub(super) fn negates(&self, intent: &Intent) -> bool {
        let reading = &self.said.reading;
        intent.vocabulary().is_negated_in(reading.text(), reading.words())
    }

    /// The intent that the utterance is about and says not to want.
    pub(super) fn unwanted(&self) -> Option<&'a Intent> {
        let intent = self.catalogue.intent(self.said.meaning.as_ref()?.unwanted.as_ref()?)?;
        self.negates(intent).then_some(intent)
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
