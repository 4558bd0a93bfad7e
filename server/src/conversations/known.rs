//! What this server remembers of dialogues, so that a message of a known user reads nothing. It may be out of date: a
//! turn's place in its dialogue tells, and then the store is asked.

use std::{sync::Arc, time::Duration};

use banter_stores::{BusEvent, DialogueId, LastTurn, News, StoreError, Stores, Topic, UserId};
use moka::sync::Cache;
use tokio::sync::broadcast::error::RecvError;

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

    fn forget_all(&self) {
        self.defaults.invalidate_all();
        self.owners.invalidate_all();
        self.ends.invalidate_all();
    }

    pub fn forget_dialogue(&self, dialogue: DialogueId) {
        self.owners.invalidate(&dialogue);
        self.ends.invalidate(&dialogue);
    }

    /// Forgets users and dialogues that are deleted, here or on other servers. Runs as long as the bus does.
    pub async fn follow_bus(&self, stores: &Stores) {
        let mut events = stores.bus.subscribe(Topic::Deletions);
        loop {
            match events.recv().await {
                Ok(BusEvent::News(News::UserGone(user))) => self.forget_user(user),
                Ok(BusEvent::News(News::DialogueGone(dialogue))) => self.forget_dialogue(dialogue),
                Ok(BusEvent::News(_)) => {}
                // Something may have been missed.
                Ok(BusEvent::Reconnected) | Err(RecvError::Lagged(_)) => self.forget_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }
}
