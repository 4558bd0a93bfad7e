//! Classifies a message, and handles messages that match no single intent.

use std::time::Instant;

use super::{EngineError, Work, micros};
use crate::{
    catalogue::Intent,
    decide::{Decision, decide},
    ids::IntentId,
    state::Clarify,
    text::fold,
    turn::{AnsweredBy, TurnKind},
};

impl<'a> Work<'a> {
    /// Embeds and classifies the message.
    pub(super) fn classify(&mut self) -> Result<Decision, EngineError> {
        if self.heard.text().is_empty() {
            self.rule("the message contains no text".to_owned());
            return Ok(Decision::Unknown);
        }
        let start = Instant::now();
        let vectors = self.engine.embedder.embed(&[self.heard.text().to_owned()])?;
        self.turn.timings.embed_us = micros(start);
        let Some(vector) = vectors.first() else { return Ok(Decision::Unknown) };

        let start = Instant::now();
        let classification = self.snapshot.classifier.classify(self.heard.text(), vector);
        let (decision, rule) = decide(&classification, self.catalogue());
        self.turn.timings.decide_us = micros(start);
        self.turn.probability = classification.candidates.first().map(|best| best.probability);
        self.turn.explain.neighbours = self.snapshot.near_examples(&classification.neighbours);
        self.turn.explain.in_scope = Some(classification.in_scope);
        self.turn.explain.candidates = classification.candidates;
        self.rule(rule);
        Ok(decision)
    }

    /// Asks which of two about equally likely intents was meant.
    pub(super) fn ask_which(&mut self, first: &IntentId, second: &IntentId) {
        let (Some(one), Some(other)) = (self.catalogue().intent(first), self.catalogue().intent(second)) else {
            return self.not_understood();
        };
        let titles = [self.title(one), self.title(other)];
        self.turn.kind = TurnKind::Ambiguous;
        self.turn.handler = AnsweredBy::Clarify;
        let extra = [("first", titles[0].clone()), ("second", titles[1].clone())];
        let catalogue = self.catalogue();
        self.say(&catalogue.clarify, titles.to_vec(), &extra);
        self.turn.state.clarify =
            Some(Clarify { first: first.clone(), second: second.clone(), text: self.heard.text().to_owned() });
    }

    /// The intent that an answer to this question names, by its title or as "1" or "2".
    pub(super) fn chosen(&mut self, clarify: &Clarify) -> Option<&'a Intent> {
        let answer = fold(self.heard.text());
        let answer = answer.trim_end_matches(['.', '!', ')']);
        for (number, id) in [("1", &clarify.first), ("2", &clarify.second)] {
            let Some(intent) = self.catalogue().intent(id) else { continue };
            if answer == number || answer == fold(&self.title(intent)) {
                return Some(intent);
            }
        }
        None
    }

    /// Handles a message that matches no intent: says the fallback text or, after the author's number of tries, hands
    /// off.
    pub(super) fn not_understood(&mut self) {
        self.turn.state.fallbacks += 1;
        self.turn.handler = AnsweredBy::Fallback;
        let fallback = &self.catalogue().fallback;
        if fallback.then_hand_off && self.turn.state.fallbacks >= fallback.tries {
            self.trace(format!("{} consecutive fallbacks: hand-off", self.turn.state.fallbacks));
            self.turn.state.fallbacks = 0;
            self.call_person(None);
        } else {
            self.say_fallback();
        }
    }

    /// Hands off to a person.
    pub(super) fn call_person(&mut self, text: Option<String>) {
        self.turn.hand_off = true;
        match text {
            Some(text) => self.turn.outputs.push(crate::turn::Output::Text { text, suggestions: Vec::new() }),
            None => {
                let catalogue = self.catalogue();
                self.say(&catalogue.handoff, Vec::new(), &[]);
            }
        }
    }

    /// The name of an intent for users: its title or, without one, its first example in the language.
    fn title(&mut self, intent: &Intent) -> String {
        if let Some(title) = &intent.title
            && let Ok(text) = self.render(title, &[])
        {
            return text;
        }
        let example = intent.examples.iter().find(|example| example.language == self.turn.language);
        example.or(intent.examples.first()).map_or_else(|| intent.id.to_string(), |example| example.text.clone())
    }
}
