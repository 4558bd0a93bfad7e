//! What a handler knows about the turn.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    entities::Entity,
    ids::IntentId,
    language::Language,
    state::{ActiveContext, Exchange, Stage},
};

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
    /// The active contexts by name.
    pub contexts: BTreeMap<String, ActiveContext>,
    /// The forms in progress, the innermost first.
    pub frames: Vec<Frame>,
    /// The user's id.
    pub user: i64,
    /// The dialogue's id.
    pub dialogue: i64,
    /// Earlier exchanges, oldest first.
    pub history: Vec<Exchange>,
}

/// A form in progress, or one that waits until another is complete.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    pub intent: IntentId,
    /// The slot that was asked for last.
    pub slot: String,
    /// What it waits for.
    pub stage: Stage,
    /// The values of its slots so far.
    pub slots: BTreeMap<String, Value>,
}

/// The conversation beyond the message, as plugins see it.
#[derive(Clone, Debug)]
pub struct View {
    entities: Vec<Entity>,
    frames: Vec<Frame>,
    contexts: BTreeMap<String, ActiveContext>,
}

impl View {
    pub fn of(context: &Context) -> Self {
        let Context { entities, frames, contexts, .. } = context;
        Self { entities: entities.clone(), frames: frames.clone(), contexts: contexts.clone() }
    }

    /// As the contract of plugins describes it.
    pub fn to_json(&self) -> Value {
        let contexts = self.contexts.iter().map(|(name, context)| {
            (name.clone(), json!({ "turns": context.turns.saturating_sub(1), "values": context.values }))
        });
        let contexts: serde_json::Map<String, Value> = contexts.collect();
        json!({ "entities": self.entities, "frames": self.frames, "contexts": contexts })
    }
}
