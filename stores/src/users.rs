//! Traits and types for users, identities, and the audit log.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Millis, StoreError, UserId};

/// A guest who was created within this time may not have tokens yet.
pub(crate) const NEW_GUEST: Millis = 60 * 60 * 1_000;

#[derive(Clone, Debug)]
pub struct Identity {
    pub user: UserId,
    /// The PHC string of a password. An e-mail address without one belongs to a Google account.
    pub secret: Option<String>,
}

/// A Google account that Google has vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoogleAccount {
    /// Google's id, which never changes.
    pub subject: String,
    /// The address in lower case, if Google has verified it.
    pub email: Option<String>,
    pub profile: Profile,
}

/// How a user is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    pub given_name: String,
    pub family_name: String,
    /// A URL.
    pub picture: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An e-mail address and a password.
    Password,
    /// A sender id on the REST channel.
    Channel,
    /// Google's id of an account.
    Google,
    /// Nothing but the tokens: a visitor who chats without an account.
    Guest,
}

impl Provider {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Channel => "channel",
            Self::Google => "google",
            Self::Guest => "guest",
        }
    }
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

    /// Replaces the PHC string of a password. Does nothing if it is no longer `old`.
    async fn set_secret(&self, email: &str, old: &str, new: &str) -> Result<(), StoreError>;

    /// Marks an address as verified, so that a Google account with it joins its user. Returns `false` if nobody has the
    /// address.
    async fn verify_email(&self, email: &str) -> Result<bool, StoreError>;

    /// Ends the password of an address that nobody has verified, and spends the refresh tokens of its user, so that the
    /// address can go to its owner. Returns the families of the tokens. May be called again. Does nothing for a
    /// verified address.
    async fn end_unverified(&self, email: &str) -> Result<Vec<String>, StoreError>;

    /// The user of a Google account, created if there is none. A new account joins the user of its address if that is
    /// verified or has no password, and if that user has no other Google account: a provider may give an address to
    /// somebody else.
    async fn google_user(&self, account: &GoogleAccount, now: Millis) -> Result<UserId, StoreError>;

    /// How a user is shown; empty without a Google account.
    async fn profile(&self, user: UserId) -> Result<Profile, StoreError>;

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

    /// At most `limit` guests whose last log-in has ended long ago, or was logged out: nobody can come back as them.
    async fn expired_guests(&self, limit: u32) -> Result<Vec<UserId>, StoreError>;

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
    /// E-mail address, sender id, or Google's id.
    pub subject: String,
    /// The PHC string of a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether the address is verified.
    #[serde(default)]
    pub verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
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

impl IdentityRecord {
    /// An identity that nobody has verified.
    pub(crate) fn unverified(provider: Provider, subject: String, secret: Option<String>) -> Self {
        Self { provider: provider.as_str().to_owned(), subject, secret, verified: false, profile: None }
    }

    /// The identity of a Google account.
    pub(crate) fn google(account: &GoogleAccount) -> Self {
        let profile = Some(account.profile.clone());
        Self { verified: true, profile, ..Self::unverified(Provider::Google, account.subject.clone(), None) }
    }

    /// The address of a Google account, so that nobody can take it with a password.
    pub(crate) fn address(email: &str) -> Self {
        Self { verified: true, ..Self::unverified(Provider::Password, email.to_owned(), None) }
    }
}

/// A profile as a column holds it.
pub(crate) fn write_profile(profile: &Profile) -> String {
    let Profile { given_name, family_name, picture } = profile;
    serde_json::json!({ "given_name": given_name, "family_name": family_name, "picture": picture }).to_string()
}

/// # Errors
/// When the column holds something else.
pub(crate) fn read_profile(store: &'static str, text: &str) -> Result<Profile, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged(store, format!("a profile cannot be read: {error}")))
}
