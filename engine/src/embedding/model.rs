//! The real model: fastembed on ONNX Runtime, loaded from a folder or by a name that fastembed downloads.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;
use serde::Deserialize;

use super::{EmbeddingError, Vector, normalize};

/// Stops ONNX Runtime's threads after each run. Otherwise they spin on cores that the server needs.
const SPINNING: (&str, &str) = ("session.force_spinning_stop", "1");

/// Which model to load, and how to run it.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Path of `libonnxruntime.so`.
    pub library: PathBuf,
    /// Where the model comes from.
    pub source: ModelSource,
    /// Longer inputs are cut after this number of tokens.
    pub max_tokens: usize,
    /// Number of threads for one run of the model.
    pub threads: usize,
}

/// encoder.json of a folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderFile {
    prefix: String,
}

/// Where a model comes from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A folder with model.onnx, tokenizer.json, config.json, special_tokens_map.json, tokenizer_config.json and
    /// encoder.json, which has the prefix of each text ("query: " for the E5 family).
    Folder(PathBuf),
    /// A name that fastembed knows; the download is kept in `cache`.
    Name {
        /// For example `MultilingualE5Small`.
        name: String,
        /// The folder for downloads.
        cache: PathBuf,
        /// The prefix of each text.
        prefix: String,
    },
}

/// A loaded model. `run` takes `&mut self`, so the worker owns it.
pub struct Model {
    embedding: TextEmbedding,
    prefix: String,
    id: String,
    dimension: usize,
    letters: Arc<HashSet<char>>,
}

impl Model {
    /// Loads the runtime and the model, and runs the model once.
    ///
    /// # Errors
    /// Every variant except `Busy`.
    pub fn load(options: &ModelOptions) -> Result<Self, EmbeddingError> {
        let environment = runtime(&options.library)?;
        let (embedding, mark, prefix) = match &options.source {
            ModelSource::Folder(folder) => from_folder(folder, environment, options)?,
            ModelSource::Name { name, cache, prefix } => {
                let (embedding, mark) = from_name(name, cache, environment, options)?;
                (embedding, mark, prefix.clone())
            }
        };
        let id = format!("{mark}/{}/{}", prefix.trim(), options.max_tokens);
        let pieces = embedding.tokenizer.get_vocab(false);
        let letters = Arc::new(pieces.keys().flat_map(|piece| piece.chars()).collect());
        let mut model = Self { embedding, prefix, id, dimension: 0, letters };
        model.dimension = model.run(&["warm up".to_owned()])?[0].len();
        Ok(model)
    }

    /// See [`super::Embedder::id`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of components of each vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The characters of the tokenizer's pieces. All others are one and the same unknown piece to the model.
    pub fn letters(&self) -> &Arc<HashSet<char>> {
        &self.letters
    }

    /// Embeds a batch in one run of the model; `texts` must not be empty.
    ///
    /// # Errors
    /// [`EmbeddingError::Failed`].
    pub fn run(&mut self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        let prefixed: Vec<String> = texts.iter().map(|text| format!("{}{text}", self.prefix)).collect();
        let rows = self
            .embedding
            .embed(&prefixed, Some(prefixed.len()))
            .map_err(|error| EmbeddingError::Failed(error.to_string()))?;
        if rows.len() != texts.len() {
            return Err(EmbeddingError::Failed(format!("{} vectors for {} texts", rows.len(), texts.len())));
        }
        if rows.iter().flatten().any(|component| !component.is_finite()) {
            return Err(EmbeddingError::Failed(
                "the model returned a vector with a value that is not a number".to_owned(),
            ));
        }
        Ok(rows
            .into_iter()
            .map(|mut row| {
                normalize(&mut row);
                Arc::from(row)
            })
            .collect())
    }
}

/// The single ONNX Runtime of the process. `ort` panics on first use if the library is missing, so it is loaded here.
fn runtime(library: &Path) -> Result<Environment, EmbeddingError> {
    static LOADED: OnceLock<Mutex<Option<Environment>>> = OnceLock::new();
    let failed = |reason: String| EmbeddingError::Runtime { path: library.to_owned(), reason };
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(environment) = loaded.as_ref() {
        return Ok(environment.clone());
    }
    // Tokenizing in rayon's pool would block for ever where all threads of the pool wait for a vector.
    tokenizers::utils::parallelism::set_parallelism(false);
    let path = fs::canonicalize(library).map_err(|error| failed(error.to_string()))?;
    let builder = ort::init_from(path).map_err(|error| failed(error.to_string()))?;
    let environment = builder.build().map_err(|error| failed(error.to_string()))?;
    Ok(loaded.insert(environment).clone())
}

fn from_folder(
    folder: &Path,
    environment: Environment,
    options: &ModelOptions,
) -> Result<(TextEmbedding, String, String), EmbeddingError> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|error| EmbeddingError::File { path, reason: error.to_string() })
    };
    let onnx = read("model.onnx")?;
    let tokenizer = TokenizerFiles {
        tokenizer_file: read("tokenizer.json")?,
        config_file: read("config.json")?,
        special_tokens_map_file: read("special_tokens_map.json")?,
        tokenizer_config_file: read("tokenizer_config.json")?,
    };
    let broken = |reason: String| EmbeddingError::Broken { path: folder.to_owned(), reason };
    let encoder: EncoderFile =
        serde_json::from_slice(&read("encoder.json")?).map_err(|error| broken(format!("encoder.json: {error}")))?;
    let mut hash = blake3::Hasher::new();
    hash.update(&onnx).update(&tokenizer.tokenizer_file);
    let mark = hash.finalize().to_hex()[..16].to_owned();

    let model = UserDefinedEmbeddingModel::new(onnx, tokenizer).with_pooling(Pooling::Mean);
    let settings = InitOptionsUserDefined::new()
        .with_environment(environment)
        .with_max_length(options.max_tokens)
        .with_intra_threads(options.threads)
        .with_session_config(SPINNING.0, SPINNING.1);
    let embedding =
        TextEmbedding::try_new_from_user_defined(model, settings).map_err(|error| broken(error.to_string()))?;
    Ok((embedding, mark, encoder.prefix))
}

fn from_name(
    name: &str,
    cache: &Path,
    environment: Environment,
    options: &ModelOptions,
) -> Result<(TextEmbedding, String), EmbeddingError> {
    let unknown = |reason: String| EmbeddingError::Name { name: name.to_owned(), reason };
    let model: fastembed::EmbeddingModel = name.parse().map_err(unknown)?;
    let settings = fastembed::TextInitOptions::new(model)
        .with_environment(environment)
        .with_cache_dir(cache.to_owned())
        .with_max_length(options.max_tokens)
        .with_intra_threads(options.threads)
        .with_session_config(SPINNING.0, SPINNING.1);
    let failed = |reason: String| EmbeddingError::Download { name: name.to_owned(), reason };
    let embedding = TextEmbedding::try_new(settings).map_err(|error| failed(error.to_string()))?;
    Ok((embedding, name.to_owned()))
}
