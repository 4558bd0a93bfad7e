//! What the neighbours say: for each intent, how near its nearest example is, and how near its centre.

use crate::{
    embedding::{Vector, normalize},
    index::{Neighbour, product::dot},
};

/// Neighbours that are looked at. An intent without any among them is judged by its centre, at most as near as the last one.
pub const NEIGHBOURS: usize = 64;

/// The centres of the intents: L2-normalised means of their examples' whitened vectors.
#[derive(Clone, Debug, Default)]
pub struct Centres {
    dimension: usize,
    rows: Vec<f32>,
}

impl Centres {
    /// The centres of `classes` classes.
    pub fn of(features: &[Vector], class_of: &[usize], classes: usize) -> Self {
        let dimension = features.first().map_or(1, |feature| feature.len());
        let mut rows = vec![0.0f32; classes * dimension];
        for (feature, class) in features.iter().zip(class_of) {
            rows[class * dimension..][..dimension].iter_mut().zip(feature.iter()).for_each(|(r, x)| *r += x);
        }
        // A class without examples has a zero row, which is near nothing.
        for row in rows.chunks_exact_mut(dimension).filter(|row| row.iter().any(|x| *x != 0.0)) {
            normalize(row);
        }
        Self { dimension, rows }
    }

    /// For each class 0.5 · (similarity of its nearest example) + 0.5 · (similarity of its centre), each -1 to 1. `class_of`
    /// tells the classes of a node.
    pub fn evidence<'a>(
        &self,
        query: &[f32],
        neighbours: &[Neighbour],
        class_of: impl Fn(usize) -> &'a [usize],
    ) -> Vec<f32> {
        let centre: Vec<f32> = self.rows.chunks_exact(self.dimension).map(|row| dot(query, row)).collect();
        let horizon = neighbours.last().map_or(-1.0, |last| last.similarity);
        let mut nearest: Vec<f32> = centre.iter().map(|similarity| similarity.min(horizon)).collect();
        // Farthest first, so that the nearest of each class is what stays.
        for near in neighbours.iter().rev() {
            for class in class_of(near.node) {
                nearest[*class] = near.similarity;
            }
        }
        nearest.iter().zip(&centre).map(|(near, centre)| 0.5 * near + 0.5 * centre).collect()
    }
}
