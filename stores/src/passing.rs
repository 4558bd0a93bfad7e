//! Traits for data that need not survive a restart: sessions, caches and counters.

use std::time::Duration;

use async_trait::async_trait;

use super::{DialogueId, LastTurn, StoreError, StoredAnswer, UserId};

/// The session of a valid access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: UserId,
    /// The log-in that it came from.
    pub family: String,
}

/// Access tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a session by its token id, for `life`.
    async fn put(&self, token: &str, session: Session, life: Duration) -> Result<(), StoreError>;

    /// Whether the token is alive and belongs to this session.
    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError>;

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError>;

    /// Checks that the store responds.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What the cache holds for a message. It may be stale; storing the turn detects that by its number in the dialogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalled {
    /// The last turn of the user's most recent dialogue.
    pub last: Option<(DialogueId, LastTurn)>,
    /// The stored answer for the idempotency key.
    pub answer: Option<StoredAnswer>,
}

/// What a turn leaves in the cache for the next turn, on any server.
#[derive(Clone, Debug)]
pub struct Remembered<'a> {
    pub user: UserId,
    pub dialogue: DialogueId,
    /// The dialogue's last turn: this one.
    pub last: &'a LastTurn,
    pub answer: Option<(&'a str, StoredAnswer)>,
}

/// A cache shared by all servers. Its content may vanish at any time; correct answers never depend on it.
#[async_trait]
pub trait TurnCache: Send + Sync {
    /// What the cache holds for a message; empty if it does not respond.
    async fn recall(&self, user: UserId, key: Option<&str>) -> Recalled;

    /// Call this when a turn is stored. Also publishes [`News::TurnStored`](crate::News) on the bus, in the same round
    /// trip.
    async fn remember(&self, turn: Remembered<'_>);

    /// Removes the answers to these idempotency keys of a user, and the user's last turn.
    async fn forget_answers(&self, user: UserId, keys: &[String]) -> Result<(), StoreError>;

    /// Removes everything about a user.
    async fn forget(&self, user: UserId) -> Result<(), StoreError>;
}

/// Counts events of one kind in a window that begins with the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub key: String,
    /// Events that a window may have.
    pub limit: u32,
    pub window: Duration,
}

impl Counter {
    pub fn per_minute(key: impl Into<String>, limit: u32) -> Self {
        Self { key: key.into(), limit, window: Duration::from_secs(60) }
    }

    pub fn per_day(key: impl Into<String>, limit: u32) -> Self {
        Self { key: key.into(), limit, window: Duration::from_secs(24 * 60 * 60) }
    }
}

#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Counts an event with each counter in turn, in one round trip, and stops at the first whose window has more events
    /// than its limit. Returns the seconds to wait for that window's end.
    async fn hit(&self, counters: &[Counter]) -> Result<Option<u64>, StoreError>;

    /// Takes back an event that was counted and should not count.
    async fn take_back(&self, key: &str) -> Result<(), StoreError>;

    /// Whether the current window of a key has an event.
    async fn has_event(&self, key: &str) -> Result<bool, StoreError>;
}
