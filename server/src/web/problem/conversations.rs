//! Why a message has no answer.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{conversations::ConversationError, web::document::problems};

impl IntoResponses for ConversationError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 404, 409, 422, 429, 500, 503, 504])
    }
}

impl From<ConversationError> for Problem {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Text => Self::new(
                422,
                "invalid_text",
                "A message must have 1 to 2,000 characters, at least one of them visible, and no NUL.",
                "В сообщении должно быть от 1 до 2000 символов, хотя бы один из них видимый; символ NUL недопустим.",
            ),
            ConversationError::ForeignDialogue => {
                Self::new(403, "foreign_dialog", "This dialogue is not yours.", "Это не ваш диалог.")
            }
            ConversationError::UnknownDialogue => Self::new(
                404,
                "unknown_dialog",
                "There is no such dialogue of this user.",
                "У этого пользователя нет такого диалога.",
            ),
            ConversationError::HandedOff => Self::new(
                409,
                "handed_off",
                "This dialogue waits for an answer; ask again when it is there.",
                "Этот диалог ждёт ответа; спросите снова, когда ответ придёт.",
            ),
            ConversationError::NothingWaits => Self::new(
                409,
                "nothing_waits",
                "This dialogue does not wait for an answer.",
                "Этот диалог не ждёт ответа.",
            ),
            ConversationError::Claimed => {
                Self::new(409, "claimed", "Somebody else is answering here.", "Здесь уже отвечает другой сотрудник.")
            }
            ConversationError::NoAnswer => Self::new(
                504,
                "no_answer",
                "Nobody has answered yet. The answer will appear in the dialogue.",
                "Пока никто не ответил. Ответ появится в диалоге.",
            ),
            ConversationError::GivenBack => Self::new(
                504,
                "given_back",
                "Nobody has answered. The bot has the dialogue again; ask once more, with a new key.",
                "Никто не ответил. Диалог снова ведёт бот; спросите ещё раз, с новым ключом.",
            ),
            ConversationError::TooManyWaiting => Self::new(
                429,
                "too_many_waiting",
                "Too many of your requests are open at the same time; close one first.",
                "Слишком много ваших запросов открыто одновременно; сначала закройте один из них.",
            ),
            ConversationError::UserGone => Self::unauthorized(),
            ConversationError::KeyMismatch => Self::new(
                409,
                "idempotency_mismatch",
                "This idempotency key was already used for a different request.",
                "Этот ключ идемпотентности уже использован для другого запроса.",
            ),
            ConversationError::Busy => Self::busy(),
            ConversationError::Store(error) => error.into(),
            ConversationError::Internal(cause) => Self::internal(&cause),
        }
    }
}
