//! Turns that wait for an answer from outside: of the external AI, or of a person.

use std::collections::BTreeMap;

use async_trait::async_trait;
use banter_engine::state::{DialogueState, Exchange};
use serde_json::Value;

use super::{DialogueId, HistoryEntry, Millis, StoreError, UserId};

/// Waiting dialogues in one answer, at most.
pub const WAITING_AT_ONCE: usize = 100;
/// Messages after the one that was handed off that are shown, at most: the newest.
pub const LATER_TEXTS: usize = 49;

/// What a turn changes about who is to answer in its dialogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandOffChange {
    /// Until when this turn waits for an answer from outside; `None` if it does not.
    pub waits_until: Option<Millis>,
    /// Whether an earlier turn of the dialogue no longer waits.
    pub ends_earlier: bool,
}

impl HandOffChange {
    /// What changed between the states before and after a turn.
    pub fn between(before: &DialogueState, after: &DialogueState) -> Self {
        if before.hand_off == after.hand_off {
            return Self::default();
        }
        let waits_until = after.hand_off.as_ref().map(|hand_off| hand_off.until);
        Self { waits_until, ends_earlier: before.hand_off.is_some() }
    }
}

/// A dialogue that waits for an answer from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDialogue {
    pub user: UserId,
    pub dialogue: DialogueId,
    /// Until when it waits; different for each hand-off of a dialogue.
    pub until: Millis,
    /// Until when somebody has it; 0 if nobody ever had.
    pub leased_until: Millis,
    /// The message that was handed off, then what the user has said since, at most [`LATER_TEXTS`].
    pub texts: Vec<String>,
    /// The values of the slots when it was handed off.
    pub slots: BTreeMap<String, Value>,
    /// The last exchanges up to then, oldest first.
    pub history: Vec<Exchange>,
}

impl WaitingDialogue {
    /// Adds what the state of the turn that waits tells.
    pub(crate) fn with_state(self, state: DialogueState) -> Self {
        Self { slots: state.slots, history: state.recent.into(), ..self }
    }
}

/// Which of the dialogues that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Also those that somebody has.
    All,
    /// Those that nobody has.
    Free,
    /// Those that nobody has; the caller has them until then, so that two workers do not answer the same dialogue.
    Leased { until: Millis },
}

impl Listed {
    /// The greatest end of a lease that is listed.
    pub(crate) fn latest_lease(self, now: Millis) -> Millis {
        match self {
            Self::All => Millis::MAX,
            Self::Free | Self::Leased { .. } => now,
        }
    }

    /// The lease that the caller takes.
    pub(crate) fn lease(self) -> Option<Millis> {
        match self {
            Self::Leased { until } => Some(until),
            Self::All | Self::Free => None,
        }
    }
}

#[async_trait]
pub trait WaitingTurns: Send + Sync {
    /// At most [`WAITING_AT_ONCE`] dialogues that wait at `now`, in the order in which they were handed off. With
    /// [`Listed::Leased`], each goes to one caller.
    async fn waiting(&self, now: Millis, listed: Listed) -> Result<Vec<WaitingDialogue>, StoreError>;

    /// Leases a dialogue that waits at `now`. Returns `false` if somebody has it, or if it does not wait.
    async fn lease(&self, dialogue: DialogueId, now: Millis, until: Millis) -> Result<bool, StoreError>;

    /// Ends the lease of a dialogue. Does nothing if there is none.
    async fn end_lease(&self, dialogue: DialogueId) -> Result<(), StoreError>;

    /// The first turn of a dialogue after turn `seq` that ended a hand-off. An answer has a response and no text.
    async fn ending_after(&self, dialogue: DialogueId, seq: i64) -> Result<Option<HistoryEntry>, StoreError>;
}

#[cfg(test)]
mod tests {
    use banter_engine::state::HandOff;

    use super::*;

    #[test]
    fn a_change_is_what_differs_between_two_states() {
        let state =
            |until: Option<i64>| DialogueState { hand_off: until.map(|until| HandOff { until }), ..Default::default() };
        for (before, after, waits_until, ends_earlier) in [
            (None, None, None, false),
            (None, Some(5), Some(5), false),
            (Some(5), Some(5), None, false),
            (Some(5), None, None, true),
            (Some(5), Some(9), Some(9), true),
        ] {
            let change = HandOffChange::between(&state(before), &state(after));
            assert_eq!(change, HandOffChange { waits_until, ends_earlier }, "{before:?} {after:?}");
        }
    }
}
