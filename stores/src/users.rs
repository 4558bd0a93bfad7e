//! Users, how they prove who they are, and what was done to them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Millis, StoreError, UserId};

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
