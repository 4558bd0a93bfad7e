//! What a dialogue remembers between turns: plain data, stored with every turn. Fields are only ever added, each with a
//! default, so that a state written by any earlier version can be read (`tests/engine/states.rs` keeps one of each).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{catalogue::IntentId, language::Language, text::shorten};

/// Exchanges that handlers can look back on.
const MAX_RECENT: usize = 5;
/// Characters kept of each text in them.
const MAX_RECENT_TEXT: usize = 300;

/// The state after a turn; the default is a dialogue that has not begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DialogueState {
    /// Version of this shape.
    pub version: u16,
    /// The language of the last message that told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whether a handler has set the language, so that messages no longer do.
    #[serde(skip_serializing_if = "is_false")]
    pub language_pinned: bool,
    /// The form that is being filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Slot values from all forms so far.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, Value>,
    /// Contexts that handlers have set, and for how many more turns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, u32>,
    /// Messages in a row that were not understood.
    pub misses: u32,
    /// The question "did you mean" that waits for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clarify: Option<Clarify>,
    /// The last exchanges, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub recent: VecDeque<Exchange>,
}

impl Default for DialogueState {
    fn default() -> Self {
        Self {
            version: 1,
            language: None,
            language_pinned: false,
            form: None,
            slots: BTreeMap::new(),
            contexts: BTreeMap::new(),
            misses: 0,
            clarify: None,
            recent: VecDeque::new(),
        }
    }
}

impl DialogueState {
    /// Remembers an exchange, forgetting the oldest past the limit.
    pub fn remember(&mut self, user: &str, bot: &str, intent: Option<&IntentId>) {
        self.recent.push_back(Exchange {
            user: shorten(user, MAX_RECENT_TEXT),
            bot: shorten(bot, MAX_RECENT_TEXT),
            intent: intent.cloned(),
        });
        while self.recent.len() > MAX_RECENT {
            self.recent.pop_front();
        }
    }

    /// Contexts lose one turn of their life; those at their end go.
    pub fn age_contexts(&mut self) {
        self.contexts.retain(|_, turns| {
            *turns = turns.saturating_sub(1);
            *turns > 0
        });
    }
}

/// A form in the middle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Whose slots are asked for.
    pub intent: IntentId,
    /// The slot that was asked for last.
    pub slot: String,
    /// Slots filled since the form began.
    #[serde(default)]
    pub filled: Vec<String>,
    /// Answers in a row that did not fit.
    #[serde(default)]
    pub misses: u32,
}

/// Two intents that were equally near, and what the user had said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clarify {
    /// The nearer one.
    pub first: IntentId,
    /// The other one.
    pub second: IntentId,
    /// The message, for its entities.
    pub text: String,
}

/// One message and its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What the user said.
    pub user: String,
    /// What the bot said.
    pub bot: String,
    /// The intent, if any.
    #[serde(default)]
    pub intent: Option<IntentId>,
}

fn is_false(value: &bool) -> bool {
    !value
}
