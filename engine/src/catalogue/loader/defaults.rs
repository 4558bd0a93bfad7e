//! What takes the place of values that an author did not write, or not correctly.

use serde_json::json;

use crate::{
    catalogue::{shape::Shape, wire::BotFile},
    language::Language,
    template::{Template, Text},
};

pub const DEFAULT_CLARIFY: [(&str, &str); 2] =
    [("en", "Did you mean: {first}, or {second}?"), ("ru", "Вы имели в виду: {first} или {second}?")];
pub const DEFAULT_HAND_OFF: [(&str, &str); 2] =
    [("en", "One moment, I am passing you to a colleague."), ("ru", "Минуту, передаю вас коллеге.")];
pub const DEFAULT_DROPPED: [(&str, &str); 2] = [
    ("en", "Sorry, this has just changed on our side. Please ask me once more."),
    ("ru", "Простите, у нас это только что изменилось. Спросите ещё раз, пожалуйста."),
];
pub const DEFAULT_CANCELLED: [(&str, &str); 2] = [("en", "All right, cancelled."), ("ru", "Хорошо, отменил.")];

/// The shape of bot.yaml, with values that stand in for missing or invalid ones while the other files are checked.
pub fn bot_shape() -> Shape<BotFile> {
    let mut stand_ins = serde_json::Map::new();
    stand_ins.insert("name".to_owned(), json!("bot"));
    stand_ins.insert("languages".to_owned(), json!(["en"]));
    stand_ins.insert("fallback".to_owned(), json!({ "text": "-" }));
    Shape::lenient(stand_ins)
}

/// The engine's own text, for authors who wrote none; in English for languages without a translation.
pub fn default_text(texts: &[(&str, &str)]) -> Text {
    let parse = |text: &str| Template::parse(text).ok();
    let by_language = Language::known()
        .filter_map(|code| {
            let text = texts.iter().find(|(known, _)| *known == code).or(texts.first())?.1;
            Some((Language::new(code)?, vec![parse(text)?]))
        })
        .collect();
    Text::by_language(by_language)
}
