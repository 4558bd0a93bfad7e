//! Shared code of the benches: the model, data sets, metrics, a client, and the server process.

#![warn(clippy::unwrap_used)]

pub mod alterations;
pub mod chart;
pub mod data;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod server;
pub mod table;
pub mod texts;
pub mod vectors;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use banter_engine::{
    Engine, Request, Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{
        Embedder, Embedding, EmbeddingError,
        encoders::{EncoderSettings, Encoders, usual},
    },
    handlers::plugin::NoPlugins,
    language::Language,
    policy::Ceiling,
    state::DialogueState,
    turn::Message,
};

/// The root folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder of the encoders.
pub fn encoder_folder() -> PathBuf {
    root().join(".cache/encoders")
}

/// The server's encoders, which refuse nobody.
pub fn encoders() -> Encoders {
    encoders_of(&usual())
}

/// Other encoders for each language, by the names of their folders.
pub fn encoders_of(by_language: &BTreeMap<String, Vec<String>>) -> Encoders {
    let library = root().join(".cache/onnxruntime/libonnxruntime.so");
    let settings =
        EncoderSettings { library, max_tokens: 256, threads: cores(), patience: Duration::MAX, recent: 10_000 };
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

/// The demo bot, without its plugins.
pub fn demo() -> Bundle {
    let mut diagnostics = Diagnostics::default();
    let mut bundle = Bundle::read(root(), &mut diagnostics).unwrap_or_else(|error| fail(&error.to_string()));
    bundle.files.retain(|path, _| !path.ends_with(".wasm"));
    bundle
}

/// A snapshot of a bot without plugins; its vectors are kept between runs.
pub fn snapshot(engine: &Engine, bundle: &Bundle) -> Snapshot {
    let mut diagnostics = Diagnostics::default();
    let loaded = loader::load(bundle, engine.scripting(), &NoPlugins, &Ceiling::unlimited(), &mut diagnostics);
    let catalogue = loaded.unwrap_or_else(|| fail(&diagnostics.render(false)));
    let embedder = engine.embedder(&catalogue).unwrap_or_else(|error| fail(&format!("{error}; {}", error.hint())));
    let folder = cache_folder().join("snapshot");
    let built = Snapshot::build(Arc::new(catalogue), &*embedder, Some(&folder), &mut |_| {});
    built.unwrap_or_else(|error| fail(&error.to_string())).0
}

/// The intent of a first message.
pub fn first_intent(engine: &Engine, snapshot: &Snapshot, text: &str) -> Option<String> {
    let (state, message) = (DialogueState::default(), Message { text, user: 1, dialogue: 1, seed: 1 });
    let turn = engine.reply(snapshot, Request::new(snapshot, message, &state, jiff::Timestamp::UNIX_EPOCH));
    turn.unwrap_or_else(|error| fail(&error.to_string())).intent.map(|intent| intent.to_string())
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
