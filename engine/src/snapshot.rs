//! One version of a bot, ready to answer: the catalogue and the classifier that was fitted to its examples.
//!
//! A turn holds one snapshot from beginning to end; a hot reload makes a new one and swaps the pointer.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    cache::IntentCache,
    catalogue::Catalogue,
    decide::{
        classifier::Classifier,
        training::{Sample, train},
    },
    embedding::{Embedder, EmbeddingError, Vector},
    index::Neighbour,
    storage::write_atomically,
    turn::NearExample,
};

/// A bot that can answer.
pub struct Snapshot {
    /// The bot.
    pub catalogue: Arc<Catalogue>,
    /// Message to probabilities.
    pub classifier: Arc<Classifier>,
    vectors: Arc<Vec<Vector>>,
    samples: Vec<Sample>,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum BuildError {
    /// An example could not be embedded.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}

/// What building did and found.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildReport {
    /// Examples that had to be embedded.
    pub embedded: usize,
    /// Whether the classifier was read from disk instead of trained.
    pub reused: bool,
}

/// A stage of building, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Examples embedded, of so many.
    Embedding(usize, usize),
    /// Steps of training, of so many.
    Training(usize, usize),
}

impl Snapshot {
    /// Embeds what is new, and fits the classifier or takes it from `folder`, where vectors, index and classifier are kept.
    /// With no folder, nothing is kept.
    ///
    /// # Errors
    /// When an example cannot be embedded. A cache that cannot be read or written is made anew and logged.
    pub fn build(
        catalogue: Arc<Catalogue>,
        embedder: &dyn Embedder,
        folder: Option<&Path>,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<(Self, BuildReport), BuildError> {
        let samples = samples(&catalogue);
        let texts: Vec<String> = samples.iter().map(|sample| sample.text.clone()).collect();
        let mut cache = match folder {
            Some(folder) => IntentCache::open(&folder.join("vectors.bin"), embedder),
            None => IntentCache::in_memory(embedder),
        };
        let embedded = cache.missing(&texts);
        let vectors = cache.vectors(embedder, &texts, &mut |done, total| progress(Stage::Embedding(done, total)))?;
        if let Err(error) = cache.save(&texts) {
            tracing::warn!(%error, "the intent cache could not be written; the next start embeds again");
        }
        let intents = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let kept = folder.map(|folder| KeptModel::new(folder, embedder.id(), &samples));
        let index_folder = folder.map(|folder| folder.join("index"));
        let loaded = kept.as_ref().and_then(KeptModel::load);
        let reused = loaded.is_some();
        let fitted = match loaded {
            Some(fitted) => fitted,
            None => {
                let mut report = |done, total| progress(Stage::Training(done, total));
                let fitted = train(&samples, &vectors, catalogue.intents.len(), &mut report);
                if let Some(Err(error)) = kept.as_ref().map(|kept| kept.store(&fitted)) {
                    tracing::warn!(%error, "the classifier could not be kept; the next start trains again");
                }
                fitted
            }
        };
        let classifier = Arc::new(Classifier::new(fitted, intents, &samples, &vectors, index_folder.as_deref()));
        Ok((Self { catalogue, classifier, vectors: Arc::new(vectors), samples }, BuildReport { embedded, reused }))
    }

    /// The same classifier for another catalogue; `None` when its examples or intents are not the same.
    pub fn with_catalogue(&self, catalogue: Arc<Catalogue>) -> Option<Self> {
        let ids = |catalogue: &Catalogue| catalogue.intents.iter().map(|intent| intent.id.clone()).collect::<Vec<_>>();
        let samples = samples(&catalogue);
        let same = samples == self.samples && ids(&catalogue) == ids(&self.catalogue);
        same.then(|| Self {
            catalogue,
            classifier: Arc::clone(&self.classifier),
            vectors: Arc::clone(&self.vectors),
            samples,
        })
    }

    /// A snapshot of a catalogue whose examples are known to this one, or a few of them new: vectors are taken from here. Nothing is kept on
    /// disk.
    ///
    /// # Errors
    /// When a new example cannot be embedded.
    pub fn rebuild(&self, catalogue: Arc<Catalogue>, embedder: &dyn Embedder) -> Result<Self, BuildError> {
        let known: HashMap<&str, &Vector> = self
            .samples
            .iter()
            .zip(self.vectors.iter())
            .map(|(sample, vector)| (sample.text.as_str(), vector))
            .collect();
        let samples = samples(&catalogue);
        let vectors = samples
            .iter()
            .map(|sample| match known.get(sample.text.as_str()) {
                Some(vector) => Ok(vec![Arc::clone(vector)]),
                None => embedder.embed(std::slice::from_ref(&sample.text)),
            })
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let intents = catalogue.intents.iter().map(|intent| intent.id.clone()).collect();
        let fitted = train(&samples, &vectors, catalogue.intents.len(), &mut |_, _| {});
        let classifier = Arc::new(Classifier::new(fitted, intents, &samples, &vectors, None));
        Ok(Self { catalogue, classifier, vectors: Arc::new(vectors), samples })
    }

    /// Neighbouring nodes as examples.
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

    /// Examples that are nearer to another intent than to their own: (example, its intent, the other one, probability).
    pub fn misplaced(&self) -> Vec<Misplaced> {
        let total = self.vectors.len();
        (0..total)
            .filter_map(|sample| {
                let (intent, example) = self.example(sample)?;
                let other = self.classifier.nearer_intent(sample, &self.vectors[sample])?;
                Some(Misplaced {
                    place: example.place.clone(),
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

/// An example that looks more like another intent.
#[derive(Clone, Debug)]
pub struct Misplaced {
    /// Where it stands.
    pub place: crate::catalogue::fault::Place,
    /// The example.
    pub text: String,
    /// Its intent.
    pub intent: crate::catalogue::IntentId,
    /// The intent it is nearer to.
    pub other: crate::catalogue::IntentId,
}

fn samples(catalogue: &Catalogue) -> Vec<Sample> {
    catalogue
        .intents
        .iter()
        .enumerate()
        .flat_map(|(class, intent)| {
            intent.examples.iter().map(move |example| Sample { text: example.text.clone(), class })
        })
        .collect()
}

/// A fitted classifier on disk, named by the hash of all that went into it.
struct KeptModel {
    path: PathBuf,
    key: [u8; 32],
}

impl KeptModel {
    fn new(folder: &Path, model: &str, samples: &[Sample]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(crate::decide::training::RECIPE.as_bytes()).update(model.as_bytes());
        for sample in samples {
            hash.update(&(sample.class as u64).to_le_bytes());
            hash.update(&(sample.text.len() as u64).to_le_bytes());
            hash.update(sample.text.as_bytes());
        }
        Self { path: folder.join("classifier.bin"), key: *hash.finalize().as_bytes() }
    }

    /// What is kept, when it was made from the same input and is whole.
    fn load(&self) -> Option<crate::decide::training::Fitted> {
        let bytes = fs::read(&self.path).ok()?;
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (hash, body) = rest.split_first_chunk::<32>()?;
        if *key != self.key || blake3::hash(body).as_bytes() != hash {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    fn store(&self, fitted: &crate::decide::training::Fitted) -> io::Result<()> {
        let body = postcard::to_stdvec(fitted).map_err(io::Error::other)?;
        let mut bytes = self.key.to_vec();
        bytes.extend_from_slice(blake3::hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        write_atomically(&self.path, &bytes)
    }
}
