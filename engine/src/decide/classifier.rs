//! The fitted classifier in use: one text and its vector to probabilities.

use std::path::Path;

use rayon::prelude::*;

use super::{
    Candidate, Classification,
    evidence::{Centres, NEIGHBOURS},
    features::Grams,
    training::{Fitted, Sample},
};
use crate::{
    catalogue::IntentId,
    embedding::Vector,
    index::{IntentIndex, Nodes, choose},
};

/// Candidates that are worth telling.
const MAX_CANDIDATES: usize = 5;
/// Neighbours for `explain`.
const MAX_NEIGHBOURS: usize = 5;
/// By so much another intent's example must be nearer than the own intent's to be told.
const MISPLACED_MARGIN: f32 = 0.12;

/// Probabilities for texts.
pub struct Classifier {
    fitted: Fitted,
    intents: Vec<IntentId>,
    centres: Centres,
    index: Box<dyn IntentIndex>,
    /// For each node its samples, and the classes of these without repeats.
    samples: Vec<Vec<usize>>,
    classes: Vec<Vec<usize>>,
}

impl Classifier {
    /// Builds the index over the examples' features; a large one is kept in `folder`.
    pub fn new(
        mut fitted: Fitted,
        intents: Vec<IntentId>,
        samples: &[Sample],
        vectors: &[Vector],
        folder: Option<&Path>,
    ) -> Self {
        fitted.ngrams = fitted.ngrams.ready();
        let features: Vec<Vec<f32>> = vectors.par_iter().map(|vector| fitted.whitening.apply(vector)).collect();
        let class_of: Vec<usize> = samples.iter().map(|sample| sample.class).collect();
        let centres = Centres::of(&features, &class_of, intents.len());
        let features: Vec<Vector> = features.into_iter().map(Vector::from).collect();
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
        Self { fitted, intents, centres, index, samples: nodes.examples, classes }
    }

    /// Classifies a normalised text with its embedding.
    pub fn classify(&self, text: &str, vector: &[f32]) -> Classification {
        let dense = self.fitted.whitening.apply(vector);
        let mut neighbours = self.index.nearest(&dense, NEIGHBOURS);
        let evidence = self.centres.evidence(&dense, &neighbours, |node| &self.classes[node]);
        let logits = self.fitted.head.logits(&dense, &self.fitted.ngrams.apply(&Grams::of(text)));
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

    /// `exact` or `hnsw`.
    pub fn index_name(&self) -> &'static str {
        self.index.name()
    }

    /// The first sample of a node.
    pub fn first_sample(&self, node: usize) -> Option<usize> {
        self.samples.get(node)?.first().copied()
    }

    /// The class whose nearest example is clearly nearer to a sample than any other example of the sample's own class.
    pub fn nearer_intent(&self, sample: usize, vector: &[f32]) -> Option<usize> {
        let dense = self.fitted.whitening.apply(vector);
        let near = self.index.nearest(&dense, NEIGHBOURS);
        let own_node = self.samples.iter().position(|members| members.contains(&sample))?;
        let own = *self.classes[own_node].first()?;
        let others = || near.iter().filter(|n| n.node != own_node);
        let best_own = others().find(|n| self.classes[n.node].contains(&own)).map_or(0.0, |n| n.similarity);
        let best_other = others().find(|n| !self.classes[n.node].contains(&own))?;
        (best_other.similarity > best_own + MISPLACED_MARGIN).then(|| self.classes[best_other.node][0])
    }
}
