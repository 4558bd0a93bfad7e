//! Sessions created during an outage of Redis. They expire by the database's clock.

use std::time::Duration;

use super::PostgresStore;
use crate::{Session, StoreError, UserId};

impl PostgresStore {
    /// Lists a token for `life`.
    pub(crate) async fn put_session(&self, token: &str, session: &Session, life: Duration) -> Result<(), StoreError> {
        self.ask(async {
            sqlx::query("DELETE FROM sessions WHERE expires_at <= now()").execute(&self.pool).await?;
            sqlx::query(
                "INSERT INTO sessions (token, family, user_id, expires_at)
                 VALUES ($1, $2, $3, now() + make_interval(secs => $4))",
            )
            .bind(token)
            .bind(&session.family)
            .bind(session.user.0)
            .bind(life.as_secs_f64())
            .execute(&self.pool)
            .await
        })
        .await
        .map(|_| ())
    }

    /// The session of a token.
    pub(crate) async fn get_session(&self, token: &str) -> Result<Option<Session>, StoreError> {
        let row: Option<(i64, String)> = self
            .ask(
                sqlx::query_as("SELECT user_id, family FROM sessions WHERE token = $1 AND expires_at > now()")
                    .bind(token)
                    .fetch_optional(&self.pool),
            )
            .await?;
        Ok(row.map(|(user, family)| Session { user: UserId(user), family }))
    }

    /// Ends the sessions of a family.
    pub(crate) async fn revoke_sessions(&self, family: &str) -> Result<(), StoreError> {
        self.ask(sqlx::query("DELETE FROM sessions WHERE family = $1").bind(family).execute(&self.pool))
            .await
            .map(|_| ())
    }
}
