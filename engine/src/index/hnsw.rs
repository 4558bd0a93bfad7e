//! The approximate index for large catalogues (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor
//! search using Hierarchical Navigable Small World graphs", 2018), from `hnsw_rs`.
//!
//! The graph is stored on disk under a name derived from the vectors' hash. `hnsw_rs` panics on damaged files, so it
//! never reads files whose hash does not match.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hnsw_rs::prelude::{AnnT, DistDot, Hnsw as Graph, HnswIo};

use super::{IntentIndex, Neighbour, nearest_first, product::dot};
use crate::{embedding::Vector, storage::write_atomically};

const CONNECTIONS: usize = 16;
const LAYERS: usize = 16;
const BUILD_WIDTH: usize = 200;
/// Number of candidates that a search keeps. With it, recall@10 at 20,000 vectors is above 0.99 (`tests/index.rs`).
const SEARCH_WIDTH: usize = 96;
const FORMAT: &str = "hnsw-1";

/// A graph over L2-normalised vectors.
pub struct Hnsw {
    graph: Graph<'static, f32, DistDot>,
    vectors: Vec<Vector>,
}

impl Hnsw {
    /// Builds the graph, using all cores.
    pub fn build(vectors: &[Vector]) -> Self {
        let graph = Graph::new(CONNECTIONS, vectors.len().max(1), LAYERS, BUILD_WIDTH, DistDot {});
        let rows: Vec<(&[f32], usize)> = vectors.iter().enumerate().map(|(node, v)| (&v[..], node)).collect();
        graph.parallel_insert_slice(&rows);
        Self::over(graph, vectors)
    }

    /// Loads the graph of these vectors from `folder`. If it is missing or damaged, builds it and stores it there.
    pub fn open_or_build(vectors: &[Vector], folder: &Path) -> Self {
        let files = GraphFiles::of(vectors, folder);
        if let Some(graph) = files.load() {
            return Self::over(graph, vectors);
        }
        let built = Self::build(vectors);
        if let Err(error) = files.store(&built.graph) {
            tracing::warn!(%error, folder = %folder.display(), "cannot save the index; the next start builds it again");
        }
        built
    }

    fn over(mut graph: Graph<'static, f32, DistDot>, vectors: &[Vector]) -> Self {
        graph.set_searching_mode(true);
        Self { graph, vectors: vectors.to_vec() }
    }
}

impl IntentIndex for Hnsw {
    fn nearest(&self, query: &[f32], count: usize) -> Vec<Neighbour> {
        let width = SEARCH_WIDTH.max(count + 16);
        let mut found: Vec<Neighbour> = self
            .graph
            .search(query, count, width)
            .into_iter()
            .map(|near| Neighbour { node: near.d_id, similarity: dot(query, &self.vectors[near.d_id]) })
            .collect();
        found.sort_unstable_by(nearest_first);
        found
    }

    fn name(&self) -> &'static str {
        "hnsw"
    }
}

/// The files of one graph: `<folder>/<hash>/index.hnsw.{graph,data}`, and the hash of both.
struct GraphFiles {
    folder: PathBuf,
    parent: PathBuf,
}

impl GraphFiles {
    fn of(vectors: &[Vector], parent: &Path) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(FORMAT.as_bytes());
        vectors.iter().for_each(|v| {
            hash.update(bytemuck::cast_slice(v));
        });
        let name = hash.finalize().to_hex()[..32].to_owned();
        Self { folder: parent.join(name), parent: parent.to_owned() }
    }

    fn load(&self) -> Option<Graph<'static, f32, DistDot>> {
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
        reader.load_hnsw_with_dist(DistDot {}).inspect_err(|error| damaged(error)).ok()
    }

    /// Stores the graph and removes older ones.
    fn store(&self, graph: &Graph<'static, f32, DistDot>) -> io::Result<()> {
        if self.parent.exists() {
            fs::remove_dir_all(&self.parent)?;
        }
        fs::create_dir_all(&self.folder)?;
        graph.file_dump(&self.folder, "index").map_err(io::Error::other)?;
        write_atomically(&self.folder.join("hash"), self.digest()?.as_bytes())
    }

    fn digest(&self) -> io::Result<String> {
        let mut hash = blake3::Hasher::new();
        for name in ["index.hnsw.graph", "index.hnsw.data"] {
            hash.update_reader(fs::File::open(self.folder.join(name))?)?;
        }
        Ok(hash.finalize().to_hex().to_string())
    }
}
