//! Accounts: log-in, refresh, and authentication by token.

mod guests;
mod limits;

use std::time::Duration;

use banter_stores::{
    Counter, GoogleAccount, Provider, RefreshToken, Session, Spending, StoreError, Stores, UserId, clock::SharedClock,
};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    config::Config,
    operations::Operation,
    passwords::{PasswordError, Passwords, Verdict},
    tokens::{Claims, Host, LogIn, TokenKind, Tokens, token_hash},
};

pub use guests::GuestRules;
use limits::{AccountLimits, SlowDown};

/// The longest password, in bytes. Hashing a longer one would waste time.
pub const MAX_PASSWORD: usize = 1_024;
/// The longest e-mail address, in bytes (RFC 5321).
const MAX_EMAIL: usize = 254;

/// Why log-in, refresh, or authentication failed.
#[derive(Debug, Error)]
pub enum AccountError {
    #[error("not an e-mail address")]
    Email,
    #[error("the password is empty or too long")]
    Password,
    #[error("wrong password")]
    WrongPassword,
    /// Seconds to wait.
    #[error("too many attempts")]
    TooMany(u64),
    /// Unknown, expired, revoked, spent, or not signed by this server.
    #[error("the token is not valid")]
    Token,
    #[error("the refresh token is not valid")]
    RefreshToken,
    /// A guest of one site asks from another, or guests are not welcome there.
    #[error("no guests from this origin")]
    Origin,
    /// Too many passwords wait to be hashed.
    #[error("too many log-ins at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the user could not be created: {0}")]
    NotCreated(String),
    /// A bug, or damaged data.
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

/// Somebody whose identity is proven.
#[derive(Debug)]
pub enum VerifiedIdentity {
    /// By the password of this address.
    Password { user: UserId, email: String },
    /// By Google.
    Google(GoogleAccount),
    /// Nobody known: a visitor without an account.
    Guest(Host),
}

/// Where a client keeps its tokens, which decides how long they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// A short-lived access token, and a refresh token to replace it.
    Pair,
    /// One token in a cookie, for [`COOKIE_LIFE`].
    Cookie,
}

/// How long a cookie session lasts.
pub const COOKIE_LIFE: Duration = Duration::from_secs(86_400);

/// The tokens issued by a log-in or refresh.
#[derive(Debug)]
pub struct TokenPair {
    pub access: String,
    /// Long-lived; valid for one refresh.
    pub refresh: String,
}

pub struct Accounts {
    stores: Stores,
    tokens: Tokens,
    passwords: Passwords,
    clock: SharedClock,
    access_life: Duration,
    refresh_life: Duration,
    refresh_leeway: Duration,
    limits: AccountLimits,
    slow_down: SlowDown,
    guests: GuestRules,
}

impl Accounts {
    pub fn new(
        stores: Stores,
        tokens: Tokens,
        passwords: Passwords,
        clock: SharedClock,
        config: &Config,
        guests: GuestRules,
    ) -> Self {
        let (limits, config) = (AccountLimits::of(config), &config.auth);
        Self {
            stores,
            tokens,
            passwords,
            clock,
            access_life: Duration::from_secs(u64::from(config.access_minutes) * 60),
            refresh_life: Duration::from_secs(u64::from(config.refresh_days) * 86_400),
            refresh_leeway: Duration::from_secs(config.refresh_leeway.into()),
            limits,
            slow_down: SlowDown::new(Duration::from_secs(config.slow_seconds.into())),
            guests,
        }
    }

