//! Dialogues that are handed off: requests that wait for an answer from outside, and the answers of the external AI and
//! of people.

use std::{sync::Arc, time::Duration};

use banter_stores::{
    AuditEntry, DialogueId, HistoryEntry, Listed, Millis, Place, Stores, UserId, WaitingDialogue, clock::SharedClock,
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    catalogs::terms::Actor,
    conversations::{ConversationError, Conversations, Incoming, OutsideAnswer, Watch, check_text},
};

/// Seconds of a lease.
pub const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;

/// How long a person at the console has a dialogue, in milliseconds.
const CLAIM: Millis = 10 * 60 * 1_000;

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

    /// Answers a message in `dialogue`, or says where the answer from outside will be. A repeat with the same
    /// idempotency key finds the same place.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn ask(&self, dialogue: DialogueId, message: Incoming) -> Result<Reply<'_>, ConversationError> {
        let user = message.user;
        // Before the turn is stored, so that a request that could not wait stores nothing.
        let watch = self.conversations.watch(user, dialogue)?;
        let message = Incoming { dialogue: Some(dialogue), ..message };
        let answer = self.conversations.take_turn_unless_waiting(message).await?;
        Ok(match answer.handed_off {
            None => Reply::Answered(answer.response),
            Some(place) => Reply::Awaited(Awaited { hand_offs: self, user, place, watch }),
        })
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
        let leased = |lease: Duration| Listed::Leased { until: now.saturating_add(millis(lease)) };
        Ok(self.stores.waiting.waiting(now, lease.map_or(Listed::Free, leased)).await?)
    }

    /// All dialogues that wait, the oldest first, also those that somebody has.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn inbox(&self) -> Result<Vec<WaitingDialogue>, ConversationError> {
        Ok(self.stores.waiting.waiting(self.clock.now(), Listed::All).await?)
    }

    /// Takes a dialogue for ten minutes, so that nobody else works on it.
    ///
    /// # Errors
    /// [`ConversationError::Claimed`], [`ConversationError::NothingWaits`], [`ConversationError::Store`].
    pub async fn claim(&self, dialogue: DialogueId) -> Result<Millis, ConversationError> {
        let now = self.clock.now();
        let until = now + CLAIM;
        if self.stores.waiting.lease(dialogue, now, until).await? {
            return Ok(until);
        }
        let waits = self.stores.turns.last(dialogue).await?.state.waits(now);
        Err(if waits { ConversationError::Claimed } else { ConversationError::NothingWaits })
    }

    /// Lets others take a dialogue.
    ///
    /// # Errors
    /// [`ConversationError::Store`].
    pub async fn release(&self, dialogue: DialogueId) -> Result<(), ConversationError> {
        Ok(self.stores.waiting.end_lease(dialogue).await?)
    }

    /// Like [`HandOffs::answer`], by somebody who knows the dialogue and not its user.
    ///
    /// # Errors
    /// Those of [`HandOffs::answer`].
    pub async fn answer_in(
        &self,
        dialogue: DialogueId,
        answer: OutsideAnswer<'_>,
        idempotency: Option<(String, [u8; 32])>,
    ) -> Result<(), ConversationError> {
        let owner = self.stores.dialogues.owner(dialogue).await?;
        self.answer(owner.ok_or(ConversationError::UnknownDialogue)?, dialogue, answer, idempotency).await
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
        answer: OutsideAnswer<'_>,
        idempotency: Option<(String, [u8; 32])>,
    ) -> Result<(), ConversationError> {
        check_text(answer.text)?;
        self.check_owner(user, dialogue).await?;
        // Keys are the user's. No client can send a space in one, so keys of answers are others.
        let idempotency = idempotency.map(|(key, hash)| (format!("answer {key}"), hash));
        let incoming = Incoming { user, dialogue: Some(dialogue), text: String::new(), idempotency };
        self.add(&incoming, answer).await
    }

    /// Gives a dialogue back to the bot without an answer.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::NothingWaits`], others of [`ConversationError`].
    pub async fn give_back(&self, dialogue: DialogueId, actor: &Actor) -> Result<(), ConversationError> {
        let owner = self.stores.dialogues.owner(dialogue).await?;
        let user = owner.ok_or(ConversationError::UnknownDialogue)?;
        let incoming = Incoming { user, dialogue: Some(dialogue), text: String::new(), idempotency: None };
        self.add(&incoming, OutsideAnswer { text: "", until: None }).await?;
        let detail = json!({ "by": actor.name, "dialog": dialogue.0 });
        let entry = AuditEntry {
            at: self.clock.now(),
            actor: actor.user,
            action: "dialogue_given_back",
            subject: Some(user),
            detail,
        };
        if let Err(error) = self.stores.users.audit(&entry).await {
            // The dialogue is given back all the same.
            tracing::error!(%error, by = actor.name, dialogue = dialogue.0, "a line of the audit log is lost");
        }
        Ok(())
    }

    async fn add(&self, incoming: &Incoming, answer: OutsideAnswer<'_>) -> Result<(), ConversationError> {
        self.conversations.add_answer(incoming, answer).await.map_err(|error| match error {
            // Deleted meanwhile. Whoever answers is not its user.
            ConversationError::UserGone | ConversationError::ForeignDialogue => ConversationError::UnknownDialogue,
            other => other,
        })
    }

    async fn check_owner(&self, user: UserId, dialogue: DialogueId) -> Result<(), ConversationError> {
        let owner = self.stores.dialogues.owner(dialogue).await?;
        if owner == Some(user) { Ok(()) } else { Err(ConversationError::UnknownDialogue) }
    }
}

