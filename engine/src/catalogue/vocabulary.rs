//! The words of an intent's examples, by which a message that is cut short is known to be about it.

use std::collections::HashSet;

use super::{Intent, example::Example};
use crate::{
    entities::{Word, words},
    lexicon::{DO_NOT, FILLERS, FUNCTION, QUESTIONED, UNWANTED},
    text::stem,
};

/// Letters of a root that is compared without its ending, at least.
const MIN_ROOT: usize = 4;
/// Words after a negation that it is about.
const SCOPE: usize = 4;

/// The stems of an intent's words.
#[derive(Debug, Default)]
pub struct Vocabulary {
    stems: HashSet<String>,
    /// Those that some example negates: "I no longer need the order" wants to cancel it.
    negated: HashSet<String>,
}

impl Vocabulary {
    /// The words of the examples, the title and the slots' names.
    pub fn of(intent: &Intent) -> Self {
        let mut vocabulary = Self::default();
        for Example { text, .. } in &intent.examples {
            let words = words(text);
            for (start, end) in negations(text, &words) {
                vocabulary.negated.extend(words[start..end].iter().map(|word| stem(word.plain())));
            }
            vocabulary.add(&words);
        }
        for title in intent.title.iter().chain(intent.slots.iter().filter_map(|slot| slot.title.as_ref())) {
            title.templates().for_each(|title| vocabulary.add(&words(&title.to_string())));
        }
        for slot in &intent.slots {
            vocabulary.add(&words(&slot.name.replace('_', " ")));
        }
        vocabulary
    }

    fn add(&mut self, words: &[Word]) {
        let content = words.iter().enumerate().filter(|(at, _)| FUNCTION.at(words, *at) != Some(1));
        self.stems.extend(content.map(|(_, word)| stem(word.plain())));
    }

    /// Whether a word is one of the intent's, whatever its ending.
    pub fn knows(&self, word: &Word) -> bool {
        contains(&self.stems, &stem(word.plain()))
    }

    /// Whether a text says that what the intent does is not wished: a negation is about one of the intent's words, no
    /// example negates that word, and nothing else in the text asks for it.
    pub fn is_negated_in(&self, text: &str, words: &[Word]) -> bool {
        let scopes = negations(text, words);
        let inside = |at: usize| scopes.iter().any(|(start, end)| (*start..*end).contains(&at));
        let own = |at: &usize| FUNCTION.at(words, *at) != Some(1) && self.knows(&words[*at]);
        let negated: Vec<String> =
            (0..words.len()).filter(|at| inside(*at) && own(at)).map(|at| stem(words[at].plain())).collect();
        if negated.is_empty() || negated.iter().any(|word| contains(&self.negated, word)) {
            return false;
        }
        let clause = |at: usize| (0..at).filter(|before| ends_clause(text, words, *before)).count();
        let negated_clauses: Vec<usize> = scopes.iter().map(|(start, _)| clause(*start)).collect();
        !(0..words.len())
            .any(|at| own(&at) && !negated_clauses.contains(&clause(at)) && !negated.contains(&stem(words[at].plain())))
    }
}

/// Whether a stem is known, or the stem of the other aspect of a Russian verb: «отменя» is «отмен».
fn contains(stems: &HashSet<String>, stem: &str) -> bool {
    if stems.contains(stem) {
        return true;
    }
    let verb = stem.strip_suffix(['я', 'а', 'и', 'ы', 'в']).filter(|root| root.chars().count() >= MIN_ROOT);
    verb.is_some_and(|root| stems.contains(root))
}

/// A text without its first negation of a wish; `None` if it negates none.
pub fn affirmed(text: &str, words: &[Word]) -> Option<String> {
    let (start, _) = *negations(text, words).first()?;
    let negation = (0..start).rev().find(|at| {
        UNWANTED.at(words, *at).or_else(|| command(text, words, *at)).is_some_and(|length| at + length == start)
    })?;
    Some(format!("{}{}", &text[..words[negation].start], &text[words[start].start..]))
}

/// The words that negations of wishes are about, as ranges of word numbers. "It does not work" negates no wish.
fn negations(text: &str, words: &[Word]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for at in 0..words.len() {
        let Some(length) = UNWANTED.at(words, at).or_else(|| command(text, words, at)) else { continue };
        let start = at + length;
        let mut end = start;
        while end < words.len() && end < start + SCOPE && (end == start || !ends_clause(text, words, end - 1)) {
            end += 1;
        }
        if start < end && !ends_clause(text, words, start - 1) {
            found.push((start, end));
        }
    }
    found
}

/// The number of words of a negated command: "don't send", «не отправляйте».
fn command(text: &str, words: &[Word], at: usize) -> Option<usize> {
    if let Some(length) = DO_NOT.at(words, at) {
        let polite = (0..at).rev().take_while(|before| !ends_clause(text, words, *before));
        let begins = polite.clone().all(|before| FILLERS.at(words, before).is_some());
        return (begins && QUESTIONED.at(words, at + length).is_none()).then_some(length);
    }
    let next = words.get(at + 1)?.plain();
    let commands = ["й", "йте", "и", "ите", "ь", "ьте", "ть", "ться", "ти", "тись"];
    (words[at].plain() == "не" && commands.iter().any(|ending| next.ends_with(ending))).then_some(1)
}

/// Whether a mark or a conjunction stands behind a word.
fn ends_clause(text: &str, words: &[Word], at: usize) -> bool {
    let Some(next) = words.get(at + 1) else { return true };
    text[words[at].end..next.start].contains([',', '.', ';', '!', '?', ':', '—'])
        || matches!(next.plain(), "and" | "but" | "и" | "но" | "а" | "because" | "потому" | "just" | "просто")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(examples: &[&str], text: &str, negated: bool) {
        let mut vocabulary = Vocabulary::default();
        for example in examples {
            let list = words(example);
            for (start, end) in negations(example, &list) {
                vocabulary.negated.extend(list[start..end].iter().map(|word| stem(word.plain())));
            }
            vocabulary.add(&list);
        }
        assert_eq!(vocabulary.is_negated_in(text, &words(text)), negated, "{text}");
    }

    #[test]
    fn a_negated_wish_is_no_wish() {
        let cancel =
            ["cancel my order", "I no longer need my order, cancel it", "отмените заказ", "хочу отменить заказ"];
        for text in [
            "I don't want to cancel my order",
            "please don't cancel the order",
            "do not cancel it",
            "не хочу отменять заказ",
            "не отменяйте заказ, пожалуйста",
            "пожалуйста, не надо отменять мой заказ",
        ] {
            check(&cancel, text, true);
        }
        for text in [
            "cancel my order",
            "I don't need my order, cancel it",
            "why can't I cancel my order",
            "мне не нужен заказ, отмените его",
            "заказ не пришёл, отмените",
            "don't you cancel orders?",
        ] {
            check(&cancel, text, false);
        }
        check(&["my parcel has not come", "посылка не пришла"], "my parcel did not come", false);
        check(&["my card does not work", "не проходит оплата"], "у меня не проходит оплата картой", false);
    }
}
