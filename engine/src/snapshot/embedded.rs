//! The texts that a classifier is fitted to, with their vectors.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use super::{
    BuildError, Snapshot, Stage,
    kept::{Key, key_of},
};
use crate::{
    background::background,
    cache::IntentCache,
    catalogue::Catalogue,
    decide::training::{Fitted, Sample, TrainingProgress, TrainingSet, train},
    embedding::{Embedder, Vector},
};

/// Name of the file with the vectors.
const VECTORS: &str = "vectors.bin";
/// Up to this number of texts, embedding is faster than reading the file of vectors.
const FEW_TEXTS: usize = 16;

/// All examples, in the order of the intents.
pub fn samples(catalogue: &Catalogue) -> Vec<Sample> {
    catalogue
        .intents
        .iter()
        .enumerate()
        .flat_map(|(class, intent)| {
            intent.examples.iter().map(move |example| Sample { text: example.text.clone(), class })
        })
        .collect()
}

/// The texts that a classifier is fitted to, with their vectors.
pub struct Embedded {
    pub samples: Vec<Sample>,
    /// One for each sample.
    pub vectors: Vec<Vector>,
    /// Utterances that most bots know nothing of.
    background: Vec<String>,
    of_background: Vec<Vector>,
}

impl Embedded {
    /// The examples of a catalogue, and the number of texts that had to be embedded.
    pub fn of(
        base: Option<&Snapshot>,
        catalogue: &Catalogue,
        embedder: &dyn Embedder,
        folder: Option<&Path>,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<(Self, usize), BuildError> {
        let (samples, background) = (samples(catalogue), background(&catalogue.languages));
        let base = base.filter(|base| base.catalogue.languages == catalogue.languages);
        let mut known: HashMap<&str, Vector> =
            base.iter().flat_map(|base| base.embedded.all()).map(|(text, vector)| (text, Arc::clone(vector))).collect();
        let texts = || samples.iter().map(|sample| &sample.text).chain(&background);
        let mut missing: Vec<&str> = texts().map(String::as_str).filter(|text| !known.contains_key(text)).collect();
        missing.sort_unstable();
        missing.dedup();
        let wanted: Vec<String> = missing.iter().map(|text| (*text).to_owned()).collect();
        // Reading the file pays off only if embedding would take longer.
        let mut cache = match folder.filter(|_| missing.len() > FEW_TEXTS) {
            Some(folder) => IntentCache::open(&folder.join(VECTORS), embedder),
            None => IntentCache::in_memory(embedder),
        };
        let embedded = cache.missing(&wanted);
        let vectors = cache.vectors(embedder, &wanted, &mut |done, total| progress(Stage::Embedding(done, total)))?;
        known.extend(missing.into_iter().zip(vectors));
        let mut vectors: Vec<Vector> = texts().map(|text| Arc::clone(&known[text.as_str()])).collect();
        let of_background = vectors.split_off(samples.len());
        Ok((Self { samples, vectors, background, of_background }, embedded))
    }

    /// All texts with their vectors.
    fn all(&self) -> impl Iterator<Item = (&str, &Vector)> {
        let background = self.background.iter().map(String::as_str).zip(&self.of_background);
        self.samples.iter().map(|sample| sample.text.as_str()).zip(&self.vectors).chain(background)
    }

    /// The hash of all that a classifier is fitted to.
    pub fn key(&self, embedder: &dyn Embedder) -> Key {
        key_of(embedder.id(), &self.samples, &self.background)
    }

    /// Fits a classifier.
    pub fn train(&self, embedder: &dyn Embedder, classes: usize, progress: &mut TrainingProgress<'_>) -> Fitted {
        let Self { samples, vectors, background, of_background } = self;
        let blocks = embedder.blocks();
        train(&TrainingSet { samples, vectors, background: (background, of_background), blocks, classes }, progress)
    }

    /// Writes the vectors to `folder`, for the next start.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, embedder: &dyn Embedder, folder: &Path) -> io::Result<()> {
        let all = self.all().map(|(text, vector)| (text.to_owned(), Arc::clone(vector)));
        let (texts, vectors): (Vec<String>, Vec<Vector>) = all.unzip();
        let mut cache = IntentCache::open(&folder.join(VECTORS), embedder);
        cache.add(&texts, &vectors);
        cache.save(&texts)
    }
}
