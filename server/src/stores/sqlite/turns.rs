//! Turns, and what handlers keep, in SQLite.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use rusqlite::{Connection, params};
use serde_json::Value;
use sqlx::{QueryBuilder, Sqlite};
use tokio::time::timeout;

use super::{
    SqliteStore, failed,
    writer::{Statements, Thread},
};
use crate::stores::{
    Appended, DialogId, HistoryEntry, HistoryQuery, KEY_LIFE, LastTurn, Millis, NewTurn, Receipt, SEARCHED, StoreError,
    StoredAnswer, TurnStore, UserId, Utterances,
};

/// A writer that takes longer counts as gone.
const PING_TIME: Duration = Duration::from_secs(2);

#[async_trait]
impl TurnStore for SqliteStore {
    async fn last(&self, dialog: DialogId) -> Result<LastTurn, StoreError> {
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT seq, state FROM turns WHERE dialog_id = ? ORDER BY seq DESC LIMIT 1")
                .bind(dialog.0)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        let Some((seq, state)) = row else { return Ok(LastTurn::default()) };
        Ok(LastTurn { seq, state: parse(&state)? })
    }

    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError> {
        self.write_turn(turn, Thread::HandedOn).await
    }

    async fn submit_here(&self, turn: NewTurn) -> Result<Receipt, StoreError> {
        self.write_turn(turn, Thread::Kept).await
    }

    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError> {
        let row: Option<(Vec<u8>, String, String)> = sqlx::query_as(
            "SELECT request_hash, response, outputs FROM turns
             WHERE user_id = ? AND idempotency_key = ? AND created_at > ?",
        )
        .bind(user.0)
        .bind(key)
        .bind(since)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed)?;
        row.map(|(hash, response, outputs)| {
            let request_hash = hash.try_into().map_err(|_| damaged("a request hash has another length"))?;
            Ok(StoredAnswer { request_hash, response, outputs: parse(&outputs)? })
        })
        .transpose()
    }

    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let before: Option<Place> = match &query.before {
            None => None,
            Some(id) => {
                let find = sqlx::query_as("SELECT position, dialog_id, seq FROM turns WHERE user_id = ? AND id = ?");
                let found = find.bind(user.0).bind(id).fetch_optional(&self.readers).await.map_err(failed)?;
                // A message that is not there, or not in the dialogue that was asked for, has nothing before it.
                let asked = |place: &Place| query.dialog.is_none_or(|dialog| dialog == DialogId(place.dialog_id));
                let Some(place) = found.filter(asked) else { return Ok(Vec::new()) };
                Some(place)
            }
        };
        let mut sql = history_query(user, query, before.as_ref());
        let rows: Vec<(String, String, String)> =
            sql.build_query_as().fetch_all(&self.readers).await.map_err(failed)?;
        let entry = |(id, text, response)| HistoryEntry { id, text, response };
        Ok(rows.into_iter().rev().map(entry).collect())
    }

    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT value FROM kept_values WHERE user_id = ? AND key = ?")
            .bind(user.0)
            .bind(key)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        row.map(|(value,)| parse(&value)).transpose()
    }

    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT key, value FROM kept_values WHERE user_id = ?")
            .bind(user.0)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        rows.into_iter().map(|(key, value)| Ok((key, parse(&value)?))).collect()
    }

    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError> {
        let rows: Vec<StoredTurn> = sqlx::query_as(
            "SELECT id, dialog_id, seq, created_at, text, response, classification, outputs, state FROM turns
             WHERE user_id = ?1 AND position > COALESCE((SELECT position FROM turns WHERE user_id = ?1 AND id = ?2), 0)
             ORDER BY position LIMIT ?3",
        )
        .bind(user.0)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(|row| row.into_turn(user)).collect()
    }

    async fn utterances(&self, since: Millis, limit: u32) -> Result<Utterances, StoreError> {
        let mut found = Utterances::up_to(limit);
        let mut rows = sqlx::query_scalar(
            "SELECT text FROM turns WHERE created_at >= ? AND json_extract(classification, '$.type') <> 'form'
             ORDER BY position DESC LIMIT ?",
        )
        .bind(since)
        .bind(SEARCHED as i64)
        .fetch(&self.readers);
        while let Some(text) = rows.try_next().await.map_err(failed)? {
            if !found.take(text) {
                break;
            }
        }
        Ok(found)
    }

    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let removed = sqlx::query(
                        "DELETE FROM turns WHERE position IN (SELECT position FROM turns WHERE user_id = ? LIMIT 1000)",
                    )
                    .bind(user.0)
                    .execute(&mut *connection)
                    .await?;
                    if removed.rows_affected() > 0 {
                        return Ok(true);
                    }
                    sqlx::query("DELETE FROM kept_values WHERE user_id = ?").bind(user.0).execute(connection).await?;
                    Ok(false)
                })
            })
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM turns LIMIT 1").execute(&self.readers).await.map_err(failed)?;
        let written = timeout(PING_TIME, self.writer.write(|_| Box::pin(async { Ok(()) }))).await;
        written.map_err(|_| StoreError::outage("sqlite", "the writer does not answer"))?
    }
}

