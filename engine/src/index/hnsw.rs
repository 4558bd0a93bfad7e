//! The approximate index for large catalogues. One vector in eight is a leader. The graph of the leaders (Malkov and
//! Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
//! 2018, from `hnsw_rs`) finds those that are nearest to a query; the vectors around them are scanned in two passes, as in
//! the [exact](super::exact) index. A graph of all vectors takes seven times as long to build. (Cluster pruning:
//! Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, section 7.1.6.)
//!
//! The graph is stored on disk under a name derived from the vectors' hash. `hnsw_rs` panics on damaged files, so it
//! never reads files whose hash does not match.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hnsw_rs::prelude::{AnnT, DistDot, Hnsw, HnswIo};
use rayon::prelude::*;

use super::{
    IntentIndex, Neighbour,
    exact::nearest_of,
    quantised::{Bounds, QuantisedQuery, QuantisedRows, likely},
};
use crate::{embedding::Vector, storage::write_atomically};

/// The vectors for each leader.
const PER_LEADER: usize = 8;
/// The number of leaders to whose cells a vector belongs.
const HOMES: usize = 2;
/// The number of cells that a search scans. With it, recall@10 at 20,000 vectors is above 0.99 (`tests/engine/index.rs`).
const SCANNED: usize = 32;
const CONNECTIONS: usize = 16;
const LAYERS: usize = 16;
const BUILD_WIDTH: usize = 100;
/// The least number of candidates that a search of the graph keeps: for the home of a vector, and for a query.
const HOME_WIDTH: usize = 48;
const SEARCH_WIDTH: usize = 96;
const FORMAT: &str = "hnsw-2";

type Graph = Hnsw<'static, f32, DistDot>;
type Homes = [u32; HOMES];

/// A graph of leaders, and the L2-normalised vectors around each.
pub struct LargeIndex {
    graph: Graph,
    cells: Vec<Cell>,
    vectors: Vec<Vector>,
}

/// The vectors around a leader.
struct Cell {
    nodes: Vec<u32>,
    quantised: QuantisedRows,
}

impl LargeIndex {
    /// Builds the index, using all cores.
    pub fn build(vectors: &[Vector]) -> Self {
        let (graph, homes) = built(vectors);
        Self::over(graph, &homes, vectors)
    }

    /// Loads the index of these vectors from `folder`. If it is missing or damaged, builds it and stores it there.
    pub fn open_or_build(vectors: &[Vector], folder: &Path) -> Self {
        let files = IndexFiles::of(vectors, folder);
        if let Some((graph, homes)) = files.load(vectors.len()) {
            return Self::over(graph, &homes, vectors);
        }
        let (graph, homes) = built(vectors);
        if let Err(error) = files.store(&graph, &homes) {
            tracing::warn!(%error, folder = %folder.display(), "cannot save the index; the next start builds it again");
        }
        Self::over(graph, &homes, vectors)
    }

    fn over(mut graph: Graph, homes: &[Homes], vectors: &[Vector]) -> Self {
        graph.set_searching_mode(true);
        let mut nodes_of: Vec<Vec<u32>> = vec![Vec::new(); vectors.len().div_ceil(PER_LEADER)];
        for (node, homes) in homes.iter().enumerate() {
            homes.iter().for_each(|home| nodes_of[*home as usize].push(node as u32));
        }
        let cell = |nodes: Vec<u32>| {
            let dimension = vectors.first().map_or(0, |vector| vector.len());
            let mut quantised = QuantisedRows::with_capacity(dimension, nodes.len());
            nodes.iter().for_each(|node| quantised.push(&vectors[*node as usize]));
            Cell { nodes, quantised }
        };
        Self { graph, cells: nodes_of.into_par_iter().map(cell).collect(), vectors: vectors.to_vec() }
    }
}

/// The graph of the leaders, and the homes of each vector.
fn built(vectors: &[Vector]) -> (Graph, Vec<Homes>) {
    let leaders: Vec<(&[f32], usize)> =
        vectors.iter().step_by(PER_LEADER).enumerate().map(|(leader, vector)| (&vector[..], leader)).collect();
    let graph = Graph::new(CONNECTIONS, leaders.len().max(1), LAYERS, BUILD_WIDTH, DistDot {});
    graph.parallel_insert_slice(&leaders);
    let homes = vectors.par_iter().map(|vector| {
        let nearest = leaders_near(&graph, vector, HOMES, HOME_WIDTH);
        // The graph of a small catalogue may have a single leader.
        std::array::from_fn(|place| nearest.get(place).or(nearest.first()).copied().unwrap_or(0))
    });
    let homes = homes.collect();
    (graph, homes)
}

