//! The versions that this server serves, and the counts of their turns.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use banter_engine::{
    Snapshot,
    turn::{Event, Turn, TurnKind},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use banter_stores::UserId;

/// A version that is ready to serve.
pub struct Serving {
    /// The hash of the version's files.
    pub id: String,
    pub snapshot: Arc<Snapshot>,
    counts: [AtomicU64; 5],
}

/// The outcomes of turns since the server began to serve a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnCounts {
    /// An intent reached its threshold.
    pub matched: u64,
    /// Two intents were too close to call.
    pub ambiguous: u64,
    /// No intent reached its threshold.
    pub unknown: u64,
    /// The message answered a question of a form.
    pub form: u64,
    /// A handler failed.
    pub failed: u64,
}

impl TurnCounts {
    /// The share of messages outside forms that matched an intent, from 0 to 1; `None` if there are none.
    pub fn match_rate(&self) -> Option<f64> {
        let all = self.matched + self.ambiguous + self.unknown;
        (all > 0).then(|| self.matched as f64 / all as f64)
    }

    /// The sum of both counts.
    pub fn plus(self, other: Self) -> Self {
        Self {
            matched: self.matched + other.matched,
            ambiguous: self.ambiguous + other.ambiguous,
            unknown: self.unknown + other.unknown,
            form: self.form + other.form,
            failed: self.failed + other.failed,
        }
    }
}

impl Serving {
    /// A version with zero counts.
    pub fn new(id: String, snapshot: Snapshot) -> Self {
        Self { id, snapshot: Arc::new(snapshot), counts: Default::default() }
    }

    /// Counts a stored turn.
    pub fn count(&self, turn: &Turn) {
        let kind = match turn.kind {
            TurnKind::Matched => 0,
            TurnKind::Ambiguous => 1,
            TurnKind::Unknown => 2,
            TurnKind::Form => 3,
            // The version did not answer.
            TurnKind::Waiting | TurnKind::Answer | TurnKind::GivenBack | TurnKind::Silence => return,
        };
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
        // A state that was dropped because its intent is gone is not a handler failure.
        if turn.events.iter().any(|event| !matches!(event, Event::StateDropped { .. })) {
            self.counts[4].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> TurnCounts {
        let [matched, ambiguous, unknown, form, failed] =
            self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        TurnCounts { matched, ambiguous, unknown, form, failed }
    }
}

/// Digits of a version that people are shown.
pub const SHORT: usize = 12;

/// The first digits of a version.
pub fn short(version: &str) -> &str {
    version.get(..SHORT).unwrap_or(version)
}

/// The versions that are in use together.
pub struct ActiveVersions {
    /// The generation of the activation; 0 before the first.
    pub generation: i64,
    /// The version for all users except the canary's.
    pub stable: Arc<Serving>,
    /// The canary, and its share of users in percent.
    pub canary: Option<(Arc<Serving>, u8)>,
}

impl ActiveVersions {
    /// The version of a user. It depends only on the user and the canary, so all servers agree and no user alternates.
    pub fn for_user(&self, user: UserId) -> &Arc<Serving> {
        match &self.canary {
            Some((canary, percent)) if draw(&canary.id, user) < *percent => canary,
            _ => &self.stable,
        }
    }

    /// A version that is in use.
    pub fn find(&self, version: &str) -> Option<Arc<Serving>> {
        let canary = self.canary.iter().map(|(canary, _)| canary);
        canary.chain([&self.stable]).find(|serving| serving.id == version).map(Arc::clone)
    }

    /// The counts by version.
    pub fn counts(&self) -> BTreeMap<String, TurnCounts> {
        let canary = self.canary.iter().map(|(canary, _)| canary);
        canary.chain([&self.stable]).map(|serving| (serving.id.clone(), serving.counts())).collect()
    }
}

/// A number from 0 to 99 by SplitMix64 of the user's number and the version's first digits, so that each canary gets
/// another sample of users.
fn draw(version: &str, user: UserId) -> u8 {
    let salt = version.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let mut state = salt ^ (user.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((state ^ (state >> 31)) % 100) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_a_tenth_and_another_one_for_another_version() {
        let (first, second) = ("0123456789abcdef00", "fedcba987654321000");
        let chosen =
            |version: &str| (1..=10_000).filter(|user| draw(version, UserId(*user)) < 10).collect::<Vec<i64>>();
        let (one, other) = (chosen(first), chosen(second));
        assert!((900..1_100).contains(&one.len()), "{}", one.len());
        assert_eq!(one, chosen(first));
        let both = one.iter().filter(|user| other.contains(user)).count();
        assert!(both < 200, "{both} of the same users are chosen twice");
    }
}
