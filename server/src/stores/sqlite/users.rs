//! Users, identities and refresh tokens in SQLite.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteStore, failed};
use crate::stores::{Identity, Millis, Provider, RefreshToken, Spending, StoreError, UserId, UserStore};

#[async_trait]
impl UserStore for SqliteStore {
    async fn find_identity(&self, provider: Provider, subject: &str) -> Result<Option<Identity>, StoreError> {
        let row: Option<(i64, Option<String>)> =
            sqlx::query_as("SELECT user_id, secret FROM identities WHERE provider = ? AND subject = ?")
                .bind(provider.as_str())
                .bind(subject)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        Ok(row.map(|(user, secret)| Identity { user: UserId(user), secret }))
    }

    async fn create_user(
        &self,
        provider: Provider,
        subject: &str,
        secret: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError> {
        let (subject, secret) = (subject.to_owned(), secret.map(str::to_owned));
        self.writer.write(move |connection| Box::pin(create_user(connection, provider, subject, secret, now))).await
    }

    async fn set_secret(&self, provider: Provider, subject: &str, secret: &str) -> Result<(), StoreError> {
        let (subject, secret) = (subject.to_owned(), secret.to_owned());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("UPDATE identities SET secret = ? WHERE provider = ? AND subject = ?")
                        .bind(secret)
                        .bind(provider.as_str())
                        .bind(subject)
                        .execute(connection)
                        .await
                        .map(|_| ())
                })
            })
            .await
    }

    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.writer.write(move |connection| Box::pin(add_token(connection, token))).await
    }

    async fn find_refresh_token(&self, hash: &[u8; 32], now: Millis) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT user_id FROM refresh_tokens WHERE hash = ? AND spent_at IS NULL AND expires_at > ?")
                .bind(&hash[..])
                .bind(now)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        now: Millis,
    ) -> Result<Spending, StoreError> {
        let (hash, replacement) = (*hash, replacement.clone());
        self.writer.write(move |connection| Box::pin(spend(connection, hash, replacement, now))).await
    }
}

async fn create_user(
    connection: &mut SqliteConnection,
    provider: Provider,
    subject: String,
    secret: Option<String>,
    now: Millis,
) -> Result<Option<UserId>, sqlx::Error> {
    let taken: Option<(i64,)> = sqlx::query_as("SELECT user_id FROM identities WHERE provider = ? AND subject = ?")
        .bind(provider.as_str())
        .bind(&subject)
        .fetch_optional(&mut *connection)
        .await?;
    if taken.is_some() {
        return Ok(None);
    }
    let (user,): (i64,) = sqlx::query_as("INSERT INTO users (created_at) VALUES (?) RETURNING id")
        .bind(now)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO identities (provider, subject, user_id, secret) VALUES (?, ?, ?, ?)")
        .bind(provider.as_str())
        .bind(subject)
        .bind(user)
        .bind(secret)
        .execute(connection)
        .await?;
    Ok(Some(UserId(user)))
}

async fn add_token(connection: &mut SqliteConnection, token: RefreshToken) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, family, user_id, expires_at) VALUES (?, ?, ?, ?)")
        .bind(&token.hash[..])
        .bind(token.family)
        .bind(token.user.0)
        .bind(token.expires_at)
        .execute(connection)
        .await
        .map(|_| ())
}

async fn spend(
    connection: &mut SqliteConnection,
    hash: [u8; 32],
    replacement: RefreshToken,
    now: Millis,
) -> Result<Spending, sqlx::Error> {
    // Expired tokens of anybody go on the way; they are of no use, spent or not.
    sqlx::query("DELETE FROM refresh_tokens WHERE expires_at <= ?").bind(now).execute(&mut *connection).await?;
    let row: Option<(String, Option<i64>)> =
        sqlx::query_as("SELECT family, spent_at FROM refresh_tokens WHERE hash = ?")
            .bind(&hash[..])
            .fetch_optional(&mut *connection)
            .await?;
    match row {
        None => Ok(Spending::Unknown),
        Some((family, Some(_))) => {
            sqlx::query("DELETE FROM refresh_tokens WHERE family = ?").bind(&family).execute(connection).await?;
            Ok(Spending::Reused { family })
        }
        Some((_, None)) => {
            sqlx::query("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?")
                .bind(now)
                .bind(&hash[..])
                .execute(&mut *connection)
                .await?;
            add_token(connection, replacement).await?;
            Ok(Spending::Spent)
        }
    }
}
