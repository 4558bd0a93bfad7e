//! What a handler asks for. Only the dialogue applies it.

use std::collections::BTreeMap;

use serde_json::Value;

/// An action that a handler requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say a text, with quick replies.
    Say {
        text: String,
        /// Quick replies.
        suggestions: Vec<String>,
    },
    /// Show the image at this URL.
    Image(String),
    /// Pass data to the client.
    Payload(Value),
    /// Ask for a slot.
    Ask {
        slot: String,
        /// Replaces the slot's own question.
        text: Option<String>,
    },
    SetSlot(String, Value),
    /// Activate a context; for 0 turns, end it.
    SetContext {
        name: String,
        /// The number of following turns.
        turns: u32,
        /// The longest time, in minutes.
        minutes: Option<u32>,
        /// What is kept in it.
        values: BTreeMap<String, Value>,
    },
    /// Switch the dialogue to this language.
    SetLanguage(String),
    /// Let this intent's handler answer.
    Jump(String),
    /// Hand off to a person, with a text of the handler's own or the bot's.
    HandOff(Option<String>),
    /// Clear form, slots and contexts, so that the dialogue starts over.
    End,
}
