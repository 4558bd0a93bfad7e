//! A bot, checked and ready: intents, entities, texts and scripts. Made by [`loader::load`] from a [`bundle::Bundle`] and
//! never changed after; a hot reload makes a new one.

pub mod bundle;
pub mod diff;
pub mod document;
pub mod example;
pub mod fault;
pub mod lint;
pub mod loader;
pub mod manifest;
pub mod shape;
pub mod template;
pub mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    entities::EntitySpec,
    handlers::{plugin::Plugin, script::Script},
    language::Language,
};
use example::Example;
use fault::Place;
use template::Text;

/// The name of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IntentId(Arc<str>);

impl IntentId {
    /// An id from a name.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole bot.
#[derive(Debug)]
pub struct Catalogue {
    /// The bot's name.
    pub name: String,
    /// The first 16 hex digits of the BLAKE3 hash of all files.
    pub version: String,
    /// Languages, the default first; never empty.
    pub languages: Vec<Language>,
    /// Intents by file.
    pub intents: Vec<Intent>,
    /// Entities by name.
    pub entities: BTreeMap<String, EntitySpec>,
    /// Texts by key.
    pub texts: BTreeMap<String, Text>,
    /// What happens when no intent is near enough.
    pub fallback: Fallback,
    /// Probability from which an intent is taken.
    pub threshold: f32,
    /// Probabilities that differ by less are ambiguous.
    pub margin: f32,
    /// "Did you mean", with `{first}` and `{second}`.
    pub clarify: Text,
    /// Said when a person takes over.
    pub handoff: Text,
    /// Said when a form is cancelled and no intent has that role.
    pub cancelled: Text,
    /// Said in the middle of a form whose intent a new version no longer has.
    pub dropped: Text,
    /// What scripts may fetch.
    pub http: HttpPolicy,
    /// Plugins by name.
    pub plugins: BTreeMap<String, Arc<dyn Plugin>>,
    /// Where the bot's clock stands, for `now()`.
    pub time_zone: jiff::tz::TimeZone,
    by_name: HashMap<IntentId, usize>,
}

impl Catalogue {
    /// The language a dialogue begins in.
    pub fn default_language(&self) -> &Language {
        &self.languages[0]
    }

    /// An intent by its id.
    pub fn intent(&self, id: &IntentId) -> Option<&Intent> {
        self.by_name.get(id).map(|index| &self.intents[*index])
    }

    /// The language with this code, if it is one of the bot's.
    pub fn language(&self, code: &str) -> Option<&Language> {
        self.languages.iter().find(|language| language.code() == code)
    }
}

/// What a user may want.
#[derive(Debug)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// What the bot calls it.
    pub title: Option<Text>,
    /// How users say it.
    pub examples: Vec<Example>,
    /// What the handler needs, in the order of asking.
    pub slots: Vec<SlotSpec>,
    /// Who answers.
    pub handler: Handler,
    /// Overrides the bot's threshold.
    pub threshold: Option<f32>,
    /// Whether it leaves a form.
    pub cancels: bool,
    /// Where its name stands.
    pub place: Place,
    /// Where the handler's own name stands.
    pub handler_place: Place,
}

/// Something a handler needs.
#[derive(Debug)]
pub struct SlotSpec {
    /// Its name.
    pub name: String,
    /// The entity that fills it; `None`: the whole answer.
    pub entity: Option<String>,
    /// The question; present for required slots.
    pub ask: Option<Text>,
    /// Said when the answer did not fit.
    pub retry: Option<Text>,
    /// Whether the handler waits for it.
    pub required: bool,
    /// Whether an earlier value counts.
    pub remember: bool,
}

/// Who answers.
#[derive(Debug)]
pub enum Handler {
    /// A text and quick replies.
    Reply {
        /// What is said.
        text: Text,
        /// Quick replies by language.
        suggest: BTreeMap<Language, Vec<String>>,
    },
    /// A function of a Rhai script.
    Script {
        /// The compiled file.
        script: Arc<Script>,
        /// The function's name.
        function: String,
    },
    /// A WebAssembly component.
    Plugin(Arc<dyn Plugin>),
    /// A person.
    HandOff {
        /// Said meanwhile.
        text: Text,
    },
    /// The handler of another intent.
    Jump(IntentId),
}

/// What happens when no intent is near enough.
#[derive(Debug)]
pub struct Fallback {
    /// Misses in a row before `then_hand_off`.
    pub tries: u32,
    /// Whether a person takes over then.
    pub then_hand_off: bool,
    /// What is said.
    pub text: Text,
}

/// What scripts may fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpPolicy {
    /// `host` or `host:port`, lower-case.
    pub allow: Vec<String>,
    /// Whether private and loopback addresses are allowed.
    pub private: bool,
    /// Milliseconds for a request as a whole.
    pub timeout_ms: u64,
    /// Bytes of an answer.
    pub max_bytes: u64,
}
