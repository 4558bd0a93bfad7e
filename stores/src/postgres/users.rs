//! Users, identities, refresh tokens and the audit log in PostgreSQL.

use async_trait::async_trait;
use sqlx::{PgConnection, PgExecutor};

use super::PostgresStore;
use crate::{
    AuditEntry, Identity, IdentityRecord, Import, Millis, Provider, RefreshToken, Spending, StoreError, UserId,
    UserRecord, UserStore,
};

#[async_trait]
impl UserStore for PostgresStore {
    async fn find_identity(&self, provider: Provider, subject: &str) -> Result<Option<Identity>, StoreError> {
        let row: Option<(i64, Option<String>)> = self
            .ask(
                sqlx::query_as("SELECT user_id, secret FROM identities WHERE provider = $1 AND subject = $2")
                    .bind(provider.as_str())
                    .bind(subject)
                    .fetch_optional(&self.pool),
            )
            .await?;
        Ok(row.map(|(user, secret)| Identity { user: UserId(user), secret }))
    }

    async fn create_user(
        &self,
        provider: Provider,
        subject: &str,
        secret: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let (user,): (i64,) = sqlx::query_as("INSERT INTO users (created_at) VALUES ($1) RETURNING id")
                .bind(now)
                .fetch_one(&mut *transaction)
                .await?;
            if !add_identity(&mut transaction, user, provider.as_str(), subject, secret).await? {
                transaction.rollback().await?;
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some(UserId(user)))
        })
        .await
    }

    async fn set_secret(&self, provider: Provider, subject: &str, secret: &str) -> Result<(), StoreError> {
        self.ask(
            sqlx::query("UPDATE identities SET secret = $1 WHERE provider = $2 AND subject = $3")
                .bind(secret)
                .bind(provider.as_str())
                .bind(subject)
                .execute(&self.pool),
        )
        .await
        .map(|_| ())
    }

    async fn add_refresh_token(&self, token: &RefreshToken) -> Result<bool, StoreError> {
        self.ask(add_token(&self.pool, token)).await
    }

    async fn find_refresh_token(&self, hash: &[u8; 32], now: Millis) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> = self
            .ask(
                sqlx::query_as(
                    "SELECT user_id FROM refresh_tokens WHERE hash = $1 AND spent_at IS NULL AND expires_at > $2",
                )
                .bind(&hash[..])
                .bind(now)
                .fetch_optional(&self.pool),
            )
            .await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn spend_refresh_token(
        &self,
        hash: &[u8; 32],
        replacement: &RefreshToken,
        now: Millis,
        leeway: Millis,
    ) -> Result<Spending, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let spending = spend(&mut transaction, hash, replacement, now, leeway).await?;
            transaction.commit().await?;
            Ok(spending)
        })
        .await
    }

    async fn exists(&self, user: UserId) -> Result<bool, StoreError> {
        let found: Option<(i32,)> = self
            .ask(
                sqlx::query_as("SELECT 1 FROM users WHERE id = $1 AND deleting_since IS NULL")
                    .bind(user.0)
                    .fetch_optional(&self.pool),
            )
            .await?;
        Ok(found.is_some())
    }

    async fn user_record(&self, user: UserId) -> Result<Option<UserRecord>, StoreError> {
        self.ask(async {
            let found: Option<(i64,)> =
                sqlx::query_as("SELECT created_at FROM users WHERE id = $1 AND deleting_since IS NULL")
                    .bind(user.0)
                    .fetch_optional(&self.pool)
                    .await?;
            let Some((created_at,)) = found else { return Ok(None) };
            let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
                "SELECT provider, subject, secret FROM identities WHERE user_id = $1 ORDER BY provider, subject",
            )
            .bind(user.0)
            .fetch_all(&self.pool)
            .await?;
            let identity = |(provider, subject, secret)| IdentityRecord { provider, subject, secret };
            Ok(Some(UserRecord { created_at, identities: rows.into_iter().map(identity).collect() }))
        })
        .await
    }

    async fn import_user(&self, record: &UserRecord, source: &str) -> Result<Import, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let made: Option<(i64,)> = sqlx::query_as(
                "INSERT INTO users (created_at, source) VALUES ($1, $2) ON CONFLICT (source) DO NOTHING RETURNING id",
            )
            .bind(record.created_at)
            .bind(source)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some((user,)) = made else {
                let (user, deleting): (i64, bool) =
                    sqlx::query_as("SELECT id, deleting_since IS NOT NULL FROM users WHERE source = $1")
                        .bind(source)
                        .fetch_one(&mut *transaction)
                        .await?;
                let user = UserId(user);
                return Ok(if deleting { Import::Deleting(user) } else { Import::Resumed(user) });
            };
            for identity in &record.identities {
                let IdentityRecord { provider, subject, secret } = identity;
                if !add_identity(&mut transaction, user, provider, subject, secret.as_deref()).await? {
                    transaction.rollback().await?;
                    return Ok(Import::Taken(identity.clone()));
                }
            }
            transaction.commit().await?;
            Ok(Import::New(UserId(user)))
        })
        .await
    }

    async fn begin_deletion(&self, user: UserId, now: Millis) -> Result<Option<Vec<String>>, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let marked = sqlx::query("UPDATE users SET deleting_since = COALESCE(deleting_since, $1) WHERE id = $2")
                .bind(now)
                .bind(user.0)
                .execute(&mut *transaction)
                .await?;
            if marked.rows_affected() == 0 {
                return Ok(None);
            }
            sqlx::query("DELETE FROM identities WHERE user_id = $1").bind(user.0).execute(&mut *transaction).await?;
            let families: Vec<(String,)> = sqlx::query_as(
                "UPDATE refresh_tokens SET spent_at = COALESCE(spent_at, $1) WHERE user_id = $2 RETURNING family",
            )
            .bind(now)
            .bind(user.0)
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let distinct: std::collections::BTreeSet<String> = families.into_iter().map(|(family,)| family).collect();
            Ok(Some(distinct.into_iter().collect()))
        })
        .await
    }

    async fn finish_deletion(&self, user: UserId, entry: &AuditEntry) -> Result<(), StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let removed = sqlx::query("DELETE FROM users WHERE id = $1 AND deleting_since IS NOT NULL")
                .bind(user.0)
                .execute(&mut *transaction)
                .await?;
            if removed.rows_affected() == 1 {
                add_audit(&mut *transaction, entry).await?;
            }
            transaction.commit().await
        })
        .await
    }

    async fn unfinished_deletions(&self) -> Result<Vec<UserId>, StoreError> {
        let rows: Vec<(i64,)> = self
            .ask(
                sqlx::query_as("SELECT id FROM users WHERE deleting_since IS NOT NULL ORDER BY id")
                    .fetch_all(&self.pool),
            )
            .await?;
        Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
    }

    async fn is_admin(&self, user: UserId) -> Result<bool, StoreError> {
        let found: Option<(bool,)> = self
            .ask(
                sqlx::query_as("SELECT is_admin FROM users WHERE id = $1 AND deleting_since IS NULL")
                    .bind(user.0)
                    .fetch_optional(&self.pool),
            )
            .await?;
        Ok(found.is_some_and(|(admin,)| admin))
    }

    async fn set_admin(&self, user: UserId, admin: bool, entry: &AuditEntry) -> Result<bool, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let changed =
                sqlx::query("UPDATE users SET is_admin = $1 WHERE id = $2 AND id <> 1 AND deleting_since IS NULL")
                    .bind(admin)
                    .bind(user.0)
                    .execute(&mut *transaction)
                    .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            add_audit(&mut *transaction, entry).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.ask(add_audit(&self.pool, entry)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask(sqlx::query("SELECT 1").execute(&self.pool)).await.map(|_| ())
    }
}

