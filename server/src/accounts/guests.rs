//! Guests: visitors without credentials, of this server's own page or of a site that shows the widget.

use banter_stores::{Counter, Provider, UserId};
use uuid::Uuid;

use super::{AccountError, Accounts, Keeping, TokenPair, VerifiedIdentity};
use crate::{
    config::{GuestsConfig, Rules},
    operations::Operation,
    tokens::{Host, LogIn},
};

/// Where visitors may chat without an account, and how much.
pub struct GuestRules {
    pub(super) limits: GuestsConfig,
    /// Whether this server's own page has guests.
    on_page: bool,
}

impl GuestRules {
    /// The own page has guests in `dev` only: there, nobody needs to sign in to try the bot.
    pub fn of(limits: &GuestsConfig, rules: Rules) -> Self {
        Self { limits: limits.clone(), on_page: rules == Rules::Dev }
    }

    /// Whether this server's own page has guests.
    pub fn on_page(&self) -> bool {
        self.on_page
    }

    /// Whether visitors of this site may chat through the widget.
    pub fn allow(&self, origin: &str) -> bool {
        self.limits.origins.iter().any(|allowed| allowed == origin)
    }

    fn welcome(&self, host: &Host) -> bool {
        match host {
            Host::Page => self.on_page,
            Host::Site(origin) => self.allow(origin),
        }
    }
}

impl Accounts {
    /// Where visitors may chat without an account.
    pub fn guests(&self) -> &GuestRules {
        &self.guests
    }

    /// Opens an account for a visitor without credentials. `address` is the client's, for rate limits.
    ///
    /// # Errors
    /// [`AccountError::Origin`], [`AccountError::TooMany`], [`AccountError::Store`].
    pub async fn welcome(&self, host: Host, address: &str, keeping: Keeping) -> Result<TokenPair, AccountError> {
        if !self.guests.welcome(&host) {
            return Err(AccountError::Origin);
        }
        self.limit(&[Counter::per_minute(format!("guest:address:{address}"), self.guests.limits.per_address)]).await?;
        self.issue(VerifiedIdentity::Guest(host), keeping).await
    }

    pub(super) async fn new_guest(&self) -> Result<UserId, AccountError> {
        let subject = Uuid::new_v4().simple().to_string();
        let made = self.stores.users.create_user(Provider::Guest, &subject, None, self.clock.now()).await?;
        let user = made.ok_or_else(|| AccountError::NotCreated("two guests drew the same number".to_owned()))?;
        Operation::UserCreated(user).log();
        Ok(user)
    }

    /// Whether a guest asks from the site that the account belongs to, and that site still has guests.
    ///
    /// # Errors
    /// [`AccountError::Origin`].
    pub fn check_origin(&self, log_in: &LogIn, origin: Option<&str>) -> Result<(), AccountError> {
        let good = match &log_in.guest_of {
            None => true,
            Some(host @ Host::Page) => self.guests.welcome(host),
            Some(host @ Host::Site(site)) => self.guests.welcome(host) && origin == Some(site.as_str()),
        };
        if good { Ok(()) } else { Err(AccountError::Origin) }
    }
}
