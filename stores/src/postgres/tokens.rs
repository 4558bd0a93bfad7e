//! Refresh tokens in PostgreSQL, and the locks that keep their changes in order.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgExecutor};

use crate::{Millis, RefreshToken, Spending, UserId};

/// Returns `false` if the user is deleted or being deleted.
pub(super) async fn add_token(executor: impl PgExecutor<'_>, token: &RefreshToken) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO refresh_tokens (hash, family, user_id, expires_at)
         SELECT $1, $2, id, $4 FROM users WHERE id = $3 AND deleting_since IS NULL FOR SHARE",
    )
    .bind(&token.hash[..])
    .bind(&token.family)
    .bind(token.user.0)
    .bind(token.expires_at)
    .execute(executor)
    .await?;
    Ok(added.rows_affected() == 1)
}

pub(super) async fn spend(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    replacement: &RefreshToken,
    now: Millis,
    leeway: Millis,
) -> Result<Spending, sqlx::Error> {
    // Serialize by family, before locking any row: a revocation must see the replacement that a concurrent refresh
    // stores, and two refreshes with the same token must run one after the other.
    lock_text(connection, &replacement.family).await?;
    // Lock the user before the token, in the same order as a deletion.
    lock_user(connection, replacement.user, UserLock::Share).await?;
    let row: Option<(String, Option<i64>, i64)> =
        sqlx::query_as("SELECT family, spent_at, expires_at FROM refresh_tokens WHERE hash = $1 FOR UPDATE")
            .bind(&hash[..])
            .fetch_optional(&mut *connection)
            .await?;
    match row {
        Some((_, _, expires_at)) if expires_at <= now => Ok(Spending::Unknown),
        None => Ok(Spending::Unknown),
        Some((family, Some(spent_at), _))
            if (now - spent_at).abs() < leeway && is_family_alive(&mut *connection, &family, now).await? =>
        {
            let added = add_token(connection, replacement).await?;
            Ok(if added { Spending::Spent } else { Spending::Unknown })
        }
        Some((family, Some(_), _)) => {
            sqlx::query("UPDATE refresh_tokens SET spent_at = $1 WHERE family = $2 AND spent_at IS NULL")
                .bind(now)
                .bind(&family)
                .execute(connection)
                .await?;
            Ok(Spending::Reused { family })
        }
        Some((_, None, _)) => {
            sqlx::query("UPDATE refresh_tokens SET spent_at = $1 WHERE hash = $2")
                .bind(now)
                .bind(&hash[..])
                .execute(&mut *connection)
                .await?;
            if !add_token(&mut *connection, replacement).await? {
                return Ok(Spending::Unknown);
            }
            // Also remove some expired tokens of any user, skipping those that another refresh has locked.
            sqlx::query(
                "DELETE FROM refresh_tokens WHERE hash IN
                 (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED)",
            )
            .bind(now)
            .execute(connection)
            .await?;
            Ok(Spending::Spent)
        }
    }
}

/// Whether the family has a token that can be spent. A revoked family has none.
pub(super) async fn is_family_alive(
    executor: impl PgExecutor<'_>,
    family: &str,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let alive: Option<(i32,)> = sqlx::query_as(
        "SELECT 1 FROM refresh_tokens WHERE family = $1 AND spent_at IS NULL AND expires_at > $2 LIMIT 1",
    )
    .bind(family)
    .bind(now)
    .fetch_optional(executor)
    .await?;
    Ok(alive.is_some())
}

/// Spends the refresh tokens of a user; returns their families.
pub(super) async fn spend_all(
    connection: &mut PgConnection,
    user: i64,
    now: Millis,
) -> Result<Vec<String>, sqlx::Error> {
    let families: Vec<(String,)> = sqlx::query_as(
        "UPDATE refresh_tokens SET spent_at = COALESCE(spent_at, $1) WHERE user_id = $2 RETURNING family",
    )
    .bind(now)
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
