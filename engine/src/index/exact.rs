//! A scan over all vectors in two passes: first over vectors quantised to bytes; then, in full precision, only
//! over those that may be among the nearest. The result equals that of [`scan`].

use super::{
    IntentIndex, Neighbour, nearest_first,
    product::dot,
    quantised::{Bounds, QuantisedQuery, QuantisedRows, likely},
};
use crate::embedding::Vector;

/// With at most this number of vectors per requested neighbour, the first pass does not pay off.
const WORTHWHILE: usize = 4;

/// All vectors, in full precision and quantised.
pub struct Exact {
    vectors: Vec<Vector>,
    quantised: QuantisedRows,
}

impl Exact {
    /// An index over L2-normalised vectors of equal dimension.
    pub fn new(vectors: &[Vector]) -> Self {
        let dimension = vectors.first().map_or(0, |vector| vector.len());
        let mut quantised = QuantisedRows::with_capacity(dimension, vectors.len());
        vectors.iter().for_each(|vector| quantised.push(vector));
        Self { vectors: vectors.to_vec(), quantised }
    }
}

impl IntentIndex for Exact {
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour> {
        if count == 0 || self.vectors.len() <= count * WORTHWHILE {
            return scan(&self.vectors, query, count);
        }
        let quantised = QuantisedQuery::of(query);
        let bounds: Vec<Bounds> = self.quantised.bounds(&quantised, 0..).collect();
        nearest_of(likely(&bounds, count).map(|node| (node, &self.vectors[node])), query, count)
    }

    fn name(&self) -> &'static str {
        "exact"
    }
}

/// The nearest vectors by a full scan; other indices are tested against it.
pub fn scan(vectors: &[Vector], query: &[f32], count: usize) -> Vec<Neighbour> {
    nearest_of(vectors.iter().enumerate(), query, count)
}

/// The nearest of some nodes, nearest first.
pub(super) fn nearest_of<'a>(
    nodes: impl Iterator<Item = (usize, &'a Vector)>,
    query: &[f32],
    count: usize,
) -> Vec<Neighbour> {
    let mut all: Vec<Neighbour> =
        nodes.map(|(node, vector)| Neighbour { node, similarity: dot(query, vector) }).collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, nearest_first);
        all.truncate(count);
    }
    all.sort_unstable_by(nearest_first);
    all
}