impl SqliteStore {
    async fn write_turn(&self, turn: NewTurn, thread: Thread) -> Result<Receipt, StoreError> {
        let row = TurnRow::from_turn(turn)?;
        self.writer.submit(row.statements(), thread, move |connection| append(connection, &row)).await
    }
}

/// Where a turn stands.
#[derive(sqlx::FromRow)]
struct Place {
    position: i64,
    dialog_id: i64,
    seq: i64,
}

fn history_query(user: UserId, query: &HistoryQuery, before: Option<&Place>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT id, text, response FROM turns WHERE user_id = ");
    sql.push_bind(user.0);
    if let Some(dialog) = query.dialog {
        sql.push(" AND dialog_id = ").push_bind(dialog.0);
    }
    match before {
        Some(place) if query.dialog.is_some() => {
            sql.push(" AND seq < ").push_bind(place.seq);
        }
        Some(place) => {
            sql.push(" AND position < ").push_bind(place.position);
        }
        None => {}
    }
    // Within one dialogue both orders are the same; each has its index.
    sql.push(if query.dialog.is_some() { " ORDER BY seq DESC" } else { " ORDER BY position DESC" });
    sql.push(" LIMIT ").push_bind(query.limit.unwrap_or(-1));
    sql
}

/// A turn as it is read for an export.
#[derive(sqlx::FromRow)]
struct StoredTurn {
    id: String,
    dialog_id: i64,
    seq: i64,
    created_at: i64,
    text: String,
    response: String,
    classification: String,
    outputs: String,
    state: String,
}

impl StoredTurn {
    fn into_turn(self, user: UserId) -> Result<NewTurn, StoreError> {
        Ok(NewTurn {
            id: self.id,
            dialog: DialogId(self.dialog_id),
            user,
            seq: self.seq,
            created_at: self.created_at,
            text: self.text,
            response: self.response,
            classification: parse(&self.classification)?,
            outputs: parse(&self.outputs)?,
            state: parse(&self.state)?,
            idempotency: None,
            kept: BTreeMap::new(),
        })
    }
}

/// A turn as its columns.
struct TurnRow {
    turn: NewTurn,
    classification: String,
    outputs: String,
    state: String,
    kept: Vec<(String, String)>,
}

impl TurnRow {
    fn from_turn(turn: NewTurn) -> Result<Self, StoreError> {
        let state = serde_json::to_string(&turn.state).map_err(|error| damaged(&error.to_string()))?;
        let kept = turn.kept.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        Ok(Self {
            classification: turn.classification.to_string(),
            outputs: turn.outputs.to_string(),
            state,
            kept,
            turn,
        })
    }

    fn statements(&self) -> Statements {
        let several = self.turn.idempotency.is_some() || !self.kept.is_empty();
        if several { Statements::Several } else { Statements::One }
    }
}

const FREE_KEY: &str =
    "UPDATE turns SET idempotency_key = NULL WHERE user_id = ? AND idempotency_key = ? AND created_at <= ?";