pub(super) async fn add_audit(executor: impl PgExecutor<'_>, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)")
        .bind(entry.at)
        .bind(entry.actor.map(|user| user.0))
        .bind(entry.action)
        .bind(entry.subject.map(|user| user.0))
        .bind(entry.detail.to_string())
        .execute(executor)
        .await
        .map(|_| ())
}

/// Returns `false` if the identity exists already.
async fn add_identity(
    connection: &mut PgConnection,
    user: i64,
    provider: &str,
    subject: &str,
    secret: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO identities (provider, subject, user_id, secret) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(provider)
    .bind(subject)
    .bind(user)
    .bind(secret)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Returns `false` if the user is deleted or being deleted.
async fn add_token(executor: impl PgExecutor<'_>, token: &RefreshToken) -> Result<bool, sqlx::Error> {
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

async fn spend(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    replacement: &RefreshToken,
    now: Millis,
    leeway: Millis,
) -> Result<Spending, sqlx::Error> {
    // Serialize by family, before locking any row: a revocation must see the replacement that a concurrent refresh
    // stores, and two refreshes with the same token must run one after the other.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(&replacement.family)
        .execute(&mut *connection)
        .await?;
    // Lock the user before the token, in the same order as a deletion.
    sqlx::query("SELECT 1 FROM users WHERE id = $1 FOR SHARE")
        .bind(replacement.user.0)
        .execute(&mut *connection)
        .await?;
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
async fn is_family_alive(executor: impl PgExecutor<'_>, family: &str, now: Millis) -> Result<bool, sqlx::Error> {
    let alive: Option<(i32,)> = sqlx::query_as(
        "SELECT 1 FROM refresh_tokens WHERE family = $1 AND spent_at IS NULL AND expires_at > $2 LIMIT 1",
    )
    .bind(family)
    .bind(now)
    .fetch_optional(executor)
    .await?;
    Ok(alive.is_some())
}
