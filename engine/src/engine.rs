//! From a message to a turn: the dialogue decides, and its actions are performed.
//!
//! [`Engine::reply`] is deterministic: equal snapshots, states, messages and times give equal turns.

mod actions;
mod handler;

use std::{collections::VecDeque, sync::Arc};

use thiserror::Error;

use crate::{
    catalogue::{Catalogue, Intent, SlotSpec},
    dialogue::{Action, Step, Unclassified, break_silence, role_of, step},
    embedding::{Embedder, Embedding, EmbeddingError},
    entities::Entity,
    handlers::{plugin::Plugins, script::Scripting},
    host::{Host, TurnHost},
    random::Random,
    snapshot::Snapshot,
    state::{DialogueState, HandOff},
    text::normalize,
    turn::{Message, Turn},
    understanding::{Classifying, Reading, Reread, Understanding},
};

/// Why there is no turn. Mistakes of authors or users never cause one of these errors; they give a turn.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The text could not be embedded.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// A store that a handler needs is unavailable.
    #[error("{reason}")]
    Outside {
        /// The store.
        part: &'static str,
        reason: String,
    },
}

/// What all turns share: the encoders, the script engine and the host.
pub struct Engine {
    embedding: Arc<dyn Embedding>,
    scripting: Arc<Scripting>,
    host: Arc<dyn Host>,
}

impl Engine {
    /// Creates an engine from its parts.
    pub fn new(embedding: Arc<dyn Embedding>, scripting: Arc<Scripting>, host: Arc<dyn Host>) -> Self {
        Self { embedding, scripting, host }
    }

    /// The embedder of a bot.
    ///
    /// # Errors
    /// An encoder of its languages cannot be loaded.
    pub fn embedder(&self, catalogue: &Catalogue) -> Result<Arc<dyn Embedder>, EmbeddingError> {
        self.embedding.of(&catalogue.languages)
    }

    /// The encoders.
    pub fn embedding(&self) -> &Arc<dyn Embedding> {
        &self.embedding
    }

    /// Whether texts can still be embedded.
    pub fn can_embed(&self) -> bool {
        self.embedding.is_alive()
    }

    /// The script engine, for loading catalogues.
    pub fn scripting(&self) -> &Scripting {
        &self.scripting
    }

    /// Where handlers reach the outside world.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// The same model and script engine with another host.
    pub fn with_host(&self, host: Arc<dyn Host>) -> Self {
        Self { embedding: Arc::clone(&self.embedding), scripting: Arc::clone(&self.scripting), host }
    }

    /// What the bot says by itself after a silence; `None` if nothing. The text of the request is empty. Blocks like
    /// [`Engine::reply`].
    ///
    /// # Errors
    /// Those of [`Engine::reply`].
    pub fn break_silence(&self, snapshot: &Snapshot, request: Request<'_>) -> Result<Option<Turn>, EngineError> {
        let state = request.state;
        let mut work = Work::new(self, snapshot, request);
        let Some(decided) = break_silence(state, &work.said, work.catalogue()) else { return Ok(None) };
        work.carry_out(decided);
        work.result().map(Some)
    }

    /// Answers one message. Blocks: on the model, unless it remembers the texts, and on what handlers fetch.
    ///
    /// # Errors
    /// [`EngineError::Embedding`] if the model is busy or broken; [`EngineError::Outside`] if a store that a handler
    /// needs is unavailable.
    pub fn reply(&self, snapshot: &Snapshot, request: Request<'_>) -> Result<Turn, EngineError> {
        let state = request.state;
        let mut work = Work::new(self, snapshot, request);
        work.run(state)?;
        work.result()
    }
}

/// A message, and what it is answered with.
pub struct Request<'a> {
    pub message: Message<'a>,
    /// The state before it.
    pub state: &'a DialogueState,
    /// The turn's clock, in the time zone of the reply.
    pub now: jiff::Zoned,
    /// The plugins that may be called.
    pub plugins: Plugins,
}

impl<'a> Request<'a> {
    /// A message at a time, with the bot's own time zone and plugins.
    pub fn new(snapshot: &Snapshot, message: Message<'a>, state: &'a DialogueState, now: jiff::Timestamp) -> Self {
        let now = now.to_zoned(snapshot.catalogue.time_zone.clone());
        Self { message, state, now, plugins: Arc::clone(&snapshot.catalogue.library.plugins) }
    }
}

/// A turn in progress.
struct Work<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    message: Message<'a>,
    now: jiff::Zoned,
    plugins: Plugins,
    outside: Arc<TurnHost>,
    said: Understanding,
    /// An earlier utterance whose entities count instead.
    meant: Option<Reading>,
    random: Random,
    /// Whether a handler ran.
    ran: bool,
    /// Whether the turn has its answer; what follows is said beside it.
    answered: bool,
    /// What is still to be done.
    actions: VecDeque<Action<'a>>,
    turn: Turn,
}

impl<'a> Work<'a> {
    fn new(engine: &'a Engine, snapshot: &'a Snapshot, request: Request<'a>) -> Self {
        let Request { message, state, now, plugins } = request;
        let setting = snapshot.catalogue.setting(message.text, state.language.as_ref(), &now);
        let said = Understanding::of(&snapshot.catalogue, message.text, setting, now.timestamp().as_millisecond());
        let language = snapshot.catalogue.default_language().clone();
        Self {
            engine,
            snapshot,
            message,
            now,
            plugins,
            outside: Arc::new(TurnHost::new(engine.host.clone())),
            said,
            meant: None,
            random: Random::new(message.seed),
            ran: false,
            answered: false,
            actions: VecDeque::new(),
            turn: Turn::begin(state.clone(), language, snapshot.catalogue.version.clone()),
        }
    }

