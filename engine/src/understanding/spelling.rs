//! Typos: words that the bot does not know, one or two letters away from words that it does.

use super::Reading;
use crate::{catalogue::KnownWords, lexicon::FUNCTION};

/// The text with the known words that were likely meant; `None` if it has no such typo.
///
/// Values of entities are left alone: an entity says itself whether its values may be misspelt.
pub fn corrected(reading: &Reading, known: &KnownWords) -> Option<String> {
    let (text, words) = (reading.text(), reading.words());
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (at, word) in words.iter().enumerate() {
        let is_code = word.plain().contains(|c: char| c.is_ascii_digit());
        if is_code || FUNCTION.at(words, at) == Some(1) || reading.is_within(at, reading.entities()) {
            continue;
        }
        let Some(meant) = known.meant_by(word) else { continue };
        out.push_str(&text[end..word.start]);
        out.push_str(meant);
        end = word.end;
    }
    (end > 0).then(|| out + &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::words;

    /// `meant`: the words that the text is read as, in which the bot knows `where is my order` and the Russian for it.
    fn check(typed: &str, meant: Option<&str>) {
        let known = KnownWords::of(
            &["where is my order", "где мой заказ, отмени", "отмена", "банк, платёж"],
            &["older people"],
        );
        let found = words(typed).first().and_then(|word| known.meant_by(word).map(str::to_owned));
        assert_eq!(found.as_deref(), meant, "{typed}");
    }

    #[test]
    fn typos_of_known_words_are_found() {
        check("oder", Some("order"));
        check("wehre", Some("where"));
        check("закз", Some("заказ"));
        check("закказ", Some("заказ"));
        check("отмеи", Some("отмени"));
        check("плтёж", Some("платеж"));
        check("бнак", Some("банк"));
        check("order", None);
        check("orders", None);
        check("заказы", None);
        check("older", None);
        check("my", None);
        check("elephant", None);
    }
}
