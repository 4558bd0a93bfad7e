//! Who makes the reply. A handler returns [`Effect`]s; only the engine applies them.

pub mod api;
pub mod plugin;
pub mod script;
pub mod source;

use serde_json::Value;

/// What a handler wants to happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say something, with quick replies.
    Say {
        /// The text.
        text: String,
        /// Quick replies.
        suggestions: Vec<String>,
    },
    /// Show a picture.
    Image(String),
    /// Give data to the client.
    Payload(Value),
    /// Ask for a slot (again), with the slot's own question or another text.
    Ask {
        /// The slot.
        slot: String,
        /// Instead of the slot's question.
        text: Option<String>,
    },
    /// Remember a value.
    SetSlot(String, Value),
    /// Remember a context for some turns.
    SetContext(String, u32),
    /// Answer in this language from now on.
    SetLanguage(String),
    /// Let another intent's handler answer.
    Jump(String),
    /// Call a person.
    HandOff(Option<String>),
    /// Forget form, slots and contexts: the dialogue begins anew.
    End,
}
