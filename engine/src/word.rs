//! The words of a text, as values and phrases are compared with them.

use std::sync::OnceLock;

use crate::text::{normalize, stem};

/// Number of words at the start of a text in which values are searched.
const MAX_WORDS: usize = 400;
/// Letters of a word that may have endings, at least.
const MIN_INFLECTED: usize = 3;
/// Letters of its stem, at least.
const MIN_STEM: usize = 2;

/// A lower-case word, with data that quickly rules out words that are too different.
#[derive(Debug)]
pub struct Folded {
    text: String,
    /// Number of letters.
    length: usize,
    /// One bit per letter that occurs, by its code modulo 64.
    letters: u64,
    /// The parts of a Russian word; empty for others.
    forms: OnceLock<Vec<Inflected>>,
}

/// A part of a Russian word, as it is written and without its ending.
#[derive(Debug)]
struct Inflected {
    text: String,
    stem: String,
}

impl Inflected {
    fn new(text: String) -> Self {
        Self { stem: stem(&text), text }
    }

    /// Whether another is the same word in another case. An ending of a stem is sometimes taken for one of the word:
    /// «Ростов» is stemmed to «рост», «Ростова» to «ростов».
    fn is_like(&self, other: &Self) -> bool {
        let is_long = |stem: &str| stem.chars().count() >= MIN_STEM;
        self.text == other.text
            || (self.stem == other.stem && is_long(&self.stem))
            || (self.stem == other.text && is_long(&self.stem))
            || (self.text == other.stem && is_long(&other.stem))
    }
}

impl Folded {
    pub fn new(text: String) -> Self {
        let letters = text.chars().fold(0, |letters, letter| letters | 1 << (letter as u32 % 64));
        Self { length: text.chars().count(), letters, text, forms: OnceLock::new() }
    }

    /// The word in lower case.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How much a word differs: 0 if it is the same, 1 if it is the same Russian word in another case, more with typos;
    /// `None` if it is another word. Typos are allowed if `fuzzy`.
    pub fn difference(&self, word: &Self, fuzzy: bool) -> Option<usize> {
        if self.text == word.text {
            return Some(0);
        }
        if self.is_inflection_of(word) {
            return Some(1);
        }
        self.edits(word).filter(|_| fuzzy).map(|edits| 1 + edits)
    }

    /// Whether two Russian words differ only in their endings, each part of a name in its own: «Ростова-на-Дону».
    fn is_inflection_of(&self, word: &Self) -> bool {
        if !self.text.chars().take(MIN_STEM).eq(word.text.chars().take(MIN_STEM)) {
            return false;
        }
        let (own, other) = (self.forms(), word.forms());
        let pairs = own.iter().zip(other);
        own.len() == other.len() && !own.is_empty() && pairs.into_iter().all(|(own, other)| own.is_like(other))
    }

    fn forms(&self) -> &[Inflected] {
        let of_russian = || {
            let is_russian = self.text.chars().all(|c| matches!(c, 'а'..='я' | 'ё' | '-'));
            let parts = self.text.split('-').map(|part| part.replace('ё', "е"));
            parts.filter(|_| is_russian && self.length >= MIN_INFLECTED).map(Inflected::new).collect()
        };
        self.forms.get_or_init(of_russian)
    }

    /// The optimal string alignment distance to a word, or `None` if it is too large. One edit is allowed from four
    /// letters on, two from eight.
    pub fn edits(&self, word: &Self) -> Option<usize> {
        let allowed = match self.length {
            0..4 => 0,
            4..8 => 1,
            _ => 2,
        };
        // One edit changes the length by at most one, and the set of letters by at most two.
        if allowed == 0
            || word.length.abs_diff(self.length) > allowed
            || (word.letters ^ self.letters).count_ones() as usize > 2 * allowed
        {
            return None;
        }
        Some(strsim::osa_distance(&self.text, &word.text)).filter(|distance| *distance <= allowed)
    }
}

/// The words of a phrase, split like those of a message; empty if it has no letters or digits.
pub fn phrase_words(phrase: &str) -> Vec<String> {
    words(&normalize(phrase)).into_iter().map(|word| word.folded.text).collect()
}

/// A word of a text.
#[derive(Debug)]
pub struct Word {
    pub folded: Folded,
    /// In lower case, with `е` for `ё` and the straight apostrophe, if that differs from `folded`.
    plain: Option<String>,
    /// Start, in bytes of the text.
    pub start: usize,
    /// End, in bytes of the text.
    pub end: usize,
}

impl Word {
    fn new(text: &str, start: usize, end: usize) -> Self {
        let folded = Folded::new(text[start..end].to_lowercase());
        let differs = folded.text.contains(['ё', '’']);
        let plain = differs.then(|| folded.text.replace('ё', "е").replace('’', "'"));
        Self { folded, plain, start, end }
    }

    /// The word in lower case, with `е` for `ё` and the straight apostrophe.
    pub fn plain(&self) -> &str {
        self.plain.as_deref().unwrap_or(&self.folded.text)
    }
}

/// The words of a normalised text; at most the first 400.
pub fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = character.is_alphanumeric() || matches!(character, '-' | '\'' | '’');
        match (start, inside) {
            (None, true) => start = Some(at),
            (Some(begin), false) => {
                words.push(Word::new(text, begin, at));
                start = None;
            }
            _ => {}
        }
        if words.len() == MAX_WORDS {
            break;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases_of_a_russian_word_are_one_word() {
        let check = |wanted: &str, word: &str, fuzzy: bool, difference: Option<usize>| {
            let of = |text: &str| Folded::new(text.to_owned());
            assert_eq!(of(wanted).difference(&of(word), fuzzy), difference, "{wanted}, {word}");
        };
        check("новосибирск", "новосибирском", false, Some(1));
        check("уфа", "уфе", false, Some(1));
        check("актёр", "актера", false, Some(1));
        check("санкт-петербург", "санкт-петербурге", false, Some(1));
        check("ростов-на-дону", "ростова-на-дону", false, Some(1));
        check("казань", "казни", false, None);
        check("берлин", "берлни", false, None);
        check("берлин", "берлни", true, Some(2));
        check("kettle", "kettles", false, None);
        check("псков", "псковом", false, Some(1));
        check("то", "те", false, None);
    }

    proptest! {
        #[test]
        fn what_tells_quickly_tells_the_truth(wanted in "[абвabcё]{1,10}", word in "[абвabcё]{1,10}") {
            prop_assume!(wanted != word);
            let length = wanted.chars().count();
            let allowed = if length < 4 { 0 } else if length < 8 { 1 } else { 2 };
            let slow = Some(strsim::osa_distance(&wanted, &word)).filter(|distance| *distance <= allowed);
            prop_assert_eq!(Folded::new(wanted).edits(&Folded::new(word)), slow);
        }
    }
}
