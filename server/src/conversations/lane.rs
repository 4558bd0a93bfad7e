//! The order of turns in one dialogue.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::ConversationError;

/// Messages that may wait for the dialogue's turn, so that one sender does not fill the server.
const WAITING_PER_LANE: usize = 64;

/// Turns of one dialogue come one after the other. Dialogues share lanes; so many wait in each.
#[derive(Default)]
pub struct Lane {
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

impl Lane {
    /// Waits for the dialogue's turn.
    ///
    /// # Errors
    /// [`ConversationError::Busy`] when too many wait already.
    pub async fn enter(&self) -> Result<MutexGuard<'_, ()>, ConversationError> {
        /// Counts down however the wait ends.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING_PER_LANE {
            return Err(ConversationError::Busy);
        }
        Ok(self.turn.lock().await)
    }
}
