//! Values that are found by a regular expression.

use regex::Regex;

use super::{Entity, ScannedText};

/// Matches in the text as it is, and in codes typed on a Russian keyboard.
pub(super) fn find_pattern(name: &str, utterance: &ScannedText<'_>, regex: &Regex) -> Vec<Entity> {
    let text = utterance.text;
    let entity = |value: &str, start: usize, end: usize| Entity::new(name, value, text, start..end);
    let matches = regex.find_iter(text).filter(|found| !found.is_empty());
    let mut found: Vec<Entity> = matches.map(|found| entity(found.as_str(), found.start(), found.end())).collect();
    let Some(Latin { text: latin, places }) = utterance.latin() else { return found };
    for code in regex.find_iter(latin).filter(|code| !code.is_empty()) {
        let (start, end) = (places[code.start()], places[code.end()]);
        if found.iter().all(|known| end <= known.start || start >= known.end) {
            found.push(entity(code.as_str(), start, end));
        }
    }
    found.sort_by_key(|entity| entity.start);
    found
}

/// A text in which codes have Latin letters instead of Cyrillic ones that look the same. A code is a word with a digit
/// and without any letter that looks only Cyrillic.
pub(super) struct Latin {
    text: String,
    /// For each byte, and for the end: the offset in the original text.
    places: Vec<usize>,
}

/// Returns `None` if nothing would change.
pub(super) fn latin_letters(text: &str) -> Option<Latin> {
    // Most messages contain no code.
    if text.is_ascii() || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    let looks_latin = |c: char| !c.is_alphabetic() || c.is_ascii() || latin(c).is_some();
    let is_code = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit()) && word.chars().all(looks_latin);
    let (mut out, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut changed = false;
    let mut at = 0;
    for word in text.split_inclusive(|c| !inside(c)) {
        let code = is_code(word.trim_end_matches(|c| !inside(c)));
        for letter in word.chars() {
            let kept = latin(letter).filter(|_| code).unwrap_or(letter);
            changed |= kept != letter;
            out.push(kept);
            places.extend(std::iter::repeat_n(at, kept.len_utf8()));
            at += letter.len_utf8();
        }
    }
    places.push(text.len());
    changed.then_some(Latin { text: out, places })
}

/// The Latin letter that looks like a Cyrillic letter.
fn latin(letter: char) -> Option<char> {
    const CYRILLIC: &str = "АВЕКМНОРСТУХавекмнорстух";
    const LATIN: &[u8] = b"ABEKMHOPCTYXabekmhopctyx";
    let place = CYRILLIC.chars().position(|known| known == letter)?;
    LATIN.get(place).map(|byte| char::from(*byte))
}