/// The leaders that are nearest to a vector, nearest first, from a search of at least this width.
fn leaders_near(graph: &Graph, vector: &[f32], count: usize, width: usize) -> Vec<u32> {
    let found = graph.search(vector, count, width.max(count + 16));
    found.into_iter().map(|near| near.d_id as u32).collect()
}

impl IntentIndex for LargeIndex {
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour> {
        let quantised = QuantisedQuery::of(query);
        let leaders = leaders_near(&self.graph, query, SCANNED.max(count.div_ceil(HOMES)), SEARCH_WIDTH);
        let cells = leaders.iter().map(|leader| &self.cells[*leader as usize]);
        let mut bounds: Vec<Bounds> = cells
            .flat_map(|cell| cell.quantised.bounds(&quantised, cell.nodes.iter().map(|node| *node as usize)))
            .collect();
        bounds.sort_unstable_by_key(|bounds| bounds.node);
        bounds.dedup_by_key(|bounds| bounds.node);
        nearest_of(likely(&bounds, count).map(|node| (node, &self.vectors[node])), query, count)
    }

    fn name(&self) -> &'static str {
        "hnsw"
    }
}

const HOMES_FILE: &str = "homes";

/// The files of one index: `<folder>/<hash>/index.hnsw.{graph,data}`, `homes`, and the hash of all.
struct IndexFiles {
    folder: PathBuf,
    parent: PathBuf,
}

impl IndexFiles {
    fn of(vectors: &[Vector], parent: &Path) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(FORMAT.as_bytes());
        vectors.iter().for_each(|v| {
            hash.update(bytemuck::cast_slice(v));
        });
        let name = hash.finalize().to_hex()[..32].to_owned();
        Self { folder: parent.join(name), parent: parent.to_owned() }
    }

    fn load(&self, count: usize) -> Option<(Graph, Vec<Homes>)> {
        let damaged = |reason: &dyn std::fmt::Display| {
            tracing::warn!(folder = %self.folder.display(), %reason, "cannot use the stored index; rebuilding it");
        };
        let expected = match fs::read_to_string(self.folder.join("hash")) {
            Ok(expected) => expected,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                damaged(&error);
                return None;
            }
        };
        if self.digest().inspect_err(|error| damaged(error)).ok()? != expected {
            damaged(&"its hash differs");
            return None;
        }
        // `hnsw_rs` ties the graph's lifetime to its reader, because files may be mapped. Each loaded graph leaks a few
        // hundred bytes on purpose.
        let reader: &'static mut HnswIo = Box::leak(Box::new(HnswIo::new(&self.folder, "index")));
        let graph = reader.load_hnsw_with_dist(DistDot {}).inspect_err(|error| damaged(error)).ok()?;
        let homes = fs::read(self.folder.join(HOMES_FILE)).inspect_err(|error| damaged(error)).ok()?;
        let numbers = homes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect::<Vec<u32>>();
        let homes = numbers.as_chunks().0.to_vec();
        if homes.len() != count {
            damaged(&"it is of another number of vectors");
            return None;
        }
        Some((graph, homes))
    }

    /// Stores the index and removes older ones.
    fn store(&self, graph: &Graph, homes: &[Homes]) -> io::Result<()> {
        if self.parent.exists() {
            fs::remove_dir_all(&self.parent)?;
        }
        fs::create_dir_all(&self.folder)?;
        graph.file_dump(&self.folder, "index").map_err(io::Error::other)?;
        let numbers: Vec<u8> = homes.as_flattened().iter().flat_map(|home| home.to_le_bytes()).collect();
        fs::write(self.folder.join(HOMES_FILE), numbers)?;
        write_atomically(&self.folder.join("hash"), self.digest()?.as_bytes())
    }

    fn digest(&self) -> io::Result<String> {
        let mut hash = blake3::Hasher::new();
        for name in ["index.hnsw.graph", "index.hnsw.data", HOMES_FILE] {
            hash.update_reader(fs::File::open(self.folder.join(name))?)?;
        }
        Ok(hash.finalize().to_hex().to_string())
    }
}
