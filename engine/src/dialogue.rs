//! From a message to a turn: a form or the classifier decides, handlers run, and their effects are applied.
//!
//! [`Engine::reply`] is deterministic: equal snapshots, states, messages and times give equal turns.

mod classify;
mod form;
mod outside;
mod reading;
mod respond;

use std::{sync::Arc, time::Instant};

use thiserror::Error;

use crate::{
    catalogue::{Catalogue, Intent},
    decide::Decision,
    embedding::{Embedder, EmbeddingError},
    handlers::{plugin::Plugins, script::Scripting},
    host::{Host, TurnHost},
    language::{Language, detect},
    random::Random,
    snapshot::Snapshot,
    state::{DialogueState, HandOff},
    template::Text,
    text::normalize,
    turn::{AnsweredBy, Event, Message, Output, Turn, TurnKind},
};
pub use outside::outside_turn;
use reading::Reading;

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

/// What all turns share: the model, the script engine and the host.
pub struct Engine {
    embedder: Arc<dyn Embedder>,
    scripting: Arc<Scripting>,
    host: Arc<dyn Host>,
}

impl Engine {
    /// Creates an engine from its parts.
    pub fn new(embedder: Arc<dyn Embedder>, scripting: Arc<Scripting>, host: Arc<dyn Host>) -> Self {
        Self { embedder, scripting, host }
    }

    /// The embedding model.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
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
        Self { embedder: Arc::clone(&self.embedder), scripting: Arc::clone(&self.scripting), host }
    }

    /// Whether a text needs no run of the model: its vector is remembered.
    pub fn knows(&self, text: &str) -> bool {
        self.embedder.remembers(&normalize(text))
    }

    /// Answers one message. Blocks: on the model, unless it [knows](Self::knows) the text, and on what handlers fetch.
    ///
    /// # Errors
    /// [`EngineError::Embedding`] if the model is busy or broken; [`EngineError::Outside`] if a store that a handler
    /// needs is unavailable.
    pub fn reply(&self, snapshot: &Snapshot, request: Request<'_>) -> Result<Turn, EngineError> {
        let mut work = Work::new(self, snapshot, request);
        work.run()?;
        match work.outside.away() {
            Some((part, reason)) => Err(EngineError::Outside { part, reason: reason.to_owned() }),
            None => Ok(work.finish()),
        }
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
    /// This message.
    heard: Reading,
    /// The message that entities come from, if it is an earlier one: the one before "did you mean".
    meant: Option<Reading>,
    random: Random,
    turn: Turn,
}

impl<'a> Work<'a> {
    fn new(engine: &'a Engine, snapshot: &'a Snapshot, request: Request<'a>) -> Self {
        let Request { message, state, now, plugins } = request;
        let mut state = state.clone();
        let waits = state.waits(now.timestamp().as_millisecond());
        if !waits {
            state.hand_off = None;
            state.age_contexts();
        }
        let heard = Reading::of(snapshot, message.text);
        let language = speak(&snapshot.catalogue, &mut state, &heard);
        Self {
            engine,
            snapshot,
            message,
            now,
            plugins,
            outside: Arc::new(TurnHost::new(engine.host.clone())),
            heard,
            meant: None,
            random: Random::new(message.seed),
            turn: Turn::begin(state, language, snapshot.catalogue.version.clone()),
        }
    }

    /// The message that entities come from.
    fn reading(&self) -> &Reading {
        self.meant.as_ref().unwrap_or(&self.heard)
    }

