//! What is left of an utterance that is cut short: "no, to Berlin", "and Kazan?". The words that carry no wish are taken
//! away; if nothing is left but values, the utterance is about what was said before.

use super::Draft;
use crate::{
    catalogue::Intent,
    entities::Entity,
    lexicon::{ADDITION, CHANGE, CORRECTION, FILLERS, FOLLOW_UP, FUNCTION, NOT, Phrases, REMOVAL},
    text::stem,
    understanding::{Reading, without_fillers},
    word::Word,
};

/// Words between "not" and the value that is refused, at most.
const NOT_REACH: usize = 2;

/// An utterance without its values and without the words that carry no wish.
#[derive(Debug, Default)]
pub struct Remainder {
    /// The values that are meant, without overlaps.
    pub values: Vec<Entity>,
    /// The values that are refused: "not London".
    pub refused: Vec<Entity>,
    /// Whether words say that something was wrong.
    pub corrects: bool,
    /// Whether words ask the same again with another value.
    pub follows: bool,
    /// Whether words say that further values are added.
    pub adds: bool,
    /// Whether words ask to change something.
    pub changes: bool,
    /// The slots that are named.
    pub named: Vec<String>,
    /// Further words that the intent's examples have.
    pub own: usize,
    /// Words that say something else.
    pub others: usize,
}

impl Remainder {
    /// What an utterance leaves when it is about an intent.
    pub fn of(reading: &Reading, intent: &Intent) -> Self {
        let list = reading.words();
        let found = reading.entities_for(intent);
        let (refused, values): (Vec<Entity>, Vec<Entity>) =
            found.into_iter().partition(|entity| is_refused(reading, entity.start));
        let mut rest = Self { values, refused, adds: adds(list), ..Self::default() };
        let mut at = 0;
        while at < list.len() {
            at += rest.take(reading, intent, at);
        }
        rest
    }

    /// Takes the words at a place; returns how many.
    fn take(&mut self, reading: &Reading, intent: &Intent, at: usize) -> usize {
        let list = reading.words();
        if reading.is_within(at, &self.values) || reading.is_within(at, &self.refused) {
            return 1;
        }
        let phrases = [
            (&CORRECTION, 0),
            (&REMOVAL, 0),
            (&FOLLOW_UP, 1),
            (&ADDITION, 3),
            (&CHANGE, 2),
            (&FUNCTION, 3),
            (&FILLERS, 3),
        ];
        let longest = phrases.iter().filter_map(|(phrases, kind)| Some((phrases.at(list, at)?, *kind)));
        let named = intent.vocabulary().slot_named(&stem(list[at].plain())).map(str::to_owned);
        // Of equally long phrases, each counts.
        let length = longest.clone().map(|(length, _)| length).max();
        match (length, named) {
            (Some(length), named) if length > 1 || named.is_none() => {
                for (_, kind) in longest.filter(|(own, _)| *own == length) {
                    self.corrects |= kind == 0;
                    self.follows |= kind == 1;
                    self.changes |= kind == 2;
                }
                length
            }
            (_, Some(named)) => {
                self.named.push(named);
                1
            }
            _ => {
                let own = intent.vocabulary().knows(&list[at]);
                self.own += usize::from(own);
                self.others += usize::from(!own);
                1
            }
        }
    }

    /// Whether no word is left that is neither the intent's nor without a wish.
    pub fn says_nothing_else(&self) -> bool {
        self.others == 0
    }
}

/// Whether words at an end of an utterance say that something is added.
fn adds(words: &[Word]) -> bool {
    let words = without_fillers(words);
    ADDITION.at(words, 0).is_some() || (1..=words.len().min(2)).any(|last| ADDITION.are(&words[words.len() - last..]))
}

/// Whether the value that begins at a byte is said not to be meant.
fn is_refused(reading: &Reading, start: usize) -> bool {
    let list = reading.words();
    let first = list.partition_point(|word| word.end <= start);
    let mut at = first;
    for _ in 0..=NOT_REACH {
        let Some(before) = at.checked_sub(1) else { return false };
        let next = list.get(at).map_or(start, |word| word.start.min(start));
        let between = reading.text().get(list[before].end..next).unwrap_or_default();
        if between.contains([',', '.', ';', '!', '?', ':']) {
            return false;
        }
        let stands = |phrases: &Phrases| {
            phrases.at(list, before) == Some(1) || (before > 0 && phrases.at(list, before - 1) == Some(2))
        };
        if stands(&NOT) || stands(&REMOVAL) {
            return true;
        }
        if FUNCTION.at(list, before) != Some(1) {
            return false;
        }
        at = before;
    }
    false
}

impl Draft<'_, '_> {
    /// What the utterance leaves when it is about an intent.
    pub(super) fn remainder(&self, intent: &Intent) -> Remainder {
        Remainder::of(&self.said.reading, intent)
    }
}
