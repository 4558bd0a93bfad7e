//! What a server keeps, as small traits that know no database, and the backends behind them. A backend is chosen once,
//! at start ([`backend`]); the same story test runs on each (`tests/story.rs`).

#![warn(clippy::unwrap_used)]

pub mod backend;
pub mod breaker;
pub mod bus;
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
pub mod reports;
pub mod secret;
pub mod sqlite;
pub mod tokens;
pub mod turns;
pub mod users;
pub mod waiting;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use bus::{Bus, BusEvent, News, Topic};
pub use passing::*;
pub use reports::*;
pub use tokens::*;
pub use turns::*;
pub use users::*;
pub use waiting::*;

/// A user id. User 1 is the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DialogueId(pub i64);

/// Milliseconds since 1970, UTC, or a duration in milliseconds.
pub type Millis = i64;

/// After this time, an idempotency key may be reused.
pub const KEY_LIFE: Millis = 24 * 60 * 60 * 1000;

/// Why a store has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The store is unreachable, so a later retry may succeed.
    Outage,
    /// The store is there, but this server has more to ask than it may at once, or others hold what is needed. A retry
    /// in a moment may succeed.
    Busy,
    /// The store returned invalid data, or refuses the request.
    Damage,
}

/// A store did not respond, or holds unreadable data. Has no driver types: the message describes the cause.
#[derive(Clone, Debug, Error)]
#[error("{store}: {message}")]
pub struct StoreError {
    /// The part of the system that failed.
    pub store: &'static str,
    pub message: String,
    pub trouble: Trouble,
}

impl StoreError {
    pub fn outage(store: &'static str, message: impl Into<String>) -> Self {
        Self { store, message: message.into(), trouble: Trouble::Outage }
    }

    pub fn busy(store: &'static str, message: impl Into<String>) -> Self {
        Self { store, message: message.into(), trouble: Trouble::Busy }
    }

    /// The store returned invalid data.
    pub fn damaged(store: &'static str, message: impl Into<String>) -> Self {
        Self { store, message: message.into(), trouble: Trouble::Damage }
    }

    pub fn is_outage(&self) -> bool {
        self.trouble == Trouble::Outage
    }
}

#[derive(Clone)]
pub struct Stores {
    pub users: Arc<dyn UserStore>,
    pub tokens: Arc<dyn TokenStore>,
    pub dialogues: Arc<dyn DialogueStore>,
    /// Turns, and values that handlers keep.
    pub turns: Arc<dyn TurnStore>,
    /// Those of the turns that wait for an answer from outside.
    pub waiting: Arc<dyn WaitingTurns>,
    /// What consoles read of all turns.
    pub reports: Arc<dyn TurnReports>,
    pub sessions: Arc<dyn SessionStore>,
    /// Speeds up messages; its content may vanish at any time.
    pub cache: Arc<dyn TurnCache>,
    pub limits: Arc<dyn RateLimits>,
    pub bus: Arc<dyn Bus>,
    /// How long after a user or a dialogue was marked as gone a turn that was on its way may still be stored, or a server
    /// may take the user for granted.
    pub late_writes: Duration,
    pub catalog: Arc<dyn catalog::CatalogStore>,
}

impl Stores {
    /// Checks the stores without which the server cannot serve anyone: those of users and turns.
    ///
    /// # Errors
    /// The first one that does not respond.
    pub async fn ping_needed(&self) -> Result<(), StoreError> {
        let (users, turns) = futures::join!(self.users.ping(), self.turns.ping());
        users.and(turns)
    }

    /// Checks every store.
    ///
    /// # Errors
    /// The first one that does not respond.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let (needed, sessions) = futures::join!(self.ping_needed(), self.sessions.ping());
        needed.and(sessions)
    }
}
