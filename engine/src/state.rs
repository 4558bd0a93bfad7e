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
/// After so many turns, nothing is a follow-up to an intent any more.
const MAX_LAST: u32 = 5;

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
    /// Forms that were interrupted and go on later, the outermost first; at most three.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<Form>,
    /// Wishes that were said and are answered after the form in progress, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<PendingWish>,
    /// The last intent with slots that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Answered>,
    /// What the user has refused since the last intent was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
    /// Slot values of all forms so far.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, Value>,
    /// Slots whose values a script has still to check; empty between turns.
    #[serde(skip)]
    pub unchecked: Vec<String>,
    /// Active contexts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, ActiveContext>,
    /// Number of consecutive fallbacks.
    #[serde(rename = "misses")]
    pub fallbacks: u32,
    /// The unanswered question "did you mean".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clarify: Option<Clarify>,
    /// The hand-off in progress: a person or an external AI is to answer, and the bot is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_off: Option<HandOff>,
    /// When the user's last message came, in milliseconds since 1970; `None` if sessions do not end by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<i64>,
    /// Whether the bot has spoken since that message, because the user was silent.
    #[serde(skip_serializing_if = "is_false")]
    pub reminded: bool,
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
            suspended: Vec::new(),
            wishes: Vec::new(),
            last: None,
            denied: None,
            slots: BTreeMap::new(),
            unchecked: Vec::new(),
            contexts: BTreeMap::new(),
            fallbacks: 0,
            clarify: None,
            hand_off: None,
            heard: None,
            reminded: false,
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

    /// Whether the bot has asked something.
    pub fn has_question(&self) -> bool {
        self.form.is_some() || self.clarify.is_some()
    }

    /// Whether a question waits for the user, who has not been reminded of it.
    pub fn may_remind(&self) -> bool {
        self.has_question() && self.hand_off.is_none() && !self.reminded
    }

    /// Ends a hand-off with what was answered from outside. If that is empty, the dialogue is given back to the bot.
    pub fn end_hand_off(&mut self, answer: &str) {
        self.hand_off = None;
        if !answer.is_empty() {
            self.remember("", answer, None);
        }
    }

    /// The state of a dialogue that starts over. Its language and what was said stay.
    pub fn renewed(&self) -> Self {
        let Self { language, language_pinned, recent, .. } = self.clone();
        Self { language, language_pinned, recent, ..Self::default() }
    }

    /// Lets a turn pass at `now`, in milliseconds since 1970: shortens the life of each context and removes expired ones,
    /// and forgets what was answered long ago.
    pub fn age(&mut self, now: i64) {
        let older = self.last.take().map(|last| Answered { turns: last.turns + 1, ..last });
        self.last = older.filter(|last| last.turns <= MAX_LAST);
        self.contexts.retain(|_, context| {
            context.turns = context.turns.saturating_sub(1);
            context.turns > 0 && context.until.is_none_or(|until| now < until)
        });
    }
}

/// A context that is active.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredContext", into = "StoredContext")]
pub struct ActiveContext {
    /// For how many more turns, this one included.
    pub turns: u32,
    /// When it ends at the latest, in milliseconds since 1970.
    pub until: Option<i64>,
    /// What the handler that set it keeps in it.
    pub values: BTreeMap<String, Value>,
}

/// A context as it is stored. One with turns alone is a number, which is all that a context had in the first version.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredContext {
    Turns(u32),
    Whole {
        turns: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, Value>,
    },
}

impl From<StoredContext> for ActiveContext {
    fn from(stored: StoredContext) -> Self {
        match stored {
            StoredContext::Turns(turns) => Self { turns, ..Self::default() },
            StoredContext::Whole { turns, until, values } => Self { turns, until, values },
        }
    }
}

impl From<ActiveContext> for StoredContext {
    fn from(context: ActiveContext) -> Self {
        match context {
            ActiveContext { turns, until: None, values } if values.is_empty() => Self::Turns(turns),
            ActiveContext { turns, until, values } => Self::Whole { turns, until, values },
        }
    }
}

/// A form in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Stage::is_default")]
    pub stage: Stage,
    /// While it is suspended: the values of its slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// While it is suspended: how it goes on.
    #[serde(default, skip_serializing_if = "Resume::is_default")]
    pub resume: Resume,
}

impl Form {
    /// A form that asks for a slot.
    pub fn asking(intent: &IntentId, slot: &str) -> Self {
        Self {
            intent: intent.clone(),
            slot: slot.to_owned(),
            filled: Vec::new(),
            unanswered: 0,
            stage: Stage::default(),
            values: BTreeMap::new(),
            resume: Resume::default(),
        }
    }
}

/// What a form waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The value of its slot.
    #[default]
    Slot,
    /// A yes or a no to its summary.
    Confirm,
    /// What to change in its summary.
    Change,
    /// A yes or a no to whether it goes on.
    Resume,
}

impl Stage {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a suspended form goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// The bot says so, and asks the question again.
    #[default]
    AtOnce,
    /// The bot asks whether to go on.
    Ask,
    /// The bot only asks the question again.
    Quiet,
}

impl Resume {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A wish that waits for its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingWish {
    pub intent: IntentId,
    /// The slots that its words fill.
    #[serde(default)]
    pub slots: BTreeMap<String, Value>,
}

/// An intent that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub intent: IntentId,
    /// Number of turns since.
    #[serde(default)]
    pub turns: u32,
}

/// What the user has refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// Number of refusals.
    pub times: u32,
    /// The intents that were offered and not meant.
    pub intents: Vec<IntentId>,
}

/// A dialogue that was handed off, and is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOff {
    /// When the bot speaks again if nobody has answered, in milliseconds since 1970.
    pub until: i64,
}

/// Intents that were about equally likely, and the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clarify {
    /// The likelier intent.
    pub first: IntentId,
    /// The second likeliest intent.
    pub second: IntentId,
    /// Further intents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<IntentId>,
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
