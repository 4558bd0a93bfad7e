//! Users and identities in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params, types::Type};

use super::{SqliteStore, tokens::spend_all};
use crate::{
    AuditEntry, GoogleAccount, Identity, IdentityRecord, Import, Millis, Profile, Provider, StoreError, UserId,
    UserRecord, UserStore,
    tokens::ENDED_LONG_AGO,
    users::{NEW_GUEST, read_profile, write_profile},
};

const EXPIRED_GUESTS: &str = "SELECT user_id FROM identities JOIN users ON users.id = user_id
     WHERE provider = 'guest' AND deleting_since IS NULL AND created_at < ?1
       AND NOT EXISTS (SELECT 1 FROM refresh_tokens
                       WHERE refresh_tokens.user_id = users.id AND spent_at IS NULL AND expires_at > ?2)
     LIMIT ?3";

#[async_trait]
impl UserStore for SqliteStore {
    async fn find_identity(&self, provider: Provider, subject: &str) -> Result<Option<Identity>, StoreError> {
        if provider == Provider::Channel
            && let Some(user) = self.senders.get(subject)
        {
            return Ok(Some(Identity { user, secret: None }));
        }
        let (subject, sender) = (subject.to_owned(), subject.to_owned());
        let found = self.read(move |connection| {
            let find = "SELECT user_id, secret FROM identities WHERE provider = ? AND subject = ?";
            let identity = |row: &rusqlite::Row<'_>| Ok(Identity { user: UserId(row.get(0)?), secret: row.get(1)? });
            connection.prepare_cached(find)?.query_row(params![provider.as_str(), subject], identity).optional()
        });
        let found: Option<Identity> = found.await?;
        if let (Provider::Channel, Some(identity)) = (provider, &found) {
            self.senders.insert(sender, identity.user);
        }
        Ok(found)
    }

