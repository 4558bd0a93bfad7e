//! The dialogue state between turns: plain data, stored with every turn. Fields are only ever added, each with a
//! default, so that a state of any earlier version can be read (`tests/engine/states.rs` keeps one of each).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ids::IntentId, language::Language, text::shorten};

/// Number of exchanges that handlers can look back on.
const MAX_RECENT: usize = 5;
/// Number of characters kept of each text in them.
const MAX_RECENT_TEXT: usize = 300;

/// The state after a turn; the default is that of a new dialogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DialogueState {
    /// Version of this format.
    pub version: u16,
    /// The last detected language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whether a handler set the language, so that messages no longer change it.
    #[serde(skip_serializing_if = "is_false")]
    pub language_pinned: bool,
    /// The form in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Slot values of all forms so far.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, Value>,
    /// Active contexts, and for how many more turns each stays active.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, u32>,
    /// Number of consecutive fallbacks.
    #[serde(rename = "misses")]
    pub fallbacks: u32,
    /// The unanswered question "did you mean".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clarify: Option<Clarify>,
    /// The hand-off in progress: a person or an external AI is to answer, and the bot is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_off: Option<HandOff>,
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
            fallbacks: 0,
            clarify: None,
            hand_off: None,
            recent: VecDeque::new(),
        }
    }
}

impl DialogueState {
    /// Adds an exchange and drops the oldest ones above the limit.
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

    /// Whether somebody else is to answer, and may still do so at `now`, in milliseconds since 1970. The bot is silent
    /// meanwhile.
    pub fn waits(&self, now: i64) -> bool {
        self.hand_off.as_ref().is_some_and(|hand_off| now < hand_off.until)
    }

    /// Ends a hand-off with what was answered from outside. If that is empty, the dialogue is given back to the bot.
    pub fn end_hand_off(&mut self, answer: &str) {
        self.hand_off = None;
        if !answer.is_empty() {
            self.remember("", answer, None);
        }
    }

    /// Shortens the life of each context by one turn and removes expired ones.
    pub fn age_contexts(&mut self) {
        self.contexts.retain(|_, turns| {
            *turns = turns.saturating_sub(1);
            *turns > 0
        });
    }
}

/// A form in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The intent whose slots the form asks for.
    pub intent: IntentId,
    /// The slot that was asked for last.
    pub slot: String,
    /// Slots filled since the form started.
    #[serde(default)]
    pub filled: Vec<String>,
    /// Number of consecutive answers that did not fit.
    #[serde(default)]
    #[serde(rename = "misses")]
    pub unanswered: u32,
}

/// A dialogue that was handed off, and is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOff {
    /// When the bot speaks again if nobody has answered, in milliseconds since 1970.
    pub until: i64,
}

/// Two intents that were about equally likely, and the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clarify {
    /// The likelier intent.
    pub first: IntentId,
    /// The other intent.
    pub second: IntentId,
    /// The message; its entities fill slots once the user has chosen.
    pub text: String,
}

/// One message and its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The user's message; empty if the bot began.
    pub user: String,
    /// The bot's reply.
    pub bot: String,
    /// The intent that answered, if any.
    #[serde(default)]
    pub intent: Option<IntentId>,
}

fn is_false(value: &bool) -> bool {
    !value
}
