//! Dialogues in SQLite.

use async_trait::async_trait;

use super::{SqliteStore, failed};
use crate::stores::{DialogId, DialogRecord, DialogStore, Millis, StoreError, UserId};

const FIND_DEFAULT: &str = "SELECT id FROM dialogs WHERE user_id = ? AND is_default = 1";

#[async_trait]
impl DialogStore for SqliteStore {
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<Option<DialogId>, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&self.readers).await.map_err(failed)?;
        if let Some((id,)) = found {
            return Ok(Some(DialogId(id)));
        }
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let found: Option<(i64,)> =
                        sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&mut *connection).await?;
                    if let Some((id,)) = found {
                        return Ok(Some(DialogId(id)));
                    }
                    let made: Option<(i64,)> = sqlx::query_as(
                        "INSERT INTO dialogs (user_id, name, is_default, created_at)
                         SELECT id, 'default', 1, ?2 FROM users WHERE id = ?1 AND deleting_since IS NULL RETURNING id",
                    )
                    .bind(user.0)
                    .bind(now)
                    .fetch_optional(connection)
                    .await?;
                    Ok(made.map(|(id,)| DialogId(id)))
                })
            })
            .await
    }

    async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT user_id FROM dialogs WHERE id = ?")
            .bind(dialog.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogRecord>, StoreError> {
        let rows: Vec<(i64, String, bool, i64)> =
            sqlx::query_as("SELECT id, name, is_default, created_at FROM dialogs WHERE user_id = ? ORDER BY id")
                .bind(user.0)
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        let record =
            |(id, name, is_default, created_at)| DialogRecord { id: DialogId(id), name, is_default, created_at };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn import_dialog(&self, user: UserId, record: &DialogRecord) -> Result<DialogId, StoreError> {
        let record = record.clone();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO dialogs (user_id, name, is_default, created_at, source_id) VALUES (?, ?, ?, ?, ?)
                         ON CONFLICT DO NOTHING",
                    )
                    .bind(user.0)
                    .bind(&record.name)
                    .bind(record.is_default)
                    .bind(record.created_at)
                    .bind(record.id.0)
                    .execute(&mut *connection)
                    .await?;
                    let (id,): (i64,) = sqlx::query_as("SELECT id FROM dialogs WHERE user_id = ? AND source_id = ?")
                        .bind(user.0)
                        .bind(record.id.0)
                        .fetch_one(connection)
                        .await?;
                    Ok(DialogId(id))
                })
            })
            .await
    }
}
