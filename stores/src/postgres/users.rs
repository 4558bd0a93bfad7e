//! Users, identities and the audit log in PostgreSQL.

use async_trait::async_trait;
use sqlx::{PgConnection, PgExecutor};

use super::{
    PostgresStore,
    google::{end_unverified, google_user},
    tokens::spend_all,
};
use crate::{
    AuditEntry, GoogleAccount, Identity, IdentityRecord, Import, Millis, Profile, Provider, StoreError, UserId,
    UserRecord, UserStore,
    tokens::ENDED_LONG_AGO,
    users::{NEW_GUEST, read_profile, write_profile},
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
            let (subject, secret) = (subject.to_owned(), secret.map(str::to_owned));
            let identity = IdentityRecord::unverified(provider, subject, secret);
            if !add_identity(&mut transaction, user, &identity).await? {
                transaction.rollback().await?;
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some(UserId(user)))
        })
        .await
    }

    async fn set_secret(&self, email: &str, old: &str, new: &str) -> Result<(), StoreError> {
        let set = "UPDATE identities SET secret = $1 WHERE provider = 'password' AND subject = $2 AND secret = $3";
        self.ask(sqlx::query(set).bind(new).bind(email).bind(old).execute(&self.pool)).await.map(|_| ())
    }

    async fn verify_email(&self, email: &str) -> Result<bool, StoreError> {
        let verify = "UPDATE identities SET verified = TRUE WHERE provider = 'password' AND subject = $1";
        let changed = self.ask(sqlx::query(verify).bind(email).execute(&self.pool)).await?;
        Ok(changed.rows_affected() > 0)
    }

    async fn end_unverified(&self, email: &str) -> Result<Vec<String>, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let families = end_unverified(&mut transaction, email).await?;
            transaction.commit().await?;
            Ok(families)
        })
        .await
    }

    async fn google_user(&self, account: &GoogleAccount, now: Millis) -> Result<UserId, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let user = google_user(&mut transaction, account, now).await?;
            transaction.commit().await?;
            Ok(UserId(user))
        })
        .await
    }

    async fn profile(&self, user: UserId) -> Result<Profile, StoreError> {
        let find = "SELECT profile FROM identities WHERE user_id = $1 AND profile IS NOT NULL LIMIT 1";
        let found: Option<(String,)> = self.ask(sqlx::query_as(find).bind(user.0).fetch_optional(&self.pool)).await?;
        found.map_or(Ok(Profile::default()), |(text,)| read_profile("postgres", &text))
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
            let rows: Vec<IdentityRow> = sqlx::query_as(
                "SELECT provider, subject, secret, verified, profile FROM identities
                 WHERE user_id = $1 ORDER BY provider, subject",
            )
            .bind(user.0)
            .fetch_all(&self.pool)
            .await?;
            let identities = rows.into_iter().map(identity_record).collect::<Result<_, _>>()?;
            Ok(Some(UserRecord { created_at, identities }))
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
                if !add_identity(&mut transaction, user, identity).await? {
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
            let families = spend_all(&mut transaction, user.0).await?;
            transaction.commit().await?;
            Ok(Some(families))
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

    async fn expired_guests(&self, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let find = "SELECT user_id FROM identities JOIN users ON users.id = user_id
                    WHERE provider = 'guest' AND deleting_since IS NULL AND created_at < now_ms() - $1
                      AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE refresh_tokens.user_id = users.id
                                      AND spent_at IS NULL AND expires_at > now_ms() - $2)
                    LIMIT $3";
        let find = sqlx::query_as(find).bind(NEW_GUEST).bind(ENDED_LONG_AGO).bind(i64::from(limit));
        let rows: Vec<(i64,)> = self.ask(find.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
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
pub(super) async fn add_identity(
    connection: &mut PgConnection,
    user: i64,
    identity: &IdentityRecord,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO identities (provider, subject, user_id, secret, verified, profile)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(&identity.provider)
    .bind(&identity.subject)
    .bind(user)
    .bind(&identity.secret)
    .bind(identity.verified)
    .bind(identity.profile.as_ref().map(write_profile))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

type IdentityRow = (String, String, Option<String>, bool, Option<String>);

fn identity_record(row: IdentityRow) -> Result<IdentityRecord, sqlx::Error> {
    let (provider, subject, secret, verified, profile) = row;
    let profile = profile.map(|text| read_profile("postgres", &text)).transpose();
    let profile = profile.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(IdentityRecord { provider, subject, secret, verified, profile })
}
