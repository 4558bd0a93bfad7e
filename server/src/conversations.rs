//! The way of one message: load the state, let the engine answer, store the turn, and only then tell.
//!
//! The state after a turn lies in the turn itself, so a turn is one write. Turns of one dialogue go through a lane that is held
//! until the turn is handed to the store, not until it is on the disk: the next turn may build on it at once, and fails with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, EngineError,
    embedding::EmbeddingError,
    turn::{Message, Output, Turn},
};
use moka::sync::Cache;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::{
    sync::{Mutex, Semaphore},
    task::block_in_place,
};

use crate::{
    catalogs::Catalogs,
    stores::{Appended, DialogId, KEY_LIFE, LastTurn, Millis, NewTurn, StoreError, StoredAnswer, Stores, UserId},
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
/// For each turn that runs so many may wait.
const WAITING_PER_TURN: usize = 4;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ConversationError {
    /// Empty or too long.
    #[error("the text is empty or too long")]
    Text,
    /// Somebody else's dialogue, or none.
    #[error("not this user's dialogue")]
    ForeignDialog,
    /// The key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// Too much at once; try again.
    #[error("too many messages at once")]
    Busy,
    /// A store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

/// A message as a client sends it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who.
    pub user: UserId,
    /// Where; the default dialogue without it.
    pub dialog: Option<DialogId>,
    /// What.
    pub text: String,
    /// A key for repeats, and the hash of the request.
    pub idempotency: Option<(String, [u8; 32])>,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply as one text.
    pub response: String,
    /// What was said and shown.
    pub outputs: Vec<Output>,
}

/// Turns.
pub struct Conversations {
    engine: Arc<Engine>,
    catalogs: Arc<Catalogs>,
    stores: Stores,
    states: Cache<DialogId, Arc<LastTurn>>,
    /// Default dialogues never change hands.
    defaults: Cache<UserId, DialogId>,
    lanes: Vec<Mutex<()>>,
    places: Semaphore,
    running: Semaphore,
}

impl Conversations {
    /// Conversations over these; `parallel` turns run at a time.
    pub fn new(engine: Arc<Engine>, catalogs: Arc<Catalogs>, stores: Stores, parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            engine,
            catalogs,
            stores,
            states: Cache::builder().max_capacity(CACHED_STATES).time_to_idle(STATE_LIFE).build(),
            defaults: Cache::new(CACHED_STATES),
            lanes: (0..LANES).map(|_| Mutex::new(())).collect(),
            places: Semaphore::new(parallel * (1 + WAITING_PER_TURN)),
            running: Semaphore::new(parallel),
        }
    }

    /// Answers a message. When this returns, the turn is stored.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub async fn take_turn(&self, incoming: Incoming) -> Result<Answer, ConversationError> {
        let length = incoming.text.chars().count();
        // No store keeps NUL, and nobody types it.
        if length == 0
            || length > MAX_TEXT
            || incoming.text.contains('\0')
            || banter_engine::text::normalize(&incoming.text).is_empty()
        {
            return Err(ConversationError::Text);
        }
        let _place = self.places.try_acquire().map_err(|_| ConversationError::Busy)?;
        let dialog = self.dialog(&incoming).await?;
        if let Some(answer) = self.repeated(&incoming).await? {
            return Ok(answer);
        }
        for _ in 0..MAX_ATTEMPTS {
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
            let dialog = self.stores.dialogs.default_dialog(incoming.user, now()).await?;
            self.defaults.insert(incoming.user, dialog);
            return Ok(dialog);
        };
        match self.stores.dialogs.owner(dialog).await? {
            Some(owner) if owner == incoming.user => Ok(dialog),
            Some(_) | None => Err(ConversationError::ForeignDialog),
        }
    }

    /// The first answer to a request that comes again.
    async fn repeated(&self, incoming: &Incoming) -> Result<Option<Answer>, ConversationError> {
        let Some((key, hash)) = &incoming.idempotency else { return Ok(None) };
        let found = self.stores.turns.find_answer(incoming.user, key, now() - KEY_LIFE).await?;
        let Some(StoredAnswer { request_hash, response, outputs }) = found else { return Ok(None) };
        if request_hash != *hash {
            return Err(ConversationError::KeyMismatch);
        }
        let outputs = serde_json::from_value(outputs)
            .map_err(|error| ConversationError::Internal(format!("stored outputs cannot be read: {error}")))?;
        Ok(Some(Answer { response, outputs }))
    }

    async fn attempt(&self, incoming: &Incoming, dialog: DialogId) -> Result<Attempt, ConversationError> {
        let lane = self.lanes[dialog.0.unsigned_abs() as usize % LANES].lock().await;
        let last = match self.states.get(&dialog) {
            Some(last) => last,
            None => Arc::new(self.stores.turns.last(dialog).await?),
        };
        let start = Instant::now();
        let seq = last.seq + 1;
        let made = now();
        let turn = self.run_engine(incoming, dialog, last, made).await?;
        let answer = Answer { response: turn.text(), outputs: turn.outputs.clone() };
        let latency = start.elapsed();
        let stored = new_turn(incoming, dialog, seq, made, &turn, latency)?;
        report(incoming.user, dialog, &turn, latency);
        let receipt = self.stores.turns.submit(stored).await?;
        self.states.insert(dialog, Arc::new(LastTurn { seq, state: turn.state }));
        drop(lane);

        let fate = receipt.await;
        if !matches!(fate, Ok(Appended::Stored)) {
            self.states.invalidate(&dialog);
        }
        Ok(match fate? {
            Appended::Stored => Attempt::Answered(answer),
            Appended::Duplicate => Attempt::Repeated,
            Appended::Conflict => Attempt::Collided,
        })
    }

    /// The engine blocks: on the model, on scripts and on what these fetch.
    async fn run_engine(
        &self,
        incoming: &Incoming,
        dialog: DialogId,
        last: Arc<LastTurn>,
        made: Millis,
    ) -> Result<Turn, ConversationError> {
        let permit = self.running.acquire().await;
        let permit = permit.map_err(|error| ConversationError::Internal(error.to_string()))?;
        let (engine, snapshot) = (&self.engine, self.catalogs.current());
        // Other tasks move to another thread while this one blocks; for the turn itself that costs no change of thread.
        let result = block_in_place(|| {
            let message =
                Message { text: &incoming.text, user: incoming.user.0, dialog: dialog.0, seed: seed(dialog, last.seq) };
            engine.reply(&snapshot, &last.state, &message, timestamp(made))
        });
        drop(permit);
        match result {
            Ok(turn) => Ok(turn),
            Err(EngineError::Embedding(EmbeddingError::Busy)) => Err(ConversationError::Busy),
            Err(error) => Err(ConversationError::Internal(error.to_string())),
        }
    }
}

