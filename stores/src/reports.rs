//! What consoles read of all turns: a search, and numbers over a period.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Millis, NewTurn, StoreError};

/// Turns that one search reads at most.
pub const SCANNED: u32 = 5_000;

/// Which turns a search is for. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnFilter {
    pub intent: Option<String>,
    /// A language code.
    pub language: Option<String>,
    /// How the message was classified, as `TurnKind` is stored: `matched`, `unknown`.
    pub outcome: Option<String>,
    /// The version of the catalogue.
    pub version: Option<String>,
    /// Not older than this, to the second.
    pub since: Option<Millis>,
    /// Older than this, to the second.
    pub until: Option<Millis>,
    /// A part of what the user or the bot said, in any case.
    pub text: Option<String>,
}

/// The newest turns that a search has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundTurns {
    /// The newest first.
    pub turns: Vec<NewTurn>,
    /// The id before which a search goes on; `None` when everything was read.
    pub next: Option<String>,
}

/// Bounds of the classes of latencies, in milliseconds. Class `n` begins at bound `n - 1`.
pub const LATENCY_BOUNDS: [i64; 16] = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 500, 1_000, 3_000, 10_000];

/// A period, in steps of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub since: Millis,
    /// Exclusive.
    pub until: Millis,
    pub step: Millis,
}

/// Turns of one kind in one step of a period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// The number of the step, from 0.
    pub step: i64,
    /// How the messages were classified.
    pub outcome: String,
    pub hand_off: bool,
    /// See [`LATENCY_BOUNDS`].
    pub latency: i64,
    pub turns: i64,
}

/// What happened in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    pub turns: Vec<Tally>,
    /// Turns by the intent that answered.
    pub intents: BTreeMap<String, i64>,
    /// Failures by kind, and by the plugin that failed.
    pub failures: BTreeMap<(String, Option<String>), i64>,
}

#[async_trait]
pub trait TurnReports: Send + Sync {
    /// The newest turns that a filter takes, older than the turn with id `before`: at most `limit`. Reads at most
    /// [`SCANNED`] turns that an index has chosen.
    async fn search(&self, filter: &TurnFilter, before: Option<&str>, limit: u32) -> Result<FoundTurns, StoreError>;

    /// Counts the turns of a period. Reads all of them, by an index that has what is counted.
    async fn tally(&self, period: Period) -> Result<Tallies, StoreError>;
}

/// A condition with an index of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexed {
    Intent,
    Outcome,
    Version,
}

/// The first id of a second. Ids begin with their second, as 8 hex digits.
pub(crate) fn first_id(at: Millis) -> String {
    let seconds = u32::try_from(at.div_euclid(1_000)).unwrap_or(if at < 0 { 0 } else { u32::MAX });
    format!("{seconds:08x}{:016x}", 0)
}

/// The ids that a search may find: from the first, before the second.
pub(crate) fn id_range(filter: &TurnFilter, before: Option<&str>) -> (String, String) {
    let first = first_id(filter.since.unwrap_or(0));
    let end = filter.until.map_or_else(|| "g".to_owned(), first_id);
    let before = before.map(str::to_lowercase);
    (first, before.filter(|before| *before < end).unwrap_or(end))
}

impl TurnFilter {
    /// The condition that an index serves, and its value. The rarest comes first.
    pub(crate) fn indexed(&self) -> Option<(Indexed, &str)> {
        let conditions =
            [(Indexed::Intent, &self.intent), (Indexed::Outcome, &self.outcome), (Indexed::Version, &self.version)];
        conditions.into_iter().find_map(|(condition, value)| Some((condition, value.as_deref()?)))
    }
}
