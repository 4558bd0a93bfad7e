//! The words of a bot's examples.

use std::collections::HashSet;

use crate::{
    text::{fold, stem},
    word::{Folded, Word, words},
};

/// Letters of a stem by which a word is known to be no typo.
const MIN_KNOWN_STEM: usize = 4;

/// The words of a bot's examples, and the examples, in lower case.
#[derive(Debug)]
pub struct KnownWords {
    /// As they are written.
    pub forms: HashSet<String>,
    /// Their stems.
    pub stems: HashSet<String>,
    /// The examples as a whole.
    pub examples: HashSet<String>,
    /// The forms, for comparison with what is typed.
    folded: Vec<Folded>,
    /// The stems of everyday words, which are no typos of others.
    everyday: HashSet<String>,
}

impl KnownWords {
    /// The words of examples, and those of everyday utterances.
    pub fn of(examples: &[&str], everyday: &[impl AsRef<str>]) -> Self {
        let forms: HashSet<String> =
            examples.iter().flat_map(|text| words(text)).map(|word| word.plain().to_owned()).collect();
        let everyday = everyday.iter().flat_map(|text| words(text.as_ref())).map(|word| stem(word.plain())).collect();
        let mut folded: Vec<&String> = forms.iter().collect();
        folded.sort_unstable();
        Self {
            stems: forms.iter().map(|form| stem(form)).collect(),
            examples: examples.iter().map(|text| fold(text)).collect(),
            folded: folded.into_iter().map(|form| Folded::new(form.clone())).collect(),
            forms,
            everyday,
        }
    }

    /// The known word that a word is likely a typo of; `None` if it is a word itself, or nothing is near.
    pub fn meant_by(&self, word: &Word) -> Option<&str> {
        let own = stem(word.plain());
        // Short stems are those of typos, too: «отмеи» and «отмена» have the same.
        let is_known = |stems: &HashSet<String>| own.chars().count() >= MIN_KNOWN_STEM && stems.contains(&own);
        if self.forms.contains(word.plain()) || is_known(&self.stems) || is_known(&self.everyday) {
            return None;
        }
        // The forms have no «ё» either.
        let plain = Folded::new(word.plain().to_owned());
        let near = self.folded.iter().filter_map(|form| Some((form.edits(&plain)?, form)));
        near.min_by_key(|(edits, _)| *edits).map(|(_, form)| form.text())
    }

    /// Whether one of the words that are longer than two letters is known, whatever its ending; `None` if no word is that
    /// long.
    pub fn know_any(&self, words: &[Word]) -> Option<bool> {
        let mut long = words.iter().filter(|word| word.plain().chars().count() > 2).peekable();
        long.peek()?;
        Some(long.any(|word| self.stems.contains(&stem(word.plain()))))
    }
}