/// What a message leads to.
pub enum Reply<'a> {
    /// The bot has answered.
    Answered(String),
    /// Somebody else is to answer.
    Awaited(Awaited<'a>),
}

/// An answer from outside that will come.
pub struct Awaited<'a> {
    hand_offs: &'a HandOffs,
    user: UserId,
    place: Place,
    watch: Watch,
}

impl Awaited<'_> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// [`ConversationError::NoAnswer`] after the time limit, [`ConversationError::GivenBack`] when the bot has the
    /// dialogue again, [`ConversationError::ForeignDialogue`] when it is deleted, [`ConversationError::Store`].
    pub async fn answer(self) -> Result<String, ConversationError> {
        let waited = timeout(self.hand_offs.limit, self.look_until_answered()).await;
        waited.map_err(|_| ConversationError::NoAnswer)?
    }

    async fn look_until_answered(&self) -> Result<String, ConversationError> {
        let HandOffs { stores, clock, .. } = self.hand_offs;
        let Place { dialogue, seq } = self.place;
        loop {
            let permit = self.watch.look().await?;
            // Before the ending, which may be stored between the two.
            let hand_off = stores.turns.last(dialogue).await?.state.hand_off;
            if let Some(HistoryEntry { text, response, .. }) = stores.waiting.ending_after(dialogue, seq).await? {
                let answered = text.is_empty() && !response.is_empty();
                return if answered { Ok(response) } else { Err(ConversationError::GivenBack) };
            }
            // An outage of the store of dialogues is no reason to stop waiting.
            if stores.dialogues.owner(dialogue).await.is_ok_and(|owner| owner != Some(self.user)) {
                return Err(ConversationError::ForeignDialogue);
            }
            drop(permit);
            // Nobody is to answer any more, although nobody has told the end: the author's time is over.
            let left = hand_off.map_or(0, |hand_off| hand_off.until - clock.now());
            let left = u64::try_from(left).ok().filter(|left| *left > 0).ok_or(ConversationError::GivenBack)?;
            // The end of the time is another reason to look.
            let _ = timeout(Duration::from_millis(left), self.watch.changed()).await;
        }
    }
}
