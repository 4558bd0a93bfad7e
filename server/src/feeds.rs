//! What happens in a dialogue, as it happens: its turns, and whether it waits for an answer from outside.

use std::sync::Arc;

use banter_engine::state::DialogueState;
use banter_stores::{DialogueId, Millis, NewTurn, Stores, UserId, clock::SharedClock};

use crate::conversations::{ConversationError, Conversations, Watch};

/// Turns read at a time.
const PAGE: u32 = 100;

pub struct Feeds {
    conversations: Arc<Conversations>,
    stores: Stores,
    clock: SharedClock,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A turn in which something was said.
    Turn(Box<NewTurn>),
    /// Whether an answer from outside is awaited.
    Flag(bool),
}

/// What happens in one dialogue from some turn on.
pub struct Feed {
    stores: Stores,
    clock: SharedClock,
    watch: Watch,
    user: UserId,
    pub dialogue: DialogueId,
    /// The last turn that was told.
    seq: i64,
    /// Whether there may be something new.
    due: bool,
    /// When the awaited answer is no longer awaited, if one is.
    waits_until: Option<i64>,
    /// The flag that was told last.
    flag: Option<bool>,
    /// When the bot speaks by itself, if nobody says anything.
    speaks_at: Option<Millis>,
    conversations: Arc<Conversations>,
}

impl Feeds {
    pub fn new(conversations: Arc<Conversations>, stores: Stores, clock: SharedClock) -> Self {
        Self { conversations, stores, clock }
    }

    /// Opens the feed of a user's dialogue, the default one if none is named. It tells the turns after number `after`,
    /// or only new ones.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::TooManyWaiting`], [`ConversationError::Store`].
    pub async fn open(
        &self,
        user: UserId,
        dialogue: Option<DialogueId>,
        after: Option<i64>,
    ) -> Result<Feed, ConversationError> {
        let dialogue = match dialogue {
            Some(dialogue) => dialogue,
            None => {
                let found = self.stores.dialogues.default_dialogue(user, self.clock.now()).await?;
                found.ok_or(ConversationError::UserGone)?
            }
        };
        if self.stores.dialogues.owner(dialogue).await? != Some(user) {
            return Err(ConversationError::UnknownDialogue);
        }
        // Before the last turn is read, so that no turn falls between.
        let watch = self.conversations.watch(user, dialogue)?;
        let last = self.stores.turns.last(dialogue).await?;
        let (stores, clock) = (self.stores.clone(), Arc::clone(&self.clock));
        let waits_until = last.state.hand_off.as_ref().map(|hand_off| hand_off.until);
        let seq = after.unwrap_or(last.seq).clamp(0, last.seq);
        let conversations = Arc::clone(&self.conversations);
        let (due, flag, speaks_at) = (true, None, None);
        let mut feed =
            Feed { stores, clock, watch, user, dialogue, seq, due, waits_until, flag, speaks_at, conversations };
        // Whoever opens the feed is there from now on.
        feed.speaks_at = feed.end_of_silence(&last.state, feed.clock.now());
        Ok(feed)
    }

    /// The last `limit` turns of a user's dialogue, or those before turn number `before`, in order; and whether an
    /// answer from outside is awaited.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`], [`ConversationError::Store`].
    pub async fn page(
        &self,
        user: UserId,
        dialogue: DialogueId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<NewTurn>, bool), ConversationError> {
        if self.stores.dialogues.owner(dialogue).await? != Some(user) {
            return Err(ConversationError::UnknownDialogue);
        }
        let last = self.stores.turns.last(dialogue).await?;
        // The numbers of a dialogue's turns have no gaps.
        let end = before.map_or(last.seq, |before| (before - 1).min(last.seq));
        let begin = (end - i64::from(limit)).max(0);
        let wanted = u32::try_from(end - begin).unwrap_or(0);
        let turns = match wanted {
            0 => Vec::new(),
            _ => self.stores.turns.of_dialogue(dialogue, begin, wanted).await?,
        };
        Ok((turns, last.state.waits(self.clock.now())))
    }
}

impl Feed {
    /// What has happened since the last call, at least one thing; the first call tells the flag.
    ///
    /// # Errors
    /// [`ConversationError::UnknownDialogue`] when the dialogue is deleted; [`ConversationError::Store`].
    pub async fn next(&mut self) -> Result<Vec<Happening>, ConversationError> {
        loop {
            if !self.due {
                self.watch.changed().await;
                self.due = true;
            }
            let happened = self.look().await?;
            if !happened.is_empty() {
                return Ok(happened);
            }
        }
    }

    /// The number of the last turn that was told.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// What happens by time alone: the flag, if the time for an answer is over; and the bot speaks if the user has been
    /// silent. To be called from time to time.
    pub fn beat(&mut self) -> Option<bool> {
        if self.speaks_at.is_some_and(|at| self.clock.now() >= at) {
            self.speaks_at = None;
            let (conversations, user, dialogue, seq) =
                (Arc::clone(&self.conversations), self.user, self.dialogue, self.seq);
            // The feed tells the turn like any other. Another feed of the dialogue may have been faster.
            tokio::spawn(async move {
                if let Err(error) = conversations.break_silence(user, dialogue, seq).await {
                    tracing::debug!(%error, dialogue = dialogue.0, "the bot does not speak after a silence");
                }
            });
        }
        self.flag_by_time()
    }

    /// When the bot speaks by itself, if nobody says anything after a turn with this state.
    fn end_of_silence(&self, state: &DialogueState, since: Millis) -> Option<Millis> {
        let limit = self.conversations.idle_limit(self.user).filter(|_| state.may_remind());
        limit.map(|limit| since + limit)
    }

    /// The flag, if it has changed because the time for an answer is over.
    fn flag_by_time(&mut self) -> Option<bool> {
        let now = self.clock.now();
        let flag = self.waits_until.is_some_and(|until| now < until);
        (self.flag.replace(flag) != Some(flag)).then_some(flag)
    }

    async fn look(&mut self) -> Result<Vec<Happening>, ConversationError> {
        let permit = self.watch.look().await?;
        let turns = self.stores.turns.of_dialogue(self.dialogue, self.seq, PAGE).await?;
        match turns.last() {
            Some(last) => {
                self.seq = last.seq;
                self.waits_until = last.state.hand_off.as_ref().map(|hand_off| hand_off.until);
                self.speaks_at = self.end_of_silence(&last.state, last.created_at);
            }
            None if self.stores.dialogues.owner(self.dialogue).await? != Some(self.user) => {
                return Err(ConversationError::UnknownDialogue);
            }
            None => {}
        }
        drop(permit);
        // A full page may not be the last.
        self.due = turns.len() == PAGE as usize;
        // A turn that only gives the dialogue back to the bot says nothing.
        let said = turns.into_iter().filter(|turn| !(turn.text.is_empty() && turn.response.is_empty()));
        let mut happened: Vec<Happening> = said.map(|turn| Happening::Turn(Box::new(turn))).collect();
        happened.extend(self.flag_by_time().map(Happening::Flag));
        Ok(happened)
    }
}
