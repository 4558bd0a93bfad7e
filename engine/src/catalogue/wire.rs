//! A bot's files as their author writes them. The doc comments here are the descriptions in `banter schema`; the domain
//! types are in [`super`].

mod intent;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{entities::EntityKind, pattern::Pattern, policy::HttpPolicy};
pub use intent::{
    BoundFile, CheckFile, HandlerFile, IntentFile, RangeFile, ResumeFile, RetryFile, RoleFile, SlotFile, WhenFile,
};

/// bot.yaml: settings of the bot as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bot.yaml")]
pub struct BotFile {
    /// The bot's name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// ISO 639-1 codes, default language first.
    #[schemars(length(min = 1))]
    pub languages: Vec<String>,
    /// IANA time zone such as `Europe/Moscow`, for `now()` in scripts; default UTC.
    pub time_zone: Option<String>,
    /// ISO 3166 code, such as `GB`, of phone numbers without a country code; without it, these are not found.
    pub country: Option<String>,
    /// What happens when no intent is likely enough.
    pub fallback: FallbackFile,
    /// How certain the bot must be.
    #[serde(default)]
    pub matching: MatchingFile,
    /// Said when two intents are about equally likely; `{first}` and `{second}` stand for their titles.
    pub clarify: Option<TextFile>,
    /// Said when the dialogue is handed off to a person.
    pub handoff: Option<TextFile>,
    /// What happens while a dialogue is handed off.
    #[serde(default)]
    pub waiting: WaitingFile,
    /// When a session ends, and when the bot breaks a silence.
    #[serde(default)]
    pub session: SessionFile,
    /// What the bot says, or the intent that it starts, at a conversation pattern, in place of its own words.
    #[serde(default)]
    #[schemars(schema_with = "patterns")]
    pub patterns: BTreeMap<Pattern, PatternFile>,
    /// Said when the user cancels a form.
    pub cancelled: Option<TextFile>,
    /// Said when the intent of a form in progress no longer exists after an update of the bot.
    pub dropped: Option<TextFile>,
    /// Entities that examples can mark and messages can contain.
    #[serde(default)]
    pub entities: BTreeMap<String, EntityFile>,
    /// Which URLs scripts may fetch, and the limits.
    #[serde(default)]
    pub http: HttpFile,
    /// WebAssembly components by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$" }))]
    pub plugins: BTreeMap<String, PluginFile>,
}

/// What happens at a conversation pattern.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PatternFile {
    /// An intent is started.
    Jump(JumpFile),
    /// The bot says this.
    Text(TextFile),
}

/// An intent that is started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JumpFile {
    /// The intent's name.
    pub jump: String,
}

/// A WebAssembly component, for `handler: { plugin: name }` and `plugin("name", …)` in scripts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginFile {
    /// The component in the bot's folder, such as `plugins/tax.wasm`. If a file `plugins/tax.schema.json` exists, it is
    /// the JSON Schema of `settings`.
    #[schemars(regex(pattern = r"^plugins/[A-Za-z0-9_-]+\.wasm$"))]
    pub file: String,
    /// Whether the bot loads without the file. If so, the plugin's intents answer with the fallback text.
    #[serde(default)]
    pub optional: bool,
    /// What the plugin may do beyond computing.
    #[serde(default)]
    pub allow: AllowFile,
    /// Resource limits of a call.
    #[serde(default)]
    pub limits: LimitsFile,
    /// Settings that are passed to the plugin.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// What a plugin may do beyond computing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowFile {
    /// Whether it may write to the log.
    pub log: bool,
    /// Whether it may store values for each user.
    pub kv: bool,
    /// Whether it may read the turn's clock.
    pub clock: bool,
    /// Whether it may use the turn's random numbers.
    pub random: bool,
    /// Hosts that it may fetch from; add the port if it is not 80 or 443.
    pub http: Vec<String>,
    /// Whether these hosts may have private or loopback addresses.
    pub private: bool,
}

/// Resource limits of a plugin call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Memory in MiB.
    #[schemars(range(min = 1, max = 256))]
    pub memory_mib: u32,
    /// Wall-clock time in milliseconds, including requests and the wait for a processor. Computation itself is bounded
    /// by `fuel_millions`.
    #[schemars(range(min = 1, max = 10_000))]
    pub time_ms: u32,
    /// Fuel in millions of units; one unit is about one instruction.
    #[schemars(range(min = 1, max = 100_000))]
    pub fuel_millions: u32,
    /// Number of concurrent calls.
    #[schemars(range(min = 1, max = 64))]
    pub parallel: u32,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self { memory_mib: 32, time_ms: 1000, fuel_millions: 500, parallel: 2 }
    }
}

