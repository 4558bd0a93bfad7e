//! A scan over all vectors: exact, and the oracle that the tests of HNSW compare with.

use super::{IntentIndex, Neighbour, nearest_first, product::dot};
use crate::embedding::Vector;

/// All vectors in one block of memory.
pub struct Exact {
    dimension: usize,
    rows: Vec<f32>,
}

impl Exact {
    /// An index over L2-normalised vectors of one dimension.
    pub fn new(vectors: &[Vector]) -> Self {
        let dimension = vectors.first().map_or(1, |v| v.len().max(1));
        Self { dimension, rows: vectors.iter().flat_map(|v| v.iter().copied()).collect() }
    }
}

impl IntentIndex for Exact {
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour> {
        let mut all: Vec<Neighbour> = self
            .rows
            .chunks_exact(self.dimension)
            .enumerate()
            .map(|(node, row)| Neighbour { node, similarity: dot(query, row) })
            .collect();
        if count < all.len() {
            all.select_nth_unstable_by(count, nearest_first);
            all.truncate(count);
        }
        all.sort_unstable_by(nearest_first);
        all
    }

    fn name(&self) -> &'static str {
        "exact"
    }
}
