//! One message and everything that results from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{entities::Entity, ids::IntentId, language::Language, pattern::Pattern, state::DialogueState};

/// A message to answer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The text as the user typed it.
    pub text: &'a str,
    /// The user's id.
    pub user: i64,
    /// The dialogue's id.
    pub dialogue: i64,
    /// Seed of the turn's random numbers.
    pub seed: u64,
}

/// What a turn's handlers used, for replays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Whether the clock was read.
    pub clock: bool,
    /// Whether random numbers were drawn.
    pub chance: bool,
    /// Script lines that ran, as file and line counted from 1; empty unless the script engine traces lines.
    pub lines: BTreeSet<(String, usize)>,
    /// Script functions that ran, as `file function`.
    pub functions: BTreeSet<String>,
}

/// How a message was classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// One intent was likely enough.
    Matched,
    /// Two to four intents were about equally likely, and the bot asked which one was meant.
    Ambiguous,
    /// No intent was likely enough.
    Unknown,
    /// It answered a form's question, or failed to.
    Form,
    /// It was not classified: the dialogue is handed off, and whoever answers will read it.
    Waiting,
    /// There was no message: the external AI or a person answered in a dialogue that was handed off.
    Answer,
    /// There was no message: a dialogue that was handed off was given back to the bot.
    GivenBack,
    /// There was no message for a time, and the bot spoke by itself.
    Silence,
}

/// The answer to one message. Equal inputs give equal turns, except for [`Timings`].
#[derive(Clone, Debug)]
pub struct Turn {
    /// How the message was classified.
    pub kind: TurnKind,
    /// The language of the reply.
    pub language: Language,
    /// The intent that answered.
    pub intent: Option<IntentId>,
    /// The probability of the best intent, if the message was classified.
    pub probability: Option<f32>,
    /// Entities of the message.
    pub entities: Vec<Entity>,
    /// The handler that answered.
    pub handler: AnsweredBy,
    /// Everything that is said and shown, in order.
    pub outputs: Vec<Output>,
    /// Whether this turn hands the dialogue off.
    pub hand_off: bool,
    /// Failures during the turn, for the log.
    pub events: Vec<Event>,
    /// Values that handlers stored for this user; they are saved with the turn.
    pub kept: BTreeMap<String, Value>,
    /// The state after the turn.
    pub state: DialogueState,
    /// The version of the catalogue that answered.
    pub catalogue_version: String,
    /// How the decision was made.
    pub explain: Explain,
    /// How long each stage took.
    pub timings: Timings,
    /// What the handlers used.
    pub footprint: Footprint,
}

impl Turn {
    /// A turn before anything is decided.
    pub(crate) fn begin(state: DialogueState, language: Language, catalogue_version: String) -> Self {
        Self {
            kind: TurnKind::Unknown,
            language,
            intent: None,
            probability: None,
            entities: Vec::new(),
            handler: AnsweredBy::Fallback,
            outputs: Vec::new(),
            hand_off: false,
            events: Vec::new(),
            kept: BTreeMap::new(),
            state,
            catalogue_version,
            explain: Explain::default(),
            timings: Timings::default(),
            footprint: Footprint::default(),
        }
    }

    /// Slots that this turn filled or changed, compared with an earlier turn of the same dialogue.
    pub fn filled_since<'a>(&'a self, before: Option<&'a Self>) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let old = before.map(|before| &before.state.slots);
        self.state.slots.iter().filter(move |(name, value)| old.and_then(|old| old.get(*name)) != Some(*value))
    }

    /// The reply as one text with a line per output; an image is its URL.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self
            .outputs
            .iter()
            .filter_map(|output| match output {
                Output::Text { text, .. } => Some(text.as_str()),
                Output::Image { url } => Some(url.as_str()),
                Output::Payload { .. } => None,
            })
            .collect();
        lines.join("\n")
    }
}

/// Who answered a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnsweredBy {
    /// A fixed reply of the intent.
    Reply,
    /// The question of a form.
    Form,
    /// The fallback: no intent was likely enough.
    Fallback,
    /// The question which of two to four intents was meant.
    Clarify,
    /// The intent's hand-off to a person.
    HandOff,
    /// The bot's text for a form that was cancelled.
    Cancelled,
    /// The bot's text for a form whose intent no longer exists.
    Dropped,
    /// The bot's text while the dialogue is handed off, which may be empty.
    Waiting,
    /// The external AI or a person.
    Outside,
    /// A conversation pattern.
    Pattern(Pattern),
    /// A script's file below `scripts/`.
    Script(String),
    /// A plugin's name in bot.yaml.
    Plugin(String),
}

impl AnsweredBy {
    /// Those that every bot has.
    pub fn own() -> impl Iterator<Item = Self> {
        let fixed = [
            Self::Reply,
            Self::Form,
            Self::Fallback,
            Self::Clarify,
            Self::HandOff,
            Self::Cancelled,
            Self::Dropped,
            Self::Waiting,
            Self::Outside,
        ];
        fixed.into_iter().chain(Pattern::ALL.map(Self::Pattern))
    }

    /// A script by its path in the bot's folder.
    pub fn script(path: &str) -> Self {
        Self::Script(path.strip_prefix("scripts/").unwrap_or(path).to_owned())
    }
}

