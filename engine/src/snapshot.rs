//! One version of a bot, ready to answer: the catalogue, and the classifier fitted to its examples.
//!
//! A turn uses one snapshot throughout. A hot reload builds a new one and swaps the pointer.

mod embedded;
mod kept;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use embedded::{Embedded, samples};
use kept::{kept_bytes, kept_classifier, kept_file, key_of};
use thiserror::Error;

use crate::{
    background::background,
    catalogue::{Catalogue, manifest::hash_of},
    decide::{
        classifier::Classifier,
        training::{Sample, SampleChange},
    },
    embedding::{Embedder, EmbeddingError},
    ids::IntentId,
    index::Neighbour,
    storage::write_atomically,
    turn::NearExample,
};

/// Name of the file with the fitted classifier.
const CLASSIFIER: &str = "classifier.bin";

/// A bot that can answer.
pub struct Snapshot {
    /// The bot's definition.
    pub catalogue: Arc<Catalogue>,
    /// From messages to probabilities.
    pub classifier: Arc<Classifier>,
    embedded: Arc<Embedded>,
    classifier_hash: Arc<OnceLock<String>>,
}

/// Why a snapshot could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// An example could not be embedded.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// A given classifier does not fit the bot's examples or the encoders.
    #[error("the stored classifier belongs to other examples or to other encoders")]
    ForeignClassifier,
}

/// What the build did.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildReport {
    /// Number of examples that had to be embedded.
    pub embedded: usize,
    /// Where the classifier came from.
    pub classifier: Made,
}

/// Where a classifier came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Made {
    /// It existed already.
    #[default]
    Kept,
    /// It was updated.
    Followed,
    /// It was fully fitted.
    Trained,
}

/// A stage of the build, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Examples embedded, and their total number.
    Embedding(usize, usize),
    /// Training steps done, and their total number.
    Training(usize, usize),
}

