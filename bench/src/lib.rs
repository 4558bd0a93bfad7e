//! What the benches share: the model, data files, numbers.

#![warn(clippy::unwrap_used)]

pub mod data;
pub mod http;
pub mod metrics;
pub mod server;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::embedding::{
    Embedder, EmbeddingError,
    model::{Model, ModelOptions, ModelSource},
    worker::EmbeddingWorker,
};

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// How the benches run the model: as the server does by default.
pub fn model_options() -> ModelOptions {
    ModelOptions {
        library: root().join(".cache/onnxruntime/libonnxruntime.so"),
        source: ModelSource::Folder(root().join(".cache/model")),
        prefix: "query: ".to_owned(),
        max_tokens: 256,
        threads: cores(),
    }
}

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The model behind its worker.
///
/// # Errors
/// Those of loading.
pub fn embedder() -> Result<Arc<dyn Embedder>, EmbeddingError> {
    Ok(Arc::new(EmbeddingWorker::new(Model::load(&model_options())?, 100_000)))
}

/// Where benches keep vectors between runs.
pub fn cache_folder() -> PathBuf {
    root().join(".cache/bench")
}

/// Ends a bench with a message.
pub fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}
