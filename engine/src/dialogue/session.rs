//! The beginning and the end of a session, and silence within it.

use super::Draft;
use crate::{catalogue::PatternAnswer, pattern::Pattern, turn::TurnKind};

impl Draft<'_, '_> {
    /// Begins a session with the first message of a dialogue, and with the first after the author's time. A session that
    /// is over leaves nothing but its language and what was said.
    pub(super) fn begin_session(&mut self) {
        let (at, limit) = (self.said.at, self.catalogue.session.limit);
        let state = &mut self.step.state;
        let is_over = limit.zip(state.heard).is_some_and(|(limit, heard)| at.saturating_sub(heard) >= limit);
        let is_new = state.recent.is_empty();
        if is_over {
            let had_question = state.has_question();
            *state = state.renewed();
            self.trace("the last session is over".to_owned());
            if had_question {
                self.say_pattern_beside(Pattern::SessionEnded, Vec::new());
            }
        }
        self.step.state.heard = limit.map(|_| at);
        if is_new || is_over {
            self.say_pattern_beside(Pattern::SessionStarted, Vec::new());
        }
    }

    /// Speaks first after a silence: once, and only if the bot has asked something. Returns whether it speaks.
    pub(super) fn break_silence(&mut self) -> bool {
        if !self.step.state.may_remind() {
            return false;
        }
        let Some(answer) = self.catalogue.patterns.get(&Pattern::Idle) else { return false };
        self.rule("the user is silent".to_owned());
        self.step.kind = TurnKind::Silence;
        self.step.state.reminded = true;
        self.say_pattern(Pattern::Idle, Vec::new());
        // An intent that is started instead speaks for itself.
        if matches!(answer, PatternAnswer::Text(_)) {
            self.repeat_open_question();
        }
        true
    }

    /// Says that an utterance is too long to be read. A question that was asked stays.
    pub(super) fn refuse_length(&mut self) {
        self.rule("the message is too long".to_owned());
        self.step.kind = TurnKind::Unknown;
        self.say_pattern(Pattern::TooLong, Vec::new());
        self.repeat_open_question();
    }

    /// Asks what the form in progress waits for once more, if there is one.
    fn repeat_open_question(&mut self) {
        let form = self.step.state.form.as_ref().map(|form| form.intent.clone());
        if let Some(intent) = form.and_then(|id| self.catalogue.intent(&id)) {
            self.step.intent = Some(intent.id.clone());
            self.say_question_again(intent);
        }
    }
}