    async fn create_user(
        &self,
        provider: Provider,
        subject: &str,
        secret: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError> {
        let (subject, secret) = (subject.to_owned(), secret.map(str::to_owned));
        self.write(move |connection| {
            if owner_of(connection, provider.as_str(), &subject)?.is_some() {
                return Ok(None);
            }
            connection.execute("INSERT INTO users (created_at) VALUES (?)", [now])?;
            let user = connection.last_insert_rowid();
            add_identity(connection, user, &IdentityRecord::unverified(provider, subject, secret))?;
            Ok(Some(UserId(user)))
        })
        .await
    }

    async fn set_secret(&self, email: &str, old: &str, new: &str) -> Result<(), StoreError> {
        let (email, old, new) = (email.to_owned(), old.to_owned(), new.to_owned());
        self.write(move |connection| {
            let set = "UPDATE identities SET secret = ? WHERE provider = 'password' AND subject = ? AND secret = ?";
            connection.execute(set, params![new, email, old]).map(drop)
        })
        .await
    }

    async fn verify_email(&self, email: &str) -> Result<bool, StoreError> {
        let email = email.to_owned();
        self.write(move |connection| {
            let verify = "UPDATE identities SET verified = 1 WHERE provider = 'password' AND subject = ?";
            connection.execute(verify, [email]).map(|changed| changed > 0)
        })
        .await
    }

    async fn end_unverified(&self, email: &str) -> Result<Vec<String>, StoreError> {
        let (email, now) = (email.to_owned(), self.clock.now());
        self.write(move |connection| {
            let end = "UPDATE identities SET secret = NULL
                       WHERE provider = 'password' AND subject = ? AND verified = 0 RETURNING user_id";
            let user = connection.query_row(end, [email], |row| row.get(0).map(UserId)).optional()?;
            user.map_or(Ok(Vec::new()), |user| spend_all(connection, user, now))
        })
        .await
    }

    async fn google_user(&self, account: &GoogleAccount, now: Millis) -> Result<UserId, StoreError> {
        let account = account.clone();
        self.write(move |connection| google_user(connection, &account, now)).await
    }

    async fn profile(&self, user: UserId) -> Result<Profile, StoreError> {
        let found: Option<String> = self
            .read(move |connection| {
                let find = "SELECT profile FROM identities WHERE user_id = ? AND profile IS NOT NULL LIMIT 1";
                connection.query_row(find, [user.0], |row| row.get(0)).optional()
            })
            .await?;
        found.map_or(Ok(Profile::default()), |text| read_profile("sqlite", &text))
    }

    async fn exists(&self, user: UserId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let find = "SELECT 1 FROM users WHERE id = ? AND deleting_since IS NULL";
            connection.prepare_cached(find)?.exists([user.0])
        })
        .await
    }

    async fn user_record(&self, user: UserId) -> Result<Option<UserRecord>, StoreError> {
        self.read(move |connection| {
            let find = "SELECT created_at FROM users WHERE id = ? AND deleting_since IS NULL";
            let Some(created_at) = connection.query_row(find, [user.0], |row| row.get(0)).optional()? else {
                return Ok(None);
            };
            let list = "SELECT provider, subject, secret, verified, profile FROM identities
                        WHERE user_id = ? ORDER BY provider, subject";
            let identities = connection.prepare(list)?.query_map([user.0], identity_row)?.collect::<Result<_, _>>()?;
            Ok(Some(UserRecord { created_at, identities }))
        })
        .await
    }

    async fn import_user(&self, record: &UserRecord, source: &str) -> Result<Import, StoreError> {
        let (record, source) = (record.clone(), source.to_owned());
        self.write(move |connection| import_user(connection, &record, &source)).await
    }

    async fn begin_deletion(&self, user: UserId, now: Millis) -> Result<Option<Vec<String>>, StoreError> {
        let begun = self.write(move |connection| begin_deletion(connection, user, now)).await;
        Self::forget_sender(&self.senders, user);
        begun
    }

    async fn finish_deletion(&self, user: UserId, entry: &AuditEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.empty_log().await?;
        self.write(move |connection| {
            let removed =
                connection.execute("DELETE FROM users WHERE id = ? AND deleting_since IS NOT NULL", [user.0])?;
            if removed == 1 { add_audit(connection, &entry) } else { Ok(()) }
        })
        .await
    }

    async fn expired_guests(&self, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let now = self.clock.now();
        self.read(move |connection| {
            let user = |row: &rusqlite::Row<'_>| row.get(0).map(UserId);
            let mut find = connection.prepare_cached(EXPIRED_GUESTS)?;
            find.query_map(params![now - NEW_GUEST, now - ENDED_LONG_AGO, limit], user)?.collect()
        })
        .await
    }

    async fn unfinished_deletions(&self) -> Result<Vec<UserId>, StoreError> {
        self.read(|connection| {
            let list = "SELECT id FROM users WHERE deleting_since IS NOT NULL ORDER BY id";
            connection.prepare(list)?.query_map([], |row| row.get(0).map(UserId))?.collect()
        })
        .await
    }

    async fn is_admin(&self, user: UserId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let find = "SELECT 1 FROM users WHERE id = ? AND is_admin = 1 AND deleting_since IS NULL";
            connection.prepare_cached(find)?.exists([user.0])
        })
        .await
    }

    async fn set_admin(&self, user: UserId, admin: bool, entry: &AuditEntry) -> Result<bool, StoreError> {
        let entry = entry.clone();
        self.write(move |connection| {
            let set = "UPDATE users SET is_admin = ? WHERE id = ? AND id <> 1 AND deleting_since IS NULL";
            if connection.execute(set, params![admin, user.0])? == 0 {
                return Ok(false);
            }
            add_audit(connection, &entry)?;
            Ok(true)
        })
        .await
    }

    async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.write(move |connection| add_audit(connection, &entry)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| connection.prepare_cached("SELECT 1 FROM users LIMIT 1")?.exists([]).map(drop)).await
    }
}

/// Writes a line of the audit log.
pub(super) fn add_audit(connection: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let (actor, subject) = (entry.actor.map(|user| user.0), entry.subject.map(|user| user.0));
    let add = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)";
    connection.execute(add, params![entry.at, actor, entry.action, subject, entry.detail.to_string()]).map(drop)
}

