//! Dialogues in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use crate::{DialogId, DialogRecord, DialogStore, Millis, StoreError, UserId};

const FIND_DEFAULT: &str = "SELECT id FROM dialogs WHERE user_id = $1 AND is_default";

#[async_trait]
impl DialogStore for PostgresStore {
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<Option<DialogId>, StoreError> {
        self.ask(async {
            // The second attempt finds a dialogue that another server created in the meantime.
            for _ in 0..2 {
                let found: Option<(i64,)> =
                    sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&self.pool).await?;
                if let Some((id,)) = found {
                    return Ok(Some(DialogId(id)));
                }
                let made: Option<(i64,)> = sqlx::query_as(
                    "INSERT INTO dialogs (user_id, name, is_default, created_at)
                     SELECT id, 'default', true, $2 FROM users WHERE id = $1 AND deleting_since IS NULL FOR SHARE
                     ON CONFLICT DO NOTHING RETURNING id",
                )
                .bind(user.0)
                .bind(now)
                .fetch_optional(&self.pool)
                .await?;
                if let Some((id,)) = made {
                    return Ok(Some(DialogId(id)));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> = self
            .ask(sqlx::query_as("SELECT user_id FROM dialogs WHERE id = $1").bind(dialog.0).fetch_optional(&self.pool))
            .await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogRecord>, StoreError> {
        let rows: Vec<(i64, String, bool, i64)> = self
            .ask(
                sqlx::query_as("SELECT id, name, is_default, created_at FROM dialogs WHERE user_id = $1 ORDER BY id")
                    .bind(user.0)
                    .fetch_all(&self.pool),
            )
            .await?;
        let record =
            |(id, name, is_default, created_at)| DialogRecord { id: DialogId(id), name, is_default, created_at };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn import_dialog(&self, user: UserId, record: &DialogRecord) -> Result<DialogId, StoreError> {
        self.ask(async {
            sqlx::query(
                "INSERT INTO dialogs (user_id, name, is_default, created_at, source_id) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT DO NOTHING",
            )
            .bind(user.0)
            .bind(&record.name)
            .bind(record.is_default)
            .bind(record.created_at)
            .bind(record.id.0)
            .execute(&self.pool)
            .await?;
            let (id,): (i64,) = sqlx::query_as("SELECT id FROM dialogs WHERE user_id = $1 AND source_id = $2")
                .bind(user.0)
                .bind(record.id.0)
                .fetch_one(&self.pool)
                .await?;
            Ok(DialogId(id))
        })
        .await
    }
}
