//! Putting the parts together: the only place that knows which backend and which model are used.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use banter_engine::{
    Engine,
    embedding::{
        Embedder, EmbeddingError,
        model::{Model, ModelOptions, ModelSource},
        recent::RecentTexts,
        worker::EmbeddingWorker,
    },
    handlers::script::Scripting,
    host::Host,
};
use tokio::runtime::Handle;

use crate::{
    accounts::Accounts,
    catalogs::{self, Catalogs},
    config::{Config, EmbeddingConfig, Rules},
    conversations::Conversations,
    failure::Failure,
    host::ServerHost,
    passwords::Passwords,
    progress::BuildBar,
    secret_file,
    stores::{
        Stores,
        memory::{MemoryLimits, MemorySessions},
        sqlite::SqliteStore,
    },
    tokens::Tokens,
    web::{App, ChannelAccess, cores},
};

/// The embedded store's file in the data folder.
const DATABASE: &str = "banter.db";

/// The model behind its worker and its memory of recent texts.
///
/// # Errors
/// What is missing or broken, and how to get it.
pub fn embedder(config: &EmbeddingConfig) -> Result<Arc<dyn Embedder>, Failure> {
    let failed = |error: EmbeddingError| Failure::usage(error.to_string(), error.hint());
    let model = Model::load(&model_options(config)).map_err(failed)?;
    let worker = EmbeddingWorker::new(model, config.queue);
    Ok(Arc::new(RecentTexts::new(Arc::new(worker), config.recent)))
}

fn model_options(config: &EmbeddingConfig) -> ModelOptions {
    let source = match &config.model {
        Some(name) => ModelSource::Name { name: name.clone(), cache: ".cache/models".into() },
        None => ModelSource::Folder(config.path.clone()),
    };
    // The E5 family was trained with prefixes; its small multilingual member is the default model.
    let is_e5 = config.model.as_ref().is_none_or(|name| name.to_lowercase().contains("e5"));
    let prefix = config.prefix.clone().unwrap_or_else(|| if is_e5 { "query: ".to_owned() } else { String::new() });
    ModelOptions {
        library: config.library.clone(),
        source,
        prefix,
        max_tokens: config.max_tokens.max(8),
        threads: if config.threads == 0 { cores() } else { config.threads },
    }
}

/// A server's parts, before HTTP.
pub struct Assembly {
    /// For routes.
    pub app: App,
    /// To be closed at the end.
    pub store: SqliteStore,
    /// For `serve` to tell.
    pub intents: usize,
}

/// Opens stores, loads model and bot, and joins them.
///
/// # Errors
/// Whatever keeps the server from answering.
pub async fn assemble(config: &Config, rules: Rules, colour: bool) -> Result<Assembly, Failure> {
    private_folder(&config.data_dir).map_err(|error| {
        Failure::usage(
            format!("the data folder {} cannot be made: {error}", config.data_dir.display()),
            "name another with --data-dir",
        )
    })?;
    // The model takes the longest to load; files and store are read meanwhile.
    let embedding = config.embedding.clone();
    let loading = tokio::task::spawn_blocking(move || embedder(&embedding));
    let store = SqliteStore::open(&config.data_dir.join(DATABASE), &config.sqlite).await.map_err(|error| {
        Failure::usage(
            error.to_string(),
            "check the data folder's owner and free space, or name another with --data-dir",
        )
    })?;
    let scripting = Arc::new(Scripting::new());
    let catalogue = catalogs::load_good(&config.bot, &scripting, colour)?;
    let intents = catalogue.intents.len();
    let embedder = loading.await.map_err(|error| Failure::usage(error.to_string(), "see the log"))??;

    let turns = Arc::new(store.clone());
    let host: Arc<dyn Host> = Arc::new(ServerHost::new(Handle::current(), turns.clone()));
    let engine = Arc::new(Engine::new(embedder, scripting, host));
    let bar = BuildBar::default();
    let folder = config.data_dir.join("index");
    let (snapshot, report) = tokio::task::block_in_place(|| {
        catalogs::build(catalogue, &engine, Some(&folder), &mut |stage| bar.show(stage))
    })?;
    drop(bar);
    tracing::info!(
        intents,
        embedded = report.embedded,
        trained = !report.reused,
        index = snapshot.classifier.index_name(),
        version = snapshot.catalogue.version,
        "the bot is ready"
    );
    let sessions = MemorySessions::new(Duration::from_secs(u64::from(config.auth.access_minutes) * 60));
    let stores = Stores {
        users: turns.clone(),
        dialogs: turns.clone(),
        turns,
        sessions: Arc::new(sessions),
        limits: Arc::new(MemoryLimits::default()),
    };
    let app = application(config, rules, stores, engine, Arc::new(Catalogs::new(snapshot)))?;
    Ok(Assembly { app, store, intents })
}

/// A folder that nobody else reads, and in it a database file that nobody else reads: it holds conversations.
fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(DATABASE));
    made.map(drop)
}

/// The use-cases over given stores and engine.
///
/// # Errors
/// When there is no secret and none can be made.
pub fn application(
    config: &Config,
    rules: Rules,
    stores: Stores,
    engine: Arc<Engine>,
    catalogs: Arc<Catalogs>,
) -> Result<App, Failure> {
    let secret = match &config.auth.secret {
        Some(secret) => secret.clone(),
        None => secret_file::read_or_make(&config.data_dir)?,
    };
    let tokens = Tokens::new(&secret, &config.auth.algorithm);
    let parallel = if config.auth.parallel_hashes == 0 { cores() } else { config.auth.parallel_hashes };
    let passwords = Passwords::new(parallel, config.auth.waiting_hashes);
    let accounts = Accounts::new(stores.clone(), tokens, passwords, &config.auth);
    let conversations = Conversations::new(engine, catalogs, stores.clone(), config.limits.parallel_turns);
    Ok(App {
        accounts: Arc::new(accounts),
        conversations: Arc::new(conversations),
        stores,
        channel: ChannelAccess::of(config, rules),
        health_key: config.health.key.clone(),
        front: config.front.clone(),
        body_bytes: config.limits.body_bytes,
    })
}
