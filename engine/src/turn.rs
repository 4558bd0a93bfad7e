//! One message and all that came of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{catalogue::IntentId, decide::Candidate, entities::Entity, language::Language, state::DialogueState};

/// What the engine is asked to answer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What the user typed.
    pub text: &'a str,
    /// The user's id.
    pub user: i64,
    /// The dialogue's id.
    pub dialog: i64,
    /// Where the turn's chance comes from.
    pub seed: u64,
}

/// What a turn's handlers touched, for whoever replays conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Whether the clock was read.
    pub clock: bool,
    /// Whether chance was used.
    pub chance: bool,
    /// Files and lines of scripts that ran, counted from 1; empty unless the script engine traces lines.
    pub lines: BTreeSet<(String, usize)>,
    /// Functions of scripts that ran, as `file function`.
    pub functions: BTreeSet<String>,
}

/// How a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// One intent was likely enough.
    Matched,
    /// Two were, and the user was asked which.
    Ambiguous,
    /// None was.
    Unknown,
    /// It answered, or failed to answer, a form's question.
    Form,
}

/// The answer to one message. Equal inputs give equal turns but for [`Timings`].
#[derive(Clone, Debug)]
pub struct Turn {
    /// How the message was taken.
    pub kind: TurnKind,
    /// The language of the reply.
    pub language: Language,
    /// The intent that answered.
    pub intent: Option<IntentId>,
    /// The probability of the best intent, when the message was classified.
    pub probability: Option<f32>,
    /// Entities of the message.
    pub entities: Vec<Entity>,
    /// Who answered: a script's file, `plugin:` and a name, `reply`, `form`, `fallback`, `clarify`, `handoff`.
    pub handler: String,
    /// What is said and shown, in order.
    pub outputs: Vec<Output>,
    /// Whether a person is to take over.
    pub hand_off: bool,
    /// What went wrong on the way, for the log.
    pub events: Vec<Event>,
    /// Values that handlers keep for this user, to be stored with the turn.
    pub kept: BTreeMap<String, Value>,
    /// The state after the turn.
    pub state: DialogueState,
    /// The catalogue that answered.
    pub catalogue_version: String,
    /// Why.
    pub explain: Explain,
    /// How long each stage took.
    pub timings: Timings,
    /// What handlers touched.
    pub footprint: Footprint,
}

impl Turn {
    /// The slots that this turn filled or changed, after an earlier one of the same dialogue.
    pub fn filled_since<'a>(&'a self, before: Option<&'a Self>) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let old = before.map(|before| &before.state.slots);
        self.state.slots.iter().filter(move |(name, value)| old.and_then(|old| old.get(*name)) != Some(*value))
    }

    /// The reply as one text: what is said, a line each; images as their URLs.
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

/// One thing said or shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Output {
    /// A text with quick replies.
    Text {
        /// The text.
        text: String,
        /// Quick replies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        suggestions: Vec<String>,
    },
    /// A picture.
    Image {
        /// Where it is.
        url: String,
    },
    /// Data for the client.
    Payload {
        /// Any JSON.
        value: Value,
    },
}

/// Something that went wrong and was answered with the author's fallback, never with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A script failed or returned nothing to say.
    ScriptFailed {
        /// The file.
        file: String,
        /// The line, counted from 1; 0 when unknown.
        line: usize,
        /// What happened.
        message: String,
    },
    /// A text has no variant in the language, or a name in it no value.
    TextFailed {
        /// Which one, and why.
        message: String,
    },
    /// A plugin gave no reply.
    PluginFailed {
        /// Its name in bot.yaml.
        plugin: String,
        /// In what way, as one word.
        kind: String,
        /// What happened.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// Jumps went too deep, or to an intent that is not there.
    JumpFailed {
        /// The target.
        intent: String,
        /// Why.
        message: String,
    },
    /// The state named an intent or slot that the catalogue no longer has; that part was dropped.
    StateDropped {
        /// What was named.
        name: String,
    },
}

impl Event {
    /// All that [`Event::kind`] may tell.
    pub const KINDS: [&str; 5] = ["script_failed", "plugin_failed", "text_failed", "jump_failed", "state_dropped"];

    /// What it is, without anything that a user may have typed.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ScriptFailed { .. } => "script_failed",
            Self::PluginFailed { .. } => "plugin_failed",
            Self::TextFailed { .. } => "text_failed",
            Self::JumpFailed { .. } => "jump_failed",
            Self::StateDropped { .. } => "state_dropped",
        }
    }

    /// File and line of a script, or name of a plugin and kind of its failure.
    pub fn place(&self) -> Option<String> {
        match self {
            Self::ScriptFailed { file, line, .. } => Some(format!("{file}:{line}")),
            Self::PluginFailed { plugin, kind, .. } => Some(format!("{plugin}: {kind}")),
            Self::TextFailed { .. } | Self::JumpFailed { .. } | Self::StateDropped { .. } => None,
        }
    }
}

/// Why the turn is as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explain {
    /// The rule that decided, in words.
    pub rule: String,
    /// Likeliest intents, best first; empty when the message was not classified.
    pub candidates: Vec<Candidate>,
    /// How likely it is that the message is about anything the bot knows.
    pub in_scope: Option<f32>,
    /// Nearest examples, best first.
    pub neighbours: Vec<NearExample>,
    /// What the handlers did, in order.
    pub trace: Vec<String>,
    /// Operations that scripts used.
    pub operations: u64,
    /// Fuel that plugins used.
    #[serde(default)]
    pub fuel: u64,
}

/// An example near the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearExample {
    /// The example.
    pub text: String,
    /// Its intent.
    pub intent: IntentId,
    /// Cosine of the centred vectors.
    pub similarity: f32,
}

/// Microseconds of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Text to vector.
    pub embed_us: u64,
    /// Vector to decision.
    pub decide_us: u64,
    /// The handlers.
    pub handle_us: u64,
}
