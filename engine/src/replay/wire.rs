//! `fixtures/*.yaml` as their author writes them. The doc comments are the descriptions in `banter schema fixture`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    ids::IntentId,
    state::{ActiveContext, DialogueState, Form},
    turn::TurnKind,
};

/// Limit on the number of messages in a fixture.
pub const MAX_TURNS: usize = 1_000;

/// fixtures/*.yaml: a conversation and the expected replies. Files under fixtures/shared/ hold setups that fixtures
/// share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "fixtures/*.yaml")]
pub struct FixtureFile {
    /// What the conversation shows, in a few words; a shared file must not have this key.
    #[schemars(length(min = 1, max = 200))]
    pub conversation: Option<String>,
    /// Files under fixtures/shared/ whose users, stubs and messages come before those of this file.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Whether each message starts a dialogue of its own.
    #[serde(default)]
    pub independent: bool,
    /// Labels for selecting fixtures: `banter replay --tag smoke`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The time of the first message; default `2026-01-05T10:00:00Z`, a Monday.
    pub now: Option<String>,
    /// IANA time zone that overrides the bot's.
    pub time_zone: Option<String>,
    /// Seed of the random numbers; default 0.
    pub seed: Option<u64>,
    /// The language in which dialogues start.
    pub language: Option<String>,
    /// The id of the fixture's single user; default 2.
    pub user: Option<i64>,
    /// The initial dialogue state of the single user, in the format that `/state` of `banter chat` prints.
    pub state: Option<StateFile>,
    /// Users with an initial state, by the name that messages give in `as`.
    #[serde(default)]
    pub users: BTreeMap<String, UserFile>,
    /// What the outside world answers. A call without a stub is a difference.
    #[serde(default)]
    pub stubs: StubsFile,
    /// What is expected of every turn in this file.
    pub expect: Option<ExpectFile>,
    /// The messages in order.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub turns: Vec<TurnFile>,
}

/// A dialogue state.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateFile {
    /// Slot values.
    #[serde(default)]
    pub slots: BTreeMap<String, Value>,
    /// Active contexts: for how many more turns each stays active, or that with what is kept in it.
    #[serde(default)]
    pub contexts: BTreeMap<String, ContextFile>,
    /// The form in progress.
    pub form: Option<FormFile>,
    /// Number of consecutive fallbacks.
    #[serde(default)]
    #[serde(rename = "misses")]
    pub fallbacks: u32,
}

impl StateFile {
    /// The dialogue state before the first message.
    pub fn to_state(&self) -> DialogueState {
        DialogueState {
            slots: self.slots.clone(),
            // The first turn ages contexts before anything sees them.
            contexts: self.contexts.iter().map(|(name, context)| (name.clone(), context.to_active())).collect(),
            form: self.form.as_ref().map(|form| Form::asking(&IntentId::new(&form.intent), &form.slot)),
            fallbacks: self.fallbacks,
            ..DialogueState::default()
        }
    }
}

/// An active context.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextFile {
    /// For how many more turns.
    Turns(u32),
    /// That, and what is kept in it.
    Whole(WholeContextFile),
}

/// An active context with what is kept in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WholeContextFile {
    /// For how many more turns.
    pub turns: u32,
    /// What is kept in it.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
}

impl ContextFile {
    fn to_active(&self) -> ActiveContext {
        let (turns, values) = match self {
            Self::Turns(turns) => (*turns, BTreeMap::new()),
            Self::Whole(WholeContextFile { turns, values }) => (*turns, values.clone()),
        };
        ActiveContext { turns: turns.saturating_add(1), until: None, values }
    }
}

/// A form in progress.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormFile {
    /// The intent whose slots the form asks for.
    #[serde(default)]
    #[schemars(required)]
    pub intent: String,
    /// The slot that was asked for last.
    #[serde(default)]
    #[schemars(required)]
    pub slot: String,
}

/// A user with an initial state.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    /// The id that scripts see.
    pub id: Option<i64>,
    /// The language in which the dialogue starts.
    pub language: Option<String>,
    /// The initial dialogue state.
    pub state: Option<StateFile>,
    /// Values that earlier turns stored for this user.
    #[serde(default)]
    pub kv: BTreeMap<String, Value>,
}

/// What the outside world answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StubsFile {
    /// HTTP responses; the first whose URL matches answers.
    #[serde(default)]
    pub http: Vec<HttpStubFile>,
    /// Values stored for the single user; `{}` for none.
    pub kv: Option<BTreeMap<String, Value>>,
    /// Replies of plugins, by name; these plugins are not called.
    #[serde(default)]
    pub plugins: BTreeMap<String, PluginStubFile>,
}

/// A stub for an HTTP response.
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
    /// The reason why there is no response.
    pub fails: Option<String>,
}

