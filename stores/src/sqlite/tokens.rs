//! Refresh tokens in SQLite. The store's clock is that of the machine.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use crate::{
    Millis, RefreshToken, Spending, StoreError, TokenStore, UserId,
    tokens::{ENDED_LONG_AGO, SIBLINGS},
};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn add_refresh_token(&self, token: &RefreshToken, proven_by: Option<&str>) -> Result<bool, StoreError> {
        let (token, proven_by, now) = (token.clone(), proven_by.map(str::to_owned), self.clock.now());
        self.write(move |connection| {
            if let Some(email) = proven_by {
                let find = "SELECT 1 FROM identities
                            WHERE provider = 'password' AND subject = ? AND user_id = ? AND secret IS NOT NULL";
                if !connection.prepare_cached(find)?.exists(params![email, token.user.0])? {
                    return Ok(false);
                }
            }
            add_token(connection, &token, now)
        })
        .await
    }

    async fn spend_family(&self, family: &str) -> Result<(), StoreError> {
        let (family, now) = (family.to_owned(), self.clock.now());
        self.write(move |connection| spend_family(connection, &family, now)).await
    }

    async fn find_refresh_token(&self, hash: &[u8; 32]) -> Result<Option<UserId>, StoreError> {
        let (hash, now) = (*hash, self.clock.now());
        self.read(move |connection| {
            let find = "SELECT user_id FROM refresh_tokens WHERE hash = ? AND spent_at IS NULL AND expires_at > ?";
            let user = |row: &rusqlite::Row<'_>| row.get(0).map(UserId);
            connection.prepare_cached(find)?.query_row(params![hash, now], user).optional()
        })
        .await
    }

    async fn find_family(&self, family: &str) -> Result<Option<UserId>, StoreError> {
        let (family, now) = (family.to_owned(), self.clock.now());
        self.read(move |connection| {
            let find = "SELECT user_id FROM refresh_tokens WHERE family = ? AND spent_at IS NULL AND expires_at > ?
                        LIMIT 1";
            let user = |row: &rusqlite::Row<'_>| row.get(0).map(UserId);
            connection.prepare_cached(find)?.query_row(params![family, now], user).optional()
        })
        .await
    }

    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        leeway: Duration,
    ) -> Result<Spending, StoreError> {
        let (hash, replacement, now) = (*hash, replacement.clone(), self.clock.now());
        let leeway = Millis::try_from(leeway.as_millis()).unwrap_or(Millis::MAX / 2);
        self.write(move |connection| spend(connection, &hash, &replacement, now, leeway)).await
    }
}

/// Spends the refresh tokens of a user; returns their families.
pub(super) fn spend_all(connection: &Connection, user: UserId, now: Millis) -> rusqlite::Result<Vec<String>> {
    let spend = "UPDATE refresh_tokens SET spent_at = COALESCE(spent_at, ?) WHERE user_id = ?";
    connection.execute(spend, params![now, user.0])?;
    let list = "SELECT DISTINCT family FROM refresh_tokens WHERE user_id = ? ORDER BY family";
    connection.prepare(list)?.query_map([user.0], |row| row.get(0))?.collect()
}

fn spend_family(connection: &Connection, family: &str, now: Millis) -> rusqlite::Result<()> {
    let spend = "UPDATE refresh_tokens SET spent_at = ? WHERE family = ? AND spent_at IS NULL";
    connection.execute(spend, params![now, family]).map(drop)
}

/// Adds a token; `false` when the user is gone or is being deleted.
fn add_token(connection: &Connection, token: &RefreshToken, now: Millis) -> rusqlite::Result<bool> {
    let add = "INSERT INTO refresh_tokens (hash, family, user_id, expires_at)
               SELECT ?, ?, id, ? FROM users WHERE id = ? AND deleting_since IS NULL";
    let expires_at = now.saturating_add(token.life_millis());
    let added = connection.execute(add, params![token.hash, token.family, expires_at, token.user.0])?;
    Ok(added == 1)
}

fn spend(
    connection: &Connection,
    hash: &[u8; 32],
    replacement: &RefreshToken,
    now: Millis,
    leeway: Millis,
) -> rusqlite::Result<Spending> {
    connection.execute("DELETE FROM refresh_tokens WHERE expires_at <= ?", [now - ENDED_LONG_AGO])?;
    let find = "SELECT spent_at, expires_at FROM refresh_tokens WHERE hash = ?";
    let found: Option<(Option<Millis>, Millis)> =
        connection.query_row(find, [hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let family = &replacement.family;
    if found.is_some_and(|(_, expires_at)| expires_at <= now) || !is_family_alive(connection, family, now)? {
        return Ok(Spending::Unknown);
    }
    let added = match found {
        Some((None, _)) => {
            let prune = "DELETE FROM refresh_tokens WHERE family = ? AND spent_at <= ?";
            connection.execute(prune, params![family, now - leeway])?;
            connection.execute("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?", params![now, hash])?;
            add_token(connection, replacement, now)?
        }
        Some((Some(spent_at), _)) if (now - spent_at).abs() < leeway => add_token(connection, replacement, now)?,
        _ => {
            spend_family(connection, family, now)?;
            return Ok(Spending::Reused);
        }
    };
    let crowd = "UPDATE refresh_tokens SET spent_at = ?1
                 WHERE family = ?2 AND spent_at IS NULL AND hash <> ?3 AND hash NOT IN
                   (SELECT hash FROM refresh_tokens WHERE family = ?2 AND spent_at IS NULL AND hash <> ?3
                    ORDER BY expires_at DESC LIMIT ?4)";
    connection.execute(crowd, params![now, family, replacement.hash, SIBLINGS - 1])?;
    Ok(if added { Spending::Spent } else { Spending::Unknown })
}

/// Whether the family has a token that can be spent. A revoked family has none.
fn is_family_alive(connection: &Connection, family: &str, now: Millis) -> rusqlite::Result<bool> {
    let find = "SELECT 1 FROM refresh_tokens WHERE family = ? AND spent_at IS NULL AND expires_at > ?";
    connection.prepare_cached(find)?.exists(params![family, now])
}
