//! What this server remembers of dialogues, so that a message of a known user reads nothing. It may be out of date: a
//! turn's place in its dialogue tells, and then the store is asked.

use std::{sync::Arc, time::Duration};

use banter_stores::{DialogueId, LastTurn, StoreError, Stores, UserId};
use moka::sync::Cache;

/// Dialogues and users that are remembered.
const REMEMBERED: u64 = 50_000;
/// A dialogue is forgotten after this time without a message.
const IDLE: Duration = Duration::from_secs(3_600);

pub struct Known {
    /// The end of each dialogue.
    ends: Cache<DialogueId, Arc<LastTurn>>,
    /// Dialogues never change hands.
    defaults: Cache<UserId, DialogueId>,
    owners: Cache<DialogueId, UserId>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            ends: Cache::builder().max_capacity(REMEMBERED).time_to_idle(IDLE).build(),
            defaults: Cache::new(REMEMBERED),
            owners: Cache::builder().max_capacity(REMEMBERED).support_invalidation_closures().build(),
        }
    }
}

impl Known {
    pub fn end(&self, dialogue: DialogueId) -> Option<Arc<LastTurn>> {
        self.ends.get(&dialogue)
    }

    pub fn set_end(&self, dialogue: DialogueId, last: Arc<LastTurn>) {
        self.ends.insert(dialogue, last);
    }

    pub fn forget_end(&self, dialogue: DialogueId) {
        self.ends.invalidate(&dialogue);
    }

    /// Forgets the end of a dialogue that has a newer turn.
    pub fn forget_older_end(&self, dialogue: DialogueId, seq: i64) {
        if self.end(dialogue).is_some_and(|ours| ours.seq < seq) {
            self.forget_end(dialogue);
        }
    }

    /// Takes over what another memory knows, if it is newer.
    pub fn learn_end(&self, dialogue: DialogueId, last: LastTurn) {
        if self.end(dialogue).is_none_or(|ours| ours.seq < last.seq) {
            self.set_end(dialogue, Arc::new(last));
        }
    }

    pub fn default_dialogue(&self, user: UserId) -> Option<DialogueId> {
        self.defaults.get(&user)
    }

    pub fn set_default_dialogue(&self, user: UserId, dialogue: DialogueId) {
        self.defaults.insert(user, dialogue);
    }

    /// The owner of a dialogue, from memory or from the store; `None` when there is no such dialogue.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn owner(&self, stores: &Stores, dialogue: DialogueId) -> Result<Option<UserId>, StoreError> {
        if let Some(known) = self.owners.get(&dialogue) {
            return Ok(Some(known));
        }
        let owner = stores.dialogues.owner(dialogue).await?;
        if let Some(owner) = owner {
            self.owners.insert(dialogue, owner);
        }
        Ok(owner)
    }

    pub fn forget_user(&self, user: UserId) {
        if let Some(dialogue) = self.defaults.remove(&user) {
            self.ends.invalidate(&dialogue);
        }
        if let Err(error) = self.owners.invalidate_entries_if(move |_, owner| *owner == user) {
            tracing::error!(%error, "the owners of dialogues cannot be forgotten one by one; all are forgotten");
            self.owners.invalidate_all();
        }
    }

    pub fn forget_all(&self) {
        self.defaults.invalidate_all();
        self.owners.invalidate_all();
        self.ends.invalidate_all();
    }

    pub fn forget_dialogue(&self, dialogue: DialogueId) {
        self.owners.invalidate(&dialogue);
        self.ends.invalidate(&dialogue);
    }
}
