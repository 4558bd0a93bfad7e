//! What happens when no intent is likely enough: first other words, then suggestions, then a person.

use super::{Draft, Phrase};
use crate::{
    catalogue::Intent,
    decide::{Decision, decide_among},
    language::Language,
    pattern::Pattern,
    turn::AnsweredBy,
};

/// Intents that are suggested at a repeated fallback, at most.
const MAX_SUGGESTED: usize = 3;
/// What is less likely than this is no suggestion.
const MIN_SUGGESTED: f32 = 0.05;

impl<'a> Draft<'a, '_> {
    /// Says the fallback text, with the nearest intents from the second time on; or, after the author's number of tries,
    /// hands off.
    pub(super) fn not_understood(&mut self) {
        self.step.state.fallbacks += 1;
        self.step.handler = Some(AnsweredBy::Fallback);
        let (fallback, fallbacks) = (&self.catalogue.fallback, self.step.state.fallbacks);
        if fallback.then_hand_off && fallbacks >= fallback.tries {
            self.trace(format!("{fallbacks} consecutive fallbacks: hand-off"));
            self.step.state.fallbacks = 0;
            return self.call_person(None);
        }
        if let Some((pattern, values)) = self.reason() {
            self.trace(format!("the reason is `{pattern}`"));
            return self.say_pattern_beside(pattern, values);
        }
        let own = fallback.suggest.get(&self.step.language).into_iter().flatten().cloned().map(Phrase::Plain);
        let near = if fallbacks > 1 { self.near_intents() } else { Vec::new() };
        let suggestions = own.chain(near.into_iter().map(Phrase::Title)).collect();
        self.say_with(&fallback.text, suggestions, Vec::new());
    }

    /// Why nothing is understood, if that is known and the bot has an answer to it.
    fn reason(&self) -> Option<(Pattern, Vec<(&'static str, Phrase<'a>)>)> {
        let reading = &self.said.reading;
        let (pattern, values) = if self.said.is_foreign {
            let names: Vec<&str> = self.catalogue.languages.iter().map(Language::name).collect();
            (Pattern::OtherLanguage, vec![("languages", Phrase::Plain(names.join(", ")))])
        } else if !reading.text().is_empty() && reading.words().is_empty() {
            (Pattern::NoWords, Vec::new())
        } else {
            (Pattern::NotNow, vec![("title", Phrase::Title(self.intent_for_later()?))])
        };
        self.catalogue.patterns.contains_key(&pattern).then_some((pattern, values))
    }

    /// The intent that would be matched if its context were active.
    fn intent_for_later(&self) -> Option<&'a Intent> {
        let whole = self.said.meaning.as_ref()?.whole.as_ref()?;
        let Decision::Matched(id) = decide_among(whole, self.catalogue, |_| true).0 else { return None };
        self.catalogue.intent(&id).filter(|intent| !self.may_start(intent))
    }

    fn near_intents(&self) -> Vec<&'a Intent> {
        let whole = self.said.meaning.as_ref().and_then(|meaning| meaning.whole.as_ref());
        let candidates = whole.into_iter().flat_map(|whole| &whole.candidates);
        let near = candidates.filter(|candidate| candidate.probability >= MIN_SUGGESTED);
        near.filter_map(|candidate| self.catalogue.intent(&candidate.intent))
            .filter(|intent| intent.title.is_some() && self.may_start(intent))
            .take(MAX_SUGGESTED)
            .collect()
    }
}
