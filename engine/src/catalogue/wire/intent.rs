//! intents/*.yaml as authors write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TextFile, VariantsFile};
use crate::values::Prefer;

/// intents/*.yaml: one intent with its examples, slots and handler.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "intents/*.yaml")]
pub struct IntentFile {
    /// A name of lower-case letters, digits and underscores, starting with a letter.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,63}$"))]
    pub intent: String,
    /// What the bot calls this intent when it asks which of two was meant.
    pub title: Option<TextFile>,
    /// Example utterances by language; `[A-1042](order_id)` marks an entity.
    pub examples: BTreeMap<String, Vec<String>>,
    /// Values that the handler needs. The bot asks for missing ones in this order.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SlotFile>")]
    pub slots: serde_json::Map<String, serde_json::Value>,
    /// How the bot answers: exactly one of `reply`, `script`, `plugin`, `handoff` and `jump`.
    pub handler: HandlerFile,
    /// Overrides `matching.threshold` of bot.yaml for this intent.
    #[schemars(range(min = 0.05, max = 0.99))]
    pub threshold: Option<f32>,
    /// The intent's role in every form.
    pub role: Option<RoleFile>,
    /// Whether it is small talk (greetings, thanks): beside another wish it is not answered, and a form that it
    /// interrupts goes on without a word.
    #[serde(default)]
    pub small_talk: bool,
    /// How a form that this intent interrupts goes on afterwards.
    #[serde(default)]
    pub resume: ResumeFile,
    /// The question for yes or no before the handler runs; it may contain `{slot}`.
    pub confirm: Option<TextFile>,
    /// The intent that answers if the user says that this one is not wanted; without it, the pattern `negated`.
    pub negated: Option<String>,
    /// The intent can only be started while one of these contexts is active.
    #[serde(default)]
    pub only_in: Vec<String>,
}

/// How an interrupted form goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeFile {
    /// The bot asks whether to go on.
    Ask,
    /// The bot asks the form's question again.
    #[default]
    AtOnce,
    /// The form ends.
    Never,
}

/// The role of an intent in every form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleFile {
    /// Cancels the form.
    Cancel,
}

/// A value that the handler needs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotFile {
    /// The entity that fills the slot; without one, the whole message does.
    pub entity: Option<String>,
    /// The role of the value, as examples mark it: `[London](city:from)`.
    pub role: Option<String>,
    /// Of a time that can be in the future and in the past ("on Friday"), which is meant.
    #[serde(default)]
    pub prefer: Prefer,
    /// Which values are admitted.
    pub range: Option<RangeFile>,
    /// The values that are admitted, if not all of the entity's are.
    pub one_of: Option<Vec<String>>,
    /// A script function that refuses values.
    pub check: Option<CheckFile>,
    /// Said when `range` or `one_of` refuse the value, which is `{said}`; default: the pattern `out_of_range`.
    pub invalid: Option<TextFile>,
    /// The question.
    pub ask: Option<TextFile>,
    /// Said when the answer did not contain the entity; default `ask`. A list of texts by language has one for each time
    /// that the bot asks again; the last is repeated.
    pub retry: Option<RetryFile>,
    /// What the bot and the users call the value: "change the city".
    pub title: Option<TextFile>,
    /// Said when the user asks for help at this question.
    pub help: Option<TextFile>,
    /// Ask only if these slots have a value (`any`) or one of these values.
    #[serde(default)]
    pub when: BTreeMap<String, WhenFile>,
    /// Whether the handler needs a value; if so, the bot asks for it.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether all values of the entity in a message fill the slot, as a list.
    #[serde(default)]
    pub many: bool,
    /// Whether a value from earlier in the dialogue fills the slot.
    #[serde(default)]
    pub remember: bool,
}

/// What is said when an answer does not fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RetryFile {
    /// A text by language for each time that the bot asks again.
    Numbered(#[schemars(length(min = 1))] Vec<BTreeMap<String, VariantsFile>>),
    /// The same text each time.
    Text(TextFile),
}

/// A script function that refuses values. `ctx.slots` has the value. It returns nothing if the value is good, else what
/// is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckFile {
    /// A file under scripts/.
    pub script: String,
    /// The function in the script; default `check`.
    pub function: Option<String>,
}

/// The values that a slot admits; the bounds belong to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeFile {
    /// The least value.
    pub least: Option<BoundFile>,
    /// The greatest value.
    pub most: Option<BoundFile>,
}

/// A bound.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BoundFile {
    /// A number, in the unit of the value.
    Number(f64),
    /// A day (`2026-12-31`, `today`, `today+30`) or a time of day (`09:00`).
    Text(String),
}

/// The values of another slot with which a slot is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WhenFile {
    /// This value; `any` for every value.
    One(String),
    /// One of these values.
    Many(Vec<String>),
}

/// How the bot answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlerFile {
    /// A text; it can have variants and contain `{slot}`.
    pub reply: Option<TextFile>,
    /// A file under scripts/.
    pub script: Option<String>,
    /// The function in the script; default `handle`.
    pub function: Option<String>,
    /// The name of a plugin in bot.yaml.
    pub plugin: Option<String>,
    /// Hands off to a person; the text is said while they are called.
    pub handoff: Option<TextFile>,
    /// Answers with the handler of this intent.
    pub jump: Option<String>,
    /// Quick replies offered with `reply`, by language.
    pub suggest: Option<BTreeMap<String, Vec<String>>>,
}

fn yes() -> bool {
    true
}
