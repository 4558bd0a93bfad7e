//! Chooses the encoders and finds their files.

use std::{path::Path, time::Duration};

use banter_engine::embedding::{
    encoders::{EncoderSettings, Encoders},
    model::ModelSource,
};

use crate::config::{EmbeddingConfig, cores};

/// The encoders, each of which is loaded when a bot needs it.
pub fn encoders(config: &EmbeddingConfig, data_dir: &Path) -> Encoders {
    let settings = EncoderSettings {
        library: config.library.clone(),
        max_tokens: config.max_tokens,
        threads: if config.threads == 0 { cores() } else { config.threads },
        patience: Duration::from_millis(config.wait_ms),
        recent: config.recent,
    };
    let Some(name) = &config.model else { return Encoders::in_folder(&config.path, &config.encoders, &settings) };
    // The E5 models were trained with prefixes.
    let usual = if name.to_lowercase().contains("e5") { "query: " } else { "" };
    let prefix = config.prefix.clone().unwrap_or_else(|| usual.to_owned());
    let source = ModelSource::Name { name: name.clone(), cache: data_dir.join("models"), prefix };
    Encoders::single(source, &settings)
}