impl Snapshot {
    /// Embeds new examples, and fits the classifier or loads it. Vectors, index and classifier are stored in `folder`;
    /// without a folder, nothing is stored.
    ///
    /// # Errors
    /// If an example cannot be embedded. A cache that cannot be read is rebuilt; one that cannot be written is logged.
    pub fn build(
        catalogue: Arc<Catalogue>,
        embedder: &dyn Embedder,
        folder: Option<&Path>,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<(Self, BuildReport), BuildError> {
        let (embedded, new) = Embedded::of(None, &catalogue, embedder, folder, progress)?;
        if new > 0
            && let Some(Err(error)) = folder.map(|folder| embedded.save(embedder, folder))
        {
            tracing::warn!(%error, "cannot save the intent cache; the next start embeds the examples again");
        }
        let intents = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let key = embedded.key(embedder);
        let path = folder.map(|folder| folder.join(CLASSIFIER));
        let index_folder = folder.map(|folder| folder.join("index"));
        let loaded = path.as_ref().and_then(|path| kept_classifier(&kept_file(path)?, &key));
        let made = if loaded.is_some() { Made::Kept } else { Made::Trained };
        let fitted = match loaded {
            Some(fitted) => fitted,
            None => {
                let mut report = |done, total| progress(Stage::Training(done, total));
                let fitted = embedded.train(embedder, catalogue.intents.len(), &mut report);
                let store = |path: &PathBuf| write_atomically(path, &kept_bytes(&key, &fitted)?);
                if let Some(Err(error)) = path.as_ref().map(store) {
                    tracing::warn!(%error, "cannot save the classifier; the next start trains it again");
                }
                fitted
            }
        };
        let Embedded { samples, vectors, .. } = &embedded;
        let classifier = Arc::new(Classifier::new(fitted, intents, samples, vectors, index_folder.as_deref()));
        Ok((Self::of(catalogue, classifier, embedded), BuildReport { embedded: new, classifier: made }))
    }

    fn of(catalogue: Arc<Catalogue>, classifier: Arc<Classifier>, embedded: Embedded) -> Self {
        Self { catalogue, classifier, embedded: Arc::new(embedded), classifier_hash: Arc::default() }
    }

    /// The same classifier with another catalogue; `None` if the examples or intents differ.
    pub fn with_catalogue(&self, catalogue: Arc<Catalogue>) -> Option<Self> {
        let ids = |catalogue: &Catalogue| catalogue.intents.iter().map(|intent| intent.id.clone()).collect::<Vec<_>>();
        let samples = samples(&catalogue);
        let same = samples == self.embedded.samples
            && ids(&catalogue) == ids(&self.catalogue)
            && catalogue.languages == self.catalogue.languages;
        same.then(|| Self {
            catalogue,
            classifier: Arc::clone(&self.classifier),
            embedded: Arc::clone(&self.embedded),
            classifier_hash: Arc::clone(&self.classifier_hash),
        })
    }

    /// Builds the snapshot of the next catalogue. It reuses vectors from here and from `folder` and embeds only new
    /// texts. The classifier is reused if the examples are equal, updated if a few differ, and fully fitted otherwise.
    /// Nothing is written; [`Snapshot::keep`] does that.
    ///
    /// # Errors
    /// If a new example cannot be embedded.
    pub fn succeed(
        &self,
        catalogue: Arc<Catalogue>,
        embedder: &dyn Embedder,
        folder: Option<&Path>,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<(Self, BuildReport), BuildError> {
        if let Some(same) = self.with_catalogue(Arc::clone(&catalogue)) {
            return Ok((same, BuildReport { embedded: 0, classifier: Made::Kept }));
        }
        let (next, embedded) = Embedded::of(Some(self), &catalogue, embedder, folder, progress)?;
        let Embedded { samples, vectors, .. } = &next;
        let intents: Vec<IntentId> = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let change = self.change(samples, &intents);
        // In other languages, the examples have other vectors.
        if catalogue.languages == self.catalogue.languages && self.classifier.fitted().can_follow(&change) {
            progress(Stage::Training(0, 1));
            let before = &self.embedded.samples;
            let classifier = Arc::new(self.classifier.follow(intents, before, samples, vectors, &change));
            progress(Stage::Training(1, 1));
            let snapshot = Self::of(catalogue, classifier, next);
            return Ok((snapshot, BuildReport { embedded, classifier: Made::Followed }));
        }
        let mut report = |done, total| progress(Stage::Training(done, total));
        let fitted = next.train(embedder, intents.len(), &mut report);
        let classifier = Arc::new(Classifier::new(fitted, intents, samples, vectors, None));
        let snapshot = Self::of(catalogue, classifier, next);
        Ok((snapshot, BuildReport { embedded, classifier: Made::Trained }))
    }

    /// Builds a snapshot with a classifier that was fitted to the catalogue's examples elsewhere. It reuses vectors
    /// from `base` and `folder`.
    ///
    /// # Errors
    /// If a new example cannot be embedded, or the classifier belongs to other examples or another model.
    pub fn adopt(
        base: Option<&Self>,
        catalogue: Arc<Catalogue>,
        kept: &[u8],
        embedder: &dyn Embedder,
        folder: Option<&Path>,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<Self, BuildError> {
        let key = key_of(embedder.id(), &samples(&catalogue), &background(&catalogue.languages));
        let fitted = kept_classifier(kept, &key).ok_or(BuildError::ForeignClassifier)?;
        if let Some(same) = base.and_then(|base| base.with_catalogue(Arc::clone(&catalogue)))
            && same.classifier_hash(embedder).is_ok_and(|own| own == hash_of(kept))
        {
            return Ok(same);
        }
        let (embedded, _) = Embedded::of(base, &catalogue, embedder, folder, progress)?;
        let intents = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let Embedded { samples, vectors, .. } = &embedded;
        let classifier = Arc::new(Classifier::new(fitted, intents, samples, vectors, None));
        Ok(Self::of(catalogue, classifier, embedded))
    }

    /// BLAKE3 of [`Snapshot::classifier_bytes`], 64 hex digits; computed once for all versions that share a classifier.
    ///
    /// # Errors
    /// If the classifier cannot be serialised.
    pub fn classifier_hash(&self, embedder: &dyn Embedder) -> io::Result<String> {
        if let Some(hash) = self.classifier_hash.get() {
            return Ok(hash.clone());
        }
        let hash = hash_of(&self.classifier_bytes(embedder)?);
        Ok(self.classifier_hash.get_or_init(|| hash).clone())
    }

    /// The serialised classifier for [`Snapshot::adopt`], with the hash of its inputs.
    ///
    /// # Errors
    /// If the classifier cannot be serialised.
    pub fn classifier_bytes(&self, embedder: &dyn Embedder) -> io::Result<Vec<u8>> {
        kept_bytes(&self.embedded.key(embedder), self.classifier.fitted())
    }

    /// Writes vectors and classifier to `folder`, for the next start.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep(&self, embedder: &dyn Embedder, folder: &Path) -> io::Result<()> {
        self.embedded.save(embedder, folder)?;
        write_atomically(&folder.join(CLASSIFIER), &self.classifier_bytes(embedder)?)
    }

    /// Builds a snapshot of a catalogue whose examples this snapshot mostly knows, and fully fits its classifier.
    /// Nothing is written to disk.
    ///
    /// # Errors
    /// If a new example cannot be embedded.
    pub fn rebuild(&self, catalogue: Arc<Catalogue>, embedder: &dyn Embedder) -> Result<Self, BuildError> {
        let (embedded, _) = Embedded::of(Some(self), &catalogue, embedder, None, &mut |_| {})?;
        let Embedded { samples, vectors, .. } = &embedded;
        let intents = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let fitted = embedded.train(embedder, catalogue.intents.len(), &mut |_, _| {});
        let classifier = Arc::new(Classifier::new(fitted, intents, samples, vectors, None));
        Ok(Self::of(catalogue, classifier, embedded))
    }

    /// The changes of samples and intents since this snapshot.
    fn change(&self, samples: &[Sample], intents: &[IntentId]) -> SampleChange {
        let old = self.classifier.intents();
        let number: HashMap<&IntentId, usize> = old.iter().enumerate().map(|(number, id)| (id, number)).collect();
        let class_of: Vec<Option<usize>> = intents.iter().map(|id| number.get(id).copied()).collect();
        let mut unclaimed: HashMap<(&str, usize), Vec<usize>> = HashMap::new();
        for (number, sample) in self.embedded.samples.iter().enumerate().rev() {
            unclaimed.entry((&sample.text, sample.class)).or_default().push(number);
        }
        let mut origin: Vec<Option<usize>> = Vec::with_capacity(samples.len());
        for sample in samples {
            let known = class_of[sample.class].and_then(|class| unclaimed.get_mut(&(sample.text.as_str(), class)));
            origin.push(known.and_then(Vec::pop));
        }
        let stayed = origin.iter().flatten().count();
        let count = (samples.len() - stayed) + (self.embedded.samples.len() - stayed);
        SampleChange { origin, class_of, count }
    }

    /// The examples of neighbouring nodes.
    pub fn near_examples(&self, neighbours: &[Neighbour]) -> Vec<NearExample> {
        neighbours
            .iter()
            .filter_map(|near| {
                let sample = self.classifier.first_sample(near.node)?;
                let (intent, example) = self.example(sample)?;
                Some(NearExample { text: example.text.clone(), intent: intent.id.clone(), similarity: near.similarity })
            })
            .collect()
    }

    /// Examples that are more similar to another intent than to their own.
    pub fn misplaced(&self) -> Vec<Misplaced> {
        let total = self.embedded.vectors.len();
        (0..total)
            .filter_map(|sample| {
                let (intent, example) = self.example(sample)?;
                let other = self.classifier.nearer_intent(sample, &self.embedded.vectors[sample])?;
                Some(Misplaced {
                    location: example.location.clone(),
                    text: example.text.clone(),
                    intent: intent.id.clone(),
                    other: self.catalogue.intents[other].id.clone(),
                })
            })
            .collect()
    }

    fn example(&self, sample: usize) -> Option<(&crate::catalogue::Intent, &crate::catalogue::example::Example)> {
        let mut left = sample;
        for intent in &self.catalogue.intents {
            if let Some(example) = intent.examples.get(left) {
                return Some((intent, example));
            }
            left -= intent.examples.len();
        }
        None
    }
}

/// An example that is more similar to another intent than to its own.
#[derive(Clone, Debug)]
pub struct Misplaced {
    /// Location of the example.
    pub location: crate::diagnostic::Location,
    /// The example's text.
    pub text: String,
    pub intent: IntentId,
    /// The intent that it is more similar to.
    pub other: IntentId,
}
