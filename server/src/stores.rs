//! What the server keeps, as small traits that know no database. A backend is chosen once, at start; the same story test runs
//! on each (`tests/stores.rs`).

pub mod breaker;
pub mod catalog;
pub mod external;
pub mod memory;
pub mod mongo;
pub mod postgres;
pub mod redis;
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
    /// It had been spent before: its whole family counts as spent now.
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

    /// Stores the first refresh token of a family; `false` when the user is gone or going.
    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<bool, StoreError>;

    /// The user of a refresh token that is neither spent nor expired.
    async fn find_refresh_token(&self, hash: &[u8; 32], now: Millis) -> Result<Option<UserId>, StoreError>;

    /// Spends a token and stores its replacement, in one transaction.
    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        now: Millis,
    ) -> Result<Spending, StoreError>;

    /// Whether there is such a user whose deletion has not begun.
    async fn exists(&self, user: UserId) -> Result<bool, StoreError>;

    /// A user with all identities; `None` when there is none, or it is being deleted.
    async fn user_record(&self, user: UserId) -> Result<Option<UserRecord>, StoreError>;

    /// Makes a user from a record; a second call with the same `source` finds the user of the first.
    async fn import_user(&self, record: &UserRecord, source: &str) -> Result<Import, StoreError>;

    /// Takes the identities and refresh tokens of a user away, so that nobody logs in any more, and marks it as one whose
    /// deletion has begun. The families of its log-ins; `None` when there is no such user. May be called again.
    async fn begin_deletion(&self, user: UserId, now: Millis) -> Result<Option<Vec<String>>, StoreError>;

    /// Removes a user whose deletion has begun, with its dialogues, and writes the line that says so.
    async fn finish_deletion(&self, user: UserId, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Users whose deletion has begun and not ended.
    async fn unfinished_deletions(&self) -> Result<Vec<UserId>, StoreError>;

    /// Whether the user may change the bot.
    async fn is_admin(&self, user: UserId) -> Result<bool, StoreError>;

    /// Lets a user change the bot, or no longer, and writes the line that says so; `false` when there is no such user.
    async fn set_admin(&self, user: UserId, admin: bool, entry: &AuditEntry) -> Result<bool, StoreError>;

    /// Writes a line that is never changed again.
    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Whether the store reads and writes.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A user as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// When it was made.
    pub created_at: Millis,
    /// How the user proves who they are.
    pub identities: Vec<IdentityRecord>,
}

/// An identity as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// As of [`Provider::as_str`].
    pub provider: String,
    /// E-mail address or sender's id.
    pub subject: String,
    /// A PHC string, for passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// A new user.
    New(UserId),
    /// An earlier run of the same import made it.
    Resumed(UserId),
    /// An earlier run made it, and its deletion has begun since.
    Deleting(UserId),
    /// Somebody else has this identity.
    Taken(IdentityRecord),
}

/// Who did what to whom.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: Millis,
    /// The user, if a user did it.
    pub actor: Option<UserId>,
    /// In the past tense: `user_deleted`.
    pub action: &'static str,
    /// To whom.
    pub subject: Option<UserId>,
    /// No secrets and no texts of users.
    pub detail: Value,
}

/// Dialogues.
#[async_trait]
pub trait DialogStore: Send + Sync {
    /// The user's own default dialogue, made when there is none; `None` when the user is gone.
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<Option<DialogId>, StoreError>;

    /// Whose dialogue it is, or `None` when there is none.
    async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError>;

    /// A user's dialogues by id.
    async fn of_user(&self, user: UserId) -> Result<Vec<DialogRecord>, StoreError>;

    /// Makes a dialogue from a record; a second call with the same record finds that of the first.
    async fn import_dialog(&self, user: UserId, record: &DialogRecord) -> Result<DialogId, StoreError>;
}

/// A dialogue as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogRecord {
    /// Its id where it was exported.
    pub id: DialogId,
    /// Given by the user.
    pub name: String,
    /// The one for messages that name none.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Millis,
}

/// One turn to be stored: one write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The client's key for repeats, and the hash of its request. It is of no use to anybody else.
    #[serde(skip)]
    pub idempotency: Option<(String, [u8; 32])>,
    /// Values that handlers keep for the user.
    #[serde(skip)]
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
    /// The user is gone. Only a store that keeps users too can tell.
    Gone,
}

/// Resolves when the fate of a submitted turn is durable.
pub type Receipt = BoxFuture<'static, Result<Appended, StoreError>>;

/// The end of a dialogue, as the next turn needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastTurn {
    /// 0 for a dialogue without turns.
    pub seq: i64,
    /// The state after it.
    pub state: DialogueState,
}

/// A stored answer to a request that comes again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// on it may follow at once, and fails with it if it fails. The receipt tells when it is durable; it is awaited or dropped, and what
    /// is handed in later may wait until then.
    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError>;

    /// The answer that a user's idempotency key has had since a time.
    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError>;

    /// A user's messages, oldest first.
    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError>;

    /// A value that a handler has kept.
    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError>;

    /// All values that handlers have kept for a user.
    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError>;

    /// A user's turns in the order in which they were stored, after the one with this id, so many at the most.
    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError>;

    /// What users have said since, outside forms, the newest first and each once, so many messages looked at at the most.
    async fn utterances(&self, since: Millis, limit: u32) -> Result<Vec<String>, StoreError>;

    /// Removes some of a user's turns, and at the end what handlers have kept; `false` when nothing was left to remove.
    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError>;

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

/// What a token is shown for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A message with this idempotency key. Storing its turn tells whether the user is still there.
    Turn(Option<&'a str>),
    /// Anything else.
    Other,
}

/// Access tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Lists a token by its id, for the life of access tokens.
    async fn put(&self, token: &str, session: Session) -> Result<(), StoreError>;

    /// Whether the token is alive and of this session, and, in the same round trip, what the cache remembers for a message of
    /// its user; nothing of it for a token that is not.
    async fn open(
        &self,
        token: &str,
        session: &Session,
        purpose: Purpose<'_>,
    ) -> Result<(bool, Option<Recalled>), StoreError>;

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
