//! Turns that wait for an answer from outside, in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use crate::{
    DialogueId, HistoryEntry, Millis, StoreError, UserId,
    waiting::{Lease, TEXTS_SHOWN, WAITING_AT_ONCE, WaitingDialogue, WaitingTurns},
};

const WAITING: &str = "SELECT position, user_id, dialog_id, seq FROM turns
     WHERE waits_until > ?1 AND COALESCE(leased_until, 0) <= ?1 ORDER BY position LIMIT ?2";
const LEASE: &str = "UPDATE turns SET leased_until = ? WHERE position = ?";
const TEXTS: &str = "SELECT text FROM turns WHERE dialog_id = ? AND seq >= ? ORDER BY seq LIMIT ?";
const ENDING: &str = "SELECT id, text, response FROM turns
     WHERE dialog_id = ? AND seq > ? AND ends_hand_off ORDER BY seq LIMIT 1";

#[async_trait]
impl WaitingTurns for SqliteStore {
    async fn waiting(&self, now: Millis, lease: Option<Lease>) -> Result<Vec<WaitingDialogue>, StoreError> {
        match lease {
            None => self.read(move |connection| list(connection, now, None)).await,
            // One connection writes, so no two callers lease the same turn.
            Some(lease) => self.write(move |connection| list(connection, now, Some(lease))).await,
        }
    }

    async fn ending_after(&self, dialogue: DialogueId, seq: i64) -> Result<Option<HistoryEntry>, StoreError> {
        self.read(move |connection| {
            let entry = |row: &rusqlite::Row<'_>| {
                Ok(HistoryEntry { id: row.get(0)?, text: row.get(1)?, response: row.get(2)? })
            };
            connection.prepare_cached(ENDING)?.query_row(params![dialogue.0, seq], entry).optional()
        })
        .await
    }
}

fn list(connection: &Connection, now: Millis, lease: Option<Lease>) -> rusqlite::Result<Vec<WaitingDialogue>> {
    let mut waiting = connection.prepare_cached(WAITING)?;
    let turn = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, i64>(0)?, UserId(row.get(1)?), DialogueId(row.get(2)?), row.get::<_, i64>(3)?))
    };
    let turns = waiting.query_map(params![now, WAITING_AT_ONCE as i64], turn)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let dialogue = |(position, user, dialogue, seq): (i64, UserId, DialogueId, i64)| {
        if let Some(lease) = lease {
            connection.prepare_cached(LEASE)?.execute(params![lease.until, position])?;
        }
        let mut texts = connection.prepare_cached(TEXTS)?;
        let texts = texts.query_map(params![dialogue.0, seq, TEXTS_SHOWN as i64], |row| row.get(0))?;
        Ok(WaitingDialogue { user, dialogue, texts: texts.collect::<rusqlite::Result<_>>()? })
    };
    turns.into_iter().map(dialogue).collect()
}
