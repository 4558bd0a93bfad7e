//! Traits and types for users, identities, refresh tokens, and the audit log.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Millis, StoreError, UserId};

#[derive(Clone, Debug)]
pub struct Identity {
    pub user: UserId,
    /// The PHC string of a password.
    pub secret: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An e-mail address and a password.
    Password,
    /// A sender id on the REST channel.
    Channel,
}

impl Provider {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Channel => "channel",
        }
    }
}

#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Shared by all tokens of one log-in.
    pub family: String,
    pub user: UserId,
    pub expires_at: Millis,
}

/// The result of an attempt to spend a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spending {
    /// The token was valid, or was spent a moment ago; its replacement is stored.
    Spent,
    /// The token was spent before. All tokens of its family are spent now.
    Reused { family: String },
    /// The token is unknown or expired, or its user is being deleted.
    Unknown,
}

#[async_trait]
pub trait UserStore: Send + Sync {
    async fn find_identity(&self, provider: Provider, subject: &str) -> Result<Option<Identity>, StoreError>;

    /// Creates a user with this identity. `None` if the identity exists already, for example from a concurrent request.
    async fn create_user(
        &self,
        provider: Provider,
        subject: &str,
        secret: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError>;

    async fn set_secret(&self, provider: Provider, subject: &str, secret: &str) -> Result<(), StoreError>;

    /// Stores the first refresh token of a family. Returns `false` if the user is deleted or being deleted.
    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<bool, StoreError>;

    /// The user of a refresh token, if it is neither spent nor expired.
    async fn find_refresh_token(&self, hash: &[u8; 32], now: Millis) -> Result<Option<UserId>, StoreError>;

    /// Spends a token and stores its replacement, in one transaction. A token that was spent less than `leeway` ago gets
    /// another replacement, unless its family is revoked: two tabs refresh at the same moment, or an answer is lost.
    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        now: Millis,
        leeway: Millis,
    ) -> Result<Spending, StoreError>;

    /// Whether the user exists and is not being deleted.
    async fn exists(&self, user: UserId) -> Result<bool, StoreError>;

    /// A user with all identities. `None` if the user does not exist or is being deleted.
    async fn user_record(&self, user: UserId) -> Result<Option<UserRecord>, StoreError>;

    /// Creates a user from a record. A second call with the same `source` finds the user of the first call.
    async fn import_user(&self, record: &UserRecord, source: &str) -> Result<Import, StoreError>;

    /// Marks a user as being deleted, removes the identities, and spends the refresh tokens, so that nobody can log in
    /// as the user. Returns the families of the tokens; `None` if the user does not exist. May be called again.
    async fn begin_deletion(&self, user: UserId, now: Millis) -> Result<Option<Vec<String>>, StoreError>;

    /// Removes a user that is being deleted, with its dialogues, and writes the audit entry.
    async fn finish_deletion(&self, user: UserId, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Users that are being deleted.
    async fn unfinished_deletions(&self) -> Result<Vec<UserId>, StoreError>;

    /// Whether the user has the administrator role, so may change the bot.
    async fn is_admin(&self, user: UserId) -> Result<bool, StoreError>;

    /// Grants or revokes the administrator role and writes the audit entry. Returns `false` if the user does not exist.
    async fn set_admin(&self, user: UserId, admin: bool, entry: &AuditEntry) -> Result<bool, StoreError>;

    /// Writes an entry to the audit log. Entries are never changed.
    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Checks that the store can read and write.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A user as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    pub created_at: Millis,
    pub identities: Vec<IdentityRecord>,
}

/// An identity as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// As in [`Provider::as_str`].
    pub provider: String,
    /// E-mail address or sender id.
    pub subject: String,
    /// The PHC string of a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The result of importing a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// The user was created.
    New(UserId),
    /// An earlier run of the same import created the user.
    Resumed(UserId),
    /// An earlier run created the user, and its deletion has begun since.
    Deleting(UserId),
    /// Another user has this identity.
    Taken(IdentityRecord),
}

/// An entry for the audit log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    pub at: Millis,
    /// The acting user, if it was a user.
    pub actor: Option<UserId>,
    /// In the past tense: `user_deleted`.
    pub action: &'static str,
    /// The affected user.
    pub subject: Option<UserId>,
    /// Must hold neither secrets nor texts of users.
    pub detail: Value,
}