impl fmt::Display for AnsweredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply => f.write_str("reply"),
            Self::Form => f.write_str("form"),
            Self::Fallback => f.write_str("fallback"),
            Self::Clarify => f.write_str("clarify"),
            Self::HandOff => f.write_str("handoff"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Dropped => f.write_str("dropped"),
            Self::Waiting => f.write_str("waiting"),
            Self::Outside => f.write_str("outside"),
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Script(file) => f.write_str(file),
            Self::Plugin(name) => write!(f, "plugin:{name}"),
        }
    }
}

impl From<String> for AnsweredBy {
    /// The reverse of `Display`. A script's file ends in `.rhai`, so it is none of the other names.
    fn from(text: String) -> Self {
        if let Some(plugin) = text.strip_prefix("plugin:") {
            return Self::Plugin(plugin.to_owned());
        }
        Self::own().find(|own| own.to_string() == text).unwrap_or(Self::Script(text))
    }
}

impl Serialize for AnsweredBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnsweredBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// One thing that is said or shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Output {
    /// A text with quick replies.
    Text {
        text: String,
        /// Quick replies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false)]
        suggestions: Vec<String>,
    },
    Image {
        /// The image's URL.
        url: String,
    },
    /// Data for the client.
    Payload {
        /// Any JSON.
        value: Value,
    },
}

/// A failure that the user sees only as a fallback text, never as an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A script failed or returned an empty reply.
    ScriptFailed {
        file: String,
        /// The line, counted from 1; 0 when unknown.
        line: usize,
        /// The error message.
        message: String,
    },
    /// A text has no variant in the language, or no value for one of its placeholders.
    TextFailed {
        /// Which text, and why.
        message: String,
    },
    /// A plugin call failed.
    PluginFailed {
        /// The plugin's name in bot.yaml.
        plugin: String,
        /// The kind of failure, as one word.
        kind: String,
        /// The error message.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// There were too many jumps, or one to an unknown intent.
    JumpFailed {
        /// The target of the jump.
        intent: String,
        /// The reason.
        message: String,
    },
    /// The state named an intent or slot that the catalogue no longer has; that part of the state was dropped.
    StateDropped {
        /// The missing intent, or `intent.slot`.
        name: String,
    },
}

impl Event {
    /// All values of [`Event::kind`].
    pub const KINDS: [&str; 5] = ["script_failed", "plugin_failed", "text_failed", "jump_failed", "state_dropped"];

    /// The kind of failure. It contains nothing that a user typed.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ScriptFailed { .. } => "script_failed",
            Self::PluginFailed { .. } => "plugin_failed",
            Self::TextFailed { .. } => "text_failed",
            Self::JumpFailed { .. } => "jump_failed",
            Self::StateDropped { .. } => "state_dropped",
        }
    }

    /// File and line of a script, or a plugin's name and kind of failure.
    pub fn location(&self) -> Option<String> {
        match self {
            Self::ScriptFailed { file, line, .. } => Some(format!("{file}:{line}")),
            Self::PluginFailed { plugin, kind, .. } => Some(format!("{plugin}: {kind}")),
            Self::TextFailed { .. } | Self::JumpFailed { .. } | Self::StateDropped { .. } => None,
        }
    }
}

/// Explains a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explain {
    /// The rule that decided, as text.
    pub rule: String,
    /// The likeliest intents, best first; empty if the message was not classified.
    pub candidates: Vec<Candidate>,
    /// The probability that the message is about anything the bot knows.
    #[schema(required)]
    pub in_scope: Option<f32>,
    /// The nearest examples, nearest first.
    pub neighbours: Vec<NearExample>,
    /// The intent that the user chose of those that "did you mean" offered for the message before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub chosen: Option<IntentId>,
    /// Steps of the handlers, in order.
    pub trace: Vec<String>,
    /// Number of operations that scripts executed.
    pub operations: u64,
    /// Fuel that plugins consumed.
    #[serde(default)]
    #[schema(required)]
    pub fuel: u64,
}

/// An intent and its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    #[schema(value_type = String)]
    pub intent: IntentId,
    /// From 0 to 1; the probabilities of all intents sum to [`Explain::in_scope`].
    pub probability: f32,
}

/// An example near the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NearExample {
    /// The example.
    pub text: String,
    #[schema(value_type = String)]
    pub intent: IntentId,
    /// Cosine similarity of the centred vectors.
    pub similarity: f32,
}

/// Duration of each stage, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    /// From text to vector.
    pub embed_us: u64,
    /// From vector to decision.
    pub decide_us: u64,
    /// Running the handlers.
    pub handle_us: u64,
}

/// The microseconds since a moment.
pub(crate) fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_is_read_as_it_is_written() {
        let others = [AnsweredBy::script("scripts/shop/order.rhai"), AnsweredBy::Plugin("tax".to_owned())];
        for handler in AnsweredBy::own().chain(others) {
            let written = serde_json::to_string(&handler).unwrap();
            assert_eq!(serde_json::from_str::<AnsweredBy>(&written).unwrap(), handler, "{written}");
        }
    }
}
