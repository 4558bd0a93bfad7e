//! What users do to the stores, and how their tokens are checked: the lines of the classic log (`log.format`). In the
//! other formats they are off, because the lines of requests and turns say the same.

use banter_stores::{DialogueId, UserId};

/// The target of these events in a log filter.
pub const TARGET: &str = "operations";

/// A language of the classic log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLanguage {
    Ru,
    En,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    UserCreated(UserId),
    LoggedIn(UserId),
    LoggedOut(UserId),
    TokenAccepted(UserId),
    TokenRefused,
    TokensRefreshed(UserId),
    DialogueCreated(UserId, DialogueId),
    DialogueRenamed(UserId, DialogueId),
    DialogueDeleted(UserId, DialogueId),
    MessageStored(UserId, DialogueId),
    AnswerStored(UserId, DialogueId),
    /// The dialogue waits for an answer from outside.
    HandedOff(UserId, DialogueId),
    HistoryRead(UserId),
}

impl Operation {
    /// Writes it to the log.
    pub fn log(self) {
        let (part, ru, en) = (self.part(), self.sentence(LogLanguage::Ru), self.sentence(LogLanguage::En));
        match self {
            Self::TokenRefused => tracing::warn!(target: TARGET, part, ru = %ru, en = %en),
            _ => tracing::info!(target: TARGET, part, ru = %ru, en = %en),
        }
    }

    /// The part of the earlier server that wrote such a line.
    fn part(self) -> &'static str {
        match self {
            Self::UserCreated(_) => "users",
            Self::LoggedIn(_)
            | Self::LoggedOut(_)
            | Self::TokenAccepted(_)
            | Self::TokenRefused
            | Self::TokensRefreshed(_) => "auth",
            Self::DialogueCreated(..) | Self::DialogueRenamed(..) | Self::DialogueDeleted(..) => "dialogs",
            Self::MessageStored(..) | Self::AnswerStored(..) | Self::HandedOff(..) | Self::HistoryRead(_) => "messages",
        }
    }

    /// The sentence, in a form that costs nothing until it is written.
    fn sentence(self, language: LogLanguage) -> Sentence {
        Sentence { operation: self, language }
    }
}

struct Sentence {
    operation: Operation,
    language: LogLanguage,
}

impl std::fmt::Display for Sentence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.language {
            LogLanguage::Ru => russian(self.operation, f),
            LogLanguage::En => english(self.operation, f),
        }
    }
}

fn russian(operation: Operation, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match operation {
        Operation::UserCreated(UserId(user)) => write!(f, "Создан пользователь id:{user}"),
        Operation::LoggedIn(UserId(user)) => write!(f, "Пользователь id:{user} вошёл"),
        Operation::LoggedOut(UserId(user)) => write!(f, "Пользователь id:{user} вышел"),
        Operation::TokenAccepted(UserId(user)) => write!(f, "Токен пользователя id:{user} проверен"),
        Operation::TokenRefused => f.write_str("Токен отклонён"),
        Operation::TokensRefreshed(UserId(user)) => write!(f, "Пользователь id:{user} обновил токены"),
        Operation::DialogueCreated(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Пользователь id:{user} создал диалог id:{dialogue}")
        }
        Operation::DialogueRenamed(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Пользователь id:{user} переименовал диалог id:{dialogue}")
        }
        Operation::DialogueDeleted(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Пользователь id:{user} удалил диалог id:{dialogue}")
        }
        Operation::MessageStored(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Сообщение пользователя id:{user} записано в диалог id:{dialogue}")
        }
        Operation::AnswerStored(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Ответ пользователю id:{user} записан в диалог id:{dialogue}")
        }
        Operation::HandedOff(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Диалог id:{dialogue} пользователя id:{user} ждёт ответа")
        }
        Operation::HistoryRead(UserId(user)) => write!(f, "Прочитана история пользователя id:{user}"),
    }
}

fn english(operation: Operation, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match operation {
        Operation::UserCreated(UserId(user)) => write!(f, "User id:{user} was created"),
        Operation::LoggedIn(UserId(user)) => write!(f, "User id:{user} logged in"),
        Operation::LoggedOut(UserId(user)) => write!(f, "User id:{user} logged out"),
        Operation::TokenAccepted(UserId(user)) => write!(f, "The token of user id:{user} is valid"),
        Operation::TokenRefused => f.write_str("A token was refused"),
        Operation::TokensRefreshed(UserId(user)) => write!(f, "User id:{user} refreshed the tokens"),
        Operation::DialogueCreated(UserId(user), DialogueId(dialogue)) => {
            write!(f, "User id:{user} created dialog id:{dialogue}")
        }
        Operation::DialogueRenamed(UserId(user), DialogueId(dialogue)) => {
            write!(f, "User id:{user} renamed dialog id:{dialogue}")
        }
        Operation::DialogueDeleted(UserId(user), DialogueId(dialogue)) => {
            write!(f, "User id:{user} deleted dialog id:{dialogue}")
        }
        Operation::MessageStored(UserId(user), DialogueId(dialogue)) => {
            write!(f, "A message of user id:{user} was stored in dialog id:{dialogue}")
        }
        Operation::AnswerStored(UserId(user), DialogueId(dialogue)) => {
            write!(f, "An answer to user id:{user} was stored in dialog id:{dialogue}")
        }
        Operation::HandedOff(UserId(user), DialogueId(dialogue)) => {
            write!(f, "Dialog id:{dialogue} of user id:{user} waits for an answer")
        }
        Operation::HistoryRead(UserId(user)) => write!(f, "The history of user id:{user} was read"),
    }
}
