//! Turns as rows of their table.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{damaged, parse};
use crate::{DialogueId, HandOffChange, NewTurn, StoreError, UserId};

/// The columns that [`StoredTurn::read`] takes, in its order.
pub(super) const COLUMNS: &str =
    "id, dialog_id, seq, created_at, text, response, classification, outputs, state, user_id";

/// A turn as an export reads it.
pub(super) struct StoredTurn {
    id: String,
    dialogue: i64,
    seq: i64,
    created_at: i64,
    text: String,
    response: String,
    classification: String,
    outputs: String,
    state: String,
    user: i64,
}

impl StoredTurn {
    /// A row that begins with [`COLUMNS`].
    pub fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            dialogue: row.get(1)?,
            seq: row.get(2)?,
            created_at: row.get(3)?,
            text: row.get(4)?,
            response: row.get(5)?,
            classification: row.get(6)?,
            outputs: row.get(7)?,
            state: row.get(8)?,
            user: row.get(9)?,
        })
    }

    pub fn into_turn(self) -> Result<NewTurn, StoreError> {
        Ok(NewTurn {
            id: self.id,
            dialogue: DialogueId(self.dialogue),
            user: UserId(self.user),
            seq: self.seq,
            created_at: self.created_at,
            text: self.text,
            response: self.response,
            classification: parse(&self.classification)?,
            outputs: parse(&self.outputs)?,
            state: parse(&self.state)?,
            idempotency: None,
            hand_off: HandOffChange::default(),
            kept: BTreeMap::new(),
        })
    }
}

/// A turn as its columns.
pub(super) struct TurnRow {
    pub turn: NewTurn,
    pub classification: String,
    pub outputs: String,
    pub state: String,
    pub kept: Vec<(String, String)>,
}

/// What consoles search and count by.
pub(super) struct ReportColumns<'a> {
    pub intent: Option<&'a str>,
    pub outcome: &'a str,
    pub language: Option<&'a str>,
    pub catalogue: Option<&'a str>,
    pub hands_off: bool,
    pub latency: f64,
    pub failures: i64,
}

impl<'a> ReportColumns<'a> {
    pub fn of(classification: &'a Value) -> Self {
        let text = |name: &str| classification[name].as_str();
        Self {
            intent: text("intent"),
            outcome: text("type").unwrap_or(""),
            language: text("language"),
            catalogue: text("catalogue_version"),
            hands_off: classification["hand_off"].as_bool().unwrap_or(false),
            latency: classification["latency_ms"].as_f64().unwrap_or(0.0),
            failures: classification["events"].as_array().map_or(0, |events| events.len() as i64),
        }
    }
}

impl TurnRow {
    pub fn from_turn(turn: NewTurn) -> Result<Self, StoreError> {
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
