//! Where a text may hold two wishes: "cancel my order, and tell me the delivery cost".

use crate::{
    lexicon::{ANAPHORA, AND, PERSONS, REQUEST, STATEMENT},
    word::{Word, words},
};

/// Places that are tried, at most; each costs two runs of the model on short texts.
const MAX_PLACES: usize = 2;
/// A wish has at least so many words.
const MIN_WORDS: usize = 2;

/// Two parts of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub first: String,
    pub second: String,
    /// Whether a conjunction joins them.
    pub joined: bool,
}

impl Pair {
    /// Whether both may be wishes: neither only states something, and the second does not speak of somebody in the first or,
    /// unless a conjunction joins them, of something.
    pub fn are_wishes(&self) -> bool {
        let second = words(&self.second);
        let speaks_of_first = PERSONS.occur_in(&second) || (!self.joined && ANAPHORA.occur_in(&second));
        asks(&self.first) && asks(&self.second) && !speaks_of_first
    }
}

/// Whether a text asks for something, rather than states it.
fn asks(text: &str) -> bool {
    let list = words(text);
    text.ends_with('?') || REQUEST.at(&list, 0).is_some() || STATEMENT.at(&list, 0).is_none()
}

/// The pairs of texts that a text can be cut into: at a conjunction or the end of a sentence or, if it has neither, at
/// a comma.
pub fn pairs(text: &str, words: &[Word]) -> Vec<Pair> {
    let places = |is_place: &dyn Fn(usize) -> Option<usize>| {
        (MIN_WORDS..words.len())
            .filter_map(|at| Some((at, at + is_place(at)?)))
            .filter(|(_, second)| words.len() >= second + MIN_WORDS)
            .take(MAX_PLACES)
            .collect::<Vec<_>>()
    };
    let between = |at: usize| &text[words[at - 1].end..words[at].start];
    let strong = places(&|at| AND.at(words, at).or_else(|| between(at).contains(['.', '!', '?', ';']).then_some(0)));
    let found = if strong.is_empty() { places(&|at| between(at).contains(',').then_some(0)) } else { strong };
    let cut = |(first, second): (usize, usize)| {
        let end = words[first - 1].end;
        let marks = text[end..].chars().take_while(|c| matches!(c, '?' | '!' | '.')).map(char::len_utf8).sum::<usize>();
        let second_text = text[words[second].start..].to_owned();
        Pair { first: text[..end + marks].to_owned(), second: second_text, joined: second > first }
    };
    found.into_iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = pairs(text, &words(text));
        let found: Vec<(&str, &str)> = found.iter().map(|pair| (pair.first.as_str(), pair.second.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn texts_are_cut_between_wishes() {
        check("cancel my order and tell me the price", &[("cancel my order", "tell me the price")]);
        check("отмените заказ, а ещё скажите цену", &[("отмените заказ", "скажите цену")]);
        check("where is it? how much is delivery", &[("where is it?", "how much is delivery")]);
        check("cancel my order, tell me the price", &[("cancel my order", "tell me the price")]);
        let wishes = |text: &str| pairs(text, &words(text)).iter().any(Pair::are_wishes);
        assert!(wishes("cancel my order and tell me the price") && wishes("where is it? how much is delivery"));
        assert!(!wishes("I got my new card, how do I activate it") && !wishes("cancel my card. can you do that today"));
        check("black and white", &[]);
        check("hello, where is my order", &[]);
    }
}
