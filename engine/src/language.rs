//! Languages: their codes, and detection among a bot's languages.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use whatlang::{Detector, Lang, detect_script};

/// With fewer letters than this, no language is detected and the dialogue keeps its own.
const MIN_LETTERS: usize = 2;

/// A language by its ISO 639-1 code, such as `en`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Language(String);

impl Language {
    /// The language with this code; `None` if detection does not support it.
    pub fn new(code: &str) -> Option<Self> {
        find(code).map(|_| Self(code.to_owned()))
    }

    /// The ISO 639-1 code.
    pub fn code(&self) -> &str {
        &self.0
    }

    /// What its speakers call it.
    pub fn name(&self) -> &'static str {
        find(&self.0).map_or("", Lang::name)
    }

    /// The codes that a bot may list.
    pub fn known() -> impl Iterator<Item = &'static str> {
        CODES.iter().map(|(code, _)| *code)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The language of `text` among `allowed`, or `None` if the text does not indicate one (an order number, an emoji).
///
/// Words with a digit are ignored: "A-1042" is not English. If the scripts of the allowed languages differ, the letters
/// decide; within one script, trigrams do (whatlang: Cavnar and Trenkle, "N-Gram-Based Text Categorization", 1994).
pub fn detect(text: &str, allowed: &[Language]) -> Option<Language> {
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.chars().any(|c| c.is_ascii_digit()) && !word.contains("://") && !word.contains('@'))
        .collect();
    let letters = words.iter().flat_map(|word| word.chars()).filter(|c| c.is_alphabetic()).count();
    if letters < MIN_LETTERS {
        return None;
    }
    let text = words.join(" ");
    let script = detect_script(&text)?;
    let candidates: Vec<Lang> = allowed.iter().filter_map(|language| find(language.code())).collect();
    let mut written_so = candidates.iter().filter(|lang| script.langs().contains(lang));
    let found = match (written_so.next(), written_so.next()) {
        (Some(only), None) => *only,
        _ => Detector::with_allowlist(candidates).detect(&text)?.lang(),
    };
    allowed.iter().find(|language| find(language.code()) == Some(found)).cloned()
}

/// Whether the letters of `text` are those of none of these languages: Chinese, to a bot that speaks English and Russian.
pub fn is_foreign(text: &str, allowed: &[Language]) -> bool {
    let Some(script) = detect_script(text) else { return false };
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    letters >= MIN_LETTERS
        && !allowed.iter().filter_map(|own| find(own.code())).any(|own| script.langs().contains(&own))
}

fn find(code: &str) -> Option<Lang> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, lang)| *lang)
}

const CODES: [(&str, Lang); 32] = [
    ("en", Lang::Eng),
    ("ru", Lang::Rus),
    ("uk", Lang::Ukr),
    ("be", Lang::Bel),
    ("bg", Lang::Bul),
    ("sr", Lang::Srp),
    ("mk", Lang::Mkd),
    ("de", Lang::Deu),
    ("fr", Lang::Fra),
    ("es", Lang::Spa),
    ("pt", Lang::Por),
    ("it", Lang::Ita),
    ("nl", Lang::Nld),
    ("pl", Lang::Pol),
    ("cs", Lang::Ces),
    ("sk", Lang::Slk),
    ("sl", Lang::Slv),
    ("hr", Lang::Hrv),
    ("ro", Lang::Ron),
    ("hu", Lang::Hun),
    ("fi", Lang::Fin),
    ("sv", Lang::Swe),
    ("da", Lang::Dan),
    ("nb", Lang::Nob),
    ("et", Lang::Est),
    ("lv", Lang::Lav),
    ("lt", Lang::Lit),
    ("tr", Lang::Tur),
    ("az", Lang::Aze),
    ("uz", Lang::Uzb),
    ("vi", Lang::Vie),
    ("id", Lang::Ind),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let allowed = [Language("en".into()), Language("ru".into())];
        let found = detect(text, &allowed);
        assert_eq!(found.as_ref().map(Language::code), expected, "{text}");
    }

    #[test]
    fn alphabets_decide() {
        check("where is my order", Some("en"));
        check("wher is my oder", Some("en"));
        check("Привет, как дела?", Some("ru"));
        check("где мой заказ A-1042", Some("ru"));
        check("хочу вернуть iPhone", Some("ru"));
        check("ok", Some("en"));
    }

    #[test]
    fn a_text_without_words_says_nothing() {
        for text in ["A-1042", "123", "🙂", "", "a@b.example", "?"] {
            check(text, None);
        }
    }

    #[test]
    fn one_alphabet_is_told_apart_by_trigrams() {
        let allowed = [Language("en".into()), Language("de".into())];
        assert_eq!(detect("wo bleibt meine Bestellung denn", &allowed), Some(Language("de".into())));
        assert_eq!(detect("where does my order stay then", &allowed), Some(Language("en".into())));
    }
}