    fn catalogue(&self) -> &'a Arc<Catalogue> {
        &self.snapshot.catalogue
    }

    fn run(&mut self) -> Result<(), EngineError> {
        if self.turn.state.hand_off.is_some() {
            self.keep_waiting();
            return Ok(());
        }
        if let Some(form) = self.turn.state.form.take() {
            return self.go_on_with_form(form);
        }
        let clarify = self.turn.state.clarify.take();
        for id in clarify.iter().flat_map(|clarify| [&clarify.first, &clarify.second]) {
            if self.catalogue().intent(id).is_none() {
                self.turn.events.push(Event::StateDropped { name: id.to_string() });
            }
        }
        if let Some(clarify) = clarify
            && let Some(intent) = self.chosen(&clarify)
        {
            self.rule(format!("the answer to \"did you mean\" was `{}`", intent.id));
            self.turn.kind = TurnKind::Matched;
            self.meant = Some(Reading::of(self.snapshot, &clarify.text));
            self.start_intent(intent);
            return Ok(());
        }
        let decision = self.classify()?;
        self.act(decision);
        Ok(())
    }

    /// Says what the author lets the bot say while somebody else is to answer: nothing by default.
    fn keep_waiting(&mut self) {
        self.rule("the dialogue is handed off".to_owned());
        self.turn.kind = TurnKind::Waiting;
        self.turn.handler = AnsweredBy::Waiting;
        if let Some(text) = &self.catalogue().waiting.text {
            self.say(text, Vec::new(), &[]);
        }
    }

    fn act(&mut self, decision: Decision) {
        match decision {
            Decision::Matched(id) => match self.catalogue().intent(&id) {
                Some(intent) => {
                    self.turn.kind = TurnKind::Matched;
                    self.start_intent(intent);
                }
                None => self.not_understood(),
            },
            Decision::Ambiguous(first, second) => self.ask_which(&first, &second),
            Decision::Unknown => self.not_understood(),
        }
    }

    /// Starts an intent. The message, and earlier values where the author allows them, fill its slots; then the handler
    /// runs or the first question is asked.
    fn start_intent(&mut self, intent: &'a Intent) {
        self.turn.state.fallbacks = 0;
        self.fill_from_message(intent);
        self.go_on_with_intent(intent);
    }

    fn rule(&mut self, rule: String) {
        self.turn.explain.rule = rule;
    }

    fn trace(&mut self, step: String) {
        self.turn.explain.trace.push(step);
    }

    /// Says a variant of a text. If that fails, records an event and says the fallback text instead.
    fn say(&mut self, text: &Text, suggestions: Vec<String>, extra: &[(&str, String)]) {
        match self.render(text, extra) {
            Ok(text) => self.turn.outputs.push(Output::Text { text, suggestions }),
            Err(message) => {
                self.turn.events.push(Event::TextFailed { message });
                self.say_fallback();
            }
        }
    }

    fn say_fallback(&mut self) {
        match self.render(&self.catalogue().fallback.text, &[]) {
            Ok(text) => self.turn.outputs.push(Output::Text { text, suggestions: Vec::new() }),
            Err(message) => self.turn.events.push(Event::TextFailed { message }),
        }
    }

    fn render(&mut self, text: &Text, extra: &[(&str, String)]) -> Result<String, String> {
        let template = text
            .pick(&self.turn.language, &mut self.random)
            .ok_or_else(|| format!("a text is missing in `{}`", self.turn.language))?;
        let slots = &self.turn.state.slots;
        let value = |name: &str| {
            let given = extra.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            given.or_else(|| slots.get(name).map(crate::handlers::api::value::plain))
        };
        template.render(&value).map_err(|name| format!("a text needs a value for {{{name}}}"))
    }

    fn finish(self) -> Turn {
        let entities = self.reading().entities().to_vec();
        let chance = self.random != Random::new(self.message.seed);
        let Self { heard, mut turn, snapshot, now, .. } = self;
        turn.entities = entities;
        turn.footprint.chance = chance;
        let said = turn.text();
        turn.state.remember(heard.text(), &said, turn.intent.as_ref());
        if turn.hand_off {
            let until = now.timestamp().as_millisecond().saturating_add(snapshot.catalogue.waiting.limit);
            turn.state.hand_off = Some(HandOff { until });
            // Whoever answers does not ask the form's question, so the next message is not its answer.
            turn.state.form = None;
            turn.state.clarify = None;
        }
        turn
    }
}

/// Chooses the language of the reply. An answer to a form's question that is just an entity ("Moscow") does not
/// indicate a language.
fn speak(catalogue: &Catalogue, state: &mut DialogueState, reading: &Reading) -> Language {
    let text = reading.text();
    let known = state.language.clone().filter(|language| catalogue.languages.contains(language));
    if let Some(language) = known.clone().filter(|_| state.language_pinned) {
        return language;
    }
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    let only_entity = state.form.is_some() && reading.entities().iter().any(|entity| entity.text == bare);
    let heard = if only_entity { None } else { detect(text, &catalogue.languages) };
    let language = heard.or(known).unwrap_or_else(|| catalogue.default_language().clone());
    state.language = Some(language.clone());
    language
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