enum Attempt {
    Answered(Answer),
    Repeated,
    Collided,
}

/// The chance of a turn is fixed by its place, so that a turn that is run again after a collision elsewhere is the same.
fn seed(dialog: DialogId, seq: i64) -> u64 {
    (dialog.0 as u64).rotate_left(32) ^ seq as u64
}

fn new_turn(
    incoming: &Incoming,
    dialog: DialogId,
    seq: i64,
    made: Millis,
    turn: &Turn,
    latency: Duration,
) -> Result<NewTurn, ConversationError> {
    let internal = |error: serde_json::Error| ConversationError::Internal(error.to_string());
    Ok(NewTurn {
        id: crate::message_id::new(made),
        dialog,
        user: incoming.user,
        seq,
        created_at: made,
        text: incoming.text.clone(),
        response: turn.text(),
        classification: classification(turn, latency).map_err(internal)?,
        outputs: serde_json::to_value(&turn.outputs).map_err(internal)?,
        state: turn.state.clone(),
        idempotency: incoming.idempotency.clone(),
        kept: turn.kept.clone(),
    })
}

fn classification(turn: &Turn, latency: Duration) -> Result<Value, serde_json::Error> {
    Ok(json!({
        "type": serde_json::to_value(turn.kind)?,
        "intent": turn.intent.as_ref().map(|intent| intent.as_str()),
        "confidence": turn.probability,
        "language": turn.language.code(),
        "entities": serde_json::to_value(&turn.entities)?,
        "handler": turn.handler,
        "hand_off": turn.hand_off,
        "events": serde_json::to_value(&turn.events)?,
        "catalogue_version": turn.catalogue_version,
        "latency_ms": latency.as_secs_f64() * 1e3,
    }))
}

/// One line a turn, without texts.
fn report(user: UserId, dialog: DialogId, turn: &Turn, latency: Duration) {
    for event in &turn.events {
        // What a script throws may quote the user; it is stored with the turn and logged only on request.
        tracing::warn!(
            user = user.0,
            dialog = dialog.0,
            event = event.kind(),
            place = event.place(),
            "a handler failed"
        );
        tracing::debug!(?event, "a handler failed");
    }
    tracing::info!(
        user = user.0,
        dialog = dialog.0,
        kind = ?turn.kind,
        intent = turn.intent.as_ref().map(|intent| intent.as_str()),
        handler = turn.handler,
        embed_us = turn.timings.embed_us,
        decide_us = turn.timings.decide_us,
        handle_us = turn.timings.handle_us,
        total_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
        "turn"
    );
}
