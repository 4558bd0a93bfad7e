//! Refresh tokens in PostgreSQL, and the locks that keep their changes in order. They expire by the database's clock.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use sqlx::{PgConnection, PgExecutor};
use tokio::time::sleep;

use super::{PostgresStore, STORE, google::has_password};
use crate::{
    Millis, RefreshToken, Spending, StoreError, TokenStore, UserId,
    tokens::{ENDED_LONG_AGO, SIBLINGS},
};

/// How often, and after which pause, a refresh tries again while another one of its family runs. It holds no
/// connection in between.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(20);

#[async_trait]
impl TokenStore for PostgresStore {
    async fn add_refresh_token(&self, token: &RefreshToken, proven_by: Option<&str>) -> Result<bool, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            if let Some(email) = proven_by {
                // Lock the user first: whoever ends the password does, too, and then spends the tokens that are stored.
                lock_user(&mut transaction, token.user, UserLock::Share).await?;
                if !has_password(&mut *transaction, token.user, email).await? {
                    return Ok(false);
                }
            }
            let added = add_token(&mut *transaction, token).await?;
            transaction.commit().await?;
            Ok(added)
        })
        .await
    }

    async fn spend_family(&self, family: &str) -> Result<(), StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            lock_text(&mut transaction, family).await?;
            spend_family(&mut *transaction, family).await?;
            transaction.commit().await
        })
        .await
    }

    async fn find_refresh_token(&self, hash: &[u8; 32]) -> Result<Option<UserId>, StoreError> {
        let find = "SELECT user_id FROM refresh_tokens WHERE hash = $1 AND spent_at IS NULL AND expires_at > now_ms()";
        let row: Option<(i64,)> = self.ask(sqlx::query_as(find).bind(&hash[..]).fetch_optional(&self.pool)).await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn find_family(&self, family: &str) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> = self.ask(sqlx::query_as(FIND_FAMILY).bind(family).fetch_optional(&self.pool)).await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        leeway: Duration,
    ) -> Result<Spending, StoreError> {
        for _ in 0..TRIES {
            let spending = self
                .ask(async {
                    let mut transaction = self.pool.begin().await?;
                    let spending = spend(&mut transaction, hash, replacement, leeway).await?;
                    transaction.commit().await?;
                    Ok(spending)
                })
                .await?;
            match spending {
                Some(spending) => return Ok(spending),
                None => sleep(PAUSE).await,
            }
        }
        Err(StoreError::busy(STORE, "too many refreshes of one log-in run at once"))
    }
}

const FIND_FAMILY: &str =
    "SELECT user_id FROM refresh_tokens WHERE family = $1 AND spent_at IS NULL AND expires_at > now_ms() LIMIT 1";

/// Returns `false` if the user is deleted or being deleted.
async fn add_token(executor: impl PgExecutor<'_>, token: &RefreshToken) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO refresh_tokens (hash, family, user_id, expires_at)
         SELECT $1, $2, id, now_ms() + $4 FROM users WHERE id = $3 AND deleting_since IS NULL FOR SHARE",
    )
    .bind(&token.hash[..])
    .bind(&token.family)
    .bind(token.user.0)
    .bind(token.life_millis())
    .execute(executor)
    .await?;
    Ok(added.rows_affected() == 1)
}

async fn spend_family(executor: impl PgExecutor<'_>, family: &str) -> Result<(), sqlx::Error> {
    let spend = "UPDATE refresh_tokens SET spent_at = now_ms() WHERE family = $1 AND spent_at IS NULL";
    sqlx::query(spend).bind(family).execute(executor).await.map(|_| ())
}

