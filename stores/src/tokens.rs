//! Trait and types for refresh tokens.

use std::time::Duration;

use async_trait::async_trait;

use super::{Millis, StoreError, UserId};

/// Tokens that ended longer ago are removed. A clock that is wrong by less removes no token that is still good.
pub(crate) const ENDED_LONG_AGO: Millis = 30 * 24 * 60 * 60 * 1_000;

/// Tokens of one family that are good at the same time, at most. A token that is spent again within the leeway has a
/// sibling; the oldest are spent, so that nobody fills the store with them.
pub(crate) const SIBLINGS: i64 = 8;

#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Shared by all tokens of one log-in.
    pub family: String,
    pub user: UserId,
    /// How long it is good, from the time when it is stored.
    pub life: Duration,
}

impl RefreshToken {
    pub(crate) fn life_millis(&self) -> Millis {
        Millis::try_from(self.life.as_millis()).unwrap_or(Millis::MAX / 2)
    }
}

/// The result of an attempt to spend a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spending {
    /// The token was valid, or was spent a moment ago; its replacement is stored.
    Spent,
    /// The token was spent before. All tokens of its family are spent now.
    Reused,
    /// The token is expired, its family has ended, or its user is being deleted.
    Unknown,
}

/// Refresh tokens. They expire by the store's clock, because the clocks of servers may differ.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Stores the first refresh token of a family. Returns `false` if the user is deleted or being deleted, or if the
    /// password of the address `proven_by` has ended since it proved the user.
    async fn add_refresh_token(&self, token: &RefreshToken, proven_by: Option<&str>) -> Result<bool, StoreError>;

    /// Spends all refresh tokens of a family.
    async fn spend_family(&self, family: &str) -> Result<(), StoreError>;

    /// The user of a refresh token, if it is neither spent nor expired.
    async fn find_refresh_token(&self, hash: &[u8; 32]) -> Result<Option<UserId>, StoreError>;

    /// The user of a family that has a refresh token which is neither spent nor expired: the log-in goes on.
    async fn find_family(&self, family: &str) -> Result<Option<UserId>, StoreError>;

    /// Spends a token and stores its replacement, in one transaction. A token that was spent less than `leeway` ago
    /// gets another replacement, unless its family is revoked: two tabs refresh at the same moment, or an answer is
    /// lost.
    ///
    /// The caller vouches that the token once belonged to the family of `replacement`. So a token that is not stored
    /// any more was spent long ago: spent tokens of a family are removed when the leeway is over.
    ///
    /// # Errors
    /// Also when other refreshes of the family do not end in time; the store is busy then.
    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        leeway: Duration,
    ) -> Result<Spending, StoreError>;
}
