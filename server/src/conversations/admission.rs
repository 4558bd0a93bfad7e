//! Who may take a turn now: one turn at a time in a dialogue, a bounded number at a time in the server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use banter_stores::DialogueId;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::ConversationError;

/// Messages that may wait for their dialogue's turn, so that one sender does not fill the server.
const WAITING_PER_DIALOGUE: usize = 64;
/// Turns that may wait, for each turn that is computed.
const WAITING_PER_TURN: usize = 1;

/// The lanes of dialogues, and the bounds on turns.
pub struct Admission {
    /// Dialogues with a turn that runs or waits, and no others.
    lanes: Mutex<HashMap<DialogueId, Lane>>,
    /// Turns in all stages.
    places: Semaphore,
    /// Turns that are computed.
    running: Semaphore,
}

#[derive(Default)]
struct Lane {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Messages that are in the lane or wait for it.
    messages: usize,
}

/// The right to take a turn. Dropping it lets the next message of the dialogue in.
pub struct Admitted<'a> {
    // Dropped in this order: the turn is free before the lane may go.
    _turn: OwnedMutexGuard<()>,
    _place: SemaphorePermit<'a>,
    _lane: InLane<'a>,
}

/// Leaves the lane when it is dropped, also while it still waits.
struct InLane<'a> {
    admission: &'a Admission,
    dialogue: DialogueId,
}

impl Admission {
    /// At most `parallel` turns are computed at a time.
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            lanes: Mutex::default(),
            places: Semaphore::new(parallel * (1 + WAITING_PER_TURN)),
            running: Semaphore::new(parallel),
        }
    }

    /// Waits for the dialogue's turn, in the order of arrival.
    ///
    /// # Errors
    /// [`ConversationError::Busy`] when too many messages wait, for this dialogue or in all.
    pub async fn admit(&self, dialogue: DialogueId) -> Result<Admitted<'_>, ConversationError> {
        let (lane, turn) = self.enter_lane(dialogue)?;
        let turn = turn.lock_owned().await;
        // Only now: messages that wait for their own dialogue take nobody's place.
        let place = self.places.try_acquire().map_err(|_| ConversationError::Busy)?;
        Ok(Admitted { _turn: turn, _place: place, _lane: lane })
    }

    fn enter_lane(&self, dialogue: DialogueId) -> Result<(InLane<'_>, Arc<tokio::sync::Mutex<()>>), ConversationError> {
        let mut lanes = self.lanes();
        let lane = lanes.entry(dialogue).or_default();
        if lane.messages > WAITING_PER_DIALOGUE {
            return Err(ConversationError::Busy);
        }
        lane.messages += 1;
        Ok((InLane { admission: self, dialogue }, Arc::clone(&lane.turn)))
    }

    /// Waits until a turn may be computed.
    pub async fn compute(&self) -> Result<SemaphorePermit<'_>, ConversationError> {
        self.running.acquire().await.map_err(|error| ConversationError::Internal(error.to_string()))
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<DialogueId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InLane<'_> {
    fn drop(&mut self) {
        let mut lanes = self.admission.lanes();
        if let Some(lane) = lanes.get_mut(&self.dialogue) {
            lane.messages -= 1;
            if lane.messages == 0 {
                lanes.remove(&self.dialogue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_dialogue_has_one_turn_at_a_time_and_others_do_not_wait_for_it() {
        let admission = Admission::new(4);
        let first = admission.admit(DialogueId(1)).await.unwrap();
        assert!(admission.admit(DialogueId(1)).now_or_never().is_none(), "the same dialogue waits");
        assert!(admission.admit(DialogueId(1 + 1_024)).now_or_never().is_some(), "another one does not");
        drop(first);
        assert!(admission.admit(DialogueId(1)).now_or_never().is_some());
        assert!(admission.lanes().is_empty(), "no lane is left when nobody is in it");
    }

    #[tokio::test]
    async fn one_dialogue_does_not_fill_the_server() {
        let admission = Admission::new(1_000);
        let running = admission.admit(DialogueId(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_PER_DIALOGUE).map(|_| Box::pin(admission.admit(DialogueId(1)))).collect();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        let refused = admission.admit(DialogueId(1)).await.err().unwrap();
        assert!(matches!(refused, ConversationError::Busy));
        assert!(admission.admit(DialogueId(2)).await.is_ok());
        drop((running, waiting));
        assert!(admission.lanes().is_empty());
    }

    #[tokio::test]
    async fn too_many_turns_are_refused() {
        let admission = Admission::new(1);
        let mut admitted = Vec::new();
        for dialogue in 0..=WAITING_PER_TURN as i64 {
            admitted.push(admission.admit(DialogueId(dialogue)).await.unwrap());
        }
        assert!(matches!(admission.admit(DialogueId(99)).await, Err(ConversationError::Busy)));
        admitted.pop();
        assert!(admission.admit(DialogueId(99)).await.is_ok());
    }
}
