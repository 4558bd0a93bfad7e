//! The way of one message: load the state, let the engine answer, store the turn, and only then tell.
//!
//! The state after a turn lies in the turn itself, so a turn is one write. Turns of one dialogue go through a lane that is held
//! until the turn is handed to the store, not until it is on the disk: the next turn may build on it at once, and fails with it.

mod companion;
mod lane;
mod message;
mod record;

use std::{
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, EngineError,
    embedding::EmbeddingError,
    reading::Reading,
    turn::{Message, Turn},
};
use futures::FutureExt;
use moka::sync::Cache;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, broadcast::error::RecvError},
    task::block_in_place,
};

use companion::Companion;
use lane::Lane;
use message::again;
pub use message::{Answer, ConversationError, Incoming};
use record::{new_turn, report};

use crate::{
    catalogs::{Catalogs, serving::Serving},
    metrics::Metrics,
    stores::{
        Appended, BusEvent, DialogId, KEY_LIFE, LastTurn, Millis, Remembered, StoreError, StoredAnswer, Stores,
        USER_GONE, UserId,
    },
    telemetry::log_later,
    time::{now, timestamp},
};

/// Characters of a message at the most.
pub const MAX_TEXT: usize = 2_000;
const LANES: usize = 1_024;
/// Dialogues whose state is remembered between turns.
const CACHED_STATES: u64 = 50_000;
const STATE_LIFE: Duration = Duration::from_secs(3_600);
/// Collisions with other servers, or failures of turns that this one was built on, before giving up.
const MAX_ATTEMPTS: usize = 20;
/// A turn that took longer looks, before it is stored, whether its user is still there.
pub const FRESH: Duration = Duration::from_secs(1);
/// The longest pause before a turn is run again.
const COLLISION_PAUSE: Duration = Duration::from_millis(30);
/// Longer texts, in bytes, are read by their own turn.
const READ_BESIDE: usize = 500;
/// For each turn that runs so many may wait.
const WAITING_PER_TURN: usize = 4;

/// Turns.
pub struct Conversations {
    engine: Arc<Engine>,
    catalogs: Arc<Catalogs>,
    stores: Stores,
    metrics: Arc<Metrics>,
    states: Cache<DialogId, Arc<LastTurn>>,
    /// Dialogues never change hands.
    defaults: Cache<UserId, DialogId>,
    owners: Cache<DialogId, UserId>,
    lanes: Vec<Lane>,
    places: Semaphore,
    running: Semaphore,
    parallel: usize,
    workers: usize,
    companion: Companion,
}

