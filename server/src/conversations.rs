//! The steps of one message: admit → load → answer → commit.
//!
//! The state after a turn lies in the turn itself, so a turn is one write. A dialogue's next turn may begin when the
//! store has taken the turn before, not when that is on the disk: it builds on it, and fails with it.

mod admission;
mod answerer;
mod known;
mod message;
mod news;
pub(crate) mod record;
mod watchers;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::Engine;
use banter_stores::{
    Appended, DialogueId, HandOffChange, KEY_LIFE, LastTurn, Millis, News, Place, Recalled, Receipt, Remembered,
    StoreError, StoredAnswer, Stores, UserId, clock::SharedClock,
};
use futures::FutureExt;

use admission::{Admission, Admitted};
pub use answerer::OutsideAnswer;
use answerer::{Answerer, Asked, EngineAnswerer, SilenceBreaker};
use known::Known;
use message::again;
pub use message::{Answer, ConversationError, Incoming, check_text};
use record::{AnsweredTurn, new_turn, report};
use watchers::Watchers;
pub use watchers::{WATCHES_PER_USER, Watch};

use crate::{catalogs::Catalogs, metrics::Metrics};

/// Collisions with other servers, or failures of turns that this one was built on, before giving up.
const MAX_ATTEMPTS: usize = 20;
/// The longest pause before a turn is run again.
const COLLISION_PAUSE: Duration = Duration::from_millis(30);
/// By then, a write that timed out is stored or never will be.
const LATE_WRITE: Duration = Duration::from_secs(2);
/// A turn that took longer checks, before it is stored, whether its user is still there.
const FRESH: Duration = Duration::from_secs(1);

/// After this time, a turn that was on its way when its user or its dialogue was marked as gone is stored, or never
/// will be.
pub fn in_flight(stores: &Stores) -> Duration {
    FRESH + stores.late_writes
}

pub struct Conversations {
    engine: Arc<Engine>,
    catalogs: Arc<Catalogs>,
    stores: Stores,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    known: Known,
    admission: Admission,
    watchers: Arc<Watchers>,
}

