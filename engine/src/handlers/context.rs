//! What a handler knows about the turn.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{entities::Entity, ids::IntentId, language::Language, state::Exchange};

/// `ctx`: what a handler knows about the turn. It has no setters, so that scripts can only read it.
#[derive(Clone)]
pub struct Context {
    /// The normalised message.
    pub text: String,
    /// The language of the reply.
    pub language: Language,
    /// The matched intent.
    pub intent: IntentId,
    /// The probability of that intent, from 0 to 1.
    pub probability: f32,
    /// Entities of the message.
    pub entities: Vec<Entity>,
    /// All slot values; an empty slot of this intent is `null`.
    pub slots: BTreeMap<String, Value>,
    /// The slot values as people read them, for texts.
    pub shown: BTreeMap<String, String>,
    /// What is kept in the active contexts, by their names.
    pub contexts: BTreeMap<String, BTreeMap<String, Value>>,
    /// The user's id.
    pub user: i64,
    /// The dialogue's id.
    pub dialogue: i64,
    /// Earlier exchanges, oldest first.
    pub history: Vec<Exchange>,
}
