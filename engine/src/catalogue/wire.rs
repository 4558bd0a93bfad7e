//! A bot's files as their author writes them. The doc comments here are the descriptions in `banter schema`; the domain types
//! are in [`super`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// bot.yaml: what holds for the bot as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bot.yaml")]
pub struct BotFile {
    /// The bot's name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// ISO 639-1 codes, the default language first.
    #[schemars(length(min = 1))]
    pub languages: Vec<String>,
    /// An IANA time zone such as `Europe/Moscow`, for `now()` in scripts; UTC without it.
    pub time_zone: Option<String>,
    /// What happens when no intent is near enough.
    pub fallback: FallbackFile,
    /// How sure the bot must be.
    #[serde(default)]
    pub matching: MatchingFile,
    /// What is said when two intents are equally near; `{first}` and `{second}` stand for their titles.
    pub clarify: Option<TextFile>,
    /// What is said when a person takes over.
    pub handoff: Option<TextFile>,
    /// What is said when a form is left because the user cancels it.
    pub cancelled: Option<TextFile>,
    /// Said in the middle of a form whose intent is no longer there.
    pub dropped: Option<TextFile>,
    /// Things that examples and messages may name.
    #[serde(default)]
    pub entities: BTreeMap<String, EntityFile>,
    /// What scripts may fetch.
    #[serde(default)]
    pub http: HttpFile,
    /// WebAssembly components by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$" }))]
    pub plugins: BTreeMap<String, PluginFile>,
}

/// A WebAssembly component, for `handler: { plugin: name }` and `plugin("name", …)` in scripts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginFile {
    /// The component in the bot's folder, such as `plugins/tax.wasm`. A file `plugins/tax.schema.json` beside it is the JSON Schema of
    /// `settings`.
    #[schemars(regex(pattern = r"^plugins/[A-Za-z0-9_-]+\.wasm$"))]
    pub file: String,
    /// Whether the bot works without the file; its intents then answer with the fallback text.
    #[serde(default)]
    pub optional: bool,
    /// What it may do beyond computing.
    #[serde(default)]
    pub allow: AllowFile,
    /// How much a call may use.
    #[serde(default)]
    pub limits: LimitsFile,
    /// What the plugin itself wants to know.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// What a plugin may do beyond computing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowFile {
    /// Write lines to the log.
    pub log: bool,
    /// Keep values for each user.
    pub kv: bool,
    /// Read the turn's clock.
    pub clock: bool,
    /// Use the turn's chance.
    pub random: bool,
    /// Host names that it may fetch from, each with a port where it is not 80 or 443.
    pub http: Vec<String>,
    /// Whether these hosts may have private or loopback addresses.
    pub private: bool,
}

/// How much a call of a plugin may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Mebibytes of memory.
    #[schemars(range(min = 1, max = 256))]
    pub memory_mib: u32,
    /// Milliseconds from beginning to end, what it fetches and the wait for a processor included: work is bounded by fuel, this is patience.
    #[schemars(range(min = 1, max = 10_000))]
    pub time_ms: u32,
    /// Millions of units of fuel; one is about an instruction.
    #[schemars(range(min = 1, max = 100_000))]
    pub fuel_millions: u32,
    /// Calls at a time.
    #[schemars(range(min = 1, max = 64))]
    pub parallel: u32,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self { memory_mib: 32, time_ms: 1000, fuel_millions: 500, parallel: 2 }
    }
}

/// What happens when no intent is near enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FallbackFile {
    /// After so many misses in a row `then` happens.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10))]
    pub tries: u32,
    /// What happens then.
    #[serde(default)]
    pub then: ThenFile,
    /// What is said at each miss, and when a script fails.
    pub text: TextFile,
}

/// What follows repeated misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThenFile {
    /// A person takes over.
    Handoff,
    /// The fallback text again.
    #[default]
    Repeat,
}