/// A stub for a plugin's reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginStubFile {
    /// The text that the plugin says.
    pub say: Option<String>,
    /// Data for the client.
    #[serde(default, deserialize_with = "present")]
    pub payload: Option<Value>,
    /// Slots that the plugin sets.
    #[serde(default)]
    pub set_slot: BTreeMap<String, Value>,
    /// The value returned to the script that calls the plugin.
    #[serde(default, deserialize_with = "present")]
    pub value: Option<Value>,
    /// The reason why the plugin fails.
    pub fails: Option<String>,
    /// What the user is told if the plugin fails.
    pub user_text: Option<String>,
}

/// One message, and what is expected of the reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnFile {
    /// The text of the message.
    #[serde(default)]
    #[schemars(required, length(min = 1, max = 2000))]
    pub user: String,
    /// The name of the user who sends the message.
    #[serde(rename = "as")]
    pub speaker: Option<String>,
    /// Time that passes before the message, such as `2h` or `3 days`.
    pub after: Option<String>,
    /// What a person or the external AI answers before the message, in a dialogue that is handed off; an empty text
    /// gives the dialogue back to the bot.
    #[schemars(length(max = 2000))]
    pub answered: Option<String>,
    /// What is expected of the reply.
    pub expect: Option<ExpectFile>,
}

/// What is expected of a turn. Only the given keys are compared; a handler failure that `events` does not name is a
/// difference.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectFile {
    /// The intent that answers; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub intent: Option<Value>,
    /// The handler that answers: a script's file, `plugin:name`, `reply`, `form`, `fallback`, `clarify`, `handoff`,
    /// `waiting`, `cancelled` or `dropped`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub handler: Option<Value>,
    /// The reply: the text itself, `~"a part"`, `/a pattern/`, `*`, or a map such as `{ variant_of: hello }`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Condition")]
    pub text: Option<Value>,
    /// How the message is classified.
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
    /// Contexts after the turn, and for how many more turns each stays active; `null` for none.
    #[serde(default)]
    pub contexts: BTreeMap<String, Value>,
    /// Whether the turn hands the dialogue off.
    pub hand_off: Option<bool>,
    /// Values that the turn stores for the user; `null` for none.
    #[serde(default)]
    pub kept: BTreeMap<String, Value>,
    /// Quick replies of the last text.
    pub suggestions: Option<Vec<Value>>,
    /// Everything that is said and shown, in order: `{ say: …, suggest: […] }`, `{ image: … }`, `{ payload: {…} }`;
    /// `"..."` for any further items.
    pub effects: Option<Vec<Value>>,
    /// Expected failures of handlers, by kind: `script_failed`, `plugin_failed`, `text_failed`, `jump_failed`,
    /// `state_dropped`.
    pub events: Option<Vec<Value>>,
    /// What must not hold.
    pub not: Option<Box<ExpectFile>>,
}

/// A condition on a text. Used only for the schema; the matcher reads the value itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Condition {
    /// The text is absent.
    Nothing(()),
    /// The text itself, `~"a part"`, `/a pattern/`, `*` for any text, `=` before a text that would be read as a
    /// condition.
    Text(String),
    /// All of these conditions.
    All(Vec<Condition>),
    /// A condition written as a map.
    Words(Box<Words>),
}

/// A condition written as a map; all given keys must hold. Used only for the schema.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Exactly this text.
    pub is: Option<String>,
    /// A part of the text.
    pub contains: Option<String>,
    /// A part of the text, case-insensitive.
    pub contains_any_case: Option<String>,
    /// A regular expression that matches somewhere in the text.
    pub matches: Option<String>,
    /// The text, where `*` stands for any characters.
    pub like: Option<String>,
    /// At least one of these conditions.
    pub one_of: Option<Vec<Condition>>,
    /// A text that the bot can produce: a key of texts/, `reply:intent`, `fallback`, `handoff`, `waiting`, `clarify`,
    /// `cancelled` or `dropped`.
    pub variant_of: Option<String>,
    /// The opposite of this condition.
    pub not: Option<Condition>,
}

/// How a message is classified.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeFile {
    /// One intent is likely enough.
    Matched,
    /// Two intents are about equally likely.
    Ambiguous,
    /// No intent is likely enough.
    Unknown,
    /// It answers a form's question, or fails to.
    Form,
    /// It is not classified, because the dialogue is handed off.
    Waiting,
}

impl From<TypeFile> for TurnKind {
    fn from(file: TypeFile) -> Self {
        match file {
            TypeFile::Matched => Self::Matched,
            TypeFile::Ambiguous => Self::Ambiguous,
            TypeFile::Unknown => Self::Unknown,
            TypeFile::Form => Self::Form,
            TypeFile::Waiting => Self::Waiting,
        }
    }
}

/// Inclusive bounds of a number.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundsFile {
    /// The minimum.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: Option<f64>,
    /// The maximum.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max: Option<f64>,
}

/// Distinguishes `null` from a missing key.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn ok() -> u16 {
    200
}