const INSERT: &str =
    "INSERT INTO turns (id, dialog_id, user_id, seq, created_at, text, response, classification, outputs, state,
                        idempotency_key, request_hash)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
     WHERE ?4 = 1 + COALESCE((SELECT MAX(seq) FROM turns WHERE dialog_id = ?2), 0)
       AND EXISTS (SELECT 1 FROM users WHERE id = ?3 AND deleting_since IS NULL)
     ON CONFLICT DO NOTHING";
const KEEP: &str = "INSERT INTO kept_values (user_id, key, value) VALUES (?, ?, ?)
                    ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value";
const IS_THERE: &str = "SELECT 1 FROM users WHERE id = ? AND deleting_since IS NULL";
const HAS_KEY: &str = "SELECT 1 FROM turns WHERE user_id = ? AND idempotency_key = ?";

/// Stores a turn if it is the next one of its dialogue: no hole, no twin.
fn append(connection: &Connection, row: &TurnRow) -> rusqlite::Result<Appended> {
    let turn = &row.turn;
    let user = turn.user.0;
    let (key, hash) = turn.idempotency.as_ref().map(|(key, hash)| (key, &hash[..])).unzip();
    if let Some(key) = key {
        connection.prepare_cached(FREE_KEY)?.execute(params![user, key, turn.created_at - KEY_LIFE])?;
    }
    let inserted = connection.prepare_cached(INSERT)?.execute(params![
        turn.id,
        turn.dialog.0,
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
    ])?;
    if inserted == 0 {
        return why_not(connection, user, key);
    }
    for (key, value) in &row.kept {
        connection.prepare_cached(KEEP)?.execute(params![user, key, value])?;
    }
    Ok(Appended::Stored)
}

fn why_not(connection: &Connection, user: i64, key: Option<&String>) -> rusqlite::Result<Appended> {
    if !connection.prepare_cached(IS_THERE)?.exists([user])? {
        return Ok(Appended::Gone);
    }
    let Some(key) = key else { return Ok(Appended::Conflict) };
    let twin = connection.prepare_cached(HAS_KEY)?.exists(params![user, key])?;
    Ok(if twin { Appended::Duplicate } else { Appended::Conflict })
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))
}

fn damaged(message: &str) -> StoreError {
    StoreError::damaged("sqlite", format!("a stored value cannot be read: {message}"))
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection as _, Executor, SqliteConnection};

    use super::*;

    /// Every step of the plan is a search by an index that gives the order too.
    async fn check(connection: &mut SqliteConnection, sql: &str, index: &str) {
        let explained = format!("EXPLAIN QUERY PLAN {sql}");
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(explained)).fetch_all(connection).await.unwrap();
        let plan: Vec<&str> = steps.iter().map(|(.., step)| step.as_str()).collect();
        assert!(
            plan.iter().all(|step| step.starts_with("SEARCH turns USING") && step.contains(index)),
            "{sql}: {plan:?}"
        );
    }

    #[tokio::test]
    async fn no_query_grows_with_the_history() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        connection.execute(include_str!("../../../../migrations/sqlite/0001_init.sql")).await.unwrap();
        let place = Place { position: 9, dialog_id: 1, seq: 5 };
        let limited = HistoryQuery { limit: Some(50), ..HistoryQuery::default() };
        let of_dialog = HistoryQuery { dialog: Some(DialogId(1)), ..limited.clone() };
        for (query, index) in [(&limited, "turns_by_user"), (&of_dialog, "(dialog_id=?")] {
            for before in [None, Some(&place)] {
                let sql = history_query(UserId(2), query, before).into_sql();
                check(&mut connection, sql.as_str(), index).await;
            }
        }
        let last = "SELECT seq, state FROM turns WHERE dialog_id = ? ORDER BY seq DESC LIMIT 1";
        check(&mut connection, last, "(dialog_id=?").await;
        let answer = "SELECT response FROM turns WHERE user_id = ? AND idempotency_key = ? AND created_at > ?";
        check(&mut connection, answer, "turns_by_idempotency_key").await;
    }
}
