//! Nearest neighbours among the vectors of the examples, behind [`IntentIndex`]. [`Exact`](exact::Exact) is exact, and
//! faster for small catalogues; [`LargeIndex`](hnsw::LargeIndex) is approximate, for large ones.

pub mod exact;
pub mod hnsw;
pub mod product;
mod quantised;

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::embedding::Vector;

/// From this number of distinct vectors on, the exact index, which misses nothing, costs a quarter more than HNSW, and
/// its share grows (`bench/index`).
pub const HNSW_FROM: usize = 40_000;

/// A node and its similarity to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Index of the distinct vector, counted from 0.
    pub node: usize,
    /// Cosine similarity, -1 to 1.
    pub similarity: f32,
}

/// Finds the nearest neighbours in a fixed set of L2-normalised vectors.
pub trait IntentIndex: Send + Sync {
    /// The `count` nearest nodes, or all if there are fewer, nearest first; ties are ordered by node. `query` is
    /// L2-normalised and has the index's dimension.
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour>;

    /// `exact` or `hnsw`.
    fn name(&self) -> &'static str;
}

/// Distinct vectors, and the examples that have each. Examples with equal vectors must share a node: many identical
/// vectors hide others from HNSW.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// The distinct vectors.
    pub vectors: Vec<Vector>,
    /// For each node, the examples with its vector, in order.
    pub examples: Vec<Vec<usize>>,
}

impl Nodes {
    /// Groups bitwise equal vectors into nodes.
    pub fn group(vectors: &[Vector]) -> Self {
        let mut nodes = Self::default();
        let mut seen: HashMap<&[u8], usize> = HashMap::new();
        for (example, vector) in vectors.iter().enumerate() {
            let node = *seen.entry(bytemuck::cast_slice(vector)).or_insert_with(|| {
                nodes.vectors.push(Arc::clone(vector));
                nodes.examples.push(Vec::new());
                nodes.vectors.len() - 1
            });
            nodes.examples[node].push(example);
        }
        nodes
    }
}

/// Chooses the index by the number of vectors. An HNSW graph is stored in `folder` and loaded from there the next time.
pub fn choose(vectors: &[Vector], folder: Option<&Path>) -> Box<dyn IntentIndex> {
    if vectors.len() < HNSW_FROM {
        return Box::new(exact::Exact::new(vectors));
    }
    match folder {
        None => Box::new(hnsw::LargeIndex::build(vectors)),
        Some(folder) => Box::new(hnsw::LargeIndex::open_or_build(vectors, folder)),
    }
}

pub(crate) fn nearest_first(left: &Neighbour, right: &Neighbour) -> std::cmp::Ordering {
    right.similarity.total_cmp(&left.similarity).then(left.node.cmp(&right.node))
}
