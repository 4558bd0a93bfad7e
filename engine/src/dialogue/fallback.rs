//! What happens when no intent is likely enough.

use super::Draft;
use crate::turn::AnsweredBy;

impl Draft<'_, '_> {
    /// Says the fallback text or, after the author's number of tries, hands off.
    pub(super) fn not_understood(&mut self) {
        self.step.state.fallbacks += 1;
        self.step.handler = Some(AnsweredBy::Fallback);
        let fallback = &self.catalogue.fallback;
        if fallback.then_hand_off && self.step.state.fallbacks >= fallback.tries {
            self.trace(format!("{} consecutive fallbacks: hand-off", self.step.state.fallbacks));
            self.step.state.fallbacks = 0;
            self.call_person(None);
        } else {
            self.say(&fallback.text);
        }
    }
}
