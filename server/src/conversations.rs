//! The steps of one message: admit → load → answer → commit.
//!
//! The state after a turn lies in the turn itself, so a turn is one write. A dialogue's next turn may begin when the
//! store has taken the turn before, not when that is on the disk: it builds on it, and fails with it.

mod admission;
mod known;
mod message;
mod record;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, EngineError, Request,
    embedding::EmbeddingError,
    turn::{Message, Turn},
};
use banter_stores::{
    Appended, DialogueId, KEY_LIFE, LastTurn, Millis, Recalled, Receipt, Remembered, StoreError, StoredAnswer, Stores,
    UserId, clock::SharedClock,
};
use futures::FutureExt;
use tokio::task::block_in_place;

use admission::{Admission, Admitted};
use known::Known;
pub use message::{Answer, ConversationError, Incoming, MAX_TEXT};
use message::{again, check_text};
use record::{new_turn, report};

use crate::{
    catalogs::{Catalogs, serving::Serving, timestamp},
    metrics::Metrics,
};

/// Collisions with other servers, or failures of turns that this one was built on, before giving up.
const MAX_ATTEMPTS: usize = 20;
/// The longest pause before a turn is run again.
const COLLISION_PAUSE: Duration = Duration::from_millis(30);
/// A turn that took longer checks, before it is stored, whether its user is still there.
pub const FRESH: Duration = Duration::from_secs(1);

pub struct Conversations {
    engine: Arc<Engine>,
    catalogs: Arc<Catalogs>,
    stores: Stores,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    known: Known,
    admission: Admission,
}

/// A message, and the dialogue it goes into.
struct Pending<'a> {
    incoming: &'a Incoming,
    dialogue: DialogueId,
    /// When the message came in.
    begun: Instant,
}

/// A turn that the engine has made, and what it was made from.
struct AnsweredTurn {
    turn: Turn,
    serving: Arc<Serving>,
    seq: i64,
    made: Millis,
    /// The engine's time.
    latency: Duration,
}

enum Committed {
    Stored,
    /// A turn with this idempotency key exists.
    Repeated,
    /// Another turn has this place.
    Collided,
}

impl Conversations {
    /// At most `parallel` turns are computed at a time.
    pub fn new(
        engine: Arc<Engine>,
        catalogs: Arc<Catalogs>,
        stores: Stores,
        metrics: Arc<Metrics>,
        clock: SharedClock,
        parallel: usize,
    ) -> Self {
        let (known, admission) = (Known::default(), Admission::new(parallel));
        Self { engine, catalogs, stores, metrics, clock, known, admission }
    }

