//! A bot, checked and ready to run: intents, entities, texts and scripts.
//! [`loader::load`] makes it from a [`bundle::Bundle`]; it never changes afterwards. A hot reload makes a new one.

pub mod bundle;
pub mod diff;
pub mod document;
pub mod example;
pub mod graph;
mod known_words;
pub mod lint;
pub mod loader;
pub mod manifest;
pub mod range;
pub mod shape;
pub mod vocabulary;
pub mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, OnceLock},
};

use range::Range;
use serde_json::Value;

use crate::{
    background::background,
    diagnostic::Location,
    entities::{Composition, EntitySpec},
    handlers::{api::value::plain, call::Library, script::Script},
    ids::IntentId,
    language::Language,
    pattern::Pattern,
    template::Text,
    values::{Convention, Country, Prefer, Setting},
};
use example::Example;
pub use known_words::KnownWords;
use vocabulary::Vocabulary;

/// Values of a slot with `many`, at most.
const MAX_VALUES: usize = 20;

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
    /// When a session ends, and when the bot breaks a silence.
    pub session: Session,
    /// What the author says, or does, at a conversation pattern.
    pub patterns: BTreeMap<Pattern, PatternAnswer>,
    /// Said when the user cancels a form and no intent has the `cancel` role.
    pub cancelled: Text,
    /// Said when the intent of a form in progress no longer exists in the new version.
    pub dropped: Text,
    /// Plugins without a file (`optional: true`): calls of them fail.
    pub absent_plugins: Vec<String>,
    /// The bot's time zone, for `now()`.
    pub time_zone: jiff::tz::TimeZone,
    /// Of phone numbers without a country code.
    pub country: Option<Country>,
    by_name: HashMap<IntentId, usize>,
    words: OnceLock<KnownWords>,
}

impl Catalogue {
    /// When and where a text is said. Its letters tell how its numbers and dates are written, else the language of the
    /// dialogue.
    pub fn setting(&self, text: &str, language: Option<&Language>, now: &jiff::Zoned) -> Setting {
        let of_dialogue = || match language.unwrap_or(self.default_language()).code() {
            "ru" => Convention::Russian,
            _ => Convention::English,
        };
        Setting {
            now: now.datetime(),
            zone: now.time_zone().clone(),
            convention: Convention::of_text(text).unwrap_or_else(of_dialogue),
            prefer: Prefer::Future,
            country: self.country,
        }
    }

    /// A slot's value as people read it.
    pub fn shown(&self, slot: &SlotSpec, value: &Value, language: &Language) -> String {
        self.shown_value(slot.entity.as_deref(), value, language)
    }

    fn shown_value(&self, entity: Option<&str>, value: &Value, language: &Language) -> String {
        let shown = |entity, value| self.shown_value(entity, value, language);
        match (value, entity.and_then(|entity| self.entities.get(entity))) {
            (Value::Array(values), _) => values.iter().map(|value| shown(entity, value)).collect::<Vec<_>>().join(", "),
            (Value::Object(values), Some(EntitySpec::Composed(Composition { parts, .. }))) => {
                let said =
                    parts.iter().filter_map(|part| Some((part, values.get(part).filter(|value| !value.is_null())?)));
                let parts = said.map(|(part, value)| shown(Some(part.as_str()), value));
                parts.collect::<Vec<_>>().join(" ")
            }
            (value, Some(EntitySpec::Kind(kind))) => kind.shown(&plain(value), language),
            (value, _) => plain(value),
        }
    }

    /// Whether an entity's values count from the turn's clock.
    pub fn has_tense(&self, entity: &str) -> bool {
        match self.entities.get(entity) {
            Some(EntitySpec::Kind(kind)) => kind.has_tense(),
            Some(EntitySpec::Composed(Composition { parts, .. })) => parts.iter().any(|part| self.has_tense(part)),
            _ => false,
        }
    }

    /// The language in which a dialogue starts.
    pub fn default_language(&self) -> &Language {
        &self.languages[0]
    }

    /// An intent by its id.
    pub fn intent(&self, id: &IntentId) -> Option<&Intent> {
        self.by_name.get(id).map(|index| &self.intents[*index])
    }

