//! A text and what is found in it without the model.

use std::sync::Arc;

use crate::{
    catalogue::{Catalogue, Intent, SlotSpec},
    entities::{Entity, Impossible, Scan, scan, without_overlaps},
    text::normalize,
    values::Setting,
    word::Word,
};

/// A text, its words and its entities.
#[derive(Debug)]
pub struct Reading {
    text: String,
    words: Vec<Word>,
    /// Everything that is a value of an entity; values may overlap.
    found: Vec<Entity>,
    entities: Arc<[Entity]>,
    impossible: Vec<Impossible>,
    setting: Arc<Setting>,
}

impl Reading {
    /// Reads a text as it came, by one version of a bot.
    pub fn of(catalogue: &Catalogue, text: &str, setting: Arc<Setting>) -> Self {
        let text = normalize(text);
        let Scan { words, found, impossible } = scan(&catalogue.entities, &text, &setting);
        let entities = without_overlaps(&found, &impossible, |_| false).into();
        Self { text, words, found, entities, impossible, setting }
    }

    /// Reads another text of the same user at the same moment.
    pub fn beside(&self, catalogue: &Catalogue, text: &str) -> Self {
        Self::of(catalogue, text, Arc::clone(&self.setting))
    }

    /// When and where the text was said.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Whether there are words for such an entity, also impossible ones.
    pub fn finds(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let found = self.found.iter().map(|found| &found.entity);
        found.chain(self.impossible.iter().map(|found| &found.entity)).any(|entity| wanted(entity))
    }

    /// All values of one entity, also where a longer value of another overlaps them.
    pub fn values_of(&self, entity: &str) -> impl Iterator<Item = &Entity> {
        self.found.iter().filter(move |found| found.entity == entity)
    }

    /// Words that look like a value of an entity, and are none.
    pub fn impossible(&self, entity: &str) -> Option<&Impossible> {
        self.impossible.iter().find(|impossible| impossible.entity == entity)
    }

    /// The normalised text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its words.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The entities in the text, without overlaps.
    pub fn entities(&self) -> &Arc<[Entity]> {
        &self.entities
    }

    /// The entities in the text, as the question for a slot sees them: what the slot wants comes first.
    pub fn entities_for_slot(&self, slot: &SlotSpec) -> Vec<Entity> {
        without_overlaps(&self.found, &self.impossible, |name| slot.entity.as_deref() == Some(name))
    }

    /// The entities in the text, as an intent sees them: what its slots want comes first.
    pub fn entities_for(&self, intent: &Intent) -> Vec<Entity> {
        without_overlaps(&self.found, &self.impossible, |name| {
            intent.slots.iter().any(|slot| slot.entity.as_deref() == Some(name))
        })
    }

    /// The word before a byte of the text.
    pub fn word_before(&self, start: usize) -> Option<&Word> {
        let place = self.words.partition_point(|word| word.end <= start);
        self.words.get(place.checked_sub(1)?)
    }

    /// Whether a word lies within one of these entities.
    pub fn is_within(&self, word: usize, entities: &[Entity]) -> bool {
        let Word { start, end, .. } = &self.words[word];
        entities.iter().any(|entity| entity.start <= *start && *end <= entity.end)
    }
}
