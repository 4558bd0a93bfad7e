//! Who is who: log-in, refresh, and the proof that a token is alive.

use banter_stores::{
    Millis, Provider, RefreshToken, Session, Spending, StoreError, Stores, UserId, clock::SharedClock,
};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    config::AuthConfig,
    passwords::{PasswordError, Passwords, Verdict},
    tokens::{TokenKind, Tokens, token_hash},
};

/// Bytes of a password at the most: hashing a longer one is work for nothing.
pub const MAX_PASSWORD: usize = 1_024;
/// Bytes of an e-mail address at the most (RFC 5321).
const MAX_EMAIL: usize = 254;

/// Why nobody was let in.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Not an e-mail address.
    #[error("not an e-mail address")]
    Email,
    /// Empty or too long.
    #[error("the password is empty or too long")]
    Password,
    /// Another password.
    #[error("wrong password")]
    WrongPassword,
    /// Too many tries; wait so many seconds.
    #[error("too many tries")]
    TooMany(u64),
    /// The token is not good.
    #[error("the token is not good")]
    Token,
    /// The refresh token is not good.
    #[error("the refresh token is not good")]
    RefreshToken,
    /// Too many hashes wait.
    #[error("too many log-ins at once")]
    Busy,
    /// A store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A new user could not be stored.
    #[error("the user could not be created: {0}")]
    NotCreated(String),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl From<PasswordError> for AccountError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Failed(message) => Self::Internal(message),
        }
    }
}

/// Both tokens of a log-in.
#[derive(Debug)]
pub struct TokenPair {
    /// Short-lived.
    pub access: String,
    /// Long-lived, good for one refresh.
    pub refresh: String,
}

/// Log-in and tokens.
pub struct Accounts {
    stores: Stores,
    tokens: Tokens,
    passwords: Passwords,
    clock: SharedClock,
    access_life: Millis,
    refresh_life: Millis,
    logins_per_email: u32,
    logins_per_address: u32,
}

impl Accounts {
    /// Accounts over these stores.
    pub fn new(stores: Stores, tokens: Tokens, passwords: Passwords, clock: SharedClock, config: &AuthConfig) -> Self {
        Self {
            stores,
            tokens,
            passwords,
            clock,
            access_life: Millis::from(config.access_minutes) * 60_000,
            refresh_life: Millis::from(config.refresh_days) * 86_400_000,
            logins_per_email: config.logins_per_email,
            logins_per_address: config.logins_per_address,
        }
    }

