//! Texts to vectors. [`Embedder`] is what the rest of the engine sees; the model, the batching worker and the memory of
//! recent texts are behind it.

pub mod hashed;
pub mod model;
pub mod recent;
pub mod worker;

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

/// An L2-normalised vector of [`Embedder::dimension`] components.
pub type Vector = Arc<[f32]>;

/// Turns texts into vectors. Implementations are deterministic: one text, one vector, whatever else is in the batch (up to
/// rounding in the last digits).
pub trait Embedder: Send + Sync {
    /// Names the model and its version; vectors of different ids must never be compared.
    fn id(&self) -> &str;

    /// Number of components of each vector.
    fn dimension(&self) -> usize;

    /// Whether texts can still be embedded.
    fn is_alive(&self) -> bool;

    /// Whether the model need not be run for a text.
    fn remembers(&self, text: &str) -> bool;

    /// One vector for each text, in order. Texts are expected to be normalised (`text::normalize`).
    ///
    /// # Errors
    /// [`EmbeddingError::Busy`] when the queue is full, [`EmbeddingError::Failed`] when the model could not run.
    fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError>;
}

/// Why there is no vector, or no model.
#[derive(Debug, Error)]
pub enum EmbeddingError {
    /// The queue is full; the caller may try again.
    #[error("the embedding queue is full")]
    Busy,
    /// The model ran and failed.
    #[error("the embedding model failed: {0}")]
    Failed(String),
    /// ONNX Runtime could not be loaded.
    #[error("ONNX Runtime could not be loaded from {path}: {reason}")]
    Runtime {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A file of the model is missing or cannot be read.
    #[error("the embedding model's file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The files were read, and are no model.
    #[error("the embedding model in {path} is broken: {reason}")]
    Broken {
        /// The folder, or the name of the model.
        path: PathBuf,
        /// What ONNX Runtime or the tokenizer said.
        reason: String,
    },
    /// A name that fastembed does not know.
    #[error("the embedding model \"{name}\" cannot be used: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A model that fastembed knows and could not get.
    #[error("the embedding model \"{name}\" could not be downloaded: {reason}")]
    Download {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl EmbeddingError {
    /// How to mend it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Busy => "try again, or raise embedding.queue",
            Self::Failed(_) => "see the log; if it repeats, fetch the model again with `make setup`",
            Self::Runtime { .. } => {
                "run `make setup` in banter's folder, or set embedding.library to libonnxruntime.so 1.23 or newer"
            }
            Self::File { .. } | Self::Broken { .. } => {
                "run `make setup` in banter's folder, or set embedding.path to a folder with model.onnx and its tokenizer files"
            }
            Self::Download { .. } => {
                "it comes from the model hub: check the network, or set embedding.path to a folder with the model"
            }
            Self::Name { .. } => "use a name that fastembed knows, such as MultilingualE5Small, or set embedding.path",
        }
    }
}

/// Scales a vector to length 1; a vector of zeros (or one with NaN) becomes the first unit vector, so that every caller may
/// rely on the length.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt() as f32;
    if length.is_finite() && length > 1e-12 {
        vector.iter_mut().for_each(|x| *x /= length);
    } else {
        vector.fill(0.0);
        if let Some(first) = vector.first_mut() {
            *first = 1.0;
        }
    }
}
