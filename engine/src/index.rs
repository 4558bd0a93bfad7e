//! Nearest neighbours among the examples' vectors. [`Exact`](exact::Exact) is exact and the faster one for small
//! catalogues, [`Hnsw`](hnsw::Hnsw) the one for large ones; both sit behind [`IntentIndex`].

pub mod exact;
pub mod hnsw;
pub mod product;

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::embedding::Vector;

/// From about so many distinct vectors on, HNSW answers faster than the exact index (`bench/index` prints the crossover).
pub const HNSW_FROM: usize = 40_000;

/// A node and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Which of the distinct vectors, counted from 0.
    pub node: usize,
    /// Cosine, -1 to 1.
    pub similarity: f32,
}

/// Finds the nearest of a fixed set of L2-normalised vectors.
pub trait IntentIndex: Send + Sync {
    /// The `count` nearest nodes (fewer when there are fewer), nearest first; ties by node. `query` is L2-normalised and of
    /// the index's dimension.
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour>;

    /// `exact` or `hnsw`.
    fn name(&self) -> &'static str;
}

/// Distinct vectors and which of them each example has. Twins must share a node: many identical vectors hide others from
/// HNSW.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// The distinct vectors.
    pub vectors: Vec<Vector>,
    /// For each node, the examples that have its vector, in order.
    pub examples: Vec<Vec<usize>>,
}

impl Nodes {
    /// Groups bitwise equal vectors.
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

/// The index that suits the number of vectors; the HNSW graph is kept in `folder` and read from there the next time.
pub fn choose(vectors: &[Vector], folder: Option<&Path>) -> Box<dyn IntentIndex> {
    if vectors.len() < HNSW_FROM {
        return Box::new(exact::Exact::new(vectors));
    }
    match folder {
        None => Box::new(hnsw::Hnsw::build(vectors)),
        Some(folder) => Box::new(hnsw::Hnsw::open_or_build(vectors, folder)),
    }
}

pub(crate) fn nearest_first(left: &Neighbour, right: &Neighbour) -> std::cmp::Ordering {
    right.similarity.total_cmp(&left.similarity).then(left.node.cmp(&right.node))
}
