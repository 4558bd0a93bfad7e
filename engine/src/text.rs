//! Normalisation of what people type. Pure functions over strings; nothing here knows of intents or languages.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The form in which a text is embedded, compared and searched for entities: invisible and control characters removed, Unicode NFC, every
/// run of white space one space, no space at the ends.
///
/// The stored text of a message is the one that the user sent, not this.
pub fn normalize(text: &str) -> String {
    // Before composing: what stands to the two sides of an invisible character may belong together.
    let visible = || text.chars().filter(|character| character.is_whitespace() || !is_invisible(*character));
    // Most texts are composed already, which costs less to see than to do again.
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

/// [`normalize`], lower-cased: the form under which two examples or two values count as the same.
pub fn fold(text: &str) -> String {
    normalize(text).to_lowercase()
}

/// The first `limit` characters of a text, with an ellipsis where something was cut.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Control characters, zero-width marks, byte-order marks and noncharacters: they carry no meaning and hide differences.
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
