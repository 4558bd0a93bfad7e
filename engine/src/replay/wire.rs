//! `fixtures/*.yaml` as their author writes them. The doc comments are the descriptions in `banter schema fixture`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{state::DialogueState, turn::TurnKind};

/// The most messages of one fixture.
pub const MAX_TURNS: usize = 1_000;

/// fixtures/*.yaml: a conversation, and what must come of it. Files under fixtures/shared/ hold what several begin with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "fixtures/*.yaml")]
pub struct FixtureFile {
    /// What the conversation shows, in a few words; a shared file has none.
    #[schemars(length(min = 1, max = 200))]
    pub conversation: Option<String>,
    /// Files under fixtures/shared/ whose users, stubs and messages come first.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Whether each message begins a dialogue of its own.
    #[serde(default)]
    pub independent: bool,
    /// Words to choose fixtures by: `banter replay --tag smoke`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The clock at the first message, such as `2026-01-05T10:00:00Z` (the default, a Monday).
    pub now: Option<String>,
    /// An IANA time zone instead of the bot's.
    pub time_zone: Option<String>,
    /// Where chance comes from; 0 without it.
    pub seed: Option<u64>,
    /// The language in which the dialogues begin.
    pub language: Option<String>,
    /// The number of the one user, 2 without it.
    pub user: Option<i64>,
    /// The dialogue of the one user so far, in the form that `/state` of `banter chat` prints.
    pub state: Option<StateFile>,
    /// Users with something to begin with, by the name that `as` of a message gives.
    #[serde(default)]
    pub users: BTreeMap<String, UserFile>,
    /// What the outside answers. A call that has no stub is a difference.
    #[serde(default)]
    pub stubs: StubsFile,
    /// What is expected of each turn.
    pub expect: Option<ExpectFile>,
    /// The messages in order.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub turns: Vec<TurnFile>,
}

/// A dialogue so far.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateFile {
    /// Slot values.
    #[serde(default)]
    pub slots: BTreeMap<String, Value>,
    /// Contexts, and for how many more turns each lives.
    #[serde(default)]
    pub contexts: BTreeMap<String, u32>,
    /// The form that is being filled.
    pub form: Option<FormFile>,
    /// Messages in a row that were not understood.
    #[serde(default)]
    pub misses: u32,
}

impl StateFile {
    /// The state before the first message.
    pub fn to_state(&self) -> DialogueState {
        DialogueState {
            slots: self.slots.clone(),
            // It ages once before it is seen.
            contexts: self.contexts.iter().map(|(name, turns)| (name.clone(), turns.saturating_add(1))).collect(),
            form: self.form.as_ref().map(|form| crate::state::Form {
                intent: crate::catalogue::IntentId::new(&form.intent),
                slot: form.slot.clone(),
                filled: Vec::new(),
                misses: 0,
            }),
            misses: self.misses,
            ..DialogueState::default()
        }
    }
}

/// A form in the middle.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormFile {
    /// Whose slots are asked for.
    #[serde(default)]
    #[schemars(required)]
    pub intent: String,
    /// The slot that was asked for last.
    #[serde(default)]
    #[schemars(required)]
    pub slot: String,
}

/// A user with something to begin with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    /// The number that scripts see.
    pub id: Option<i64>,
    /// The language in which the dialogue begins.
    pub language: Option<String>,
    /// The dialogue so far.
    pub state: Option<StateFile>,
    /// Values that earlier turns kept for this user.
    #[serde(default)]
    pub kv: BTreeMap<String, Value>,
}

/// What the outside answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StubsFile {
    /// Pages; the first whose URL fits answers.
    #[serde(default)]
    pub http: Vec<HttpStubFile>,
    /// Values kept for the one user; `{}` for none.
    pub kv: Option<BTreeMap<String, Value>>,
    /// Plugins that are not to be called, and what stands for their replies.
    #[serde(default)]
    pub plugins: BTreeMap<String, PluginStubFile>,
}

/// A page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpStubFile {
    /// The URL: `https://…`, `~part`, `/pattern/` or `*`.
    #[serde(default)]
    #[schemars(required)]
    pub url: String,
    /// The HTTP status.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// The body as JSON.
    #[serde(default, deserialize_with = "present")]
    pub json: Option<Value>,
    /// The body as a text.
    pub body: Option<String>,
    /// Why there is no answer at all.
    pub fails: Option<String>,
}

