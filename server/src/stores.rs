//! What the server keeps, as small traits that know no database. A backend is chosen once, at start; the same story test runs
//! on each (`tests/stores.rs`).

pub mod memory;
pub mod sqlite;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use banter_engine::state::DialogueState;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

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
    /// Rate limits.
    pub limits: Arc<dyn RateLimits>,
}

/// How a user proves who they are.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose it is.
    pub user: UserId,
    /// A PHC string, for passwords.
    pub secret: Option<String>,
}

/// A kind of identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An e-mail address and a password.
    Password,
    /// The sender's id on Rasa's REST channel.
    Channel,
}

impl Provider {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Channel => "channel",
        }
    }
}

/// A refresh token as it is stored.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// All tokens that came of one log-in.
    pub family: String,
    /// Whose it is.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Millis,
}

/// What became of an attempt to spend a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spending {
    /// It was good; its replacement is stored.
    Spent,
    /// It had been spent before: its whole family is gone now.
    Reused {
        /// The family.
        family: String,
    },
    /// It is not known, revoked or expired.
    Unknown,
}

/// Users, identities and refresh tokens.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The identity of a provider and subject.
    async fn find_identity(&self, provider: Provider, subject: &str) -> Result<Option<Identity>, StoreError>;

    /// A new user with this identity; `None` when the identity exists already, made by somebody who was faster.
    async fn create_user(
        &self,
        provider: Provider,
        subject: &str,
        secret: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError>;

    /// Replaces the secret of an identity.
    async fn set_secret(&self, provider: Provider, subject: &str, secret: &str) -> Result<(), StoreError>;

    /// Stores the first refresh token of a family.
    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<(), StoreError>;

    /// The user of a refresh token that is neither spent nor expired.
    async fn find_refresh_token(&self, hash: &[u8; 32], now: Millis) -> Result<Option<UserId>, StoreError>;

    /// Spends a token and stores its replacement, in one transaction.
    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        now: Millis,
    ) -> Result<Spending, StoreError>;
}

/// Dialogues.
#[async_trait]
pub trait DialogStore: Send + Sync {
    /// The user's own default dialogue, made when there is none.
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<DialogId, StoreError>;

    /// Whose dialogue it is, or `None` when there is none.
    async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError>;
}

/// One turn to be stored: one write.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// 24 hex digits.
    pub id: String,
    /// The dialogue.
    pub dialog: DialogId,
    /// The user.
    pub user: UserId,
    /// 1 for the first turn of a dialogue; no holes.
    pub seq: i64,
    /// When it was made.
    pub created_at: Millis,
    /// What the user sent.
    pub text: String,
    /// The reply as one text.
    pub response: String,
    /// Type, intent, confidence, entities, catalogue version, latency.
    pub classification: Value,
    /// What was said and shown.
    pub outputs: Value,
    /// The state after the turn.
    pub state: DialogueState,
    /// The client's key for repeats, and the hash of its request.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Values that handlers keep for the user.
    pub kept: BTreeMap<String, Value>,
}

/// What became of a submitted turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored, durably.
    Stored,
    /// Another turn has this place; reload the state and run again.
    Conflict,
    /// A turn with this idempotency key exists.
    Duplicate,
}

/// Resolves when the fate of a submitted turn is durable.
pub type Receipt = BoxFuture<'static, Result<Appended, StoreError>>;

/// The end of a dialogue, as the next turn needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastTurn {
    /// 0 for a dialogue without turns.
    pub seq: i64,
    /// The state after it.
    pub state: DialogueState,
}

/// A stored answer to a request that comes again.
#[derive(Clone, Debug)]
pub struct StoredAnswer {
    /// The hash of the first request.
    pub request_hash: [u8; 32],
    /// The reply as one text.
    pub response: String,
    /// What was said and shown.
    pub outputs: Value,
}

/// One message and its reply, for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// 24 hex digits.
    pub id: String,
    /// What the user sent.
    pub text: String,
    /// The reply.
    pub response: String,
}

/// Which part of a history.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Only this dialogue.
    pub dialog: Option<DialogId>,
    /// The newest so many.
    pub limit: Option<i64>,
    /// Only what is older than this message.
    pub before: Option<String>,
}

/// Turns, and what handlers keep for users.
#[async_trait]
pub trait TurnStore: Send + Sync {
    /// The end of a dialogue.
    async fn last(&self, dialog: DialogId) -> Result<LastTurn, StoreError>;

    /// Hands a turn in. When this returns, the turn's place in the order of writes is fixed: a later submission that builds
    /// on it may follow at once, and fails with it if it fails. The receipt tells when it is durable.
    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError>;

    /// The answer that a user's idempotency key has had since a time.
    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError>;

    /// A user's messages, oldest first.
    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError>;

    /// A value that a handler has kept.
    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError>;

    /// Whether the store reads and writes.
    async fn ping(&self) -> Result<(), StoreError>;
}

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

    /// The session of a token.
    async fn get(&self, token: &str) -> Result<Option<Session>, StoreError>;

    /// Ends all sessions of a family.
    async fn revoke_family(&self, family: &str) -> Result<(), StoreError>;
}

/// Rate limits.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Counts an event; the seconds to wait when there were more than `limit` within the last minute's window.
    async fn hit(&self, key: &str, limit: u32) -> Result<Option<u64>, StoreError>;
}
