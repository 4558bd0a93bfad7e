//! Dialogues that are handed off: requests that wait for an answer from outside, and the answers of the external AI and
//! of people.

use std::{sync::Arc, time::Duration};

use banter_stores::{DialogueId, HistoryEntry, Lease, Place, Stores, UserId, WaitingDialogue, clock::SharedClock};
use tokio::time::timeout;

use crate::conversations::{ConversationError, Conversations, Incoming, Watch, check_text};

/// Seconds of a lease.
pub const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;

pub struct HandOffs {
    conversations: Arc<Conversations>,
    stores: Stores,
    clock: SharedClock,
    /// How long a request waits for an answer.
    limit: Duration,
}

impl HandOffs {
    pub fn new(conversations: Arc<Conversations>, stores: Stores, clock: SharedClock, limit: Duration) -> Self {
        Self { conversations, stores, clock, limit }
    }

    /// Answers a message in `dialogue`. If the bot hands it off, waits for the answer from outside. A repeat with the
    /// same idempotency key waits for the same answer.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn ask(&self, dialogue: DialogueId, message: Incoming) -> Result<String, ConversationError> {
        let user = message.user;
        // Before the turn is stored, so that a request that could not wait stores nothing.
        let watch = self.conversations.watch(user, dialogue)?;
        let message = Incoming { dialogue: Some(dialogue), ..message };
        let answer = self.conversations.take_turn_unless_waiting(message).await?;
        let Some(place) = answer.handed_off else { return Ok(answer.response) };
        let waited = timeout(self.limit, self.answer_to(user, place, &watch)).await;
        waited.map_err(|_| ConversationError::NoAnswer)?
    }

    async fn answer_to(&self, user: UserId, place: Place, watch: &Watch) -> Result<String, ConversationError> {
        loop {
            if let Some(HistoryEntry { text, response, .. }) =
                self.stores.waiting.ending_after(place.dialogue, place.seq).await?
            {
                let answered = text.is_empty() && !response.is_empty();
                return if answered { Ok(response) } else { Err(ConversationError::GivenBack) };
            }
            watch.changed().await;
            if self.stores.dialogues.owner(place.dialogue).await? != Some(user) {
                return Err(ConversationError::ForeignDialogue);
            }
        }
    }

    /// Whether an answer from outside is awaited in a user's dialogue.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::Store`].
    pub async fn is_waiting(&self, user: UserId, dialogue: DialogueId) -> Result<bool, ConversationError> {
        self.check_owner(user, dialogue).await?;
        Ok(self.stores.turns.last(dialogue).await?.state.waits(self.clock.now()))
    }

    /// The dialogues that wait, the oldest first. With a lease, other callers do not get them for as long.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn waiting(&self, lease: Option<Duration>) -> Result<Vec<WaitingDialogue>, ConversationError> {
        let now = self.clock.now();
        let millis = |lease: Duration| i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let lease = lease.map(|lease| Lease { until: now.saturating_add(millis(lease)) });
        Ok(self.stores.waiting.waiting(now, lease).await?)
    }

    /// Stores an answer from outside, and wakes the request that waits for it, on whichever server it does. An
    /// idempotency key makes a repeat harmless.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::NothingWaits`], others of [`ConversationError`].
    pub async fn answer(
        &self,
        user: UserId,
        dialogue: DialogueId,
        text: &str,
        idempotency: Option<(String, [u8; 32])>,
    ) -> Result<(), ConversationError> {
        check_text(text)?;
        self.check_owner(user, dialogue).await?;
        // Keys are the user's. No client can send a space in one, so keys of answers are others.
        let idempotency = idempotency.map(|(key, hash)| (format!("answer {key}"), hash));
        let incoming = Incoming { user, dialogue: Some(dialogue), text: String::new(), idempotency };
        self.conversations.add_answer(&incoming, text).await
    }

    /// Gives a dialogue back to the bot without an answer.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::NothingWaits`], others of [`ConversationError`].
    pub async fn give_back(&self, dialogue: DialogueId) -> Result<(), ConversationError> {
        let owner = self.stores.dialogues.owner(dialogue).await?;
        let user = owner.ok_or(ConversationError::UnknownDialogue)?;
        let incoming = Incoming { user, dialogue: Some(dialogue), text: String::new(), idempotency: None };
        self.conversations.add_answer(&incoming, "").await
    }

    async fn check_owner(&self, user: UserId, dialogue: DialogueId) -> Result<(), ConversationError> {
        let owner = self.stores.dialogues.owner(dialogue).await?;
        if owner == Some(user) { Ok(()) } else { Err(ConversationError::UnknownDialogue) }
    }
}
