//! The fitted classifier: from a text and its vector to probabilities.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use rayon::prelude::*;

use super::{
    Classification,
    evidence::{Centres, NEIGHBOURS},
    ngrams::Grams,
    training::{Fitted, Sample, SampleChange},
};
use crate::{
    embedding::Vector,
    ids::IntentId,
    index::{IntentIndex, Nodes, choose},
    turn::Candidate,
};

/// Number of candidates that are reported.
const MAX_CANDIDATES: usize = 5;
/// Number of neighbours that are reported for `explain`.
const MAX_NEIGHBOURS: usize = 5;
/// An example is reported as misplaced if the evidence of another intent exceeds that of its own by this. The centre of
/// its own includes the example, which makes up for words that examples of two intents share.
const MISPLACED_MARGIN: f32 = 0.25;
/// Number of cached classifications: frequent messages, and messages of fixtures, which every reload plays again. By
/// default, as many vectors are remembered. A classification takes about half a kilobyte.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(5_000).unwrap();

/// Computes probabilities for texts.
pub struct Classifier {
    fitted: Fitted,
    intents: Vec<IntentId>,
    centres: Centres,
    index: Box<dyn IntentIndex>,
    /// For each node, its samples and, in `classes`, their distinct classes.
    samples: Vec<Vec<usize>>,
    classes: Vec<Vec<usize>>,
    /// For each sample, its dense features. The next version reuses most of them.
    features: Vec<Vector>,
    /// Keyed by the hash of text and vector, because the last bits of a vector depend on the batch it was embedded in.
    recent: Mutex<LruCache<[u8; 32], Classification>>,
}

impl Classifier {
    /// Builds the index over the features of the examples; a large index is stored in `folder`.
    pub fn new(
        mut fitted: Fitted,
        intents: Vec<IntentId>,
        samples: &[Sample],
        vectors: &[Vector],
        folder: Option<&Path>,
    ) -> Self {
        fitted.ngrams = fitted.ngrams.ready();
        let features: Vec<Vector> =
            vectors.par_iter().map(|vector| Vector::from(fitted.whitening.apply(vector))).collect();
        Self::over(fitted, intents, samples, features, folder)
    }

    /// Updates the classifier for slightly changed samples. `before` are the samples of this classifier, `vectors`
    /// those of all `samples`.
    pub fn follow(
        &self,
        intents: Vec<IntentId>,
        before: &[Sample],
        samples: &[Sample],
        vectors: &[Vector],
        change: &SampleChange,
    ) -> Self {
        let known = |origin: &Option<usize>| self.features.get((*origin)?).map(Arc::clone);
        let features: Vec<Vector> = change
            .origin
            .par_iter()
            .zip(vectors)
            .map(|(origin, vector)| known(origin).unwrap_or_else(|| Vector::from(self.fitted.whitening.apply(vector))))
            .collect();
        let near = |features: &[f32], count: usize| {
            let nodes = self.index.nearest(features, count);
            nodes.into_iter().flat_map(|near| self.samples[near.node].iter().copied()).collect()
        };
        let fitted = self.fitted.follow((before, &self.features), (samples, &features), change, &near);
        Self::over(fitted, intents, samples, features, None)
    }

    fn over(
        fitted: Fitted,
        intents: Vec<IntentId>,
        samples: &[Sample],
        features: Vec<Vector>,
        folder: Option<&Path>,
    ) -> Self {
        let class_of: Vec<usize> = samples.iter().map(|sample| sample.class).collect();
        let centres = Centres::of(&features, &class_of, intents.len());
        let nodes = Nodes::group(&features);
        let index = choose(&nodes.vectors, folder);
        let classes = nodes
            .examples
            .iter()
            .map(|examples| {
                let mut classes: Vec<usize> = examples.iter().map(|example| class_of[*example]).collect();
                classes.dedup();
                classes
            })
            .collect();
        let recent = Mutex::new(LruCache::new(REMEMBERED));
        Self { fitted, intents, centres, index, samples: nodes.examples, classes, features, recent }
    }

    /// Classifies a normalised text with its embedding.
    pub fn classify(&self, text: &str, vector: &[f32]) -> Classification {
        let mut hash = blake3::Hasher::new();
        hash.update(bytemuck::cast_slice(vector)).update(text.as_bytes());
        let key = *hash.finalize().as_bytes();
        if let Some(known) = self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let found = self.find(vector, &self.fitted.ngrams.apply(&Grams::of(text)));
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).put(key, found.clone());
        found
    }

    fn find(&self, vector: &[f32], grams: &[(u32, f32)]) -> Classification {
        let dense = self.fitted.whitening.apply(vector);
        let mut neighbours = self.index.nearest(&dense, NEIGHBOURS);
        let evidence = self.centres.evidence(&dense, &neighbours, |node| &self.classes[node]);
        let logits = self.fitted.head.logits(&dense, grams);
        let (probabilities, in_scope) = self.fitted.calibration.probabilities(&logits, &evidence);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b)));
        let candidates = order
            .into_iter()
            .take(MAX_CANDIDATES)
            .map(|class| Candidate { intent: self.intents[class].clone(), probability: probabilities[class] })
            .collect();
        neighbours.truncate(MAX_NEIGHBOURS);
        Classification { candidates, in_scope, neighbours }
    }

    /// All fitted parameters.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// The intents in the order of their classes.
    pub fn intents(&self) -> &[IntentId] {
        &self.intents
    }

    /// `exact` or `hnsw`.
    pub fn index_name(&self) -> &'static str {
        self.index.name()
    }

    /// The first sample of a node.
    pub fn first_sample(&self, node: usize) -> Option<usize> {
        self.samples.get(node)?.first().copied()
    }

    /// The class of another intent that a sample is clearly more like than its own, by the evidence of all examples but
    /// itself.
    pub fn nearer_intent(&self, sample: usize, vector: &[f32]) -> Option<usize> {
        let dense = self.fitted.whitening.apply(vector);
        let own_node = self.samples.iter().position(|members| members.contains(&sample))?;
        let own = *self.classes[own_node].first()?;
        let mut others = self.index.nearest(&dense, NEIGHBOURS);
        others.retain(|near| near.node != own_node);
        let evidence = self.centres.evidence(&dense, &others, |node| &self.classes[node]);
        let (other, most) = evidence
            .iter()
            .enumerate()
            .filter(|(class, _)| *class != own)
            .max_by(|one, other| one.1.total_cmp(other.1))?;
        (*most > evidence[own] + MISPLACED_MARGIN).then_some(other)
    }
}
