//! What the text of a message says by itself, without the model and without the dialogue.

use std::sync::Arc;

use crate::{
    entities::{Entity, find_all},
    snapshot::Snapshot,
    text::normalize,
};

/// A text and its entities.
pub struct Reading {
    text: String,
    entities: Arc<[Entity]>,
}

impl Reading {
    /// Reads a text as it came, by one version of a bot.
    pub fn of(snapshot: &Snapshot, text: &str) -> Self {
        let text = normalize(text);
        let entities = find_all(&snapshot.catalogue.entities, &text).into();
        Self { text, entities }
    }

    /// The normalised text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The entities in the text.
    pub fn entities(&self) -> &Arc<[Entity]> {
        &self.entities
    }
}
