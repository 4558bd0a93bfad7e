//! Google accounts in PostgreSQL, and the addresses that they own.

use sqlx::{PgConnection, PgExecutor};

use super::{
    tokens::{UserLock, lock_text, lock_user, spend_all},
    users::add_identity,
};
use crate::{GoogleAccount, IdentityRecord, Millis, UserId, users::write_profile};

pub(super) async fn end_unverified(connection: &mut PgConnection, email: &str) -> Result<Vec<String>, sqlx::Error> {
    let find = "SELECT user_id FROM identities WHERE provider = 'password' AND subject = $1 AND NOT verified";
    let found: Option<(i64,)> = sqlx::query_as(find).bind(email).fetch_optional(&mut *connection).await?;
    let Some((user,)) = found else { return Ok(Vec::new()) };
    lock_user(connection, UserId(user), UserLock::Update).await?;
    let end = "UPDATE identities SET secret = NULL WHERE provider = 'password' AND subject = $1 AND NOT verified";
    if sqlx::query(end).bind(email).execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(Vec::new());
    }
    spend_all(connection, user).await
}

pub(super) async fn google_user(
    connection: &mut PgConnection,
    account: &GoogleAccount,
    now: Millis,
) -> Result<i64, sqlx::Error> {
    // Serialize by address and by account, so that two servers make one user.
    for key in account.email.iter().chain([&account.subject]) {
        lock_text(connection, key).await?;
    }
    let known = "UPDATE identities SET profile = $1 WHERE provider = 'google' AND subject = $2 RETURNING user_id";
    let known: Option<(i64,)> = sqlx::query_as(known)
        .bind(write_profile(&account.profile))
        .bind(&account.subject)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((user,)) = known {
        return Ok(user);
    }
    let joined = "UPDATE identities SET verified = TRUE
                  WHERE provider = 'password' AND subject = $1 AND (verified OR secret IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM identities AS other
                                    WHERE other.user_id = identities.user_id AND other.provider = 'google')
                  RETURNING user_id";
    let joined: Option<(i64,)> = sqlx::query_as(joined).bind(&account.email).fetch_optional(&mut *connection).await?;
    let user = match joined {
        Some((user,)) => user,
        None => {
            let make = "INSERT INTO users (created_at) VALUES ($1) RETURNING id";
            let (user,): (i64,) = sqlx::query_as(make).bind(now).fetch_one(&mut *connection).await?;
            if let Some(email) = &account.email {
                // Whoever has the address already keeps it.
                add_identity(connection, user, &IdentityRecord::address(email)).await?;
            }
            user
        }
    };
    add_identity(connection, user, &IdentityRecord::google(account)).await?;
    Ok(user)
}

pub(super) async fn has_password(
    executor: impl PgExecutor<'_>,
    user: UserId,
    email: &str,
) -> Result<bool, sqlx::Error> {
    let find = "SELECT 1 FROM identities
                WHERE provider = 'password' AND subject = $1 AND user_id = $2 AND secret IS NOT NULL";
    let found: Option<(i32,)> = sqlx::query_as(find).bind(email).bind(user.0).fetch_optional(executor).await?;
    Ok(found.is_some())
}
