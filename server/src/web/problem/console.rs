//! Why the console does not show or do something.

use std::collections::BTreeMap;

use banter_engine::{lesson::LessonError, replay::record::RecordError};
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{console::ConsoleError, conversations::ConversationError, web::document::problems};

impl IntoResponses for ConsoleError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([404, 409, 412, 422, 500, 503])
    }
}

impl From<ConsoleError> for Problem {
    fn from(error: ConsoleError) -> Self {
        match error {
            ConsoleError::UnknownDialogue => {
                Self::new(404, "unknown_dialog", "There is no such dialogue.", "Такого диалога нет.")
            }
            ConsoleError::UnknownUser => {
                Self::new(404, "unknown_user", "There is no such user.", "Такого пользователя нет.")
            }
            ConsoleError::Text => ConversationError::Text.into(),
            ConsoleError::Lesson(error) => lesson(&error),
            ConsoleError::Record(RecordError::Engine(error)) => Self::internal(&error.to_string()),
            ConsoleError::Record(RecordError::Empty) => Self::new(
                422,
                "nothing_to_export",
                "The dialogue has no messages of its user.",
                "В диалоге нет сообщений пользователя.",
            ),
            ConsoleError::Record(error @ (RecordError::Invalid(_) | RecordError::Unrepeatable)) => {
                tracing::info!(%error, "a dialogue cannot be exported as a fixture");
                Self::new(
                    422,
                    "not_repeatable",
                    "The bot would answer these messages differently each time, so they make no fixture.",
                    "Бот отвечает на эти сообщения каждый раз по-разному, поэтому сценарий из них не получится.",
                )
            }
            ConsoleError::Release(error) => error.into(),
            ConsoleError::Store(error) => error.into(),
            ConsoleError::Internal(cause) => Self::internal(&cause),
        }
    }
}

fn lesson(error: &LessonError) -> Problem {
    match error {
        LessonError::UnknownIntent => Problem::new(
            422,
            "unknown_intent",
            "The version in use has no such intent.",
            "В действующей версии нет такого намерения.",
        ),
        LessonError::Known(file) => Problem::new(
            409,
            "known_example",
            format!("{file} has this example already."),
            format!("В {file} уже есть такой пример."),
        ),
        LessonError::NoList(file) => Problem::new(
            422,
            "no_example_list",
            format!("{file} has no examples in this language to add to; edit the file."),
            format!("В {file} нет примеров на этом языке; отредактируйте файл."),
        ),
    }
}