impl Conversations {
    /// Conversations over these, in the runtime that calls; `parallel` turns run at a time.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        engine: Arc<Engine>,
        catalogs: Arc<Catalogs>,
        stores: Stores,
        metrics: Arc<Metrics>,
        parallel: usize,
    ) -> io::Result<Self> {
        let parallel = parallel.max(1);
        let runtime = Handle::current();
        Ok(Self {
            engine,
            catalogs,
            stores,
            metrics,
            states: Cache::builder().max_capacity(CACHED_STATES).time_to_idle(STATE_LIFE).build(),
            defaults: Cache::new(CACHED_STATES),
            owners: Cache::builder().max_capacity(CACHED_STATES).support_invalidation_closures().build(),
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            places: Semaphore::new(parallel * (1 + WAITING_PER_TURN)),
            running: Semaphore::new(parallel),
            parallel,
            workers: runtime.metrics().num_workers(),
            companion: Companion::start(runtime)?,
        })
    }

    /// Answers a message. When this returns, the turn is stored.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn take_turn(&self, mut incoming: Incoming) -> Result<Answer, ConversationError> {
        let length = incoming.text.chars().count();
        // No store keeps NUL, and nobody types it.
        if length == 0
            || length > MAX_TEXT
            || incoming.text.contains('\0')
            || banter_engine::text::normalize(&incoming.text).is_empty()
        {
            return Err(ConversationError::Text);
        }
        let recalled = match incoming.recalled.take() {
            Some(recalled) => recalled,
            None => {
                let key = incoming.idempotency.as_ref().map(|(key, _)| key.as_str());
                self.stores.cache.recall(incoming.user, key).await
            }
        };
        if let (Some(stored), Some((_, hash))) = (recalled.answer, &incoming.idempotency) {
            return again(stored, hash);
        }
        let dialog = self.dialog(&incoming).await?;
        if let Some(answer) = self.repeated(&incoming).await? {
            return Ok(answer);
        }
        if let Some((_, last)) = recalled.last.filter(|(known, _)| *known == dialog)
            && self.states.get(&dialog).is_none_or(|ours| ours.seq < last.seq)
        {
            self.states.insert(dialog, Arc::new(last));
        }
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 1 {
                // Two servers that meet again and again fall out of step.
                tokio::time::sleep(COLLISION_PAUSE.mul_f64(rand::random())).await;
            }
            match self.attempt(&incoming, dialog).await? {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Repeated => {
                    if let Some(answer) = self.repeated(&incoming).await? {
                        return Ok(answer);
                    }
                }
                Attempt::Collided => {}
            }
        }
        tracing::warn!(dialog = dialog.0, "{MAX_ATTEMPTS} collisions in one dialogue");
        Err(ConversationError::Busy)
    }

    /// Whether the model can answer at all.
    pub fn is_ready(&self) -> bool {
        self.engine.embedder().is_alive()
    }

    async fn dialog(&self, incoming: &Incoming) -> Result<DialogId, ConversationError> {
        let Some(dialog) = incoming.dialog else {
            if let Some(known) = self.defaults.get(&incoming.user) {
                return Ok(known);
            }
            let found = self.stores.dialogs.default_dialog(incoming.user, now()).await?;
            let dialog = found.ok_or(ConversationError::UserGone)?;
            self.defaults.insert(incoming.user, dialog);
            return Ok(dialog);
        };
        if self.owner(dialog).await? == Some(incoming.user) {
            Ok(dialog)
        } else {
            Err(ConversationError::ForeignDialog)
        }
    }

    /// Whose dialogue it is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError> {
        if let Some(known) = self.owners.get(&dialog) {
            return Ok(Some(known));
        }
        let owner = self.stores.dialogs.owner(dialog).await?;
        if let Some(owner) = owner {
            self.owners.insert(dialog, owner);
        }
        Ok(owner)
    }

    /// The first answer to a request that comes again.
    async fn repeated(&self, incoming: &Incoming) -> Result<Option<Answer>, ConversationError> {
        let Some((key, hash)) = &incoming.idempotency else { return Ok(None) };
        let found = self.stores.turns.find_answer(incoming.user, key, now() - KEY_LIFE).await?;
        found.map(|stored| again(stored, hash)).transpose()
    }

    async fn attempt(&self, incoming: &Incoming, dialog: DialogId) -> Result<Attempt, ConversationError> {
        let lane = self.lanes[dialog.0.unsigned_abs() as usize % LANES].enter().await?;
        // Only now: whoever waits for their own earlier messages takes nobody's place.
        let place = self.places.try_acquire().map_err(|_| ConversationError::Busy)?;
        let last = match self.states.get(&dialog) {
            Some(last) => last,
            None => Arc::new(self.stores.turns.last(dialog).await?),
        };
        let start = Instant::now();
        let seq = last.seq + 1;
        let made = now();
        // A turn ends on the version that it begins with.
        let serving = self.catalogs.for_user(incoming.user);
        let (mut turn, alone) = self.run_engine(&serving, incoming, dialog, last, made).await?;
        let answer = Answer { response: turn.text(), outputs: turn.outputs.clone() };
        let latency = start.elapsed();
        let stored = new_turn(incoming, dialog, seq, made, &turn, latency)?;
        if incoming.proved.elapsed() > FRESH && !self.stores.users.exists(incoming.user).await? {
            return Err(ConversationError::UserGone);
        }
        let handed_in = Instant::now();
        let turns = &self.stores.turns;
        let mut receipt = if alone.is_some() { turns.submit_here(stored).await? } else { turns.submit(stored).await? };
        drop(alone);
        let last = Arc::new(LastTurn { seq, state: mem::take(&mut turn.state) });
        // What is known to have failed is built on by nobody; what is not known yet takes along what is built on it.
        let known = (&mut receipt).now_or_never();
        if matches!(known, None | Some(Ok(Appended::Stored))) {
            self.states.insert(dialog, last.clone());
        } else {
            self.states.invalidate(&dialog);
        }
        drop((lane, place));

        let fate = match known {
            Some(fate) => fate,
            None => receipt.await,
        };
        if !matches!(fate, Ok(Appended::Stored)) {
            self.states.invalidate(&dialog);
        }
        Ok(match fate? {
            Appended::Stored => {
                self.metrics.count(&turn, latency);
                serving.count(&turn);
                let (user, stored) = (incoming.user, handed_in.elapsed());
                log_later(move || report(user, dialog, &turn, latency, stored));
                self.remember(incoming, dialog, &last, &answer).await?;
                Attempt::Answered(answer)
            }
            Appended::Duplicate => Attempt::Repeated,
            Appended::Conflict => Attempt::Collided,
            Appended::Gone => return Err(ConversationError::UserGone),
        })
    }

    /// For the next turn, on whichever server.
    async fn remember(
        &self,
        incoming: &Incoming,
        dialog: DialogId,
        last: &LastTurn,
        answer: &Answer,
    ) -> Result<(), ConversationError> {
        let stored = |hash: &[u8; 32]| {
            let outputs = serde_json::to_value(&answer.outputs)
                .map_err(|error| ConversationError::Internal(error.to_string()))?;
            Ok::<_, ConversationError>(StoredAnswer { request_hash: *hash, response: answer.response.clone(), outputs })
        };
        let answer = match &incoming.idempotency {
            Some((key, hash)) => Some((key.as_str(), stored(hash)?)),
            None => None,
        };
        self.stores.cache.remember(Remembered { user: incoming.user, dialog, last, answer }).await;
        Ok(())
    }

    /// Forgets what other servers tell is gone. Runs as long as the bus does.
    pub async fn follow_bus(&self) {
        let mut events = self.stores.bus.subscribe();
        loop {
            match events.recv().await {
                Ok(BusEvent::Message { topic, text }) if topic == USER_GONE => {
                    if let Ok(user) = text.parse() {
                        self.forget(UserId(user));
                    }
                }
                Ok(BusEvent::Message { .. }) => {}
                // Something may have been missed.
                Ok(BusEvent::Reconnected) | Err(RecvError::Lagged(_)) => {
                    self.defaults.invalidate_all();
                    self.owners.invalidate_all();
                    self.states.invalidate_all();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn forget(&self, user: UserId) {
        if let Some(dialog) = self.defaults.remove(&user) {
            self.states.invalidate(&dialog);
        }
        if let Err(error) = self.owners.invalidate_entries_if(move |_, owner| *owner == user) {
            tracing::error!(%error, "the owners of dialogues cannot be forgotten one by one");
            self.owners.invalidate_all();
        }
    }

    /// The engine blocks: on the model, on scripts and on what these fetch. With the permit of a turn that is the only one, and whose
    /// thread may be held up as long as it has that.
    async fn run_engine(
        &self,
        serving: &Serving,
        incoming: &Incoming,
        dialog: DialogId,
        last: Arc<LastTurn>,
        made: Millis,
    ) -> Result<(Turn, Option<SemaphorePermit<'_>>), ConversationError> {
        let permit = self.running.acquire().await;
        let permit = permit.map_err(|error| ConversationError::Internal(error.to_string()))?;
        let engine = &self.engine;
        let reading = Arc::new(Reading::of(&serving.snapshot, &incoming.text));
        let reply = || {
            let message =
                Message { text: &incoming.text, user: incoming.user.0, dialog: dialog.0, seed: seed(dialog, last.seq) };
            engine.reply_read(&serving.snapshot, &reading, &last.state, &message, timestamp(made))
        };
        let read = is_read_beside(&reading, &last) && !engine.embedder().remembers(reading.text());
        let alone = self.running.available_permits() + 1 >= self.parallel && self.workers > 1;
        let (result, alone) = if alone && self.companion.come(read.then_some(&reading)) {
            (reply(), Some(permit))
        } else {
            // Other tasks move to another thread while this one blocks; for the turn itself that costs no change of thread.
            let result = block_in_place(reply);
            drop(permit);
            (result, None)
        };
        match result {
            Ok(turn) => Ok((turn, alone)),
            Err(EngineError::Embedding(EmbeddingError::Busy)) => Err(ConversationError::Busy),
            Err(EngineError::Embedding(error)) if !self.is_ready() => {
                tracing::error!(%error, "the model does not answer");
                Err(StoreError::outage("embedding", error.to_string()).into())
            }
            Err(EngineError::Outside { part, reason }) => Err(StoreError::outage(part, reason).into()),
            Err(error) => Err(ConversationError::Internal(error.to_string())),
        }
    }
}

enum Attempt {
    Answered(Answer),
    Repeated,
    Collided,
}

/// Whether a text is short enough to be read on a thread that others may come to want, and is not asked for its entities at once, as in
/// a form.
fn is_read_beside(reading: &Reading, last: &LastTurn) -> bool {
    reading.text().len() <= READ_BESIDE && last.state.form.is_none()
}

/// The chance of a turn is fixed by its place, so that a turn that is run again after a collision elsewhere is the same.
fn seed(dialog: DialogId, seq: i64) -> u64 {
    (dialog.0 as u64).rotate_left(32) ^ seq as u64
}
