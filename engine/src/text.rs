//! Normalises what people type. Pure functions on strings that know nothing about intents or languages.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Characters of an utterance, at most.
pub const MAX_UTTERANCE: usize = 2_000;

/// The form in which a text is embedded, compared and searched for entities: invisible and control characters are
/// removed, Unicode is in NFC, each run of white space is one space, and there is none at the ends.
///
/// A stored message keeps the text that the user sent.
pub fn normalize(text: &str) -> String {
    // Before composing, because characters on both sides of an invisible one may compose.
    let visible = || text.chars().filter(|character| character.is_whitespace() || !is_invisible(*character));
    // Most texts are composed already, and the check is cheaper than composing.
    match is_nfc_quick(visible()) {
        IsNormalized::Yes => tidy(visible(), text.len()),
        _ => tidy(visible().nfc(), text.len()),
    }
}

fn tidy(characters: impl Iterator<Item = char>, length: usize) -> String {
    let mut out = String::with_capacity(length);
    let mut space = false;
    for character in characters {
        if character.is_whitespace() {
            space = true;
        } else {
            if space && !out.is_empty() {
                out.push(' ');
            }
            space = false;
            out.push(character);
        }
    }
    out
}

/// [`normalize`], in lower case: two examples or values are equal if these forms are.
pub fn fold(text: &str) -> String {
    normalize(text).to_lowercase()
}

/// The stem of a word in lower case: Snowball's, for Russian if it is written in Cyrillic, else for English
/// (Porter, "Snowball: A language for stemming algorithms", 2001).
pub fn stem(word: &str) -> String {
    let cyrillic = word.chars().any(|c| matches!(c, 'а'..='я'));
    let algorithm = if cyrillic { Algorithm::Russian } else { Algorithm::English };
    Stemmer::create(algorithm).stem(word).into_owned()
}

/// The first `limit` characters of a text, with an ellipsis if anything was cut.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Whether a character is a control character, zero-width mark, byte-order mark or noncharacter. These carry no meaning
/// and hide differences.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFFD}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spaces_and_invisible_marks_go() {
        assert_eq!(normalize("  a\u{0}\u{200B}\t b \n"), "a b");
        assert_eq!(normalize("и\u{0306}"), "й", "composed to NFC");
        assert_eq!(normalize("\u{0}\u{FEFF} \u{7}"), "");
        assert_eq!(normalize("и\u{200B}\u{0306}"), "й", "composed across what is not seen");
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shorten("борщ", 4), "борщ");
        assert_eq!(shorten("борщи", 4), "борщ…");
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = normalize(&text);
            prop_assert_eq!(normalize(&once), once);
        }
    }
}
