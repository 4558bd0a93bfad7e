//! Turns, and what handlers keep, in SQLite.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    SqliteStore, damaged, parse,
    rows::{ReportColumns, StoredTurn, TurnRow},
};
use crate::{
    ANCHOR_GONE, Appended, DialogueId, HISTORY_PAGE, HistoryEntry, HistoryQuery, KEY_LIFE, LastTurn, Millis, NewTurn,
    Place, Receipt, SEARCHED, StoreError, StoredAnswer, TurnStore, UserId, Utterances,
};

/// A writer that takes longer counts as gone.
const PING_TIME: Duration = Duration::from_secs(2);

#[async_trait]
impl TurnStore for SqliteStore {
    async fn last(&self, dialogue: DialogueId) -> Result<LastTurn, StoreError> {
        let row: Option<(i64, String)> = self
            .read(move |connection| {
                let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                connection.prepare_cached(LAST)?.query_row([dialogue.0], pair).optional()
            })
            .await?;
        let Some((seq, state)) = row else { return Ok(LastTurn::default()) };
        Ok(LastTurn { seq, state: parse(&state)? })
    }

    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError> {
        let row = TurnRow::from_turn(turn)?;
        let senders = self.senders.clone();
        self.writer
            .submit(move |connection| {
                let appended = append(connection, &row)?;
                if appended == Appended::Gone {
                    Self::forget_sender(&senders, row.turn.user);
                }
                Ok(appended)
            })
            .await
    }

    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError> {
        let key = key.to_owned();
        let row: Option<(Vec<u8>, String, String, Option<Place>)> = self
            .read(move |connection| {
                let read = |row: &rusqlite::Row<'_>| {
                    let place = Place { dialogue: DialogueId(row.get(3)?), seq: row.get(4)? };
                    let handed_off: Option<bool> = row.get(5)?;
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, handed_off.unwrap_or(false).then_some(place)))
                };
                connection.prepare_cached(FIND_ANSWER)?.query_row(params![user.0, key, since], read).optional()
            })
            .await?;
        row.map(|(hash, response, outputs, handed_off)| {
            let request_hash = hash.try_into().map_err(|_| damaged("a request hash has another length"))?;
            Ok(StoredAnswer { request_hash, response, outputs: parse(&outputs)?, handed_off })
        })
        .transpose()
    }

    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let query = query.clone();
        self.read(move |connection| {
            let before = match &query.before {
                None => None,
                // A message that is not there, or not in the dialogue that was asked for, has nothing before it.
                Some(id) => match position_of(connection, user, id)? {
                    Some(found) if query.dialogue.is_none_or(|dialogue| dialogue == found.dialogue) => Some(found),
                    _ => return Ok(Vec::new()),
                },
            };
            let part = HistoryPart { user, dialogue: query.dialogue, before: before.as_ref() };
            let after = match (query.after, query.limit) {
                (Some(after), _) => i64::try_from(after).unwrap_or(i64::MAX),
                (None, None) => 0,
                (None, Some(0)) => return Ok(Vec::new()),
                (None, Some(limit)) => part.place_before_newest(connection, limit)?,
            };
            part.read(connection, after, query.limit.unwrap_or(HISTORY_PAGE).min(HISTORY_PAGE))
        })
        .await
    }

    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError> {
        let key = key.to_owned();
        // The writer answers, after the turns that were submitted before. The next turn of a dialogue may begin while
        // the last one still waits for the disk, and must see the values that it kept.
        let value: Option<String> = self
            .write(move |connection| {
                let find = "SELECT value FROM kept_values WHERE user_id = ? AND key = ?";
                connection.prepare_cached(find)?.query_row(params![user.0, key], |row| row.get(0)).optional()
            })
            .await?;
        value.map(|value| parse(&value)).transpose()
    }

    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError> {
        let rows: Vec<(String, String)> = self
            .read(move |connection| {
                let list = "SELECT key, value FROM kept_values WHERE user_id = ?";
                connection.prepare(list)?.query_map([user.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .await?;
        rows.into_iter().map(|(key, value)| Ok((key, parse(&value)?))).collect()
    }

    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError> {
        let after = after.map(str::to_owned);
        let rows: Option<Vec<StoredTurn>> = self
            .read(move |connection| {
                let begin = match &after {
                    Some(after) => position_of(connection, user, after)?.map(|found| found.position),
                    None => Some(0),
                };
                let Some(begin) = begin else { return Ok(None) };
                let mut statement = connection.prepare_cached(PAGE)?;
                let rows = statement.query_map(params![user.0, begin, limit], StoredTurn::read)?;
                rows.collect::<rusqlite::Result<_>>().map(Some)
            })
            .await?;
        let rows = rows.ok_or_else(|| StoreError::damaged("sqlite", ANCHOR_GONE))?;
        rows.into_iter().map(StoredTurn::into_turn).collect()
    }

    async fn of_dialogue(&self, dialogue: DialogueId, seq: i64, limit: u32) -> Result<Vec<NewTurn>, StoreError> {
        let rows: Vec<StoredTurn> = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached(OF_DIALOGUE)?;
                statement.query_map(params![dialogue.0, seq, limit], StoredTurn::read)?.collect()
            })
            .await?;
        rows.into_iter().map(StoredTurn::into_turn).collect()
    }

    async fn utterances(&self, since: Millis, limit: u32) -> Result<Utterances, StoreError> {
        self.read(move |connection| {
            let mut found = Utterances::up_to(limit);
            let mut statement = connection.prepare(UTTERANCES)?;
            let mut rows = statement.query(params![since, SEARCHED as i64])?;
            while let Some(row) = rows.next()? {
                if !found.take(row.get(0)?) {
                    break;
                }
            }
            Ok(found)
        })
        .await
    }

    async fn remove_some_of(&self, dialogue: DialogueId) -> Result<Option<Vec<String>>, StoreError> {
        self.write(move |connection| {
            let some = "DELETE FROM turns
                        WHERE position IN (SELECT position FROM turns WHERE dialog_id = ? LIMIT 1000)
                        RETURNING idempotency_key";
            let mut statement = connection.prepare_cached(some)?;
            let keys = statement.query_map([dialogue.0], |row| row.get(0))?;
            let keys = keys.collect::<rusqlite::Result<Vec<Option<String>>>>()?;
            Ok((!keys.is_empty()).then(|| keys.into_iter().flatten().collect()))
        })
        .await
    }

    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let some = "DELETE FROM turns
                        WHERE position IN (SELECT position FROM turns WHERE user_id = ? LIMIT 1000)";
            if connection.execute(some, [user.0])? > 0 {
                return Ok(true);
            }
            connection.execute("DELETE FROM kept_values WHERE user_id = ?", [user.0])?;
            Ok(false)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| connection.prepare_cached("SELECT 1 FROM turns LIMIT 1")?.exists([]).map(drop)).await?;
        let written = timeout(PING_TIME, self.write(|_| Ok(()))).await;
        written.map_err(|_| StoreError::outage("sqlite", "the writer does not answer"))?
    }
}

