//! "Did you mean": two intents are about equally likely, and the user chooses.

use super::{Draft, Phrase};
use crate::{
    catalogue::Intent,
    ids::IntentId,
    state::Clarify,
    text::fold,
    turn::{AnsweredBy, Event, TurnKind},
    understanding::Reading,
};

impl<'a> Draft<'a, '_> {
    /// Asks which of two about equally likely intents was meant.
    pub(super) fn ask_which(&mut self, first: &IntentId, second: &IntentId) {
        let (Some(one), Some(other)) = (self.catalogue.intent(first), self.catalogue.intent(second)) else {
            return self.not_understood();
        };
        self.step.kind = TurnKind::Ambiguous;
        self.step.handler = Some(AnsweredBy::Clarify);
        let titles = [Phrase::Title(one), Phrase::Title(other)];
        let values = vec![("first", titles[0].clone()), ("second", titles[1].clone())];
        self.say_with(&self.catalogue.clarify, titles.to_vec(), values);
        let text = self.said.reading.text().to_owned();
        self.step.state.clarify = Some(Clarify { first: first.clone(), second: second.clone(), text });
    }

    /// Starts the intent that the utterance chooses. Returns false if it chooses none of them. The entities of the
    /// utterance before the question fill its slots.
    pub(super) fn answer_clarify(&mut self, clarify: Clarify) -> bool {
        for id in [&clarify.first, &clarify.second] {
            if self.catalogue.intent(id).is_none() {
                self.step.events.push(Event::StateDropped { name: id.to_string() });
            }
        }
        let Some(intent) = self.chosen(&clarify) else { return false };
        self.rule(format!("the answer to \"did you mean\" was `{}`", intent.id));
        self.step.kind = TurnKind::Matched;
        self.step.state.fallbacks = 0;
        let meant = Reading::of(self.catalogue, &clarify.text);
        self.fill_from(intent, &meant);
        self.step.meant = Some(meant);
        self.ask_or_run(intent);
        true
    }

    /// The intent that an answer to this question names, by its title or as "1" or "2".
    fn chosen(&self, clarify: &Clarify) -> Option<&'a Intent> {
        let answer = fold(self.said.reading.text());
        let answer = answer.trim_end_matches(['.', '!', ')']);
        [("1", &clarify.first), ("2", &clarify.second)].into_iter().find_map(|(number, id)| {
            let intent = self.catalogue.intent(id)?;
            let named = intent.names(&self.step.language).iter().any(|name| fold(name) == answer);
            (answer == number || named).then_some(intent)
        })
    }
}
