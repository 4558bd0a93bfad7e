//! Shared code of the benches: the model, data sets, metrics, a client, and the server process.

#![warn(clippy::unwrap_used)]

pub mod data;
pub mod http;
pub mod metrics;
pub mod server;
pub mod table;
pub mod texts;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::embedding::{
    Embedder, EmbeddingError,
    model::{Model, ModelOptions, ModelSource},
    worker::EmbeddingWorker,
};

/// The root folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The options of the model: the server's defaults.
pub fn model_options() -> ModelOptions {
    ModelOptions {
        library: root().join(".cache/onnxruntime/libonnxruntime.so"),
        source: ModelSource::Folder(root().join(".cache/model")),
        prefix: "query: ".to_owned(),
        max_tokens: 256,
        threads: cores(),
    }
}

/// Available CPU cores; 1 if unknown.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The model behind its worker.
///
/// # Errors
/// When the model cannot be loaded.
pub fn embedder() -> Result<Arc<dyn Embedder>, EmbeddingError> {
    Ok(Arc::new(EmbeddingWorker::new(Model::load(&model_options())?, 100_000)))
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