const LAST: &str = "SELECT seq, state FROM turns WHERE dialog_id = ? ORDER BY seq DESC LIMIT 1";
const FIND_ANSWER: &str = "SELECT request_hash, response, outputs, dialog_id, seq,
                                  json_extract(classification, '$.hand_off')
                           FROM turns WHERE user_id = ? AND idempotency_key = ? AND created_at > ?";
const PAGE: &str =
    "SELECT id, dialog_id, seq, created_at, text, response, classification, outputs, state, user_id FROM turns
     WHERE user_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
const OF_DIALOGUE: &str =
    "SELECT id, dialog_id, seq, created_at, text, response, classification, outputs, state, user_id FROM turns
     WHERE dialog_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const UTTERANCES: &str = "SELECT text FROM turns
     WHERE created_at >= ? AND json_extract(classification, '$.type') NOT IN ('form', 'waiting', 'answer', 'given_back', 'silence')
     ORDER BY position DESC LIMIT ?";

/// A turn's place in the order of all turns, and in its dialogue.
struct Position {
    position: i64,
    dialogue: DialogueId,
    seq: i64,
}

fn position_of(connection: &Connection, user: UserId, id: &str) -> rusqlite::Result<Option<Position>> {
    let find = "SELECT position, dialog_id, seq FROM turns WHERE user_id = ? AND id = ?";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Position { position: row.get(0)?, dialogue: DialogueId(row.get(1)?), seq: row.get(2)? })
    };
    connection.prepare_cached(find)?.query_row(params![user.0, id], read).optional()
}

