//! Chooses the embedding model and finds its files.

use std::{path::Path, sync::Arc};

use banter_engine::embedding::{
    Embedder, EmbeddingError,
    model::{Model, ModelOptions, ModelSource},
    recent::RecentTexts,
    worker::EmbeddingWorker,
};

use crate::{
    config::{EmbeddingConfig, cores},
    setup::SetupError,
};

/// The model, behind a worker and a cache of recent texts.
///
/// # Errors
/// The model is missing or broken; the hint says how to get it.
pub fn embedder(config: &EmbeddingConfig, data_dir: &Path) -> Result<Arc<dyn Embedder>, SetupError> {
    let failed = |error: EmbeddingError| SetupError::new(error.to_string(), error.hint());
    let model = Model::load(&model_options(config, data_dir)).map_err(failed)?;
    let worker = EmbeddingWorker::new(model, config.queue);
    Ok(Arc::new(RecentTexts::new(Arc::new(worker), config.recent)))
}

fn model_options(config: &EmbeddingConfig, data_dir: &Path) -> ModelOptions {
    let source = match &config.model {
        Some(name) => ModelSource::Name { name: name.clone(), cache: data_dir.join("models") },
        None => ModelSource::Folder(config.path.clone()),
    };
    // The E5 models were trained with prefixes; the default model is the small multilingual one.
    let is_e5 = config.model.as_ref().is_none_or(|name| name.to_lowercase().contains("e5"));
    let prefix = config.prefix.clone().unwrap_or_else(|| if is_e5 { "query: ".to_owned() } else { String::new() });
    ModelOptions {
        library: config.library.clone(),
        source,
        prefix,
        max_tokens: config.max_tokens,
        threads: if config.threads == 0 { cores() } else { config.threads },
    }
}