/// How sure the bot must be, in probabilities.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatchingFile {
    /// At least this likely: the intent is taken.
    #[schemars(range(min = 0.05, max = 0.99))]
    pub threshold: f32,
    /// Two intents whose probabilities differ by less than this are asked about.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub margin: f32,
}

impl Default for MatchingFile {
    fn default() -> Self {
        Self { threshold: 0.45, margin: 0.15 }
    }
}

/// A thing that messages name: found by a pattern, or one of a list of values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntityFile {
    /// A regular expression (Rust's `regex`), matched without regard to case.
    pub pattern: Option<String>,
    /// Each value with its synonyms in all languages.
    pub values: Option<BTreeMap<String, Vec<String>>>,
    /// Whether a value is found despite a typo or an ending.
    #[serde(default)]
    pub fuzzy: bool,
}

/// What scripts may fetch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    /// Host names that `http_get` may ask, each with a port where it is not 80 or 443.
    pub allow: Vec<String>,
    /// Whether these hosts may have private or loopback addresses.
    pub private: bool,
    /// A request that takes longer fails.
    #[schemars(range(min = 10, max = 10_000))]
    pub timeout_ms: u64,
    /// A longer answer fails.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u64,
}

impl Default for HttpFile {
    fn default() -> Self {
        Self { allow: Vec::new(), private: false, timeout_ms: 2_000, max_bytes: 65_536 }
    }
}

/// intents/*.yaml: what users may want, how they say it, and who answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "intents/*.yaml")]
pub struct IntentFile {
    /// A name of lower-case letters, digits and underscores, beginning with a letter.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,63}$"))]
    pub intent: String,
    /// What the bot calls this intent when it asks which of two was meant.
    pub title: Option<TextFile>,
    /// Utterances by language; `[A-1042](order_id)` marks an entity.
    pub examples: BTreeMap<String, Vec<String>>,
    /// What the handler needs; asked for in this order when the message does not have it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SlotFile>")]
    pub slots: serde_json::Map<String, serde_json::Value>,
    /// Who answers: exactly one of `reply`, `script`, `plugin`, `handoff` and `jump`.
    pub handler: HandlerFile,
    /// Overrides `matching.threshold` of bot.yaml for this intent.
    #[schemars(range(min = 0.05, max = 0.99))]
    pub threshold: Option<f32>,
    /// A part that this intent plays in every form.
    pub role: Option<RoleFile>,
}

/// A part that an intent plays in every form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleFile {
    /// Leaves a form that asks for slots.
    Cancel,
}

/// Something the handler needs to know.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotFile {
    /// The entity that fills it; without one, the whole answer does.
    pub entity: Option<String>,
    /// The question.
    pub ask: Option<TextFile>,
    /// What is said before asking again, when the answer had no such entity; `ask` without it.
    pub retry: Option<TextFile>,
    /// Whether the handler waits for it.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether a value from earlier in the dialogue counts.
    #[serde(default)]
    pub remember: bool,
}

/// Who answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlerFile {
    /// A text, with variants and `{slot}` in it.
    pub reply: Option<TextFile>,
    /// A file under scripts/.
    pub script: Option<String>,
    /// The function of the script, `handle` without this.
    pub function: Option<String>,
    /// The name of a plugin of bot.yaml.
    pub plugin: Option<String>,
    /// A person; the text is said while they are called.
    pub handoff: Option<TextFile>,
    /// The handler of another intent.
    pub jump: Option<String>,
    /// Quick replies offered with `reply`.
    pub suggest: Option<BTreeMap<String, Vec<String>>>,
}

/// A text: one for all languages, variants of one, or texts by language.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextFile {
    /// For all languages.
    One(String),
    /// Variants for all languages.
    Many(Vec<String>),
    /// By language.
    ByLanguage(BTreeMap<String, VariantsFile>),
}

/// One text or several of which one is chosen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum VariantsFile {
    /// The text.
    One(String),
    /// One of these.
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
    /// Key to text.
    pub texts: BTreeMap<String, TextFile>,
}

fn two() -> u32 {
    2
}

fn yes() -> bool {
    true
}