/// The messages of a user, perhaps of one dialogue only, perhaps only those before one of them.
struct HistoryPart<'p> {
    user: UserId,
    dialogue: Option<DialogueId>,
    before: Option<&'p Position>,
}

impl HistoryPart<'_> {
    /// Within one dialogue both orders are the same; each has its index.
    fn order(&self) -> &'static str {
        if self.dialogue.is_some() { "seq" } else { "position" }
    }

    /// Selects `columns` of messages behind the place `after`.
    fn select(&self, columns: &str, after: i64, rest: &str) -> (String, Vec<i64>) {
        let order = self.order();
        // A turn that only gives a dialogue back to the bot says nothing.
        let mut sql = format!(
            "SELECT {columns} FROM turns WHERE user_id = ? AND {order} > ? AND NOT (text = '' AND response = '')"
        );
        let mut values = vec![self.user.0, after];
        if let Some(dialogue) = self.dialogue {
            sql.push_str(" AND dialog_id = ?");
            values.push(dialogue.0);
        }
        if let Some(before) = self.before {
            sql.push_str(&format!(" AND {order} < ?"));
            values.push(if self.dialogue.is_some() { before.seq } else { before.position });
        }
        sql.push_str(rest);
        (sql, values)
    }

    /// The place behind which the newest `limit` messages are.
    fn place_before_newest(&self, connection: &Connection, limit: u64) -> rusqlite::Result<i64> {
        let order = self.order();
        let (sql, mut values) = self.select(order, 0, &format!(" ORDER BY {order} DESC LIMIT 1 OFFSET ?"));
        values.push(i64::try_from(limit - 1).unwrap_or(i64::MAX));
        let mut statement = connection.prepare_cached(&sql)?;
        let oldest: Option<i64> = statement.query_row(params_from_iter(values), |row| row.get(0)).optional()?;
        Ok(oldest.map_or(0, |place| place - 1))
    }

    /// At most `limit` messages behind the place `after`, oldest first.
    fn read(&self, connection: &Connection, after: i64, limit: u64) -> rusqlite::Result<Vec<HistoryEntry>> {
        let order = self.order();
        let columns = format!("id, text, response, {order}");
        let (sql, mut values) = self.select(&columns, after, &format!(" ORDER BY {order} LIMIT ?"));
        values.push(limit.cast_signed());
        let entry = |row: &rusqlite::Row<'_>| {
            let place: i64 = row.get(3)?;
            Ok(HistoryEntry { id: row.get(0)?, text: row.get(1)?, response: row.get(2)?, place: place.cast_unsigned() })
        };
        connection.prepare_cached(&sql)?.query_map(params_from_iter(values), entry)?.collect()
    }
}

const FREE_KEY: &str =
    "UPDATE turns SET idempotency_key = NULL WHERE user_id = ? AND idempotency_key = ? AND created_at <= ?";
const INSERT: &str =
    "INSERT INTO turns (id, dialog_id, user_id, seq, created_at, text, response, classification, outputs, state,
                        idempotency_key, request_hash, waits_until, ends_hand_off,
                        intent, outcome, language, catalogue, hands_off, latency, failures)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
            ?15, ?16, ?17, ?18, ?19, ?20, ?21
     WHERE ?4 = 1 + COALESCE((SELECT MAX(seq) FROM turns WHERE dialog_id = ?2), 0)
       AND EXISTS (SELECT 1 FROM users WHERE id = ?3 AND deleting_since IS NULL)
       AND EXISTS (SELECT 1 FROM dialogs WHERE id = ?2 AND deleting_since IS NULL)
     ON CONFLICT DO NOTHING";
const END_EARLIER: &str =
    "UPDATE turns SET waits_until = NULL WHERE dialog_id = ? AND seq < ? AND waits_until IS NOT NULL";
const KEEP: &str = "INSERT INTO kept_values (user_id, key, value) VALUES (?, ?, ?)
                    ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value";
const IS_THERE: &str = "SELECT 1 FROM users WHERE id = ? AND deleting_since IS NULL";
const HAS_DIALOGUE: &str = "SELECT 1 FROM dialogs WHERE id = ? AND deleting_since IS NULL";
const HAS_KEY: &str = "SELECT 1 FROM turns WHERE user_id = ? AND idempotency_key = ?";

