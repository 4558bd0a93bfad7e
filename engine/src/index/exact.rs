//! A scan over all vectors in two passes: first over vectors quantised to bytes, which is a quarter of the data; then,
//! in full precision, only over those that may be among the nearest. The quantisation error is bounded, so the result
//! equals that of [`scan`].
//!
//! With v ≈ v̂ and q ≈ q̂ (one step size per vector, 8 bits per component), |q·v - q̂·v̂| = |q·(v - v̂) + (q - q̂)·v̂|
//! ≤ ‖q‖·‖v - v̂‖ + ‖q - q̂‖·‖v̂‖ by the Cauchy-Schwarz inequality.

use super::{
    IntentIndex, Neighbour, nearest_first,
    product::{dot, dot_bytes},
};
use crate::embedding::Vector;

/// An upper bound on the rounding error of an inner product of two vectors of length 1.
const ROUNDING: f32 = 1e-5;
/// With at most this number of vectors per requested neighbour, the first pass does not pay off.
const WORTHWHILE: usize = 4;

/// All vectors, in full precision and quantised to bytes in one block of memory.
pub struct Exact {
    vectors: Vec<Vector>,
    dimension: usize,
    bytes: Vec<i8>,
    rows: Vec<IndexRow>,
}

/// The meaning of a quantised vector.
struct IndexRow {
    /// The step size: the vector is about this times its bytes.
    step: f32,
    /// Length of the difference between the vector and its quantised form.
    error: f32,
    /// Length of the quantised form.
    length: f32,
}

impl Exact {
    /// An index over L2-normalised vectors of equal dimension.
    pub fn new(vectors: &[Vector]) -> Self {
        let dimension = vectors.first().map_or(0, |vector| vector.len());
        let mut bytes = Vec::with_capacity(dimension * vectors.len());
        let rows = vectors.iter().map(|vector| IndexRow::of(vector, &mut bytes)).collect();
        Self { vectors: vectors.to_vec(), dimension, bytes, rows }
    }

    /// Nodes that include the `count` nearest.
    fn candidates(&self, query: &[f32], count: usize) -> Vec<usize> {
        let mut bytes = Vec::with_capacity(self.dimension);
        let rough = IndexRow::of(query, &mut bytes);
        let length = dot(query, query).sqrt();
        let bounds: Vec<(f32, f32)> = self
            .bytes
            .chunks_exact(self.dimension.max(1))
            .zip(&self.rows)
            .map(|(row, about)| {
                let near = dot_bytes(&bytes, row) as f32 * (rough.step * about.step);
                let wrong = length * about.error + rough.error * about.length + ROUNDING;
                (near - wrong, near + wrong)
            })
            .collect();
        // The vectors have no components.
        if bounds.len() < count {
            return (0..self.vectors.len()).collect();
        }
        let mut least: Vec<f32> = bounds.iter().map(|(least, _)| *least).collect();
        let (_, last, _) = least.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        let last = *last;
        bounds.iter().enumerate().filter(|(_, (_, most))| *most >= last).map(|(node, _)| node).collect()
    }
}

impl IndexRow {
    /// Quantises a vector: appends its bytes and returns their meaning.
    fn of(vector: &[f32], bytes: &mut Vec<i8>) -> Self {
        let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let step = largest / f32::from(i8::MAX);
        let (mut error, mut length) = (0.0, 0.0);
        for x in vector {
            let byte = if step > 0.0 { (x / step).round() as i8 } else { 0 };
            let about = f32::from(byte) * step;
            error += (x - about) * (x - about);
            length += about * about;
            bytes.push(byte);
        }
        Self { step, error: error.sqrt(), length: length.sqrt() }
    }
}

impl IntentIndex for Exact {
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour> {
        if count == 0 || self.vectors.len() <= count * WORTHWHILE {
            return scan(&self.vectors, query, count);
        }
        let candidates = self.candidates(query, count);
        nearest_of(candidates.into_iter().map(|node| (node, &self.vectors[node])), query, count)
    }

    fn name(&self) -> &'static str {
        "exact"
    }
}

/// The nearest vectors by a full scan; other indices are tested against it.
pub fn scan(vectors: &[Vector], query: &[f32], count: usize) -> Vec<Neighbour> {
    nearest_of(vectors.iter().enumerate(), query, count)
}

fn nearest_of<'a>(nodes: impl Iterator<Item = (usize, &'a Vector)>, query: &[f32], count: usize) -> Vec<Neighbour> {
    let mut all: Vec<Neighbour> =
        nodes.map(|(node, vector)| Neighbour { node, similarity: dot(query, vector) }).collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, nearest_first);
        all.truncate(count);
    }
    all.sort_unstable_by(nearest_first);
    all
}