    /// Logs in with e-mail and password; an unknown address is a new user.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn log_in(&self, email: &str, password: String, address: &str) -> Result<TokenPair, AccountError> {
        let email = parse_email(email).ok_or(AccountError::Email)?;
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Err(AccountError::Password);
        }
        for (key, limit) in [
            (format!("login:address:{address}"), self.logins_per_address),
            (format!("login:email:{email}"), self.logins_per_email),
        ] {
            if let Some(seconds) = self.stores.limits.hit(&key, limit).await? {
                return Err(AccountError::TooMany(seconds));
            }
        }
        let user = self.prove(&email, password).await?;
        self.issue(user, &Uuid::new_v4().simple().to_string()).await
    }

    async fn prove(&self, email: &str, password: String) -> Result<UserId, AccountError> {
        let users = &self.stores.users;
        if users.find_identity(Provider::Password, email).await?.is_none() {
            let secret = self.passwords.hash(password.clone()).await?;
            let made = users.create_user(Provider::Password, email, Some(&secret), self.clock.now()).await;
            let made = made.map_err(|error| match error.outage {
                true => AccountError::Store(error),
                false => AccountError::NotCreated(error.to_string()),
            })?;
            if let Some(user) = made {
                tracing::info!(user = user.0, "a new user");
                return Ok(user);
            }
            // Somebody registered the address while the hash was made: theirs is the password that counts.
        }
        let identity = users.find_identity(Provider::Password, email).await?;
        let identity = identity.ok_or_else(|| AccountError::NotCreated("it is neither new nor known".to_owned()))?;
        let stored = identity.secret.ok_or(AccountError::WrongPassword)?;
        match self.passwords.verify(password, stored).await? {
            Verdict::Wrong => Err(AccountError::WrongPassword),
            Verdict::Right => Ok(identity.user),
            Verdict::Rehashed(better) => {
                users.set_secret(Provider::Password, email, &better).await?;
                Ok(identity.user)
            }
        }
    }

    async fn issue(&self, user: UserId, family: &str) -> Result<TokenPair, AccountError> {
        let (refresh, stored) = self.new_refresh(user, family)?;
        let users = &self.stores.users;
        if !users.add_refresh_token(&stored).await? {
            return Err(AccountError::WrongPassword);
        }
        let access = self.listed_access(&stored).await?.ok_or(AccountError::WrongPassword)?;
        Ok(TokenPair { access, refresh })
    }

    /// A session for the family of a stored refresh token; `None` when a revocation or a deletion has ended the family meanwhile.
    async fn listed_access(&self, refresh: &RefreshToken) -> Result<Option<String>, AccountError> {
        let access = self.new_access(refresh.user, &refresh.family).await?;
        if self.stores.users.find_refresh_token(&refresh.hash, self.clock.now()).await?.is_none() {
            self.stores.sessions.revoke_family(&refresh.family).await?;
            return Ok(None);
        }
        Ok(Some(access))
    }

    /// Spends a refresh token. One that was spent before ends its whole family: it was stolen, or its successor was.
    ///
    /// # Errors
    /// [`AccountError::RefreshToken`] when it is not good.
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, AccountError> {
        let claims = self.tokens.read(token, self.clock.now()).filter(|claims| claims.typ == TokenKind::Refresh);
        let claims = claims.ok_or(AccountError::RefreshToken)?;
        let user = claims.user().ok_or(AccountError::RefreshToken)?;
        let (refresh, stored) = self.new_refresh(user, &claims.fam)?;
        // A session opens its family again, so none is listed before the token is spent: the family may be revoked.
        match self.stores.users.spend_refresh_token(&token_hash(token), &stored, self.clock.now()).await? {
            Spending::Spent => {
                let access = self.listed_access(&stored).await?.ok_or(AccountError::RefreshToken)?;
                Ok(TokenPair { access, refresh })
            }
            Spending::Unknown => Err(AccountError::RefreshToken),
            Spending::Reused { family } => {
                tracing::warn!(user = user.0, "a spent refresh token came again; its family is revoked");
                self.stores.sessions.revoke_family(&family).await?;
                Err(AccountError::RefreshToken)
            }
        }
    }

    /// The user whom an access or refresh token proves.
    ///
    /// # Errors
    /// [`AccountError::Token`] for a token that is unknown, expired, revoked, spent, or signed by somebody else.
    pub async fn authenticate(&self, token: &str) -> Result<UserId, AccountError> {
        let now = self.clock.now();
        let claims = self.tokens.read(token, now).ok_or(AccountError::Token)?;
        let user = claims.user().ok_or(AccountError::Token)?;
        let alive = match claims.typ {
            TokenKind::Access => {
                let session = Session { user, family: claims.fam };
                self.stores.sessions.is_alive(&claims.jti, &session).await?
            }
            TokenKind::Refresh => self.stores.users.find_refresh_token(&token_hash(token), now).await? == Some(user),
        };
        if alive { Ok(user) } else { Err(AccountError::Token) }
    }

    /// Whether the user is an administrator.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn is_admin(&self, user: UserId) -> Result<bool, AccountError> {
        Ok(self.stores.users.is_admin(user).await?)
    }

    /// The user behind a sender's id of the REST channel, made when there is none.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn channel_user(&self, sender: &str) -> Result<UserId, AccountError> {
        let users = &self.stores.users;
        if let Some(identity) = users.find_identity(Provider::Channel, sender).await? {
            return Ok(identity.user);
        }
        if let Some(user) = users.create_user(Provider::Channel, sender, None, self.clock.now()).await? {
            return Ok(user);
        }
        let identity = users.find_identity(Provider::Channel, sender).await?;
        identity
            .map(|found| found.user)
            .ok_or_else(|| AccountError::NotCreated("it is neither new nor known".to_owned()))
    }

    async fn new_access(&self, user: UserId, family: &str) -> Result<String, AccountError> {
        let (token, claims) = self
            .tokens
            .issue(TokenKind::Access, user, family, self.clock.now(), self.access_life)
            .ok_or_else(|| AccountError::Internal("the token could not be signed".to_owned()))?;
        self.stores.sessions.put(&claims.jti, Session { user, family: family.to_owned() }).await?;
        Ok(token)
    }

    fn new_refresh(&self, user: UserId, family: &str) -> Result<(String, RefreshToken), AccountError> {
        let (token, claims) = self
            .tokens
            .issue(TokenKind::Refresh, user, family, self.clock.now(), self.refresh_life)
            .ok_or_else(|| AccountError::Internal("the token could not be signed".to_owned()))?;
        let stored =
            RefreshToken { hash: token_hash(&token), family: family.to_owned(), user, expires_at: claims.exp * 1000 };
        Ok((token, stored))
    }
}

/// The address in lower case, if it is one, and nothing but one: no name before it.
fn parse_email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let bare = email_address::Options::default().without_display_text();
    let valid = email.len() <= MAX_EMAIL && email_address::EmailAddress::parse_with_options(&email, bare).is_ok();
    valid.then_some(email)
}
