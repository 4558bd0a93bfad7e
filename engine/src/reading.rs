//! What the text of a message says by itself, without the model and without the dialogue. It can be read while the model runs.

use std::sync::{Arc, OnceLock};

use crate::{
    catalogue::Catalogue,
    decide::{classifier::Classifier, features::Sparse},
    entities::{Entity, find_all},
    snapshot::Snapshot,
    text::normalize,
};

/// Entities and n-grams of a text. Each is looked for when it is first asked for, by whichever thread asks.
pub struct Reading {
    catalogue: Arc<Catalogue>,
    classifier: Arc<Classifier>,
    text: String,
    entities: OnceLock<Vec<Entity>>,
    grams: OnceLock<Sparse>,
}

impl Reading {
    /// Of a text as it came, by one version of a bot; nothing is read yet.
    pub fn of(snapshot: &Snapshot, text: &str) -> Self {
        Self {
            catalogue: Arc::clone(&snapshot.catalogue),
            classifier: Arc::clone(&snapshot.classifier),
            text: normalize(text),
            entities: OnceLock::new(),
            grams: OnceLock::new(),
        }
    }

    /// Reads all of it now.
    pub fn read(&self) {
        self.grams();
        self.entities();
    }

    /// The normalised text.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn entities(&self) -> &[Entity] {
        known_or(&self.entities, || find_all(&self.catalogue.entities, &self.text)).as_slice()
    }

    /// What the classifier sees beside the vector.
    pub(crate) fn grams(&self) -> &Sparse {
        known_or(&self.grams, || self.classifier.grams(&self.text))
    }
}

/// Of two threads that ask at once both look: one that waited for another might wait until that one has its core again.
fn known_or<T>(known: &OnceLock<T>, find: impl FnOnce() -> T) -> &T {
    if let Some(known) = known.get() {
        return known;
    }
    let found = find();
    known.get_or_init(|| found)
}
