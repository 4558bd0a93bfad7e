//! A message as it comes in, its answer, and why there is none.

use std::time::Instant;

use banter_engine::turn::Output;
use thiserror::Error;

use crate::stores::{DialogId, Recalled, StoreError, StoredAnswer, UserId};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ConversationError {
    /// Empty or too long.
    #[error("the text is empty or too long")]
    Text,
    /// Somebody else's dialogue, or none.
    #[error("not this user's dialogue")]
    ForeignDialog,
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
    /// Who.
    pub user: UserId,
    /// Where; the default dialogue without it.
    pub dialog: Option<DialogId>,
    /// What.
    pub text: String,
    /// A key for repeats, and the hash of the request.
    pub idempotency: Option<(String, [u8; 32])>,
    /// What the cache remembers, when it has been asked already.
    pub recalled: Option<Recalled>,
    /// When it was known that the user is there.
    pub proved: Instant,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply as one text.
    pub response: String,
    /// What was said and shown.
    pub outputs: Vec<Output>,
}

/// What a request that comes again is told.
///
/// # Errors
/// When it is another one, or its answer cannot be read.
pub fn again(stored: StoredAnswer, hash: &[u8; 32]) -> Result<Answer, ConversationError> {
    if stored.request_hash != *hash {
        return Err(ConversationError::KeyMismatch);
    }
    let outputs = serde_json::from_value(stored.outputs)
        .map_err(|error| ConversationError::Internal(format!("stored outputs cannot be read: {error}")))?;
    Ok(Answer { response: stored.response, outputs })
}
