//! Dialogues in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use crate::{DialogueId, DialogueRecord, DialogueStore, Millis, StoreError, UserId};

const FIND_DEFAULT: &str = "SELECT id FROM dialogs WHERE user_id = $1 AND is_default";

#[async_trait]
impl DialogueStore for PostgresStore {
    async fn default_dialogue(&self, user: UserId, now: Millis) -> Result<Option<DialogueId>, StoreError> {
        self.ask(async {
            // The second attempt finds a dialogue that another server created in the meantime.
            for _ in 0..2 {
                let found: Option<(i64,)> =
                    sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&self.pool).await?;
                if let Some((id,)) = found {
                    return Ok(Some(DialogueId(id)));
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
                    return Ok(Some(DialogueId(id)));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn owner(&self, dialogue: DialogueId) -> Result<Option<UserId>, StoreError> {
        let row: Option<(i64,)> = self
            .ask(
                sqlx::query_as("SELECT user_id FROM dialogs WHERE id = $1").bind(dialogue.0).fetch_optional(&self.pool),
            )
            .await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError> {
        let rows: Vec<(i64, String, bool, i64)> = self
            .ask(
                sqlx::query_as("SELECT id, name, is_default, created_at FROM dialogs WHERE user_id = $1 ORDER BY id")
                    .bind(user.0)
                    .fetch_all(&self.pool),
            )
            .await?;
        let record =
            |(id, name, is_default, created_at)| DialogueRecord { id: DialogueId(id), name, is_default, created_at };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn import_dialogue(&self, user: UserId, record: &DialogueRecord) -> Result<DialogueId, StoreError> {
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
            Ok(DialogueId(id))
        })
        .await
    }
}
