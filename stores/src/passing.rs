//! What need not outlive a restart: sessions, caches, counters, and what servers tell each other.

use async_trait::async_trait;

use super::{DialogId, LastTurn, StoreError, StoredAnswer, UserId};

/// An access token that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: UserId,
    /// The log-in that it came of.
    pub family: String,
}

/// Access tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Lists a token by its id, for the life of access tokens.
    async fn put(&self, token: &str, session: Session) -> Result<(), StoreError>;

    /// Whether the token is alive and belongs to this session.
    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError>;

    /// Ends all sessions of a family.
    async fn revoke_family(&self, family: &str) -> Result<(), StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What a cache remembers for a message. It may be out of date: the place of the turn in its dialogue tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalled {
    /// The end of the dialogue that the user spoke in last.
    pub last: Option<(DialogId, LastTurn)>,
    /// The answer that the idempotency key has had.
    pub answer: Option<StoredAnswer>,
}

/// What one turn leaves for the next, on whichever server.
#[derive(Clone, Debug)]
pub struct Remembered<'a> {
    /// Whose turn.
    pub user: UserId,
    /// Where.
    pub dialog: DialogId,
    /// The end of the dialogue after it.
    pub last: &'a LastTurn,
    /// The idempotency key and the answer to it.
    pub answer: Option<(&'a str, StoredAnswer)>,
}

/// Shared by all servers and allowed to vanish: nothing of it is needed to answer rightly.
#[async_trait]
pub trait TurnCache: Send + Sync {
    /// What is remembered for a message.
    async fn recall(&self, user: UserId, key: Option<&str>) -> Recalled;

    /// Called when a turn is stored.
    async fn remember(&self, turn: Remembered<'_>);

    /// Forgets all of a user.
    async fn forget(&self, user: UserId) -> Result<(), StoreError>;
}

/// Rate limits.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Counts an event; the seconds to wait when there were more than `limit` within the last minute's window.
    async fn hit(&self, key: &str, limit: u32) -> Result<Option<u64>, StoreError>;
}

/// What comes over the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A message that some server has published, this one perhaps.
    Message {
        /// What it is about.
        topic: String,
        /// What it says.
        text: String,
    },
    /// The connection was lost and is there again: messages may have been missed.
    Reconnected,
}

/// The topic of users that are gone; the text is the id.
pub const USER_GONE: &str = "user-gone";

/// Messages between servers. They may be lost while the connection is.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Tells all servers, this one too. A topic is one word.
    async fn publish(&self, topic: &str, text: &str) -> Result<(), StoreError>;

    /// What comes from now on. A receiver that is slow misses the oldest events, and is told so.
    fn subscribe(&self) -> tokio::sync::broadcast::Receiver<BusEvent>;
}
