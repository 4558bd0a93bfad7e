//! How often log-ins, refreshes, messages and new senders are taken.

use std::time::Duration;

use banter_stores::{Counter, UserId};
use tokio::{sync::Semaphore, time::sleep};

use super::{AccountError, Accounts};
use crate::{config::Config, tokens::LogIn};

/// Strangers who may wait at the same time.
const SLOWED: usize = 64;
/// Strangers wait once the failures from all addresses are this many times the failures one address may have.
const ATTACK: u32 = 3;
/// Within this time, an address that a log-in came from is known for its e-mail address.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Limits per minute, unless the field says otherwise.
pub(super) struct AccountLimits {
    /// Wrong passwords for one e-mail address from one network address.
    pub logins_per_email: u32,
    /// Log-ins from one network address.
    pub logins_per_address: u32,
    /// Refreshes from one network address.
    pub refreshes_per_address: u32,
    /// Refreshes of one log-in.
    pub refreshes_per_log_in: u32,
    /// Messages of one user; 0 for no limit.
    pub messages_per_minute: u32,
    /// Messages of one user in a day; 0 for no limit.
    pub messages_per_day: u32,
    /// Messages of one sender of the REST channel; 0 for no limit.
    pub channel_messages: u32,
    /// New senders of the REST channel, from one network address with one key.
    pub new_senders: u32,
}

impl AccountLimits {
    pub fn of(config: &Config) -> Self {
        let (auth, limits) = (&config.auth, &config.limits);
        Self {
            logins_per_email: auth.logins_per_email,
            logins_per_address: auth.logins_per_address,
            refreshes_per_address: auth.refreshes_per_address,
            refreshes_per_log_in: auth.refreshes_per_log_in,
            messages_per_minute: limits.messages_per_minute,
            messages_per_day: limits.messages_per_day,
            channel_messages: config.channel.messages_per_minute,
            new_senders: config.channel.new_senders,
        }
    }
}

/// Lets strangers wait at an e-mail address under attack, a bounded number of them.
pub(super) struct SlowDown {
    time: Duration,
    places: Semaphore,
}

impl SlowDown {
    pub fn new(time: Duration) -> Self {
        Self { time, places: Semaphore::new(SLOWED) }
    }

    async fn wait(&self) -> Result<(), AccountError> {
        let _place = self.places.try_acquire().map_err(|_| AccountError::TooMany(self.time.as_secs().max(1)))?;
        sleep(self.time).await;
        Ok(())
    }
}

impl Accounts {
    pub(super) async fn limit(&self, counters: &[Counter]) -> Result<(), AccountError> {
        let wait = self.stores.limits.hit(counters).await?;
        wait.map_or(Ok(()), |seconds| Err(AccountError::TooMany(seconds)))
    }

    /// Checks a password, unless too many were wrong. Failures count, not tries. They count for the e-mail address and
    /// the network address together, so nobody can lock out somebody else. Failures from everywhere only slow strangers
    /// down: not those who logged in from the same network address before.
    pub(super) async fn prove_within_limits(
        &self,
        email: &str,
        password: String,
        address: &str,
    ) -> Result<UserId, AccountError> {
        let limits = &self.stores.limits;
        let pair = Counter::per_minute(format!("login:pair:{email} {address}"), self.limits.logins_per_email);
        let known = Counter { key: format!("login:known:{email} {address}"), limit: u32::MAX, window: KNOWN_FOR };
        let all =
            Counter::per_minute(format!("login:email:{email}"), self.limits.logins_per_email.saturating_mul(ATTACK));
        self.limit(std::slice::from_ref(&pair)).await?;
        let is_known = limits.has_event(&known.key).await?;
        let slowed = limits.hit(std::slice::from_ref(&all)).await?.is_some() && !is_known;
        let proven = async {
            if slowed {
                self.slow_down.wait().await?;
            }
            self.prove(email, password).await
        };
        let proven = proven.await;
        if !matches!(proven, Err(AccountError::WrongPassword)) {
            for counter in [&pair, &all] {
                limits.take_back(&counter.key).await?;
            }
        }
        if proven.is_ok() && !is_known {
            limits.hit(&[known]).await?;
        }
        proven
    }

    /// Counts a message of a sender of the REST channel. Its client is trusted to limit its users, so this only bounds
    /// what a client in a loop can do.
    ///
    /// # Errors
    /// [`AccountError::TooMany`], [`AccountError::Store`].
    pub async fn admit_sender(&self, user: UserId) -> Result<(), AccountError> {
        match self.limits.channel_messages {
            0 => Ok(()),
            limit => self.limit(&[Counter::per_minute(format!("messages:channel:{}", user.0), limit)]).await,
        }
    }

    /// Counts a message of a user. Guests may send fewer.
    ///
    /// # Errors
    /// [`AccountError::TooMany`], [`AccountError::Store`].
    pub async fn admit(&self, log_in: &LogIn) -> Result<(), AccountError> {
        let user = log_in.user.0;
        let per_minute = match &log_in.guest_of {
            Some(_) => Some(self.guests.limits.messages),
            None => Some(self.limits.messages_per_minute).filter(|limit| *limit > 0),
        };
        let minute = per_minute.map(|limit| Counter::per_minute(format!("messages:minute:{user}"), limit));
        let per_day = Some(self.limits.messages_per_day).filter(|limit| *limit > 0);
        let day = per_day.map(|limit| Counter::per_day(format!("messages:day:{user}"), limit));
        let counters: Vec<Counter> = minute.into_iter().chain(day).collect();
        if counters.is_empty() { Ok(()) } else { self.limit(&counters).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_strangers_wait() {
        let slow_down = SlowDown::new(Duration::from_millis(1));
        let all = futures::future::join_all((0..SLOWED + 2).map(|_| slow_down.wait())).await;
        assert_eq!(all.iter().filter(|waited| waited.is_ok()).count(), SLOWED);
        assert!(all.iter().all(|waited| matches!(waited, Ok(()) | Err(AccountError::TooMany(1)))));
        assert!(slow_down.wait().await.is_ok(), "their places are free again");
    }
}
