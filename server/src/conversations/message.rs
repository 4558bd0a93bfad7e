//! A message as it comes in, its answer, and why there is none.

use banter_engine::{
    text::normalize,
    turn::{Output, Turn},
};
use thiserror::Error;

use banter_stores::{DialogueId, StoreError, StoredAnswer, UserId};

/// Characters of a message, at most.
pub const MAX_TEXT: usize = 2_000;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ConversationError {
    /// Empty or too long.
    #[error("the text is empty or too long")]
    Text,
    /// Somebody else's dialogue, or none.
    #[error("not this user's dialogue")]
    ForeignDialogue,
    /// The user was deleted while the message was on its way.
    #[error("the user is gone")]
    UserGone,
    /// The key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// Too much at once; try again.
    #[error("too many messages at once")]
    Busy,
    /// A store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

/// A message as a client sends it.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub user: UserId,
    /// Where; the default dialogue without it.
    pub dialogue: Option<DialogueId>,
    pub text: String,
    /// A key for repeats, and the hash of the request.
    pub idempotency: Option<(String, [u8; 32])>,
}

impl Incoming {
    /// The key for repeats.
    pub fn key(&self) -> Option<&str> {
        self.idempotency.as_ref().map(|(key, _)| key.as_str())
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply as one text.
    pub response: String,
    /// What was said and shown.
    pub outputs: Vec<Output>,
}

impl Answer {
    pub(super) fn of(turn: &Turn) -> Self {
        Self { response: turn.text(), outputs: turn.outputs.clone() }
    }

    /// As it is kept for repeats of the request with this hash.
    pub(super) fn stored(&self, request_hash: [u8; 32]) -> Result<StoredAnswer, ConversationError> {
        let outputs =
            serde_json::to_value(&self.outputs).map_err(|error| ConversationError::Internal(error.to_string()))?;
        Ok(StoredAnswer { request_hash, response: self.response.clone(), outputs })
    }
}

/// Checks the bounds of a message.
///
/// # Errors
/// [`ConversationError::Text`].
pub(super) fn check_text(text: &str) -> Result<(), ConversationError> {
    // No store keeps NUL, and nobody types it.
    let good = !text.contains('\0') && text.chars().count() <= MAX_TEXT && !normalize(text).is_empty();
    if good { Ok(()) } else { Err(ConversationError::Text) }
}

/// The answer to a request that comes again.
///
/// # Errors
/// When it is another request, or its answer cannot be read.
pub(super) fn again(stored: &StoredAnswer, hash: &[u8; 32]) -> Result<Answer, ConversationError> {
    if stored.request_hash != *hash {
        return Err(ConversationError::KeyMismatch);
    }
    let outputs = serde_json::from_value(stored.outputs.clone())
        .map_err(|error| ConversationError::Internal(format!("stored outputs cannot be read: {error}")))?;
    Ok(Answer { response: stored.response.clone(), outputs })
}