/// Stores a turn if it is the next one of its dialogue: no hole, no twin.
fn append(connection: &Connection, row: &TurnRow) -> rusqlite::Result<Appended> {
    let turn = &row.turn;
    let (user, report) = (turn.user.0, ReportColumns::of(&turn.classification));
    let (key, hash) = turn.idempotency.as_ref().map(|(key, hash)| (key, &hash[..])).unzip();
    if let Some(key) = key {
        connection.prepare_cached(FREE_KEY)?.execute(params![user, key, turn.created_at - KEY_LIFE])?;
    }
    let inserted = connection.prepare_cached(INSERT)?.execute(params![
        turn.id,
        turn.dialogue.0,
        user,
        turn.seq,
        turn.created_at,
        turn.text,
        turn.response,
        row.classification,
        row.outputs,
        row.state,
        key,
        hash,
        turn.hand_off.waits_until,
        turn.hand_off.ends_earlier,
        report.intent,
        report.outcome,
        report.language,
        report.catalogue,
        report.hands_off,
        report.latency,
        report.failures,
    ])?;
    if inserted == 0 {
        return why_not(connection, user, turn.dialogue.0, key);
    }
    if turn.hand_off.ends_earlier {
        connection.prepare_cached(END_EARLIER)?.execute(params![turn.dialogue.0, turn.seq])?;
    }
    for (key, value) in &row.kept {
        connection.prepare_cached(KEEP)?.execute(params![user, key, value])?;
    }
    Ok(Appended::Stored)
}

fn why_not(connection: &Connection, user: i64, dialogue: i64, key: Option<&String>) -> rusqlite::Result<Appended> {
    if !connection.prepare_cached(IS_THERE)?.exists([user])? {
        return Ok(Appended::Gone);
    }
    if !connection.prepare_cached(HAS_DIALOGUE)?.exists([dialogue])? {
        return Ok(Appended::DialogueGone);
    }
    let Some(key) = key else { return Ok(Appended::Conflict) };
    let twin = connection.prepare_cached(HAS_KEY)?.exists(params![user, key])?;
    Ok(if twin { Appended::Duplicate } else { Appended::Conflict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{migrations, waiting};

    /// Every step of the plan is a search by an index that gives the order too.
    fn check(connection: &Connection, sql: &str, index: &str) {
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = explained.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>().unwrap();
        let good = |step: &String| step.starts_with("SEARCH turns USING") && step.contains(index);
        assert!(!steps.is_empty() && steps.iter().all(good), "{sql}: {steps:?}");
    }

    #[test]
    fn no_query_grows_with_the_history() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::run(&mut connection).unwrap();
        let before = Position { position: 9, dialogue: DialogueId(1), seq: 5 };
        for (dialogue, index) in [(None, "turns_by_user"), (Some(DialogueId(1)), "(dialog_id=?")] {
            for before in [None, Some(&before)] {
                let part = HistoryPart { user: UserId(2), dialogue, before };
                for direction in ["", " DESC"] {
                    let rest = format!(" ORDER BY {}{direction} LIMIT ?", part.order());
                    check(&connection, &part.select("text", 0, &rest).0, index);
                }
            }
        }
        check(&connection, LAST, "(dialog_id=?");
        check(&connection, FIND_ANSWER, "turns_by_idempotency_key");
        check(&connection, OF_DIALOGUE, "(dialog_id=? AND seq>?)");
        check(&connection, END_EARLIER, "turns_that_wait");
        for sql in [waiting::LEASE_ONE, waiting::END_LEASE] {
            check(&connection, sql, "turns_that_wait");
        }
        check(&connection, waiting::LATER, "(dialog_id=? AND seq>?)");
        check(&connection, waiting::ENDING, "(dialog_id=? AND seq>?)");
        let plan = format!("EXPLAIN QUERY PLAN {}", waiting::WAITING);
        let step: String = connection.query_row(&plan, rusqlite::params![1, 1, 1], |row| row.get(3)).unwrap();
        assert!(step.contains("USING INDEX turns_that_wait"), "only turns that wait are read: {step}");
    }
}