/// What happens when no intent is likely enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FallbackFile {
    /// Number of consecutive fallbacks after which `then` applies.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10))]
    pub tries: u32,
    /// What happens after `tries` consecutive fallbacks.
    #[serde(default)]
    pub then: ThenFile,
    /// Said at each fallback, and when a script fails.
    pub text: TextFile,
    /// Quick replies offered with the text, by language.
    #[serde(default)]
    pub suggest: BTreeMap<String, Vec<String>>,
}

/// What happens while a dialogue is handed off: the bot is silent until somebody answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingFile {
    /// Minutes without an answer after which the bot speaks again.
    #[schemars(range(min = 1, max = 10_080))]
    pub minutes: u32,
    /// What the bot says to each message meanwhile; without it, nothing.
    pub text: Option<TextFile>,
}

impl Default for WaitingFile {
    fn default() -> Self {
        Self { minutes: 10, text: None }
    }
}

/// When a session ends, and when the bot breaks a silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionFile {
    /// Minutes without a message after which the next one begins afresh: form, slots and contexts are forgotten; 0: never.
    #[schemars(range(max = 525_600))]
    pub minutes: u32,
    /// Minutes without an answer to a question after which the bot says the pattern `idle`, on channels where it can speak
    /// by itself; 0: never.
    #[schemars(range(max = 10_080))]
    pub idle_minutes: u32,
}

impl Default for SessionFile {
    fn default() -> Self {
        Self { minutes: 0, idle_minutes: 5 }
    }
}

/// What happens after repeated fallbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThenFile {
    /// Hand off to a person.
    Handoff,
    /// Say the fallback text again.
    #[default]
    Repeat,
}

/// How certain the bot must be, as probabilities.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatchingFile {
    /// Minimum probability to accept an intent.
    #[schemars(range(min = 0.05, max = 0.99))]
    pub threshold: f32,
    /// If the top two probabilities differ by less than this, the bot asks which intent was meant.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub margin: f32,
}

impl Default for MatchingFile {
    fn default() -> Self {
        Self { threshold: 0.45, margin: 0.15 }
    }
}

/// An entity: found by a pattern, one of a list of values, or of a kind that the engine knows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntityFile {
    /// A regular expression (syntax of Rust's `regex`), case-insensitive.
    pub pattern: Option<String>,
    /// The values, each with its synonyms in all languages.
    pub values: Option<BTreeMap<String, Vec<String>>>,
    /// What the engine finds by itself, in English and Russian.
    pub kind: Option<EntityKind>,
    /// Entities whose values follow each other in any order, in the order in which they are shown: "two large pizzas".
    pub parts: Option<Vec<String>>,
    /// Those of the parts that may be left out.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Whether values are also found with typos. Russian words are found in all regular cases without it.
    #[serde(default)]
    pub fuzzy: bool,
}

/// Which URLs scripts may fetch, and the limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    /// Hosts that `http_get` may fetch from; add the port if it is not 80 or 443.
    pub allow: Vec<String>,
    /// Whether these hosts may have private or loopback addresses.
    pub private: bool,
    /// Timeout of a request in milliseconds.
    #[schemars(range(min = 10, max = 10_000))]
    pub timeout_ms: u64,
    /// Maximum size of a response in bytes.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u64,
}

impl From<HttpFile> for HttpPolicy {
    fn from(file: HttpFile) -> Self {
        Self {
            allow: file.allow.iter().map(|host| host.to_lowercase()).collect(),
            private: file.private,
            timeout_ms: file.timeout_ms,
            max_bytes: file.max_bytes,
        }
    }
}

impl Default for HttpFile {
    fn default() -> Self {
        Self { allow: Vec::new(), private: false, timeout_ms: 2_000, max_bytes: 65_536 }
    }
}

/// A text: one for all languages, variants for all languages, or texts by language.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextFile {
    /// One text for all languages.
    One(String),
    /// Variants for all languages.
    Many(Vec<String>),
    /// By language.
    ByLanguage(BTreeMap<String, VariantsFile>),
}

/// One text, or several of which one is chosen at random.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum VariantsFile {
    /// A single text.
    One(String),
    /// One of these is chosen at random.
    Many(Vec<String>),
}

impl VariantsFile {
    pub(super) fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// texts/*.yaml: texts by key, for `t("key")` in scripts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "texts/*.yaml")]
pub struct TextsFile {
    /// Texts by key.
    pub texts: BTreeMap<String, TextFile>,
}

/// A key for each pattern, so that a misspelt one is found with its place.
fn patterns(generator: &mut SchemaGenerator) -> Schema {
    let answer = generator.subschema_for::<PatternFile>();
    let properties: serde_json::Map<String, serde_json::Value> = Pattern::ALL
        .iter()
        .filter(|pattern| pattern.has_answer())
        .map(|pattern| (pattern.name().to_owned(), answer.clone().to_value()))
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn two() -> u32 {
    2
}
