//! Words and phrases of English and Russian that say the same in every bot. They are compared in lower case, with `е` for
//! `ё`, and hold for both languages at once; a bot in another language gets them as well.

mod consent;
mod corrections;
mod cues;
mod grammar;
mod negations;
mod wishes;

use crate::word::Word;
pub use {
    consent::{NO, WEAK_YES, YES},
    corrections::{CHANGE, CORRECTION, FOLLOW_UP, NOT, REMOVAL},
    cues::{BACK, CANCEL, HELP, NONE, REPEAT, RESTART, SKIP},
    grammar::{
        ADDITION, ANAPHORA, ANY_LANGUAGE, FILLERS, FUNCTION, HESITATION, INTRODUCING, NAMING, PERSONS, WITHIN_VALUE,
    },
    negations::{DO_NOT, NOT_CHOSEN, NOT_DOING, QUESTIONED, UNWANTED, WITHOUT},
    wishes::{AND, REQUEST, STATEMENT},
};

/// A list of phrases, in ascending order. Each is written as its words, in lower case.
pub struct Phrases(pub &'static [&'static str]);

impl Phrases {
    /// The number of words of the longest phrase that begins at a word.
    pub fn at(&self, words: &[Word], at: usize) -> Option<usize> {
        let rest = words.get(at..)?;
        let first = rest.first()?.plain();
        // In a sorted list, the phrases that begin with this word stand together.
        let from = self.0.partition_point(|phrase| *phrase < first);
        let candidates = self.0[from..].iter().take_while(|phrase| phrase.starts_with(first));
        candidates.filter_map(|phrase| length_if_first(phrase, rest)).max()
    }

    /// Whether the words are exactly one of the phrases.
    pub fn are(&self, words: &[Word]) -> bool {
        self.at(words, 0) == Some(words.len())
    }

    /// Whether one of the phrases occurs.
    pub fn occur_in(&self, words: &[Word]) -> bool {
        (0..words.len()).any(|at| self.at(words, at).is_some())
    }
}

fn length_if_first(phrase: &str, words: &[Word]) -> Option<usize> {
    let mut count = 0;
    for wanted in phrase.split(' ') {
        if words.get(count)?.plain() != wanted {
            return None;
        }
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::words;

    /// A phrase with `ё`, with a capital or out of order would never be met.
    #[test]
    fn phrases_can_be_met_and_stand_in_order() {
        for Phrases(phrases) in [
            FILLERS,
            HESITATION,
            FUNCTION,
            ANY_LANGUAGE,
            ADDITION,
            REMOVAL,
            WITHIN_VALUE,
            ANAPHORA,
            PERSONS,
            CANCEL,
            RESTART,
            BACK,
            SKIP,
            REPEAT,
            HELP,
            NONE,
            YES,
            WEAK_YES,
            NO,
            CORRECTION,
            FOLLOW_UP,
            CHANGE,
            NOT,
            UNWANTED,
            WITHOUT,
            DO_NOT,
            QUESTIONED,
            NOT_DOING,
            NOT_CHOSEN,
            AND,
            REQUEST,
            STATEMENT,
            NAMING,
            INTRODUCING,
        ] {
            for phrase in phrases {
                assert!(!phrase.contains('ё') && phrase.to_lowercase() == *phrase, "{phrase}");
                let words: Vec<String> = words(phrase).iter().map(|word| word.plain().to_owned()).collect();
                assert_eq!(words.join(" "), *phrase, "these are the words of a text");
            }
            let disordered = phrases.array_windows().find(|[one, next]| one >= next);
            assert_eq!(disordered, None, "phrases stand in ascending order");
        }
    }
}