    /// Logs in with e-mail and password. An unknown e-mail address creates a user. `address` is the client's, for rate
    /// limits.
    pub async fn log_in(
        &self,
        email: &str,
        password: String,
        address: &str,
        keeping: Keeping,
    ) -> Result<TokenPair, AccountError> {
        let email = parse_email(email).ok_or(AccountError::Email)?;
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Err(AccountError::Password);
        }
        self.limit(&[Counter::per_minute(format!("login:address:{address}"), self.limits.logins_per_address)]).await?;
        let user = self.prove_within_limits(&email, password, address).await?;
        let issued = self.issue(VerifiedIdentity::Password { user, email }, keeping).await;
        // The password was right, and has ended since.
        issued.map_err(|error| if matches!(error, AccountError::Token) { AccountError::WrongPassword } else { error })
    }

    async fn prove(&self, email: &str, password: String) -> Result<UserId, AccountError> {
        let users = &self.stores.users;
        if users.find_identity(Provider::Password, email).await?.is_none() {
            let secret = self.passwords.hash(password.clone()).await?;
            let made = users.create_user(Provider::Password, email, Some(&secret), self.clock.now()).await;
            let made = made.map_err(|error| match error.is_outage() {
                true => AccountError::Store(error),
                false => AccountError::NotCreated(error.to_string()),
            })?;
            if let Some(user) = made {
                tracing::info!(user = user.0, "created a user");
                Operation::UserCreated(user).log();
                return Ok(user);
            }
            // Another request registered the address while we hashed: check against its password.
        }
        let identity = users.find_identity(Provider::Password, email).await?;
        let identity = identity
            .ok_or_else(|| AccountError::NotCreated("its identity could neither be created nor found".to_owned()))?;
        let stored = identity.secret.ok_or(AccountError::WrongPassword)?;
        match self.passwords.verify(password, stored.clone()).await? {
            Verdict::Wrong => Err(AccountError::WrongPassword),
            Verdict::Right => Ok(identity.user),
            Verdict::Rehashed(better) => {
                users.set_secret(email, &stored, &better).await?;
                Ok(identity.user)
            }
        }
    }

    /// Opens a session for somebody whose identity is proven. Every log-in comes through here.
    ///
    /// # Errors
    /// [`AccountError::Token`] if the proof has ended in the meantime: the user is deleted, or the password is.
    pub async fn issue(&self, identity: VerifiedIdentity, keeping: Keeping) -> Result<TokenPair, AccountError> {
        let (user, proven_by, guest_of) = match identity {
            VerifiedIdentity::Password { user, email } => (user, Some(email), None),
            VerifiedIdentity::Google(account) => (self.google_user(&account).await?, None, None),
            VerifiedIdentity::Guest(host) => (self.new_guest().await?, None, Some(host)),
        };
        let log_in = LogIn { user, family: Uuid::new_v4().simple().to_string(), guest_of };
        let (refresh, stored) = self.new_refresh(&log_in, keeping)?;
        if !self.stores.tokens.add_refresh_token(&stored, proven_by.as_deref()).await? {
            return Err(AccountError::Token);
        }
        let access = self.listed_access(&log_in, keeping).await?.ok_or(AccountError::Token)?;
        Operation::LoggedIn(user).log();
        Ok(TokenPair { access, refresh })
    }

    /// The user of a Google account. Whoever took its address with a password and did not verify it loses that password
    /// first, with every session: the account goes to the owner of the address.
    async fn google_user(&self, account: &GoogleAccount) -> Result<UserId, AccountError> {
        let (users, now) = (&self.stores.users, self.clock.now());
        let known = users.find_identity(Provider::Google, &account.subject).await?.is_some();
        if let Some(email) = account.email.as_ref().filter(|_| !known) {
            let families = users.end_unverified(email).await?;
            for family in &families {
                self.stores.sessions.revoke_family(family).await?;
            }
            if !families.is_empty() {
                tracing::warn!("the unverified password of an address has ended: Google knows its owner");
            }
        }
        Ok(users.google_user(account, now).await?)
    }

    /// Ends a log-in, at once and on every server.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn log_out(&self, proven: &LogIn) -> Result<(), AccountError> {
        // First the refresh tokens: a refresh opens a session only if its token is still good afterwards.
        self.stores.tokens.spend_family(&proven.family).await?;
        self.stores.sessions.revoke_family(&proven.family).await?;
        Operation::LoggedOut(proven.user).log();
        Ok(())
    }

    /// Opens a session for a log-in with a stored refresh token; `None` if the log-in has ended in the meantime.
    async fn listed_access(&self, log_in: &LogIn, keeping: Keeping) -> Result<Option<String>, AccountError> {
        let access = self.new_access(log_in, keeping).await?;
        Ok(self.still_lives(log_in).await?.then_some(access))
    }

    /// Whether a log-in goes on after a session of it was listed. Listing reopens a family that was revoked just before.
    async fn still_lives(&self, log_in: &LogIn) -> Result<bool, AccountError> {
        let lives = self.stores.tokens.find_family(&log_in.family).await? == Some(log_in.user);
        if !lives {
            self.stores.sessions.revoke_family(&log_in.family).await?;
        }
        Ok(lives)
    }

    /// Whether an access token is good that the sessions do not know: a store without sessions on disk has started
    /// again, or the cache has lost them. It is, as long as its log-in goes on.
    async fn relist(&self, claims: &Claims, log_in: &LogIn) -> Result<bool, AccountError> {
        let now = self.clock.now();
        if self.stores.tokens.find_family(&log_in.family).await? != Some(log_in.user) {
            return Ok(false);
        }
        let left = u64::try_from(claims.exp * 1_000 - now).unwrap_or(0);
        let session = Session { user: log_in.user, family: log_in.family.clone() };
        self.stores.sessions.put(&claims.jti, session, Duration::from_millis(left)).await?;
        self.still_lives(log_in).await
    }

    /// Spends a refresh token and issues new tokens. A token that was spent a moment ago gets other new tokens: two
    /// tabs refresh at the same moment, or an answer is lost. Later reuse revokes the whole family: either the token or
    /// its successor was stolen.
    ///
    /// `origin` is the site that asks, if a browser tells it; `address` is the client's, for rate limits.
    ///
    /// # Errors
    /// [`AccountError::RefreshToken`] if the token is not valid, [`AccountError::Origin`], [`AccountError::TooMany`].
    pub async fn refresh(&self, token: &str, origin: Option<&str>, address: &str) -> Result<TokenPair, AccountError> {
        self.limit(&[Counter::per_minute(format!("refresh:address:{address}"), self.limits.refreshes_per_address)])
            .await?;
        let claims = self.tokens.read(token, self.clock.now()).filter(|claims| claims.typ == TokenKind::Refresh);
        let claims = claims.ok_or(AccountError::RefreshToken)?;
        let log_in = claims.log_in().ok_or(AccountError::RefreshToken)?;
        self.check_origin(&log_in, origin)?;
        let family = format!("refresh:family:{}", log_in.family);
        self.limit(&[Counter::per_minute(family, self.limits.refreshes_per_log_in)]).await?;
        let (user, (refresh, stored)) = (log_in.user, self.new_refresh(&log_in, Keeping::Pair)?);
        // Listing a session reopens its family, which may be revoked; so spend the token first.
        match self.stores.tokens.spend_refresh_token(&token_hash(token), &stored, self.refresh_leeway).await? {
            Spending::Spent => {
                let access = self.listed_access(&log_in, Keeping::Pair).await?.ok_or(AccountError::RefreshToken)?;
                Operation::TokensRefreshed(user).log();
                Ok(TokenPair { access, refresh })
            }
            Spending::Unknown => Err(AccountError::RefreshToken),
            Spending::Reused => {
                tracing::warn!(user = user.0, "a spent refresh token was reused; its family is revoked");
                self.stores.sessions.revoke_family(&log_in.family).await?;
                Err(AccountError::RefreshToken)
            }
        }
    }

    /// The user of an access or refresh token.
    ///
    /// # Errors
    /// [`AccountError::Token`] for a token that is unknown, expired, revoked, spent, or signed by another party.
    pub async fn authenticate(&self, token: &str) -> Result<LogIn, AccountError> {
        let proven = self.check_token(token).await;
        match &proven {
            Ok(proven) => Operation::TokenAccepted(proven.user).log(),
            Err(AccountError::Token) => Operation::TokenRefused.log(),
            Err(_) => {}
        }
        proven
    }

    async fn check_token(&self, token: &str) -> Result<LogIn, AccountError> {
        let now = self.clock.now();
        let claims = self.tokens.read(token, now).ok_or(AccountError::Token)?;
        let log_in = claims.log_in().ok_or(AccountError::Token)?;
        let user = log_in.user;
        let Claims { typ, jti, .. } = &claims;
        let alive = match typ {
            TokenKind::Access => {
                let session = Session { user, family: log_in.family.clone() };
                self.stores.sessions.is_alive(jti, &session).await? || self.relist(&claims, &log_in).await?
            }
            TokenKind::Refresh => self.stores.tokens.find_refresh_token(&token_hash(token)).await? == Some(user),
        };
        if alive { Ok(log_in) } else { Err(AccountError::Token) }
    }

    /// Whether the user is an administrator.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn is_admin(&self, user: UserId) -> Result<bool, AccountError> {
        Ok(self.stores.users.is_admin(user).await?)
    }

    /// The user of a sender id on the REST channel, created if there is none. `client` names who asks, for rate limits.
    ///
    /// # Errors
    /// [`AccountError::TooMany`] if the client has created too many, [`AccountError::Store`].
    pub async fn channel_user(&self, sender: &str, client: &str) -> Result<UserId, AccountError> {
        let users = &self.stores.users;
        if let Some(identity) = users.find_identity(Provider::Channel, sender).await? {
            return Ok(identity.user);
        }
        self.limit(&[Counter::per_minute(format!("channel:new:{client}"), self.limits.new_senders)]).await?;
        if let Some(user) = users.create_user(Provider::Channel, sender, None, self.clock.now()).await? {
            return Ok(user);
        }
        let identity = users.find_identity(Provider::Channel, sender).await?;
        identity
            .map(|found| found.user)
            .ok_or_else(|| AccountError::NotCreated("its identity could neither be created nor found".to_owned()))
    }

    /// How long access and refresh tokens live.
    fn lives(&self, keeping: Keeping) -> (Duration, Duration) {
        match keeping {
            Keeping::Pair => (self.access_life, self.refresh_life),
            Keeping::Cookie => (COOKIE_LIFE, COOKIE_LIFE),
        }
    }

    async fn new_access(&self, log_in: &LogIn, keeping: Keeping) -> Result<String, AccountError> {
        let life = self.lives(keeping).0;
        let (token, claims) = self
            .tokens
            .issue(TokenKind::Access, log_in, self.clock.now(), life)
            .map_err(|error| AccountError::Internal(format!("the token could not be signed: {error}")))?;
        let session = Session { user: log_in.user, family: log_in.family.clone() };
        self.stores.sessions.put(&claims.jti, session, life).await?;
        Ok(token)
    }

    fn new_refresh(&self, log_in: &LogIn, keeping: Keeping) -> Result<(String, RefreshToken), AccountError> {
        let life = self.lives(keeping).1;
        let (token, _) = self
            .tokens
            .issue(TokenKind::Refresh, log_in, self.clock.now(), life)
            .map_err(|error| AccountError::Internal(format!("the token could not be signed: {error}")))?;
        let LogIn { user, family, .. } = log_in.clone();
        let stored = RefreshToken { hash: token_hash(&token), family, user, life };
        Ok((token, stored))
    }
}

/// The address in lower case; `None` if it is not valid or has a display name.
fn parse_email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let bare = email_address::Options::default().without_display_text();
    let valid = email.len() <= MAX_EMAIL && email_address::EmailAddress::parse_with_options(&email, bare).is_ok();
    valid.then_some(email)
}