    /// Answers a message. When this returns, the turn is stored.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn take_turn(&self, incoming: Incoming) -> Result<Answer, ConversationError> {
        check_text(&incoming.text)?;
        let begun = Instant::now();
        let recalled = self.stores.cache.recall(incoming.user, incoming.key()).await;
        let dialogue = self.dialogue(&incoming).await?;
        if let Some(answer) = self.repeated(&incoming, recalled.answer.as_ref()).await? {
            return Ok(answer);
        }
        self.learn(dialogue, recalled);
        let pending = Pending { incoming: &incoming, dialogue, begun };
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 1 {
                // Two servers that meet again and again fall out of step.
                tokio::time::sleep(COLLISION_PAUSE.mul_f64(rand::random())).await;
            }
            let admitted = self.admission.admit(dialogue).await?;
            let last = self.load(dialogue).await?;
            let mut answered = self.answer(&pending, &last).await?;
            let answer = Answer::of(&answered.turn);
            match self.commit(&pending, &mut answered, admitted, &answer).await? {
                Committed::Stored => return Ok(answer),
                Committed::Collided => {}
                Committed::Repeated => {
                    if let Some(answer) = self.repeated(&incoming, None).await? {
                        return Ok(answer);
                    }
                }
            }
        }
        tracing::warn!(dialogue = dialogue.0, "{MAX_ATTEMPTS} collisions in one dialogue");
        Err(ConversationError::Busy)
    }

    /// Whether the model can answer at all.
    pub fn is_ready(&self) -> bool {
        self.engine.embedder().is_alive()
    }

    /// Forgets users and dialogues that are deleted. Runs as long as the bus does.
    pub async fn follow_bus(&self) {
        self.known.follow_bus(&self.stores).await;
    }

    /// The dialogue that a message goes into.
    async fn dialogue(&self, incoming: &Incoming) -> Result<DialogueId, ConversationError> {
        let user = incoming.user;
        let Some(dialogue) = incoming.dialogue else {
            if let Some(known) = self.known.default_dialogue(user) {
                return Ok(known);
            }
            let found = self.stores.dialogues.default_dialogue(user, self.clock.now()).await?;
            let dialogue = found.ok_or(ConversationError::UserGone)?;
            self.known.set_default_dialogue(user, dialogue);
            return Ok(dialogue);
        };
        if self.known.owner(&self.stores, dialogue).await? == Some(user) {
            Ok(dialogue)
        } else {
            Err(ConversationError::ForeignDialogue)
        }
    }

    /// The first answer to a request that comes again.
    async fn repeated(
        &self,
        incoming: &Incoming,
        recalled: Option<&StoredAnswer>,
    ) -> Result<Option<Answer>, ConversationError> {
        let Some((key, hash)) = &incoming.idempotency else { return Ok(None) };
        if let Some(stored) = recalled {
            return again(stored, hash).map(Some);
        }
        let since = self.clock.now() - KEY_LIFE;
        let found = self.stores.turns.find_answer(incoming.user, key, since).await?;
        found.map(|stored| again(&stored, hash)).transpose()
    }

    fn learn(&self, dialogue: DialogueId, recalled: Recalled) {
        if let Some((_, last)) = recalled.last.filter(|(known, _)| *known == dialogue) {
            self.known.learn_end(dialogue, last);
        }
    }

    /// The end of a dialogue, from memory or from the store.
    async fn load(&self, dialogue: DialogueId) -> Result<Arc<LastTurn>, ConversationError> {
        match self.known.end(dialogue) {
            Some(last) => Ok(last),
            None => Ok(Arc::new(self.stores.turns.last(dialogue).await?)),
        }
    }

    /// Lets the engine answer.
    async fn answer(&self, pending: &Pending<'_>, last: &LastTurn) -> Result<AnsweredTurn, ConversationError> {
        let incoming = pending.incoming;
        let (seq, made, start) = (last.seq + 1, self.clock.now(), Instant::now());
        // A turn ends on the version that it begins with.
        let serving = self.catalogs.for_user(incoming.user);
        let message = Message {
            text: &incoming.text,
            user: incoming.user.0,
            dialogue: pending.dialogue.0,
            seed: seed(pending.dialogue, last.seq),
        };
        let request = Request::new(&serving.snapshot, message, &last.state, timestamp(made));
        let reply = || self.engine.reply(&serving.snapshot, request);
        let permit = self.admission.compute().await?;
        let replied = if self.engine.knows(&incoming.text) {
            // This takes microseconds. A handler that waits for the outside world calls `block_in_place` itself.
            reply()
        } else {
            // The model takes milliseconds, in which another thread runs the other tasks of this one.
            block_in_place(reply)
        };
        drop(permit);
        let turn = replied.map_err(|error| self.engine_error(error))?;
        Ok(AnsweredTurn { turn, serving, seq, made, latency: start.elapsed() })
    }

    fn engine_error(&self, error: EngineError) -> ConversationError {
        match error {
            EngineError::Embedding(EmbeddingError::Busy) => ConversationError::Busy,
            EngineError::Embedding(error) if !self.is_ready() => {
                tracing::error!(%error, "the model does not answer");
                StoreError::outage("embedding", error.to_string()).into()
            }
            EngineError::Outside { part, reason } => StoreError::outage(part, reason).into(),
            error => ConversationError::Internal(error.to_string()),
        }
    }

    /// Stores a turn. The dialogue's next message is let in when the store has taken it; this returns when it is
    /// durable.
    async fn commit(
        &self,
        pending: &Pending<'_>,
        answered: &mut AnsweredTurn,
        admitted: Admitted<'_>,
        answer: &Answer,
    ) -> Result<Committed, ConversationError> {
        let Pending { incoming, dialogue, begun } = *pending;
        let stored = new_turn(incoming, dialogue, answered)?;
        if begun.elapsed() > FRESH {
            self.check_still_there(incoming.user, dialogue).await?;
        }
        let handed_in = Instant::now();
        let mut receipt = self.stores.turns.submit(stored).await?;
        let last = Arc::new(LastTurn { seq: answered.seq, state: mem::take(&mut answered.turn.state) });
        let known = self.advance(dialogue, &last, &mut receipt);
        drop(admitted);

        let fate = match known {
            Some(fate) => fate,
            None => receipt.await,
        };
        if !matches!(fate, Ok(Appended::Stored)) {
            self.known.forget_end(dialogue);
        }
        match fate? {
            Appended::Duplicate => return Ok(Committed::Repeated),
            Appended::Conflict => return Ok(Committed::Collided),
            Appended::Gone => {
                self.known.forget_user(incoming.user);
                return Err(ConversationError::UserGone);
            }
            Appended::DialogueGone => {
                self.known.forget_dialogue(dialogue);
                return Err(ConversationError::ForeignDialogue);
            }
            Appended::Stored => {}
        }
        let AnsweredTurn { turn, serving, latency, .. } = answered;
        self.metrics.count(turn, *latency);
        serving.count(turn);
        report(incoming.user, dialogue, turn, *latency, handed_in.elapsed());
        self.remember(incoming, dialogue, &last, answer).await?;
        Ok(Committed::Stored)
    }

    /// Whether a turn that took long may still be stored. A deletion waits longer than that for turns on their way.
    async fn check_still_there(&self, user: UserId, dialogue: DialogueId) -> Result<(), ConversationError> {
        if !self.stores.users.exists(user).await? {
            return Err(ConversationError::UserGone);
        }
        if self.stores.dialogues.owner(dialogue).await? != Some(user) {
            self.known.forget_dialogue(dialogue);
            return Err(ConversationError::ForeignDialogue);
        }
        Ok(())
    }

    /// Notes what the next message of the dialogue builds on. If the turn has failed already, that is the stored end of
    /// the dialogue. If it fails later, the turns that build on it fail too.
    fn advance(
        &self,
        dialogue: DialogueId,
        last: &Arc<LastTurn>,
        receipt: &mut Receipt,
    ) -> Option<Result<Appended, StoreError>> {
        let known = receipt.now_or_never();
        if matches!(known, None | Some(Ok(Appended::Stored))) {
            self.known.set_end(dialogue, Arc::clone(last));
        } else {
            self.known.forget_end(dialogue);
        }
        known
    }

    /// Tells the cache that all servers share.
    async fn remember(
        &self,
        incoming: &Incoming,
        dialogue: DialogueId,
        last: &LastTurn,
        answer: &Answer,
    ) -> Result<(), ConversationError> {
        let answer = match &incoming.idempotency {
            Some((key, hash)) => Some((key.as_str(), answer.stored(*hash)?)),
            None => None,
        };
        self.stores.cache.remember(Remembered { user: incoming.user, dialogue, last, answer }).await;
        Ok(())
    }
}

/// The randomness of a turn is fixed by its place, so that a turn that is run again after a collision elsewhere is the
/// same.
fn seed(dialogue: DialogueId, seq: i64) -> u64 {
    (dialogue.0 as u64).rotate_left(32) ^ seq as u64
}
