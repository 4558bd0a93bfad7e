//! Users, identities and refresh tokens in SQLite.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteStore, failed};
use crate::stores::{
    AuditEntry, Identity, IdentityRecord, Import, Millis, Provider, RefreshToken, Spending, StoreError, UserId,
    UserRecord, UserStore,
};

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

    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<bool, StoreError> {
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

    async fn exists(&self, user: UserId) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM users WHERE id = ? AND deleting_since IS NULL")
            .bind(user.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        Ok(found.is_some())
    }

    async fn user_record(&self, user: UserId) -> Result<Option<UserRecord>, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT created_at FROM users WHERE id = ? AND deleting_since IS NULL")
                .bind(user.0)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        let Some((created_at,)) = found else { return Ok(None) };
        let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "SELECT provider, subject, secret FROM identities WHERE user_id = ? ORDER BY provider, subject",
        )
        .bind(user.0)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let identity = |(provider, subject, secret)| IdentityRecord { provider, subject, secret };
        Ok(Some(UserRecord { created_at, identities: rows.into_iter().map(identity).collect() }))
    }

    async fn import_user(&self, record: &UserRecord, source: &str) -> Result<Import, StoreError> {
        let (record, source) = (record.clone(), source.to_owned());
        self.writer.write(move |connection| Box::pin(import_user(connection, record, source))).await
    }

    async fn begin_deletion(&self, user: UserId, now: Millis) -> Result<Option<Vec<String>>, StoreError> {
        self.writer.write(move |connection| Box::pin(begin_deletion(connection, user, now))).await
    }

    async fn finish_deletion(&self, user: UserId, entry: &AuditEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let removed = sqlx::query("DELETE FROM users WHERE id = ? AND deleting_since IS NOT NULL")
                        .bind(user.0)
                        .execute(&mut *connection)
                        .await?;
                    if removed.rows_affected() == 1 { add_audit(connection, entry).await } else { Ok(()) }
                })
            })
            .await
    }

    async fn unfinished_deletions(&self) -> Result<Vec<UserId>, StoreError> {
        let rows: Vec<(i64,)> = sqlx::query_as("SELECT id FROM users WHERE deleting_since IS NOT NULL ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
    }

    async fn is_admin(&self, user: UserId) -> Result<bool, StoreError> {
        let found: Option<(bool,)> =
            sqlx::query_as("SELECT is_admin FROM users WHERE id = ? AND deleting_since IS NULL")
                .bind(user.0)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        Ok(found.is_some_and(|(admin,)| admin))
    }

    async fn set_admin(&self, user: UserId, admin: bool, entry: &AuditEntry) -> Result<bool, StoreError> {
        let entry = entry.clone();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let changed = sqlx::query(
                        "UPDATE users SET is_admin = ? WHERE id = ? AND id <> 1 AND deleting_since IS NULL",
                    )
                    .bind(admin)
                    .bind(user.0)
                    .execute(&mut *connection)
                    .await?;
                    if changed.rows_affected() == 0 {
                        return Ok(false);
                    }
                    add_audit(connection, entry).await?;
                    Ok(true)
                })
            })
            .await
    }

    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.writer.write(move |connection| Box::pin(add_audit(connection, entry))).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM users LIMIT 1").execute(&self.readers).await.map_err(failed).map(|_| ())
    }
}

/// Writes a line of the audit log.
pub(super) async fn add_audit(connection: &mut SqliteConnection, entry: AuditEntry) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)")
        .bind(entry.at)
        .bind(entry.actor.map(|user| user.0))
        .bind(entry.action)
        .bind(entry.subject.map(|user| user.0))
        .bind(entry.detail.to_string())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn import_user(
    connection: &mut SqliteConnection,
    record: UserRecord,
    source: String,
) -> Result<Import, sqlx::Error> {
    let earlier: Option<(i64, bool)> =
        sqlx::query_as("SELECT id, deleting_since IS NOT NULL FROM users WHERE source = ?")
            .bind(&source)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some((user, deleting)) = earlier {
        let user = UserId(user);
        return Ok(if deleting { Import::Deleting(user) } else { Import::Resumed(user) });
    }
    for identity in &record.identities {
        let taken: Option<(i64,)> = sqlx::query_as("SELECT user_id FROM identities WHERE provider = ? AND subject = ?")
            .bind(&identity.provider)
            .bind(&identity.subject)
            .fetch_optional(&mut *connection)
            .await?;
        if taken.is_some() {
            return Ok(Import::Taken(identity.clone()));
        }
    }
    let (user,): (i64,) = sqlx::query_as("INSERT INTO users (created_at, source) VALUES (?, ?) RETURNING id")
        .bind(record.created_at)
        .bind(source)
        .fetch_one(&mut *connection)
        .await?;
    for IdentityRecord { provider, subject, secret } in record.identities {
        sqlx::query("INSERT INTO identities (provider, subject, user_id, secret) VALUES (?, ?, ?, ?)")
            .bind(provider)
            .bind(subject)
            .bind(user)
            .bind(secret)
            .execute(&mut *connection)
            .await?;
    }
    Ok(Import::New(UserId(user)))
}

async fn begin_deletion(
    connection: &mut SqliteConnection,
    user: UserId,
    now: Millis,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    let marked = sqlx::query("UPDATE users SET deleting_since = COALESCE(deleting_since, ?) WHERE id = ?")
        .bind(now)
        .bind(user.0)
        .execute(&mut *connection)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query("DELETE FROM identities WHERE user_id = ?").bind(user.0).execute(&mut *connection).await?;
    sqlx::query("UPDATE refresh_tokens SET spent_at = COALESCE(spent_at, ?) WHERE user_id = ?")
        .bind(now)
        .bind(user.0)
        .execute(&mut *connection)
        .await?;
    let families: Vec<(String,)> =
        sqlx::query_as("SELECT DISTINCT family FROM refresh_tokens WHERE user_id = ? ORDER BY family")
            .bind(user.0)
            .fetch_all(connection)
            .await?;
    Ok(Some(families.into_iter().map(|(family,)| family).collect()))
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

/// `false` when the user is gone or going.
async fn add_token(connection: &mut SqliteConnection, token: RefreshToken) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO refresh_tokens (hash, family, user_id, expires_at)
         SELECT ?, ?, id, ? FROM users WHERE id = ? AND deleting_since IS NULL",
    )
    .bind(&token.hash[..])
    .bind(token.family)
    .bind(token.expires_at)
    .bind(token.user.0)
    .execute(connection)
    .await?;
    Ok(added.rows_affected() == 1)
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
            sqlx::query("UPDATE refresh_tokens SET spent_at = ? WHERE family = ? AND spent_at IS NULL")
                .bind(now)
                .bind(&family)
                .execute(connection)
                .await?;
            Ok(Spending::Reused { family })
        }
        Some((_, None)) => {
            sqlx::query("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?")
                .bind(now)
                .bind(&hash[..])
                .execute(&mut *connection)
                .await?;
            let added = add_token(connection, replacement).await?;
            Ok(if added { Spending::Spent } else { Spending::Unknown })
        }
    }
}
