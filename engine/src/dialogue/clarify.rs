//! "Did you mean": two to four intents are about equally likely, and the user chooses.

use super::{Draft, Phrase, Unclassified};
use crate::{
    catalogue::{Intent, PatternAnswer},
    decide::Decision,
    ids::IntentId,
    lexicon::{FUNCTION, NOT},
    pattern::Pattern,
    state::{Clarify, Denied},
    template::Text,
    text::{fold, stem},
    turn::{AnsweredBy, Event, TurnKind},
    understanding::{Consent, Cue},
    word::words,
};

/// After so many refusals the bot asks no more.
const MAX_DENIALS: u32 = 2;

/// How a choice is named by its place: numbers and ordinals in English and Russian. `*` stands for any ending.
const PLACES: [&[&str]; 4] = [
    &["1", "1st", "first", "one", "один", "перв*"],
    &["2", "2nd", "second", "two", "два", "втор*"],
    &["3", "3rd", "third", "three", "три", "трет*"],
    &["4", "4th", "fourth", "four", "четыре", "четверт*"],
];
const LAST: [&str; 2] = ["last", "последн*"];

impl<'a> Draft<'a, '_> {
    /// Asks which of about equally likely intents was meant, except those that the user has just refused.
    pub(super) fn ask_which(&mut self, likely: &[IntentId]) {
        let refused = self.step.state.denied.as_ref().map_or(&[][..], |denied| &denied.intents);
        let open: Vec<&'a Intent> = likely
            .iter()
            .filter(|id| !refused.contains(id))
            .filter_map(|id| self.catalogue.intent(id))
            .filter(|intent| self.may_start(intent))
            .collect();
        let [first, second, others @ ..] = open.as_slice() else {
            return match open.first() {
                Some(only) => {
                    self.step.kind = TurnKind::Matched;
                    self.start(only);
                }
                None => self.not_understood(),
            };
        };
        self.step.kind = TurnKind::Ambiguous;
        self.step.handler = Some(AnsweredBy::Clarify);
        self.step.state.clarify = Some(Clarify {
            first: first.id.clone(),
            second: second.id.clone(),
            others: others.iter().map(|intent| intent.id.clone()).collect(),
            text: self.said.reading.text().to_owned(),
        });
        let none = self.none_of_these().map(Phrase::Words);
        let titles: Vec<Phrase<'a>> = open.iter().map(|intent| Phrase::Title(intent)).chain(none).collect();
        if others.is_empty() {
            let values = vec![("first", titles[0].clone()), ("second", titles[1].clone())];
            return self.say_with(&self.catalogue.clarify, titles, values);
        }
        let options = vec![("options", Phrase::Numbered(open))];
        self.say_pattern_with(Pattern::ClarifyMany, titles, options);
        self.step.handler = Some(AnsweredBy::Clarify);
    }

    /// Handles the utterance after "did you mean". Returns false if it is a new request. The entities of the utterance
    /// before the question fill the slots of what is chosen.
    pub(super) fn answer_clarify(&mut self, clarify: &Clarify) -> Result<bool, Unclassified> {
        let ids = [&clarify.first, &clarify.second].into_iter().chain(&clarify.others);
        let mut options: Vec<&'a Intent> = Vec::new();
        for id in ids {
            match self.catalogue.intent(id) {
                Some(intent) => options.push(intent),
                None => self.step.events.push(Event::StateDropped { name: id.to_string() }),
            }
        }
        if let Some(intent) = self.chosen(&options) {
            self.choose(intent, clarify);
            return Ok(true);
        }
        let reading = &self.said.reading;
        let says_no = matches!(Consent::of(reading.text(), reading.words(), |_| false), Some((Consent::No, 0 | 1)));
        let answer = fold(reading.text());
        let none = self.none_of_these().into_iter().flat_map(|text| text.in_language(&self.step.language));
        if self.said.cue == Some(Cue::NoneOfThese) || says_no || none.into_iter().any(|text| fold(&text) == answer) {
            self.deny(options);
            return Ok(true);
        }
        // A paraphrase of one of them keeps what was said before.
        if let Decision::Matched(id) = self.decision()?
            && let Some(intent) = options.into_iter().find(|intent| intent.id == id)
            && self.said.reading.entities().is_empty()
            && self.unwanted().is_none()
        {
            self.choose(intent, clarify);
            return Ok(true);
        }
        Ok(false)
    }

    /// What the button says that refuses all.
    fn none_of_these(&self) -> Option<&'a Text> {
        match self.catalogue.patterns.get(&Pattern::NoneOfThese) {
            Some(PatternAnswer::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn choose(&mut self, intent: &'a Intent, clarify: &Clarify) {
        self.rule(format!("the answer to \"did you mean\" was `{}`", intent.id));
        self.step.kind = TurnKind::Matched;
        self.step.state.fallbacks = 0;
        self.step.state.denied = None;
        let meant = self.said.reading.beside(self.catalogue, &clarify.text);
        self.fill_from(intent, &meant, &meant.entities_for(intent));
        self.step.meant = Some(meant);
        self.ask_or_run(intent);
    }

    fn deny(&mut self, options: Vec<&'a Intent>) {
        let denied = self.step.state.denied.get_or_insert(Denied { times: 0, intents: Vec::new() });
        denied.times += 1;
        denied.intents.extend(options.iter().map(|intent| intent.id.clone()));
        self.step.kind = TurnKind::Unknown;
        self.rule("none of the offered intents is meant".to_owned());
        if self.step.state.denied.as_ref().is_some_and(|denied| denied.times >= MAX_DENIALS) {
            self.step.state.denied = None;
            return self.not_understood();
        }
        self.say_pattern(Pattern::Denied, Vec::new());
    }

    /// The intent that an answer names: by its place, its title, or a part of the title that no other has.
    fn chosen(&self, options: &[&'a Intent]) -> Option<&'a Intent> {
        let reading = &self.said.reading;
        let answer = fold(reading.text());
        let answer = answer.trim_end_matches(['.', '!', ')', '?']);
        let named = |intent: &&&'a Intent| intent.names(&self.step.language).iter().any(|name| fold(name) == answer);
        if let Some(intent) = options.iter().find(named) {
            return Some(intent);
        }
        let list = reading.words();
        if NOT.occur_in(list) {
            return None;
        }
        let content: Vec<&str> =
            (0..list.len()).filter(|at| FUNCTION.at(list, *at) != Some(1)).map(|at| list[at].plain()).collect();
        if let [word] = content.as_slice() {
            let is = |names: &[&str]| {
                names.iter().any(|name| match name.strip_suffix('*') {
                    Some(begin) => word.starts_with(begin),
                    None => word == name,
                })
            };
            if let Some(place) = PLACES.iter().position(|names| is(names)) {
                return options.get(place).copied();
            }
            if is(&LAST) {
                return options.last().copied();
            }
        }
        if content.is_empty() {
            return None;
        }
        let stems: Vec<String> = content.iter().map(|word| stem(word)).collect();
        let has_all = |intent: &&&'a Intent| {
            let titles = intent.names(&self.step.language);
            titles.iter().any(|title| {
                let of_title: Vec<String> = words(title).iter().map(|word| stem(word.plain())).collect();
                stems.iter().all(|stem| of_title.contains(stem))
            })
        };
        let mut fitting = options.iter().filter(has_all);
        fitting.next().copied().filter(|_| fitting.next().is_none())
    }
}
