//! Dialogues in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use crate::{DialogueId, DialogueRecord, DialogueStore, Millis, StoreError, UserId};

#[async_trait]
impl DialogueStore for SqliteStore {
    async fn default_dialogue(&self, user: UserId, now: Millis) -> Result<Option<DialogueId>, StoreError> {
        if let Some(found) = self.read(move |connection| find_default(connection, user)).await? {
            return Ok(Some(found));
        }
        let find_or_make = move |connection: &Connection| {
            if let Some(found) = find_default(connection, user)? {
                return Ok(Some(found));
            }
            let make = "INSERT INTO dialogs (user_id, name, is_default, created_at)
                        SELECT id, 'default', 1, ?2 FROM users WHERE id = ?1 AND deleting_since IS NULL RETURNING id";
            connection.query_row(make, params![user.0, now], |row| row.get(0).map(DialogueId)).optional()
        };
        self.write(find_or_make).await
    }

    async fn owner(&self, dialogue: DialogueId) -> Result<Option<UserId>, StoreError> {
        let owner = "SELECT user_id FROM dialogs WHERE id = ?";
        self.read(move |connection| connection.query_row(owner, [dialogue.0], |row| row.get(0).map(UserId)).optional())
            .await
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError> {
        self.read(move |connection| {
            let list = "SELECT id, name, is_default, created_at FROM dialogs WHERE user_id = ? ORDER BY id";
            let record = |row: &rusqlite::Row<'_>| {
                let id = DialogueId(row.get(0)?);
                Ok(DialogueRecord { id, name: row.get(1)?, is_default: row.get(2)?, created_at: row.get(3)? })
            };
            connection.prepare_cached(list)?.query_map([user.0], record)?.collect()
        })
        .await
    }

    async fn import_dialogue(&self, user: UserId, record: &DialogueRecord) -> Result<DialogueId, StoreError> {
        let record = record.clone();
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO dialogs (user_id, name, is_default, created_at, source_id) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
                params![user.0, record.name, record.is_default, record.created_at, record.id.0],
            )?;
            let find = "SELECT id FROM dialogs WHERE user_id = ? AND source_id = ?";
            connection.query_row(find, [user.0, record.id.0], |row| row.get(0).map(DialogueId))
        })
        .await
    }
}

fn find_default(connection: &Connection, user: UserId) -> rusqlite::Result<Option<DialogueId>> {
    let find = "SELECT id FROM dialogs WHERE user_id = ? AND is_default = 1";
    connection.prepare_cached(find)?.query_row([user.0], |row| row.get(0).map(DialogueId)).optional()
}