/// What stands for a plugin's reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginStubFile {
    /// What it says.
    pub say: Option<String>,
    /// Data for the client.
    #[serde(default, deserialize_with = "present")]
    pub payload: Option<Value>,
    /// Slots that it sets.
    #[serde(default)]
    pub set_slot: BTreeMap<String, Value>,
    /// For the script that calls it.
    #[serde(default, deserialize_with = "present")]
    pub value: Option<Value>,
    /// Why it fails.
    pub fails: Option<String>,
    /// What the user is told when it fails.
    pub user_text: Option<String>,
}

/// One message and what is expected of the reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnFile {
    /// What the user says.
    #[serde(default)]
    #[schemars(required, length(min = 1, max = 2000))]
    pub user: String,
    /// Who of several users says it.
    #[serde(rename = "as")]
    pub speaker: Option<String>,
    /// How much time passes before, such as `2h`, `3 days`.
    pub after: Option<String>,
    /// What is expected.
    pub expect: Option<ExpectFile>,
}

/// What is expected of a turn. Only what is named is compared; failures of handlers that are not named are differences.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectFile {
    /// The intent that answers; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub intent: Option<Value>,
    /// Who answers: a script's file, `plugin:name`, `reply`, `form`, `fallback`, `clarify`, `handoff`, `cancelled`, `dropped`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub handler: Option<Value>,
    /// The reply: the text itself, `~"a part"`, `/a pattern/`, `*`, or a map such as `{ variant_of: hello }`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub text: Option<Value>,
    /// How the message is taken.
    #[serde(rename = "type")]
    pub kind: Option<TypeFile>,
    /// The language of the reply.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub language: Option<Value>,
    /// The bot's version.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub catalogue_version: Option<Value>,
    /// Bounds of the best intent's probability.
    pub probability: Option<BoundsFile>,
    /// Entities of the message by name; `null` for none.
    #[serde(default)]
    pub entities: BTreeMap<String, Value>,
    /// Slots after the turn; `null` for none.
    #[serde(default)]
    pub slots: BTreeMap<String, Value>,
    /// Contexts after the turn and how many more turns each lives; `null` for none.
    #[serde(default)]
    pub contexts: BTreeMap<String, Value>,
    /// Whether a person is to take over.
    pub hand_off: Option<bool>,
    /// Values that the turn keeps for the user; `null` for none.
    #[serde(default)]
    pub kept: BTreeMap<String, Value>,
    /// Quick replies of the last text.
    pub suggestions: Option<Vec<Value>>,
    /// All that is said and shown, in order: `{ say: …, suggest: […] }`, `{ image: … }`, `{ payload: {…} }`; `"..."` for any more.
    pub effects: Option<Vec<Value>>,
    /// Failures of handlers by kind: `script_failed`, `plugin_failed`, `text_failed`, `jump_failed`, `state_dropped`.
    pub events: Option<Vec<Value>>,
    /// What must not be so.
    pub not: Option<Box<ExpectFile>>,
}

/// A condition on a text. It stands in the schema alone; the matcher reads the value itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Condition {
    /// There is none.
    Nothing(()),
    /// The text, `~"a part"`, `/a pattern/`, `*` for any, `=` before a text that would mean something else.
    Text(String),
    /// All of these.
    All(Vec<Condition>),
    /// In words.
    Words(Box<Words>),
}

/// A condition in words, for the schema alone; all that are given must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// This very text.
    pub is: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// A part of it, whatever the case.
    pub contains_any_case: Option<String>,
    /// A regular expression that finds something in it.
    pub matches: Option<String>,
    /// The text with anything in the place of each `*`.
    pub like: Option<String>,
    /// One of these.
    pub one_of: Option<Vec<Condition>>,
    /// What a text of the bot may become: a key of texts/, `reply:intent`, `fallback`, `handoff`, `clarify`, `cancelled` or `dropped`.
    pub variant_of: Option<String>,
    /// Not so.
    pub not: Option<Condition>,
}

/// How a message is taken.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeFile {
    /// One intent was likely enough.
    Matched,
    /// Two were.
    Ambiguous,
    /// None was.
    Unknown,
    /// It answers a form's question, or fails to.
    Form,
}

impl From<TypeFile> for TurnKind {
    fn from(file: TypeFile) -> Self {
        match file {
            TypeFile::Matched => Self::Matched,
            TypeFile::Ambiguous => Self::Ambiguous,
            TypeFile::Unknown => Self::Unknown,
            TypeFile::Form => Self::Form,
        }
    }
}

/// Bounds of a number, these included.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundsFile {
    /// The least.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: Option<f64>,
    /// The greatest.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max: Option<f64>,
}

/// `null` is something else than nothing at all.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn ok() -> u16 {
    200
}
