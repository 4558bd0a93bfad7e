//! Turns that wait for an answer from outside, in SQLite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteStore, parse};
use crate::{
    DialogueId, HistoryEntry, Millis, StoreError, UserId,
    waiting::{LATER_TEXTS, Listed, WAITING_AT_ONCE, WaitingDialogue, WaitingTurns},
};

/// `+position`: the few turns that wait are sorted, so that the index over them is used.
pub(super) const WAITING: &str =
    "SELECT position, user_id, dialog_id, seq, waits_until, text, COALESCE(leased_until, 0), state
     FROM turns WHERE waits_until > ?1 AND COALESCE(leased_until, 0) <= ?3 ORDER BY +position LIMIT ?2";
pub(super) const LEASE_ONE: &str = "UPDATE turns SET leased_until = ?3
     WHERE dialog_id = ?1 AND waits_until > ?2 AND COALESCE(leased_until, 0) <= ?2";
pub(super) const END_LEASE: &str =
    "UPDATE turns SET leased_until = NULL WHERE dialog_id = ? AND waits_until IS NOT NULL";
const LEASE: &str = "UPDATE turns SET leased_until = ? WHERE position = ?";
/// Nobody has come back to these dialogues since their time was over.
const FORGET_EXPIRED: &str = "UPDATE turns SET waits_until = NULL WHERE waits_until <= ?";
pub(super) const LATER: &str =
    "SELECT text FROM turns WHERE dialog_id = ? AND seq > ? AND text <> '' ORDER BY seq DESC LIMIT ?";
pub(super) const ENDING: &str = "SELECT id, text, response, seq FROM turns
     WHERE dialog_id = ? AND seq > ? AND ends_hand_off ORDER BY seq LIMIT 1";

#[async_trait]
impl WaitingTurns for SqliteStore {
    async fn waiting(&self, now: Millis, listed: Listed) -> Result<Vec<WaitingDialogue>, StoreError> {
        let listed = match listed {
            Listed::All | Listed::Free => self.read(move |connection| list(connection, now, listed)).await?,
            // One connection writes, so no two callers lease the same turn.
            Listed::Leased { .. } => self.write(move |connection| list(connection, now, listed)).await?,
        };
        listed.into_iter().map(|(waiting, state)| Ok(waiting.with_state(parse(&state)?))).collect()
    }

    async fn lease(&self, dialogue: DialogueId, now: Millis, until: Millis) -> Result<bool, StoreError> {
        let lease = move |connection: &Connection| {
            let leased = connection.prepare_cached(LEASE_ONE)?.execute(params![dialogue.0, now, until])?;
            Ok(leased > 0)
        };
        self.write(lease).await
    }

    async fn end_lease(&self, dialogue: DialogueId) -> Result<(), StoreError> {
        self.write(move |connection| connection.prepare_cached(END_LEASE)?.execute([dialogue.0]).map(drop)).await
    }

    async fn ending_after(&self, dialogue: DialogueId, seq: i64) -> Result<Option<HistoryEntry>, StoreError> {
        self.read(move |connection| {
            let entry = |row: &rusqlite::Row<'_>| {
                let place = row.get::<_, i64>(3)?.cast_unsigned();
                Ok(HistoryEntry { id: row.get(0)?, text: row.get(1)?, response: row.get(2)?, place })
            };
            connection.prepare_cached(ENDING)?.query_row(params![dialogue.0, seq], entry).optional()
        })
        .await
    }
}

/// The dialogues, each with the state of the turn that waits, as it is stored.
fn list(connection: &Connection, now: Millis, listed: Listed) -> rusqlite::Result<Vec<(WaitingDialogue, String)>> {
    let lease = listed.lease();
    if lease.is_some() {
        connection.prepare_cached(FORGET_EXPIRED)?.execute([now])?;
    }
    let mut waiting = connection.prepare_cached(WAITING)?;
    let turns = waiting.query_map(params![now, WAITING_AT_ONCE as i64, listed.latest_lease(now)], Marked::read)?;
    let turns = turns.collect::<rusqlite::Result<Vec<_>>>()?;
    let dialogue = |turn: Marked| {
        if let Some(until) = lease {
            connection.prepare_cached(LEASE)?.execute(params![until, turn.position])?;
        }
        let mut later = connection.prepare_cached(LATER)?;
        let later = later.query_map(params![turn.dialogue, turn.seq, LATER_TEXTS as i64], |row| row.get(0))?;
        let mut texts = later.collect::<rusqlite::Result<Vec<String>>>()?;
        texts.push(turn.text);
        texts.reverse();
        let (user, dialogue) = (UserId(turn.user), DialogueId(turn.dialogue));
        let (slots, history) = (BTreeMap::new(), Vec::new());
        let waiting = WaitingDialogue {
            user,
            dialogue,
            until: turn.until,
            leased_until: turn.leased_until,
            texts,
            slots,
            history,
        };
        Ok((waiting, turn.state))
    };
    turns.into_iter().map(dialogue).collect()
}

/// A turn that waits.
struct Marked {
    position: i64,
    user: i64,
    dialogue: i64,
    seq: i64,
    until: i64,
    text: String,
    leased_until: i64,
    state: String,
}

impl Marked {
    /// A row of [`WAITING`].
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: row.get(0)?,
            user: row.get(1)?,
            dialogue: row.get(2)?,
            seq: row.get(3)?,
            until: row.get(4)?,
            text: row.get(5)?,
            leased_until: row.get(6)?,
            state: row.get(7)?,
        })
    }
}