    /// The words of all examples.
    pub fn words(&self) -> &KnownWords {
        self.words.get_or_init(|| {
            let examples = self.intents.iter().flat_map(|intent| &intent.examples);
            let examples: Vec<&str> = examples.map(|example| example.text.as_str()).collect();
            KnownWords::of(&examples, &background(&self.languages))
        })
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
    /// Whether it is small talk: beside another wish, or during a form, it changes nothing.
    pub small_talk: bool,
    /// How a form that it interrupts goes on.
    pub resume: ResumePolicy,
    /// The question for yes or no before the handler runs.
    pub confirm: Option<Text>,
    /// The intent that answers if the user does not want this one.
    pub negated: Option<IntentId>,
    /// The contexts of which one must be active; none if it may always be started.
    pub only_in: Vec<String>,
    /// The words of its examples.
    pub(crate) vocabulary: OnceLock<Vocabulary>,
    /// Location of the intent's name.
    pub location: Location,
    /// Location of the value that names the handler.
    pub handler_location: Location,
}

/// How a form that was interrupted goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResumePolicy {
    /// After the bot has asked.
    Ask,
    /// At once.
    #[default]
    AtOnce,
    /// It does not.
    Never,
}

/// What happens at a conversation pattern, instead of the engine's own text.
#[derive(Debug)]
pub enum PatternAnswer {
    /// The bot says this.
    Text(Text),
    /// This intent is started.
    Jump(IntentId),
}

impl Intent {
    /// The words of its examples, title and slots.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| Vocabulary::of(self))
    }

    /// The script functions that it may run: its handler, and the checks of its slots.
    pub fn functions(&self) -> impl Iterator<Item = &ScriptFunction> {
        let handler = match &self.handler {
            Handler::Script(function) => Some(function),
            _ => None,
        };
        handler.into_iter().chain(self.slots.iter().filter_map(|slot| slot.check.as_ref()))
    }

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
    /// What the bot and the users call it.
    pub title: Option<Text>,
    /// Said when the user asks for help at this question.
    pub help: Option<Text>,
    /// The slot is asked for only if these slots have one of these values; `None`: any value.
    pub when: BTreeMap<String, Option<Vec<String>>>,
    /// The entity that fills it; `None`: the whole message does.
    pub entity: Option<String>,
    /// Of the values of that entity, the one with this role.
    pub role: Option<String>,
    /// Which of two times its values are.
    pub prefer: Prefer,
    /// Which of its values are admitted; all without a range.
    pub range: Option<Range>,
    /// The values that are admitted; all if it is empty.
    pub one_of: Vec<String>,
    /// Refuses values.
    pub check: Option<ScriptFunction>,
    /// Said when a value is not admitted; without it, the pattern `out_of_range`.
    pub invalid: Option<Text>,
    /// The question; required slots always have one.
    pub ask: Option<Text>,
    /// Said when an answer does not fit: one for each time, of which the last is repeated.
    pub retry: Vec<Text>,
    /// Whether the handler cannot run without it.
    pub required: bool,
    /// Whether all values of the entity in an utterance fill it, as a list.
    pub many: bool,
    /// Whether a value from earlier in the dialogue may fill it.
    pub remember: bool,
    /// Location of the slot's name.
    pub location: Location,
}

impl SlotSpec {
    /// Number of values of an utterance that it takes, at most.
    pub fn most_values(&self) -> usize {
        if self.many { MAX_VALUES } else { 1 }
    }
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
    Script(ScriptFunction),
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

/// A function of a Rhai script.
#[derive(Debug)]
pub struct ScriptFunction {
    /// The compiled file.
    pub script: Arc<Script>,
    /// The function's name.
    pub function: String,
}

impl fmt::Display for ScriptFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.script.path(), self.function)
    }
}

/// The times of a session, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// After so long without a message, the next one begins another session; `None`: it never does.
    pub limit: Option<i64>,
    /// After so long without an answer to a question, the bot speaks; `None`: it never does.
    pub idle: Option<i64>,
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
    /// Quick replies offered with it, by language.
    pub suggest: BTreeMap<Language, Vec<String>>,
}
