//! From a message to a turn: a form or the classifier decides, handlers run, and their effects are applied.
//!
//! [`Engine::reply`] is deterministic: equal snapshots, states, messages and times give equal turns.

mod classify;
mod form;
mod respond;

use std::{sync::Arc, time::Instant};

use thiserror::Error;

use crate::{
    catalogue::{Catalogue, Intent, IntentId, template::Text},
    decide::Decision,
    embedding::{Embedder, EmbeddingError},
    handlers::script::Scripting,
    host::{Host, TurnHost},
    language::{Language, detect},
    random::Random,
    reading::Reading,
    snapshot::Snapshot,
    state::DialogueState,
    text::normalize,
    turn::{Event, Explain, Footprint, Message, Output, Timings, Turn, TurnKind},
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
        /// The reason.
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

    /// The same model and script engine with another host.
    pub fn with_host(&self, host: Arc<dyn Host>) -> Self {
        Self { embedder: Arc::clone(&self.embedder), scripting: Arc::clone(&self.scripting), host }
    }

    /// Whether a text needs no run of the model: its vector is remembered.
    pub fn knows(&self, text: &str) -> bool {
        self.embedder.remembers(&normalize(text))
    }

    /// Answers one message; `now` is in the time zone of the reply. Blocks: on the model, unless it [knows](Self::knows) the text, and on
    /// what handlers fetch.
    ///
    /// # Errors
    /// [`EngineError::Embedding`] if the model is busy or broken; [`EngineError::Outside`] if a store that a handler
    /// needs is unavailable.
    pub fn reply(
        &self,
        snapshot: &Snapshot,
        state: &DialogueState,
        message: &Message<'_>,
        now: jiff::Zoned,
    ) -> Result<Turn, EngineError> {
        let mut turn = Work::new(self, snapshot, state, message, now);
        turn.run()?;
        match turn.outside.away() {
            Some((part, reason)) => Err(EngineError::Outside { part, reason: reason.to_owned() }),
            None => Ok(turn.finish()),
        }
    }
}

/// A turn in progress.
struct Work<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    message: &'a Message<'a>,
    outside: Arc<TurnHost>,
    text: String,
    now: jiff::Zoned,
    random: Random,
    language: Language,
    reading: Reading,
    state: DialogueState,
    kind: TurnKind,
    intent: Option<IntentId>,
    probability: Option<f32>,
    handler: String,
    outputs: Vec<Output>,
    hand_off: bool,
    events: Vec<Event>,
    kept: std::collections::BTreeMap<String, serde_json::Value>,
    explain: Explain,
    timings: Timings,
    footprint: Footprint,
}

impl<'a> Work<'a> {
    fn new(
        engine: &'a Engine,
        snapshot: &'a Snapshot,
        state: &DialogueState,
        message: &'a Message<'a>,
        now: jiff::Zoned,
    ) -> Self {
        let mut state = state.clone();
        state.age_contexts();
        let reading = Reading::of(snapshot, message.text);
        let language = speak(&snapshot.catalogue, &mut state, &reading);
        Self {
            engine,
            snapshot,
            message,
            outside: Arc::new(TurnHost::new(engine.host.clone())),
            text: reading.text().to_owned(),
            now,
            random: Random::new(message.seed),
            language,
            reading,
            state,
            kind: TurnKind::Unknown,
            intent: None,
            probability: None,
            handler: "fallback".to_owned(),
            outputs: Vec::new(),
            hand_off: false,
            events: Vec::new(),
            kept: std::collections::BTreeMap::new(),
            explain: Explain::default(),
            timings: Timings::default(),
            footprint: Footprint::default(),
        }
    }

    fn catalogue(&self) -> &'a Arc<Catalogue> {
        &self.snapshot.catalogue
    }

    fn run(&mut self) -> Result<(), EngineError> {
        if let Some(form) = self.state.form.take() {
            return self.go_on_with_form(form);
        }
        let clarify = self.state.clarify.take();
        for id in clarify.iter().flat_map(|clarify| [&clarify.first, &clarify.second]) {
            if self.catalogue().intent(id).is_none() {
                self.events.push(Event::StateDropped { name: id.to_string() });
            }
        }
        if let Some(clarify) = clarify
            && let Some(intent) = self.chosen(&clarify)
        {
            self.rule(format!("the answer to \"did you mean\" was `{}`", intent.id));
            self.kind = TurnKind::Matched;
            self.reading = Reading::of(self.snapshot, &clarify.text);
            self.start_intent(intent);
            return Ok(());
        }
        let decision = self.classify()?;
        self.act(decision);
        Ok(())
    }

    fn act(&mut self, decision: Decision) {
        match decision {
            Decision::Matched(id) => match self.catalogue().intent(&id) {
                Some(intent) => {
                    self.kind = TurnKind::Matched;
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
        self.state.misses = 0;
        self.fill_from_message(intent);
        self.go_on_with_intent(intent);
    }

    fn rule(&mut self, rule: String) {
        self.explain.rule = rule;
    }

    fn trace(&mut self, step: String) {
        self.explain.trace.push(step);
    }

    /// Says a variant of a text. If that fails, records an event and says the fallback text instead.
    fn say(&mut self, text: &Text, suggestions: Vec<String>, extra: &[(&str, String)]) {
        match self.render(text, extra) {
            Ok(text) => self.outputs.push(Output::Text { text, suggestions }),
            Err(message) => {
                self.events.push(Event::TextFailed { message });
                self.say_fallback();
            }
        }
    }

    fn say_fallback(&mut self) {
        match self.render(&self.catalogue().fallback.text, &[]) {
            Ok(text) => self.outputs.push(Output::Text { text, suggestions: Vec::new() }),
            Err(message) => self.events.push(Event::TextFailed { message }),
        }
    }

    fn render(&mut self, text: &Text, extra: &[(&str, String)]) -> Result<String, String> {
        let template = text
            .pick(&self.language, &mut self.random)
            .ok_or_else(|| format!("a text is missing in `{}`", self.language))?;
        let slots = &self.state.slots;
        let value = |name: &str| {
            let given = extra.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            given.or_else(|| slots.get(name).map(crate::handlers::api::plain))
        };
        template.render(&value).map_err(|name| format!("a text needs a value for {{{name}}}"))
    }

    fn finish(mut self) -> Turn {
        self.footprint.chance = self.random != Random::new(self.message.seed);
        let mut turn = Turn {
            kind: self.kind,
            language: self.language,
            intent: self.intent,
            probability: self.probability,
            entities: self.reading.entities().to_vec(),
            handler: self.handler,
            outputs: std::mem::take(&mut self.outputs),
            hand_off: self.hand_off,
            events: self.events,
            kept: self.kept,
            state: self.state,
            catalogue_version: self.snapshot.catalogue.version.clone(),
            explain: self.explain,
            timings: self.timings,
            footprint: self.footprint,
        };
        let said = turn.text();
        turn.state.remember(&self.text, &said, turn.intent.as_ref());
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
