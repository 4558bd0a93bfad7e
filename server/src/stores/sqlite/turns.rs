//! Turns, and what handlers keep, in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use tokio::time::timeout;

use super::{SqliteStore, failed, writer::Statements};
use crate::stores::{
    Appended, DialogId, HistoryEntry, HistoryQuery, KEY_LIFE, LastTurn, Millis, NewTurn, Receipt, StoreError,
    StoredAnswer, TurnStore, UserId,
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
        let row = TurnRow::from_turn(turn)?;
        let several = row.turn.idempotency.is_some() || !row.kept.is_empty();
        let statements = if several { Statements::Several } else { Statements::One };
        self.writer.submit(statements, move |connection| Box::pin(append(connection, row))).await
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
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT id, text, response FROM turns WHERE user_id = ");
        sql.push_bind(user.0);
        if let Some(dialog) = query.dialog {
            sql.push(" AND dialog_id = ").push_bind(dialog.0);
        }
        if let Some(before) = &query.before {
            sql.push(" AND position < COALESCE((SELECT position FROM turns WHERE user_id = ").push_bind(user.0);
            sql.push(" AND id = ").push_bind(before.clone()).push("), 0)");
        }
        sql.push(" ORDER BY position DESC LIMIT ").push_bind(query.limit.unwrap_or(-1));
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

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM turns LIMIT 1").execute(&self.readers).await.map_err(failed)?;
        let written = timeout(PING_TIME, self.writer.write(|_| Box::pin(async { Ok(()) }))).await;
        written.map_err(|_| StoreError { store: "sqlite", message: "the writer does not answer".to_owned() })?
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
}

/// Stores a turn if it is the next one of its dialogue: no hole, no twin.
async fn append(connection: &mut SqliteConnection, row: TurnRow) -> Result<Appended, sqlx::Error> {
    let turn = &row.turn;
    if let Some((key, _)) = &turn.idempotency {
        sqlx::query(
            "UPDATE turns SET idempotency_key = NULL WHERE user_id = ? AND idempotency_key = ? AND created_at <= ?",
        )
        .bind(turn.user.0)
        .bind(key)
        .bind(turn.created_at - KEY_LIFE)
        .execute(&mut *connection)
        .await?;
    }
    let inserted = sqlx::query(
        "INSERT INTO turns (id, dialog_id, user_id, seq, created_at, text, response, classification, outputs, state,
                            idempotency_key, request_hash)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         WHERE ?4 = 1 + COALESCE((SELECT MAX(seq) FROM turns WHERE dialog_id = ?2), 0)
         ON CONFLICT DO NOTHING",
    )
    .bind(&turn.id)
    .bind(turn.dialog.0)
    .bind(turn.user.0)
    .bind(turn.seq)
    .bind(turn.created_at)
    .bind(&turn.text)
    .bind(&turn.response)
    .bind(&row.classification)
    .bind(&row.outputs)
    .bind(&row.state)
    .bind(turn.idempotency.as_ref().map(|(key, _)| key))
    .bind(turn.idempotency.as_ref().map(|(_, hash)| hash.to_vec()))
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return why_not(connection, turn).await;
    }
    for (key, value) in &row.kept {
        sqlx::query(
            "INSERT INTO kept_values (user_id, key, value) VALUES (?, ?, ?)
             ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value",
        )
        .bind(turn.user.0)
        .bind(key)
        .bind(value)
        .execute(&mut *connection)
        .await?;
    }
    Ok(Appended::Stored)
}

async fn why_not(connection: &mut SqliteConnection, turn: &NewTurn) -> Result<Appended, sqlx::Error> {
    let Some((key, _)) = &turn.idempotency else { return Ok(Appended::Conflict) };
    let twin: Option<(i64,)> = sqlx::query_as("SELECT seq FROM turns WHERE user_id = ? AND idempotency_key = ?")
        .bind(turn.user.0)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(if twin.is_some() { Appended::Duplicate } else { Appended::Conflict })
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))
}

fn damaged(message: &str) -> StoreError {
    StoreError { store: "sqlite", message: format!("a stored value cannot be read: {message}") }
}
