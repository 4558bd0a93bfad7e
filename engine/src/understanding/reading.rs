//! A text and what is found in it without the model.

use std::sync::Arc;

use crate::{
    catalogue::Catalogue,
    entities::{Entity, find_all},
    text::normalize,
};

/// A text and its entities.
#[derive(Debug)]
pub struct Reading {
    text: String,
    entities: Arc<[Entity]>,
}

impl Reading {
    /// Reads a text as it came, by one version of a bot.
    pub fn of(catalogue: &Catalogue, text: &str) -> Self {
        let text = normalize(text);
        let entities = find_all(&catalogue.entities, &text).into();
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
