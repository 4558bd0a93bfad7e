//! Which model is used, and where it lies.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::embedding::{
    Embedder, EmbeddingError,
    model::{Model, ModelOptions, ModelSource},
    recent::RecentTexts,
    worker::EmbeddingWorker,
};

use crate::{config::EmbeddingConfig, failure::Failure, web::cores};

/// The model behind its worker and its memory of recent texts.
///
/// # Errors
/// What is missing or broken, and how to get it.
pub fn embedder(config: &EmbeddingConfig, data_dir: &Path) -> Result<Arc<dyn Embedder>, Failure> {
    let failed = |error: EmbeddingError| Failure::usage(error.to_string(), error.hint());
    let model = Model::load(&model_options(config, data_dir)).map_err(failed)?;
    let worker = EmbeddingWorker::new(model, config.queue);
    Ok(Arc::new(RecentTexts::new(Arc::new(worker), config.recent)))
}

fn model_options(config: &EmbeddingConfig, data_dir: &Path) -> ModelOptions {
    let source = match &config.model {
        Some(name) => ModelSource::Name { name: name.clone(), cache: data_dir.join("models") },
        None => ModelSource::Folder(nearest(&config.path)),
    };
    // The E5 family was trained with prefixes; its small multilingual member is the default model.
    let is_e5 = config.model.as_ref().is_none_or(|name| name.to_lowercase().contains("e5"));
    let prefix = config.prefix.clone().unwrap_or_else(|| if is_e5 { "query: ".to_owned() } else { String::new() });
    ModelOptions {
        library: nearest(&config.library),
        source,
        prefix,
        max_tokens: config.max_tokens,
        threads: if config.threads == 0 { cores() } else { config.threads },
    }
}

/// A relative path as it is found from here or, since a bot may lie anywhere, from a folder above the program; where it is nowhere, what
/// it would be from here, to be told.
fn nearest(path: &Path) -> PathBuf {
    if path.is_absolute() || path.exists() {
        return path.to_owned();
    }
    let program = std::env::current_exe().unwrap_or_default();
    let found = program.ancestors().skip(1).map(|folder| folder.join(path)).find(|found| found.exists());
    found.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.to_owned())
}
