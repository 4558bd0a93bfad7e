//! Vectors quantised to bytes, a quarter of the data, with a bound on the error of each inner product.
//!
//! With v ≈ v̂ and q ≈ q̂ (one step size per vector, 8 bits per component), |q·v - q̂·v̂| = |q·(v - v̂) + (q - q̂)·v̂|
//! ≤ ‖q‖·‖v - v̂‖ + ‖q - q̂‖·‖v̂‖ by the Cauchy-Schwarz inequality.

use super::product::{dot, dot_bytes};

/// An upper bound on the rounding error of an inner product of two vectors of length 1.
const ROUNDING: f32 = 1e-5;

/// Quantised vectors in one block of memory.
pub struct QuantisedRows {
    dimension: usize,
    bytes: Vec<i8>,
    rows: Vec<RowScale>,
}

/// The meaning of a quantised vector.
struct RowScale {
    /// The step size: the vector is about this times its bytes.
    step: f32,
    /// Length of the difference between the vector and its quantised form.
    error: f32,
    /// Length of the quantised form.
    length: f32,
}

/// A quantised query.
pub struct QuantisedQuery {
    bytes: Vec<i8>,
    scale: RowScale,
    length: f32,
}

/// What is known of the inner product of a query and a vector.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub node: usize,
    pub least: f32,
    pub most: f32,
}

impl QuantisedRows {
    /// No vectors yet, of equal dimension; room for `capacity`.
    pub fn with_capacity(dimension: usize, capacity: usize) -> Self {
        Self { dimension, bytes: Vec::with_capacity(dimension * capacity), rows: Vec::with_capacity(capacity) }
    }

    pub fn push(&mut self, vector: &[f32]) {
        self.rows.push(RowScale::of(vector, &mut self.bytes));
    }

    /// The bounds on a query's inner product with each vector, in order; `nodes` names them.
    pub fn bounds<'a>(
        &'a self,
        query: &'a QuantisedQuery,
        nodes: impl Iterator<Item = usize> + 'a,
    ) -> impl Iterator<Item = Bounds> + 'a {
        self.rows.iter().enumerate().zip(nodes).map(|((place, row), node)| {
            let bytes = &self.bytes[place * self.dimension..][..self.dimension];
            let near = dot_bytes(&query.bytes, bytes) as f32 * (query.scale.step * row.step);
            let wrong = query.length * row.error + query.scale.error * row.length + ROUNDING;
            Bounds { node, least: near - wrong, most: near + wrong }
        })
    }
}

impl QuantisedQuery {
    pub fn of(query: &[f32]) -> Self {
        let mut bytes = Vec::with_capacity(query.len());
        let scale = RowScale::of(query, &mut bytes);
        Self { bytes, scale, length: dot(query, query).sqrt() }
    }
}

impl RowScale {
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

/// Those that may be among the `count` nearest: all if there are not more.
pub fn likely(bounds: &[Bounds], count: usize) -> impl Iterator<Item = usize> {
    let mut least: Vec<f32> = bounds.iter().map(|bounds| bounds.least).collect();
    let last = match count.checked_sub(1).filter(|last| *last < least.len()) {
        Some(last) => *least.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1,
        None => f32::NEG_INFINITY,
    };
    bounds.iter().filter(move |bounds| bounds.most >= last).map(|bounds| bounds.node)
}