/// A message, and the dialogue it goes into.
struct Pending<'a> {
    incoming: &'a Incoming,
    dialogue: DialogueId,
    /// When the message came in.
    begun: Instant,
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
        let (known, admission, watchers) = (Known::default(), Admission::new(parallel), Arc::default());
        Self { engine, catalogs, stores, metrics, clock, known, admission, watchers }
    }

    /// Answers a message. When this returns, the turn is stored. While somebody else is to answer in the dialogue, the
    /// message is stored for them.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn take_turn(&self, incoming: Incoming) -> Result<Answer, ConversationError> {
        self.let_engine_answer(&incoming, false).await
    }

    /// Like [`Self::take_turn`], but refuses the message while somebody else is to answer.
    ///
    /// # Errors
    /// [`ConversationError`]; [`ConversationError::HandedOff`] while somebody else is to answer.
    pub async fn take_turn_unless_waiting(&self, incoming: Incoming) -> Result<Answer, ConversationError> {
        self.let_engine_answer(&incoming, true).await
    }

    /// Adds what somebody else answers in a dialogue that is handed off. `incoming` has no text of its own.
    ///
    /// # Errors
    /// [`ConversationError`]; [`ConversationError::NothingWaits`] if the dialogue is not handed off.
    pub async fn add_answer(&self, incoming: &Incoming, answer: OutsideAnswer<'_>) -> Result<(), ConversationError> {
        self.add(incoming, &answer).await.map(drop)
    }

    /// Lets the bot speak by itself in a dialogue whose last turn is number `seq`, if it has asked something there.
    ///
    /// # Errors
    /// [`ConversationError`]; [`ConversationError::NothingWaits`] if the bot says nothing, or somebody has spoken
    /// meanwhile.
    pub async fn break_silence(&self, user: UserId, dialogue: DialogueId, seq: i64) -> Result<(), ConversationError> {
        let incoming = Incoming { user, dialogue: Some(dialogue), text: String::new(), idempotency: None };
        let (engine, admission) = (&*self.engine, &self.admission);
        self.add(&incoming, &SilenceBreaker { engine, admission, seq }).await.map(drop)
    }

    /// After how long without an answer to a question the bot speaks by itself to a user; `None`: never.
    pub fn idle_limit(&self, user: UserId) -> Option<Millis> {
        self.catalogs.for_user(user).snapshot.catalogue.session.idle
    }

    /// Begins to watch a user's dialogue.
    ///
    /// # Errors
    /// Too many requests wait.
    pub fn watch(&self, user: UserId, dialogue: DialogueId) -> Result<Watch, ConversationError> {
        self.watchers.watch(user, dialogue)
    }

    async fn let_engine_answer(
        &self,
        incoming: &Incoming,
        refuses_while_waiting: bool,
    ) -> Result<Answer, ConversationError> {
        check_text(&incoming.text)?;
        let (engine, admission, text) = (&*self.engine, &self.admission, incoming.text.as_str());
        self.add(incoming, &EngineAnswerer { engine, admission, text, refuses_while_waiting }).await
    }

    /// Adds a turn to a dialogue.
    async fn add(&self, incoming: &Incoming, answerer: &impl Answerer) -> Result<Answer, ConversationError> {
        let begun = Instant::now();
        let recalled = self.stores.cache.recall(incoming.user, incoming.key()).await;
        let dialogue = self.dialogue(incoming).await?;
        if let Some(answer) = self.repeated(incoming, recalled.answer.as_ref()).await? {
            return Ok(answer);
        }
        self.learn(dialogue, recalled);
        let pending = Pending { incoming, dialogue, begun };
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 1 {
                // Two servers that meet again and again fall out of step.
                tokio::time::sleep(COLLISION_PAUSE.mul_f64(rand::random())).await;
            }
            let admitted = self.admission.admit(dialogue).await?;
            let remembered = self.known.end(dialogue);
            let last = match &remembered {
                Some(last) => Arc::clone(last),
                None => Arc::new(self.stores.turns.last(dialogue).await?),
            };
            let mut answered = match self.answer(&pending, &last, answerer).await {
                // What is remembered may be out of date. A write would tell, but there is none.
                Err(error) if error.is_refusal() && remembered.is_some() => {
                    self.known.forget_end(dialogue);
                    continue;
                }
                // The same request may have changed the state, here or on another server.
                Err(error) if error.is_refusal() => {
                    return self.repeated(incoming, None).await?.ok_or(error);
                }
                other => other?,
            };
            let answer = Answer::of(&answered.turn, Place { dialogue, seq: answered.seq });
            match self.commit(&pending, &mut answered, admitted, &answer).await? {
                Committed::Stored => return Ok(answer),
                Committed::Collided => {}
                Committed::Repeated => {
                    if let Some(answer) = self.repeated(incoming, None).await? {
                        return Ok(answer);
                    }
                }
            }
        }
        tracing::warn!(dialogue = dialogue.0, attempts = MAX_ATTEMPTS, "too many collisions in one dialogue");
        Err(ConversationError::Busy)
    }

    /// Whether the model can answer at all.
    pub fn is_ready(&self) -> bool {
        self.engine.can_embed()
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

    /// Makes the next turn.
    async fn answer(
        &self,
        pending: &Pending<'_>,
        last: &LastTurn,
        answerer: &impl Answerer,
    ) -> Result<AnsweredTurn, ConversationError> {
        let (user, dialogue) = (pending.incoming.user, pending.dialogue);
        let (seq, made, start) = (last.seq + 1, self.clock.now(), Instant::now());
        // A turn ends on the version that it begins with.
        let serving = self.catalogs.for_user(user);
        let turn = answerer.answer(Asked { user, dialogue, last, serving: &serving, now: made }).await?;
        let hand_off = HandOffChange::between(&last.state, &turn.state);
        Ok(AnsweredTurn { turn, serving, seq, made, latency: start.elapsed(), hand_off })
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
        let seq = answered.seq;
        let perhaps_stored = |error| self.perhaps_stored(dialogue, seq, error);
        let mut receipt = self.stores.turns.submit(stored).await.map_err(perhaps_stored)?;
        let last = Arc::new(LastTurn { seq, state: mem::take(&mut answered.turn.state) });
        let known = self.advance(dialogue, &last, &mut receipt);
        drop(admitted);

        let fate = match known {
            Some(fate) => fate,
            None => receipt.await,
        };
        if !matches!(fate, Ok(Appended::Stored)) {
            self.known.forget_end(dialogue);
        }
        match fate.map_err(perhaps_stored)? {
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

    /// The store has not said whether the turn is stored. Whoever watches the dialogue looks, when the store has had
    /// time.
    fn perhaps_stored(&self, dialogue: DialogueId, seq: i64, error: StoreError) -> ConversationError {
        self.known.forget_end(dialogue);
        let (watchers, bus) = (Arc::clone(&self.watchers), Arc::clone(&self.stores.bus));
        tokio::spawn(async move {
            tokio::time::sleep(LATE_WRITE).await;
            watchers.wake(dialogue);
            if let Err(error) = bus.publish(News::TurnStored { dialogue, seq }).await {
                tracing::warn!(%error, "other servers do not hear of a turn that is perhaps stored");
            }
        });
        error.into()
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

    /// Tells the cache that all servers share, and the requests that wait for something in this dialogue.
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
        let remembered = Remembered { user: incoming.user, dialogue, last, answer };
        // Requests that wait here are woken also while the bus is down.
        self.watchers.wake(dialogue);
        self.stores.cache.remember(remembered).await;
        Ok(())
    }
}
