//! Everyday utterances that most bots know nothing of. They show a classifier what is not its business.

use crate::language::Language;

const ENGLISH: &str = include_str!("background/en.txt");
const RUSSIAN: &str = include_str!("background/ru.txt");

/// The utterances in these languages; none for languages in which there are none.
pub fn background(languages: &[Language]) -> Vec<String> {
    let of = |language: &Language| match language.code() {
        "en" => ENGLISH,
        "ru" => RUSSIAN,
        _ => "",
    };
    languages.iter().flat_map(|language| of(language).lines()).map(str::to_owned).collect()
}