fn owner_of(connection: &Connection, provider: &str, subject: &str) -> rusqlite::Result<Option<UserId>> {
    let find = "SELECT user_id FROM identities WHERE provider = ? AND subject = ?";
    connection.query_row(find, [provider, subject], |row| row.get(0).map(UserId)).optional()
}

fn add_identity(connection: &Connection, user: i64, identity: &IdentityRecord) -> rusqlite::Result<()> {
    let IdentityRecord { provider, subject, secret, verified, profile } = identity;
    let profile = profile.as_ref().map(write_profile);
    let add =
        "INSERT INTO identities (provider, subject, user_id, secret, verified, profile) VALUES (?, ?, ?, ?, ?, ?)";
    connection.execute(add, params![provider, subject, user, secret, verified, profile]).map(drop)
}

fn identity_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<IdentityRecord> {
    let profile: Option<String> = row.get(4)?;
    let damaged = |error: StoreError| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(error));
    let profile = profile.map(|text| read_profile("sqlite", &text)).transpose().map_err(damaged)?;
    let (provider, subject, secret, verified) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(IdentityRecord { provider, subject, secret, verified, profile })
}

fn google_user(connection: &Connection, account: &GoogleAccount, now: Millis) -> rusqlite::Result<UserId> {
    let google = Provider::Google.as_str();
    if let Some(user) = owner_of(connection, google, &account.subject)? {
        let update = "UPDATE identities SET profile = ? WHERE provider = ? AND subject = ?";
        connection.execute(update, params![write_profile(&account.profile), google, account.subject])?;
        return Ok(user);
    }
    let joined = "UPDATE identities SET verified = 1
                  WHERE provider = 'password' AND subject = ?1 AND (verified = 1 OR secret IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM identities AS other
                                    WHERE other.user_id = identities.user_id AND other.provider = 'google')
                  RETURNING user_id";
    let joined: Option<i64> = connection.query_row(joined, [&account.email], |row| row.get(0)).optional()?;
    let user = match joined {
        Some(user) => user,
        None => {
            connection.execute("INSERT INTO users (created_at) VALUES (?)", [now])?;
            let user = connection.last_insert_rowid();
            if let Some(email) = &account.email
                && owner_of(connection, Provider::Password.as_str(), email)?.is_none()
            {
                add_identity(connection, user, &IdentityRecord::address(email))?;
            }
            user
        }
    };
    add_identity(connection, user, &IdentityRecord::google(account))?;
    Ok(UserId(user))
}

fn import_user(connection: &Connection, record: &UserRecord, source: &str) -> rusqlite::Result<Import> {
    let find = "SELECT id, deleting_since IS NOT NULL FROM users WHERE source = ?";
    let earlier = connection.query_row(find, [source], |row| Ok((UserId(row.get(0)?), row.get(1)?))).optional()?;
    if let Some((user, deleting)) = earlier {
        return Ok(if deleting { Import::Deleting(user) } else { Import::Resumed(user) });
    }
    for identity in &record.identities {
        if owner_of(connection, &identity.provider, &identity.subject)?.is_some() {
            return Ok(Import::Taken(identity.clone()));
        }
    }
    connection.execute("INSERT INTO users (created_at, source) VALUES (?, ?)", params![record.created_at, source])?;
    let user = connection.last_insert_rowid();
    for identity in &record.identities {
        add_identity(connection, user, identity)?;
    }
    Ok(Import::New(UserId(user)))
}

fn begin_deletion(connection: &Connection, user: UserId, now: Millis) -> rusqlite::Result<Option<Vec<String>>> {
    let mark = "UPDATE users SET deleting_since = COALESCE(deleting_since, ?) WHERE id = ?";
    if connection.execute(mark, params![now, user.0])? == 0 {
        return Ok(None);
    }
    connection.execute("DELETE FROM identities WHERE user_id = ?", [user.0])?;
    spend_all(connection, user, now).map(Some)
}
