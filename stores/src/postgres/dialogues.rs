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
                sqlx::query_as("SELECT user_id FROM dialogs WHERE id = $1 AND deleting_since IS NULL")
                    .bind(dialogue.0)
                    .fetch_optional(&self.pool),
            )
            .await?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError> {
        let rows: Vec<(i64, String, bool, i64)> = self
            .ask(
                sqlx::query_as(
                    "SELECT id, name, is_default, created_at FROM dialogs
                     WHERE user_id = $1 AND deleting_since IS NULL ORDER BY id",
                )
                .bind(user.0)
                .fetch_all(&self.pool),
            )
            .await?;
        let record =
            |(id, name, is_default, created_at)| DialogueRecord { id: DialogueId(id), name, is_default, created_at };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn create_dialogue(
        &self,
        user: UserId,
        name: &str,
        limit: u32,
        now: Millis,
    ) -> Result<Option<DialogueId>, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            // Servers that create dialogues of one user at once count one after the other.
            let lock = "SELECT 1 FROM users WHERE id = $1 AND deleting_since IS NULL FOR UPDATE";
            let found: Option<(i32,)> = sqlx::query_as(lock).bind(user.0).fetch_optional(&mut *transaction).await?;
            if found.is_none() {
                return Ok(None);
            }
            let make = "INSERT INTO dialogs (user_id, name, is_default, created_at)
                        SELECT $1, $2, false, $3
                        WHERE $4 > (SELECT COUNT(*) FROM dialogs
                                    WHERE user_id = $1 AND NOT is_default AND deleting_since IS NULL)
                        RETURNING id";
            let made: Option<(i64,)> = sqlx::query_as(make)
                .bind(user.0)
                .bind(name)
                .bind(now)
                .bind(i64::from(limit))
                .fetch_optional(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(made.map(|(id,)| DialogueId(id)))
        })
        .await
    }

    async fn rename_dialogue(&self, user: UserId, dialogue: DialogueId, name: &str) -> Result<bool, StoreError> {
        let rename = "UPDATE dialogs SET name = $1
                      WHERE id = $2 AND user_id = $3 AND NOT is_default AND deleting_since IS NULL";
        let query = sqlx::query(rename).bind(name).bind(dialogue.0).bind(user.0);
        Ok(self.ask(query.execute(&self.pool)).await?.rows_affected() > 0)
    }

    async fn begin_removal(&self, user: UserId, dialogue: DialogueId, now: Millis) -> Result<bool, StoreError> {
        let mark = "UPDATE dialogs SET deleting_since = COALESCE(deleting_since, $1)
                    WHERE id = $2 AND user_id = $3 AND NOT is_default";
        let query = sqlx::query(mark).bind(now).bind(dialogue.0).bind(user.0);
        Ok(self.ask(query.execute(&self.pool)).await?.rows_affected() > 0)
    }

    async fn finish_removal(&self, dialogue: DialogueId) -> Result<(), StoreError> {
        let remove = "DELETE FROM dialogs WHERE id = $1 AND deleting_since IS NOT NULL";
        self.ask(sqlx::query(remove).bind(dialogue.0).execute(&self.pool)).await.map(|_| ())
    }

    async fn unfinished_removals(&self) -> Result<Vec<(UserId, DialogueId)>, StoreError> {
        let list = "SELECT user_id, id FROM dialogs WHERE deleting_since IS NOT NULL ORDER BY id";
        let rows: Vec<(i64, i64)> = self.ask(sqlx::query_as(list).fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(user, dialogue)| (UserId(user), DialogueId(dialogue))).collect())
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
