//! Values that are found by a list of phrases.

use super::{Entity, ScannedText};
use crate::word::{Folded, Word};

pub(super) fn find_values(
    name: &str,
    utterance: &ScannedText<'_>,
    phrases: &[(Vec<Folded>, String)],
    fuzzy: bool,
) -> Vec<Entity> {
    let (text, words) = (utterance.text, utterance.words());
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let best = phrases
            .iter()
            .filter_map(|(phrase, value)| {
                let window = words.get(at..at + phrase.len())?;
                let cost = phrase_difference(phrase, window, fuzzy)?;
                Some((cost, std::cmp::Reverse(phrase.len()), phrase.len(), value))
            })
            .min();
        let Some((_, _, length, value)) = best else {
            at += 1;
            continue;
        };
        let (start, end) = (words[at].start, words[at + length - 1].end);
        found.push(Entity::new(name, value, text, start..end));
        at += length;
    }
    found
}

/// The sum of the words' differences, or `None` if any is another word.
fn phrase_difference(phrase: &[Folded], window: &[Word], fuzzy: bool) -> Option<usize> {
    phrase.iter().zip(window).map(|(wanted, word)| wanted.difference(&word.folded, fuzzy)).sum()
}