    /// The utterance that entities come from.
    fn reading(&self) -> &Reading {
        self.meant.as_ref().unwrap_or(&self.said.reading)
    }

    fn catalogue(&self) -> &'a Arc<Catalogue> {
        &self.snapshot.catalogue
    }

    fn run(&mut self, state: &DialogueState) -> Result<(), EngineError> {
        let decided = match step(state, &self.said, self.catalogue()) {
            Ok(decided) => decided,
            Err(Unclassified) => {
                self.classify()?;
                let again = step(state, &self.said, self.catalogue());
                again.unwrap_or_else(|Unclassified| unreachable!("the utterance is classified"))
            }
        };
        self.carry_out(decided);
        Ok(())
    }

    /// Performs what the dialogue decided at first, and all that it leads to.
    fn carry_out(&mut self, decided: Step<'a>) {
        self.turn.kind = decided.kind;
        self.turn.explain.rule.clone_from(&decided.rule);
        self.take(decided);
        self.perform();
    }

    /// The turn, unless a store that it needs was away.
    fn result(self) -> Result<Turn, EngineError> {
        match self.outside.away() {
            Some((part, reason)) => Err(EngineError::Outside { part, reason: reason.to_owned() }),
            None => Ok(self.finish()),
        }
    }

    /// Runs the model on the utterance.
    fn classify(&mut self) -> Result<(), EngineError> {
        let embedder = self.engine.embedder(&self.snapshot.catalogue)?;
        let mut model = Classifying::new(self.snapshot, &*embedder);
        let (meaning, reread) = model.meaning(&self.said.reading)?;
        self.turn.timings = model.times;
        if let Some(Reread { reading, how }) = reread {
            self.turn.explain.trace.push(format!("read as \"{}\" ({})", reading.text(), how.name()));
            self.said = Understanding::read(self.catalogue(), reading, self.said.at);
        }
        if let Some(whole) = &meaning.whole {
            self.turn.probability = whole.candidates.first().map(|best| best.probability);
            self.turn.explain.neighbours = self.snapshot.near_examples(&whole.neighbours);
            self.turn.explain.in_scope = Some(whole.in_scope);
            self.turn.explain.candidates.clone_from(&whole.candidates);
        }
        self.said.meaning = Some(meaning);
        Ok(())
    }

    /// Takes over what the dialogue decided. Its actions come before those that are still to be done.
    fn take(&mut self, decided: Step<'a>) {
        self.turn.state = decided.state;
        self.turn.language = decided.language;
        if !self.answered {
            self.turn.intent = decided.intent.or(self.turn.intent.take());
            self.turn.handler = decided.handler.unwrap_or_else(|| self.turn.handler.clone());
        }
        self.turn.explain.trace.extend(decided.trace);
        self.turn.events.extend(decided.events);
        if decided.meant.is_some() {
            self.turn.explain.chosen.clone_from(&self.turn.intent);
        }
        self.meant = decided.meant.or(self.meant.take());
        for action in decided.actions.into_iter().rev() {
            self.actions.push_front(action);
        }
    }

    /// The entities that count, with their roles for an intent.
    fn entities(&self, intent: Option<&Intent>) -> Vec<Entity> {
        let reading = self.reading();
        let with_role = |entity: &Entity| {
            let role = intent.and_then(|intent| role_of(intent, reading, entity)).map(str::to_owned);
            Entity { role, ..entity.clone() }
        };
        reading.entities().iter().map(with_role).collect()
    }

    /// Whether a value counts from now, as "tomorrow" does: one of the message, or one that the intent's slots have.
    fn depends_on_clock(&self) -> bool {
        let catalogue = self.catalogue();
        let counts = |entity: &str| catalogue.has_tense(entity);
        let intent = self.turn.intent.as_ref().and_then(|id| catalogue.intent(id));
        let has_value = |slot: &&SlotSpec| self.turn.state.slots.contains_key(&slot.name);
        let mut slots = intent.into_iter().flat_map(|intent| &intent.slots).filter(has_value);
        self.reading().finds(counts) || slots.any(|slot| slot.entity.as_deref().is_some_and(counts))
    }

    fn finish(self) -> Turn {
        let entities = self.entities(self.turn.intent.as_ref().and_then(|id| self.catalogue().intent(id)));
        let clock = self.depends_on_clock();
        let chance = self.random != Random::new(self.message.seed);
        let Self { message, mut turn, snapshot, now, .. } = self;
        turn.entities = entities;
        turn.footprint.chance = chance;
        turn.footprint.clock |= clock;
        let reply = turn.text();
        turn.state.unchecked.clear();
        turn.state.remember(&normalize(message.text), &reply, turn.intent.as_ref());
        if turn.hand_off {
            let until = now.timestamp().as_millisecond().saturating_add(snapshot.catalogue.waiting.limit);
            turn.state.hand_off = Some(HandOff { until });
            // Whoever answers does not ask the form's question, so the next message is not its answer.
            turn.state.form = None;
            turn.state.clarify = None;
            turn.state.suspended.clear();
            turn.state.wishes.clear();
        }
        turn
    }
}
