//! Dialogues in SQLite.

use async_trait::async_trait;

use super::{SqliteStore, failed};
use crate::stores::{DialogId, DialogStore, Millis, StoreError, UserId};

const FIND_DEFAULT: &str = "SELECT id FROM dialogs WHERE user_id = ? AND is_default = 1";

#[async_trait]
impl DialogStore for SqliteStore {
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<DialogId, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&self.readers).await.map_err(failed)?;
        if let Some((id,)) = found {
            return Ok(DialogId(id));
        }
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let found: Option<(i64,)> =
                        sqlx::query_as(FIND_DEFAULT).bind(user.0).fetch_optional(&mut *connection).await?;
                    if let Some((id,)) = found {
                        return Ok(DialogId(id));
                    }
                    let (id,): (i64,) = sqlx::query_as(
                        "INSERT INTO dialogs (user_id, name, is_default, created_at) VALUES (?, 'default', 1, ?) RETURNING id",
                    )
                    .bind(user.0)
                    .bind(now)
                    .fetch_one(connection)
                    .await?;
                    Ok(DialogId(id))
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
}
