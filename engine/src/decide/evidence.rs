//! Evidence from neighbours: for each intent, the similarity of its nearest example and of its centre.

use crate::{
    embedding::{Vector, normalize},
    index::{Neighbour, product::dot},
};

/// Number of neighbours that are considered. For an intent without an example among them, the similarity of its centre
/// counts, capped at that of the last neighbour.
pub const NEIGHBOURS: usize = 64;

/// The centres of the intents: L2-normalised means of the whitened vectors of their examples.
#[derive(Clone, Debug, Default)]
pub struct Centres {
    dimension: usize,
    rows: Vec<f32>,
}

impl Centres {
    /// Computes the centres of `classes` classes.
    pub fn of(features: &[Vector], class_of: &[usize], classes: usize) -> Self {
        let dimension = features.first().map_or(1, |feature| feature.len());
        let mut rows = vec![0.0f32; classes * dimension];
        for (feature, class) in features.iter().zip(class_of) {
            rows[class * dimension..][..dimension].iter_mut().zip(feature.iter()).for_each(|(r, x)| *r += x);
        }
        // A class without examples keeps a row of zeros, which is similar to nothing.
        for row in rows.chunks_exact_mut(dimension).filter(|row| row.iter().any(|x| *x != 0.0)) {
            normalize(row);
        }
        Self { dimension, rows }
    }

    /// For each class, 0.5 · (similarity of its nearest example) + 0.5 · (similarity of its centre), both -1 to 1.
    /// `class_of` returns the classes of a node.
    pub fn evidence<'a>(
        &self,
        query: &[f32],
        neighbours: &[Neighbour],
        class_of: impl Fn(usize) -> &'a [usize],
    ) -> Vec<f32> {
        let centre: Vec<f32> = self.rows.chunks_exact(self.dimension).map(|row| dot(query, row)).collect();
        let horizon = neighbours.last().map_or(-1.0, |last| last.similarity);
        let mut nearest: Vec<f32> = centre.iter().map(|similarity| similarity.min(horizon)).collect();
        // Farthest first, so that the nearest example of each class is written last.
        for near in neighbours.iter().rev() {
            for class in class_of(near.node) {
                nearest[*class] = near.similarity;
            }
        }
        nearest.iter().zip(&centre).map(|(near, centre)| 0.5 * near + 0.5 * centre).collect()
    }
}
