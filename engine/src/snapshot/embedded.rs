//! The texts that a classifier is fitted to, with their vectors.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{BuildError, Snapshot, Stage};
use crate::{
    background::background,
    cache::IntentCache,
    catalogue::Catalogue,
    decide::training::{Fitted, Sample, TrainingProgress, TrainingSet, train},
    embedding::{Embedder, Vector},
};

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
    pub background: Background,
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
            Some(folder) => IntentCache::open(&folder.join("vectors.bin"), embedder),
            None => IntentCache::in_memory(embedder),
        };
        let embedded = cache.missing(&wanted);
        let vectors = cache.vectors(embedder, &wanted, &mut |done, total| progress(Stage::Embedding(done, total)))?;
        known.extend(missing.into_iter().zip(vectors));
        let mut vectors: Vec<Vector> = texts().map(|text| Arc::clone(&known[text.as_str()])).collect();
        let of_background = vectors.split_off(samples.len());
        let background = Background { vectors: of_background, texts: background };
        Ok((Self { samples, vectors, background }, embedded))
    }

    /// All texts with their vectors.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Vector)> {
        let of_background = self.background.texts.iter().map(String::as_str).zip(&self.background.vectors);
        self.samples.iter().map(|sample| sample.text.as_str()).zip(&self.vectors).chain(of_background)
    }
}

/// Utterances that most bots know nothing of.
pub struct Background {
    pub texts: Vec<String>,
    pub vectors: Vec<Vector>,
}

impl Background {
    /// Fits a classifier to examples and this.
    pub fn train(
        &self,
        samples: &[Sample],
        vectors: &[Vector],
        embedder: &dyn Embedder,
        classes: usize,
        progress: &mut TrainingProgress<'_>,
    ) -> Fitted {
        let background = (self.texts.as_slice(), self.vectors.as_slice());
        train(&TrainingSet { samples, vectors, background, blocks: embedder.blocks(), classes }, progress)
    }
}
