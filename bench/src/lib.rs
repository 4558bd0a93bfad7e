//! Shared code of the benches: the model, data sets, metrics, a client, and the server process.

#![warn(clippy::unwrap_used)]

pub mod data;
pub mod http;
pub mod metrics;
pub mod server;
pub mod table;
pub mod texts;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::{
    embedding::{
        Embedder, Embedding, EmbeddingError,
        encoders::{EncoderSettings, Encoders, usual},
    },
    language::Language,
};

/// The root folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder of the encoders.
pub fn encoder_folder() -> PathBuf {
    root().join(".cache/encoders")
}

/// The server's encoders, with a queue for all texts of a data set.
pub fn encoders() -> Encoders {
    encoders_of(&usual())
}

/// Other encoders for each language, by the names of their folders.
pub fn encoders_of(by_language: &BTreeMap<String, Vec<String>>) -> Encoders {
    let library = root().join(".cache/onnxruntime/libonnxruntime.so");
    let settings = EncoderSettings { library, max_tokens: 256, threads: cores(), queue: 100_000, recent: 10_000 };
    Encoders::in_folder(&encoder_folder(), by_language, &settings)
}

/// Available CPU cores; 1 if unknown.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The encoders of English texts.
///
/// # Errors
/// When an encoder cannot be loaded.
pub fn embedder() -> Result<Arc<dyn Embedder>, EmbeddingError> {
    encoders().of(&english())
}

/// A bot in English only.
pub fn english() -> Vec<Language> {
    Language::new("en").into_iter().collect()
}

/// The folder where benches keep vectors between runs.
pub fn cache_folder() -> PathBuf {
    root().join(".cache/bench")
}

/// Ends the process with an error message and exit status 2.
pub fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}
