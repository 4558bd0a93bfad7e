//! What a bot learns from an utterance that it did not understand: an example of an intent, and a fixture that keeps it.

use thiserror::Error;

use crate::{
    catalogue::{bundle::Bundle, document::Document, manifest::hash_of},
    replay::rewrite::{append, write_text},
};

/// An utterance and the intent that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    pub intent: String,
    /// A language code.
    pub language: String,
    /// The example as the intent's file lists it; entities may be marked.
    pub example: String,
    /// What the user said.
    pub said: String,
}

/// Why a lesson cannot be added.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LessonError {
    #[error("no file in intents/ has this intent")]
    UnknownIntent,
    /// The intent's file.
    #[error("{0} has this example already")]
    Known(String),
    /// The intent's file.
    #[error("{0} has no list of examples in this language that can be extended; edit the file")]
    NoList(String),
}

/// The files that differ from the bundle's, by path.
///
/// # Errors
/// [`LessonError`].
pub fn files(bundle: &Bundle, lesson: &Lesson) -> Result<[(String, Vec<u8>); 2], LessonError> {
    let of_intent = |(path, bytes): (&String, &Vec<u8>)| {
        let document = path.starts_with("intents/").then(|| Document::parse(path, bytes).ok())??;
        let named = document.value.get("intent").is_some_and(|name| *name == *lesson.intent);
        named.then(|| (path.clone(), document.value.clone()))
    };
    let (path, value) = bundle.files.iter().find_map(of_intent).ok_or(LessonError::UnknownIntent)?;
    let pointer = format!("/examples/{}", lesson.language);
    let examples = value.pointer(&pointer).and_then(|list| list.as_array());
    if examples.is_some_and(|examples| examples.iter().any(|one| *one == *lesson.example)) {
        return Err(LessonError::Known(path));
    }
    let text = bundle.files.get(&path).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let extended = text.and_then(|text| append(&path, text, &pointer, &lesson.example));
    let extended = extended.ok_or_else(|| LessonError::NoList(path.clone()))?;
    Ok([(path, extended.into_bytes()), fixture(lesson)])
}

/// A conversation of one message, under a name that the message decides.
fn fixture(lesson: &Lesson) -> (String, Vec<u8>) {
    let Lesson { intent, language, said, .. } = lesson;
    let hash = hash_of(said.as_bytes());
    let path = format!("fixtures/review/{intent}-{}.yaml", hash.get(..8).unwrap_or(&hash));
    let title = write_text(&format!("review: {}", said.chars().take(150).collect::<String>()));
    let said = write_text(said);
    let text = format!(
        "conversation: {title}\nlanguage: {language}\nturns:\n  - user: {said}\n    expect: {{ intent: {intent} }}\n"
    );
    (path, text.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(lesson: &Lesson, expected: Result<(&str, &str), LessonError>) {
        let file = "intent: greet\nexamples: { en: [hello], ru: [] }\n".as_bytes().to_vec();
        let bundle = Bundle { files: BTreeMap::from([("intents/small/greet.yaml".to_owned(), file)]) };
        let made =
            files(&bundle, lesson).map(|files| files.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())));
        let expected = expected.map(|(intent, fixture)| (intent.to_owned(), fixture.to_owned()));
        assert_eq!(made.map(|[(_, intent), (path, fixture)]| (intent, format!("{path}\n{fixture}"))), expected);
    }

    #[test]
    fn an_example_and_its_fixture() {
        let lesson = |intent: &str, language: &str, example: &str| Lesson {
            intent: intent.to_owned(),
            language: language.to_owned(),
            example: example.to_owned(),
            said: "hey: you".to_owned(),
        };
        check(
            &lesson("greet", "en", "hey [you](who)"),
            Ok((
                "intent: greet\nexamples: { en: [hello, \"hey [you](who)\"], ru: [] }\n",
                "fixtures/review/greet-9c723927.yaml\nconversation: \"review: hey: you\"\nlanguage: en\nturns:\n  - user: \"hey: you\"\n    expect: { intent: greet }\n",
            )),
        );
        let path = || "intents/small/greet.yaml".to_owned();
        check(&lesson("leave", "en", "bye"), Err(LessonError::UnknownIntent));
        check(&lesson("greet", "en", "hello"), Err(LessonError::Known(path())));
        check(&lesson("greet", "ru", "привет"), Err(LessonError::NoList(path())));
        check(&lesson("greet", "de", "hallo"), Err(LessonError::NoList(path())));
    }
}
