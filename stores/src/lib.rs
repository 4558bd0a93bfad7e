//! What a server keeps, as small traits that know no database, and the backends behind them. A backend is chosen once, at start
//! ([`backend`]); the same story test runs on each (`tests/story.rs`).

#![warn(clippy::unwrap_used)]

pub mod backend;
pub mod breaker;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod contents;
pub mod external;
pub mod memory;
pub mod mongo;
pub mod passing;
pub mod postgres;
pub mod redis;
pub mod secret;
pub mod sqlite;
pub mod turns;
pub mod users;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use passing::*;
pub use turns::*;
pub use users::*;

/// A user. The bot is user 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// A dialogue of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DialogId(pub i64);

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// An idempotency key is free again after this.
pub const KEY_LIFE: Millis = 24 * 60 * 60 * 1000;

/// A store did not answer, or holds what cannot be read. No driver types: what it was is in the text, for the log.
#[derive(Clone, Debug, Error)]
#[error("{store}: {message}")]
pub struct StoreError {
    /// Which part of the system.
    pub store: &'static str,
    /// What happened.
    pub message: String,
    /// The store is away: asking again later may help.
    pub outage: bool,
}

impl StoreError {
    /// The store did not answer.
    pub fn outage(store: &'static str, message: impl Into<String>) -> Self {
        Self { store, message: message.into(), outage: true }
    }

    /// The store answered with what should not be there.
    pub fn damaged(store: &'static str, message: impl Into<String>) -> Self {
        Self { store, message: message.into(), outage: false }
    }
}

/// All stores of a server.
#[derive(Clone)]
pub struct Stores {
    /// Users, identities and refresh tokens.
    pub users: Arc<dyn UserStore>,
    /// Dialogues.
    pub dialogs: Arc<dyn DialogStore>,
    /// Turns, and what handlers keep.
    pub turns: Arc<dyn TurnStore>,
    /// Access tokens.
    pub sessions: Arc<dyn SessionStore>,
    /// What speeds a message up and may vanish at any time.
    pub cache: Arc<dyn TurnCache>,
    /// Rate limits.
    pub limits: Arc<dyn RateLimits>,
    /// Messages between servers.
    pub bus: Arc<dyn Bus>,
    /// Versions of the bot.
    pub catalog: Arc<dyn catalog::CatalogStore>,
}

impl Stores {
    /// Whether all answer without which no user is served: those that keep users and turns.
    ///
    /// # Errors
    /// The first that does not.
    pub async fn ping_needed(&self) -> Result<(), StoreError> {
        let (users, turns) = futures::join!(self.users.ping(), self.turns.ping());
        users.and(turns)
    }

    /// Whether every store answers.
    ///
    /// # Errors
    /// The first that does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let (needed, sessions) = futures::join!(self.ping_needed(), self.sessions.ping());
        needed.and(sessions)
    }
}
