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
        let owner = "SELECT user_id FROM dialogs WHERE id = ? AND deleting_since IS NULL";
        self.read(move |connection| connection.query_row(owner, [dialogue.0], |row| row.get(0).map(UserId)).optional())
            .await
    }

    async fn of_user(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError> {
        self.read(move |connection| {
            let list = "SELECT id, name, is_default, created_at FROM dialogs
                        WHERE user_id = ? AND deleting_since IS NULL ORDER BY id";
            let record = |row: &rusqlite::Row<'_>| {
                let id = DialogueId(row.get(0)?);
                Ok(DialogueRecord { id, name: row.get(1)?, is_default: row.get(2)?, created_at: row.get(3)? })
            };
            connection.prepare_cached(list)?.query_map([user.0], record)?.collect()
        })
        .await
    }

    async fn create_dialogue(
        &self,
        user: UserId,
        name: &str,
        limit: u32,
        now: Millis,
    ) -> Result<Option<DialogueId>, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let make = "INSERT INTO dialogs (user_id, name, is_default, created_at)
                        SELECT id, ?2, 0, ?3 FROM users WHERE id = ?1 AND deleting_since IS NULL
                          AND ?4 > (SELECT COUNT(*) FROM dialogs
                                    WHERE user_id = ?1 AND is_default = 0 AND deleting_since IS NULL)
                        RETURNING id";
            connection.query_row(make, params![user.0, name, now, limit], |row| row.get(0).map(DialogueId)).optional()
        })
        .await
    }

    async fn rename_dialogue(&self, user: UserId, dialogue: DialogueId, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let rename = "UPDATE dialogs SET name = ?
                          WHERE id = ? AND user_id = ? AND is_default = 0 AND deleting_since IS NULL";
            Ok(connection.execute(rename, params![name, dialogue.0, user.0])? > 0)
        })
        .await
    }

    async fn begin_removal(&self, user: UserId, dialogue: DialogueId, now: Millis) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let mark = "UPDATE dialogs SET deleting_since = COALESCE(deleting_since, ?)
                        WHERE id = ? AND user_id = ? AND is_default = 0";
            Ok(connection.execute(mark, params![now, dialogue.0, user.0])? > 0)
        })
        .await
    }

    async fn finish_removal(&self, dialogue: DialogueId) -> Result<(), StoreError> {
        self.empty_log().await?;
        self.write(move |connection| {
            let remove = "DELETE FROM dialogs WHERE id = ? AND deleting_since IS NOT NULL";
            connection.execute(remove, [dialogue.0]).map(drop)
        })
        .await
    }

    async fn unfinished_removals(&self) -> Result<Vec<(UserId, DialogueId)>, StoreError> {
        self.read(|connection| {
            let list = "SELECT user_id, id FROM dialogs WHERE deleting_since IS NOT NULL ORDER BY id";
            let pair = |row: &rusqlite::Row<'_>| Ok((UserId(row.get(0)?), DialogueId(row.get(1)?)));
            connection.prepare(list)?.query_map([], pair)?.collect()
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
