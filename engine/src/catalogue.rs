//! A bot, checked and ready to run: intents, entities, texts and scripts.
//! [`loader::load`] makes it from a [`bundle::Bundle`]; it never changes afterwards. A hot reload makes a new one.

pub mod bundle;
pub mod diff;
pub mod document;
pub mod example;
pub mod lint;
pub mod loader;
pub mod manifest;
pub mod shape;
pub mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    diagnostic::Location,
    entities::EntitySpec,
    handlers::{call::Library, script::Script},
    ids::IntentId,
    language::Language,
    template::Text,
};
use example::Example;

/// A complete bot.
#[derive(Debug)]
pub struct Catalogue {
    /// The bot's name.
    pub name: String,
    /// The first 16 hex digits of the BLAKE3 hash of all files except fixtures.
    pub version: String,
    /// Languages, default first; never empty.
    pub languages: Vec<Language>,
    /// Intents, ordered by the path of their file.
    pub intents: Vec<Intent>,
    /// Entities by name.
    pub entities: BTreeMap<String, EntitySpec>,
    /// Texts, plugins and the policy for HTTP: what scripts may use.
    pub library: Library,
    /// What happens when no intent is likely enough.
    pub fallback: Fallback,
    /// Minimum probability to accept an intent.
    pub threshold: f32,
    /// If the top two probabilities differ by less than this, the bot asks which intent was meant.
    pub margin: f32,
    /// "Did you mean", with `{first}` and `{second}`.
    pub clarify: Text,
    /// Said when the dialogue is handed off to a person.
    pub handoff: Text,
    /// What happens while a dialogue is handed off.
    pub waiting: Waiting,
    /// Said when the user cancels a form and no intent has the `cancel` role.
    pub cancelled: Text,
    /// Said when the intent of a form in progress no longer exists in the new version.
    pub dropped: Text,
    /// Plugins without a file (`optional: true`): calls of them fail.
    pub absent_plugins: Vec<String>,
    /// The bot's time zone, for `now()`.
    pub time_zone: jiff::tz::TimeZone,
    by_name: HashMap<IntentId, usize>,
}

impl Catalogue {
    /// The language in which a dialogue starts.
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

/// An intent: something a user may want.
#[derive(Debug)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// How the bot names it to the user.
    pub title: Option<Text>,
    /// Example utterances.
    pub examples: Vec<Example>,
    /// The slots that the handler needs, in the order in which they are asked for.
    pub slots: Vec<SlotSpec>,
    /// How the intent answers.
    pub handler: Handler,
    /// Overrides the bot's threshold for this intent.
    pub threshold: Option<f32>,
    /// Whether it cancels a form (`role: cancel`).
    pub cancels: bool,
    /// Location of the intent's name.
    pub location: Location,
    /// Location of the value that names the handler.
    pub handler_location: Location,
}

impl Intent {
    /// What the bot calls it in a language: the variants of its title or, without one, its first example.
    pub fn names(&self, language: &Language) -> Vec<String> {
        let titles: Vec<String> = self.title.iter().flat_map(|title| title.in_language(language)).collect();
        if !titles.is_empty() {
            return titles;
        }
        let example = self.examples.iter().find(|example| &example.language == language);
        let example = example.or(self.examples.first());
        vec![example.map_or_else(|| self.id.to_string(), |example| example.text.clone())]
    }
}

/// A value that a handler needs.
#[derive(Debug)]
pub struct SlotSpec {
    /// The slot's name.
    pub name: String,
    /// The entity that fills it; `None`: the whole message does.
    pub entity: Option<String>,
    /// The question; required slots always have one.
    pub ask: Option<Text>,
    /// Said before asking again, when the answer did not fit.
    pub retry: Option<Text>,
    /// Whether the handler cannot run without it.
    pub required: bool,
    /// Whether a value from earlier in the dialogue may fill it.
    pub remember: bool,
}

/// How an intent answers.
#[derive(Debug)]
pub enum Handler {
    /// A text with quick replies.
    Reply {
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
    /// A WebAssembly component, by the plugin's name.
    Plugin(String),
    /// A hand-off to a person.
    HandOff {
        /// Said while the person is called.
        text: Text,
    },
    /// The handler of another intent.
    Jump(IntentId),
}

/// What happens while somebody else is to answer.
#[derive(Debug)]
pub struct Waiting {
    /// The time without an answer after which the bot speaks again, in milliseconds.
    pub limit: i64,
    /// What the bot says to each message meanwhile; nothing if `None`.
    pub text: Option<Text>,
}

/// What happens when no intent is likely enough.
#[derive(Debug)]
pub struct Fallback {
    /// Consecutive fallbacks before `then_hand_off` applies.
    pub tries: u32,
    /// Whether the dialogue is handed off after `tries` consecutive fallbacks.
    pub then_hand_off: bool,
    /// The fallback text.
    pub text: Text,
}
