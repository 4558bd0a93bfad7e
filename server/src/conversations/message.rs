//! A message as it comes in, its answer, and why there is none.

use banter_engine::{
    text::{MAX_UTTERANCE, normalize},
    turn::{Output, Turn},
};
use thiserror::Error;

use banter_stores::{DialogueId, Place, StoreError, StoredAnswer, UserId};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ConversationError {
    /// Empty or too long.
    #[error("the text is empty or too long")]
    Text,
    /// Somebody else's dialogue, or none.
    #[error("not this user's dialogue")]
    ForeignDialogue,
    /// No dialogue of the user that is named in the request.
    #[error("there is no such dialogue")]
    UnknownDialogue,
    /// Somebody else is to answer in the dialogue.
    #[error("the dialogue is handed off")]
    HandedOff,
    /// The dialogue is not handed off.
    #[error("the dialogue does not wait for an answer")]
    NothingWaits,
    /// Somebody else is about to answer in the dialogue.
    #[error("somebody else has the dialogue")]
    Claimed,
    /// Nobody has answered in time. A repeat waits again.
    #[error("nobody has answered in time")]
    NoAnswer,
    /// The bot has the dialogue again, without an answer.
    #[error("the bot has the dialogue again, without an answer")]
    GivenBack,
    /// Too many requests of the user wait for something.
    #[error("too many requests wait")]
    TooManyWaiting,
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

impl ConversationError {
    /// Whether the state of the dialogue does not allow the request.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::HandedOff | Self::NothingWaits)
    }
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
    /// The turn, if it handed the dialogue off.
    pub handed_off: Option<Place>,
}

impl Answer {
    pub(super) fn of(turn: &Turn, place: Place) -> Self {
        let handed_off = turn.hand_off.then_some(place);
        Self { response: turn.text(), outputs: turn.outputs.clone(), handed_off }
    }

    /// As it is kept for repeats of the request with this hash.
    pub(super) fn stored(&self, request_hash: [u8; 32]) -> Result<StoredAnswer, ConversationError> {
        let outputs =
            serde_json::to_value(&self.outputs).map_err(|error| ConversationError::Internal(error.to_string()))?;
        Ok(StoredAnswer { request_hash, response: self.response.clone(), outputs, handed_off: self.handed_off })
    }
}

/// Checks the bounds of a message.
///
/// # Errors
/// [`ConversationError::Text`].
pub fn check_text(text: &str) -> Result<(), ConversationError> {
    // No store keeps NUL, and nobody types it.
    let good = !text.contains('\0') && text.chars().count() <= MAX_UTTERANCE && !normalize(text).is_empty();
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
    Ok(Answer { response: stored.response.clone(), outputs, handed_off: stored.handed_off })
}