/// `None` while another transaction works on the family.
async fn spend(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    replacement: &RefreshToken,
    leeway: Duration,
) -> Result<Option<Spending>, sqlx::Error> {
    let (family, leeway) = (&replacement.family, Millis::try_from(leeway.as_millis()).unwrap_or(Millis::MAX / 2));
    // Serialize by family, before locking any row: a revocation must see the replacement that a concurrent refresh
    // stores, and two refreshes with the same token must run one after the other.
    if !try_lock_text(connection, family).await? {
        return Ok(None);
    }
    // Lock the user before the token, in the same order as a deletion.
    lock_user(connection, replacement.user, UserLock::Share).await?;
    let find = "SELECT spent_at IS NOT NULL, COALESCE(abs(now_ms() - spent_at) < $2, FALSE), expires_at <= now_ms()
                FROM refresh_tokens WHERE hash = $1 FOR UPDATE";
    let row: Option<(bool, bool, bool)> =
        sqlx::query_as(find).bind(&hash[..]).bind(leeway).fetch_optional(&mut *connection).await?;
    let alive: Option<(i64,)> = sqlx::query_as(FIND_FAMILY).bind(family).fetch_optional(&mut *connection).await?;
    let added = match row {
        Some((_, _, true)) => return Ok(Some(Spending::Unknown)),
        _ if alive.is_none() => return Ok(Some(Spending::Unknown)),
        Some((false, ..)) => {
            remove_ended(connection, family, leeway).await?;
            let spend = "UPDATE refresh_tokens SET spent_at = now_ms() WHERE hash = $1";
            sqlx::query(spend).bind(&hash[..]).execute(&mut *connection).await?;
            add_token(&mut *connection, replacement).await?
        }
        Some((true, true, _)) => add_token(&mut *connection, replacement).await?,
        Some((true, false, _)) | None => {
            spend_family(connection, family).await?;
            return Ok(Some(Spending::Reused));
        }
    };
    let crowd = "UPDATE refresh_tokens SET spent_at = now_ms()
                 WHERE family = $1 AND spent_at IS NULL AND hash <> $2 AND hash NOT IN
                   (SELECT hash FROM refresh_tokens WHERE family = $1 AND spent_at IS NULL AND hash <> $2
                    ORDER BY expires_at DESC LIMIT $3)";
    let crowd = sqlx::query(crowd).bind(family).bind(&replacement.hash[..]).bind(SIBLINGS - 1);
    crowd.execute(connection).await?;
    Ok(Some(if added { Spending::Spent } else { Spending::Unknown }))
}

/// Removes the tokens of a family that were spent before the leeway, and some of any family that ended long ago,
/// without those that another refresh has locked.
async fn remove_ended(connection: &mut PgConnection, family: &str, leeway: Millis) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM refresh_tokens WHERE family = $1 AND spent_at <= now_ms() - $2")
        .bind(family)
        .bind(leeway)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM refresh_tokens WHERE hash IN
         (SELECT hash FROM refresh_tokens WHERE expires_at <= now_ms() - $1 LIMIT 100 FOR UPDATE SKIP LOCKED)",
    )
    .bind(ENDED_LONG_AGO)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Spends the refresh tokens of a user; returns their families.
pub(super) async fn spend_all(connection: &mut PgConnection, user: i64) -> Result<Vec<String>, sqlx::Error> {
    let families: Vec<(String,)> = sqlx::query_as(
        "UPDATE refresh_tokens SET spent_at = COALESCE(spent_at, now_ms()) WHERE user_id = $1 RETURNING family",
    )
    .bind(user)
    .fetch_all(connection)
    .await?;
    let distinct: BTreeSet<String> = families.into_iter().map(|(family,)| family).collect();
    Ok(distinct.into_iter().collect())
}

/// How a transaction locks a user's row.
pub(super) enum UserLock {
    /// The user stays as it is until the transaction ends.
    Share,
    /// Nobody else relies on the user until the transaction ends.
    Update,
}

pub(super) async fn lock_user(connection: &mut PgConnection, user: UserId, lock: UserLock) -> Result<(), sqlx::Error> {
    let lock = match lock {
        UserLock::Share => "SELECT 1 FROM users WHERE id = $1 FOR SHARE",
        UserLock::Update => "SELECT 1 FROM users WHERE id = $1 FOR UPDATE",
    };
    sqlx::query(lock).bind(user.0).execute(connection).await.map(|_| ())
}

pub(super) async fn lock_text(connection: &mut PgConnection, text: &str) -> Result<(), sqlx::Error> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    sqlx::query(lock).bind(text).execute(connection).await.map(|_| ())
}

/// Like [`lock_text`], but does not wait; `false` if somebody else has the lock.
async fn try_lock_text(connection: &mut PgConnection, text: &str) -> Result<bool, sqlx::Error> {
    let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
    let (locked,): (bool,) = sqlx::query_as(lock).bind(text).fetch_one(connection).await?;
    Ok(locked)
}
