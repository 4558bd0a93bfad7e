//! Turns texts into vectors. The rest of the engine sees only [`Embedding`] and [`Embedder`]; behind them are the
//! encoders of each language, their batching workers and the cache of recent texts.

pub mod encoders;
pub mod hashed;
pub mod model;
mod queue;
pub mod recent;
pub mod worker;

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::language::Language;

/// An L2-normalised vector of [`Embedder::blocks`].
pub type Vector = Arc<[f32]>;

/// The embedders of all languages.
pub trait Embedding: Send + Sync {
    /// The embedder of a bot that speaks these languages.
    ///
    /// # Errors
    /// An encoder of these languages cannot be loaded.
    fn of(&self, languages: &[Language]) -> Result<Arc<dyn Embedder>, EmbeddingError>;

    /// Whether everything that is loaded can still embed texts.
    fn is_alive(&self) -> bool;
}

/// One embedder, whatever the languages.
pub struct AnyLanguage(pub Arc<dyn Embedder>);

impl Embedding for AnyLanguage {
    fn of(&self, _: &[Language]) -> Result<Arc<dyn Embedder>, EmbeddingError> {
        Ok(Arc::clone(&self.0))
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }
}

/// Turns texts into vectors. Implementations are deterministic: up to rounding in the last digits, a text has one
/// vector, whatever else is in the batch.
pub trait Embedder: Send + Sync {
    /// Identifies the encoders and their versions. Vectors with different ids must never be compared.
    fn id(&self) -> &str;

    /// The number of components of each block of a vector. A block is an encoder's vector, or zeros if the encoder does
    /// not serve the text's language.
    fn blocks(&self) -> &[usize];

    /// Whether texts can still be embedded.
    fn is_alive(&self) -> bool;

    /// Whether the model need not be run for a text.
    fn remembers(&self, text: &str) -> bool;

    /// Returns one vector per text, in order. Texts must be normalised (`text::normalize`).
    ///
    /// # Errors
    /// [`EmbeddingError::Busy`] if a new turn would wait too long, [`EmbeddingError::Failed`] if the model could not run.
    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError>;
}

/// Which texts come first when several wait for an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Those of a turn whose first texts were embedded.
    Begun,
    /// The first texts of a turn, which may be refused.
    New,
    /// Those for which no visitor waits, such as the examples of a bot.
    Patient,
}

/// Why there is no vector, or no model.
#[derive(Debug, Error)]
pub enum EmbeddingError {
    /// The texts would wait too long; the caller may try again.
    #[error("too many texts wait for the embedding model")]
    Busy,
    /// The model ran and failed.
    #[error("the embedding model failed: {0}")]
    Failed(String),
    /// ONNX Runtime could not be loaded.
    #[error("ONNX Runtime could not be loaded from {path}: {reason}")]
    Runtime {
        /// The path of the library.
        path: PathBuf,
        /// The loader's error.
        reason: String,
    },
    /// A file of the model is missing or cannot be read.
    #[error("the embedding model's file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// The files could be read but are not a valid model.
    #[error("the embedding model in {path} is broken: {reason}")]
    Broken {
        /// The folder, or the name of the model.
        path: PathBuf,
        /// The error of ONNX Runtime or the tokenizer.
        reason: String,
    },
    /// The model's name is not known to fastembed, or this build cannot use names.
    #[error("the embedding model \"{name}\" cannot be used: {reason}")]
    Name { name: String, reason: String },
    /// A known model could not be downloaded.
    #[error("the embedding model \"{name}\" could not be downloaded: {reason}")]
    Download { name: String, reason: String },
}

impl EmbeddingError {
    /// How to fix it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Busy => "try again, or raise embedding.wait_ms",
            Self::Failed(_) => "see the log; if it repeats, fetch the model again with `make setup`",
            Self::Runtime { .. } => {
                "run `make setup` in banter's folder, or set embedding.library to libonnxruntime.so 1.23 or newer"
            }
            Self::File { .. } | Self::Broken { .. } => {
                "run `make setup` in banter's folder, or set embedding.path to a folder with your own encoders"
            }
            Self::Download { .. } => "check the network, or set embedding.path to a folder with encoders",
            Self::Name { .. } => "use a name that fastembed knows, such as MultilingualE5Small, or set embedding.path",
        }
    }
}

/// Scales a vector to length 1. A vector of zeros becomes the first unit vector, so that callers can
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
