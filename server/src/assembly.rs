//! Putting the parts together: the only place that knows which backend and which model are used.

mod folder;
mod model;

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use banter_engine::{
    Engine,
    catalogue::{Catalogue, bundle::Bundle, fault::Faults},
    handlers::{plugin::PluginRuntime, script::Scripting},
    host::Host,
};
use banter_sandbox::Sandbox;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    accounts::Accounts,
    catalogs::{
        self, Catalogs,
        contents::Contents,
        gate::Gate,
        releases::{Actor, ReleaseError, ReleaseLimits, Releases, Wish},
        serving::Serving,
        show,
        source::Source,
    },
    config::{Config, Rules},
    conversations::Conversations,
    failure::Failure,
    host::ServerHost,
    metrics::Metrics,
    passwords::Passwords,
    progress::{BuildBar, StepBar},
    secret_file,
    stores::{
        StoreError, Stores,
        catalog::VersionRecord,
        external::External,
        memory::{LocalBus, MemoryLimits, MemorySessions, NoCache},
        sqlite::SqliteStore,
    },
    tokens::Tokens,
    web::{App, ChannelAccess, cores, guard::admin::AdminKeys},
};

pub use folder::make_data_folder;
use folder::{lock, private_file};
pub use model::embedder;

/// The embedded store's file in the data folder.
const DATABASE: &str = "banter.db";
/// Uploads of bots at a time.
const UPLOADS: usize = 3;

/// A server's parts, before HTTP.
pub struct Assembly {
    /// For routes.
    pub app: App,
    /// To be closed at the end.
    pub backend: Backend,
    /// The bot, for `serve` to tell of.
    pub catalogue: Arc<Catalogue>,
    /// Keeps others from the embedded store as long as it lives.
    pub lock: Option<File>,
}

/// The stores that are in use.
pub enum Backend {
    /// A file.
    Embedded(SqliteStore),
    /// PostgreSQL, MongoDB and Redis.
    External(Box<External>),
}

impl Backend {
    /// Opens the stores that the configuration names.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let Some(urls) = config.stores.urls()? else {
            let path = config.data_dir.join(DATABASE);
            let failed = |cause: String| {
                Failure::usage(cause, "check the data folder's owner and free space, or name another with --data-dir")
            };
            private_file(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
            let opened = SqliteStore::open(&path, &config.sqlite).await;
            return opened.map(Self::Embedded).map_err(|error| failed(error.to_string()));
        };
        let external = External::open(&urls, &config.stores, session_life(config)).await.map_err(|error| {
            Failure::usage(error.to_string(), "check that the store runs and that its URL (stores.*) is right")
        })?;
        Ok(Self::External(Box::new(external)))
    }

    /// The stores as the use-cases want them.
    pub fn stores(&self, config: &Config) -> Stores {
        match self {
            Self::External(external) => external.stores(),
            Self::Embedded(store) => {
                let store = Arc::new(store.clone());
                Stores {
                    users: store.clone(),
                    dialogs: store.clone(),
                    turns: store.clone(),
                    catalog: store.clone(),
                    sessions: Arc::new(MemorySessions::new(session_life(config), store.clone())),
                    cache: Arc::new(NoCache),
                    limits: Arc::new(MemoryLimits::default()),
                    bus: Arc::new(LocalBus::default()),
                }
            }
        }
    }

    /// Ends when all that was handed in is stored.
    pub async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::External(external) => external.close().await,
        }
    }
}

fn session_life(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.auth.access_minutes) * 60)
}

/// Opens stores, loads model and bot, and joins them.
///
/// # Errors
/// Whatever keeps the server from answering.
pub async fn assemble(config: &Config, rules: Rules, colour: bool) -> Result<Assembly, Failure> {
    make_data_folder(config)?;
    let lock = if config.stores.urls()?.is_none() { Some(lock(&config.data_dir)?) } else { None };
    // The model takes the longest to load; files and store are read meanwhile.
    let (embedding, data_dir) = (config.embedding.clone(), config.data_dir.clone());
    let loading = tokio::task::spawn_blocking(move || embedder(&embedding, &data_dir));
    let backend = Backend::open(config).await?;
    let stores = backend.stores(config);
    let scripting = Arc::new(Scripting::new());
    let sandbox = Arc::new(sandbox(config, Handle::current()));
    let parts = Parts { config, stores: stores.clone(), scripting, sandbox };
    let origin = parts.origin(watches(config, rules), colour).await?;
    let embedder = loading.await.map_err(|error| Failure::usage(error.to_string(), "see the log"))??;
    let host: Arc<dyn Host> = Arc::new(ServerHost::new(Handle::current(), stores.turns.clone()));
    let engine = Arc::new(Engine::new(embedder, parts.scripting.clone(), host));
    let releases = parts.releases(&engine, origin).await?;
    let line = releases.line();
    let snapshot = &line.stable.snapshot;
    let catalogue = Arc::clone(&snapshot.catalogue);
    tracing::info!(
        intents = catalogue.intents.len(),
        index = snapshot.classifier.index_name(),
        version = line.stable.id,
        catalogue = snapshot.catalogue.version,
        "the bot is ready"
    );
    let mut metrics = Metrics::new(Some(parts.sandbox.clone()));
    metrics.watch(Arc::clone(&releases));
    let app = application(config, rules, stores, engine, releases, metrics)?;
    let (conversations, releases, signs) = (app.conversations.clone(), app.releases.clone(), app.releases.clone());
    tokio::spawn(async move { conversations.follow_bus().await });
    tokio::spawn(async move { releases.keep_following().await });
    tokio::spawn(async move { signs.keep_announcing().await });
    Ok(Assembly { app, backend, catalogue, lock })
}

/// Whether the server follows the bot's folder: where its author works on it, and nobody else.
pub fn watches(config: &Config, rules: Rules) -> bool {
    config.reload.watch.unwrap_or(rules == Rules::Dev && config.stores.postgres.is_none())
}

/// What is there before the bot.
struct Parts<'a> {
    config: &'a Config,
    stores: Stores,
    scripting: Arc<Scripting>,
    sandbox: Arc<Sandbox>,
}

/// What a server begins with.
enum Origin {
    /// The version that the store names.
    Store(Box<VersionRecord>),
    /// The bot's folder: nothing was published yet, or it is followed and has become another one.
    Folder(Box<Catalogue>, Bundle, Faults, Option<Box<VersionRecord>>),
}

impl Parts<'_> {
    /// What the store says counts. A folder counts when nothing was published yet, and where it is followed.
    async fn origin(&self, follows: bool, colour: bool) -> Result<Origin, Failure> {
        let failed = |error: StoreError| Failure::usage(error.to_string(), "check the store, and start again");
        let activation = self.stores.catalog.activation().await.map_err(failed)?;
        let stored = match &activation {
            Some(activation) => self.stores.catalog.version(&activation.version).await.map_err(failed)?,
            None => None,
        };
        if let (Some(record), false) = (&stored, follows) {
            return Ok(Origin::Store(Box::new(record.clone())));
        }
        let mut faults = Faults::default();
        let bundle = catalogs::read(&self.config.bot, &mut faults)?;
        match stored {
            Some(record) if bundle.manifest().id() == record.id => Ok(Origin::Store(Box::new(record))),
            stored => {
                let (scripting, sandbox) = (&self.scripting, &*self.sandbox);
                // Plugins that are new are compiled.
                let _bar = BuildBar::default();
                let loaded = catalogs::load_bundle(&self.config.bot, &bundle, &faults, scripting, sandbox, colour);
                match (loaded, stored.map(Box::new)) {
                    (Ok(catalogue), stored) => Ok(Origin::Folder(Box::new(catalogue), bundle, faults, stored)),
                    (Err(failure), Some(stored)) => {
                        not_taken(&failure);
                        Ok(Origin::Store(stored))
                    }
                    (Err(failure), None) => Err(failure),
                }
            }
        }
    }

    async fn releases(&self, engine: &Arc<Engine>, origin: Origin) -> Result<Arc<Releases>, Failure> {
        let record = match origin {
            Origin::Store(record) => record,
            Origin::Folder(catalogue, bundle, faults, stored) => {
                let folder = self.config.data_dir.join("index");
                let bar = BuildBar::default();
                let (snapshot, _) = tokio::task::block_in_place(|| {
                    catalogs::build(*catalogue, engine, Some(&folder), &mut |stage| bar.show(stage))
                })?;
                drop(bar);
                let serving = Serving::new(bundle.manifest().id(), snapshot);
                let releases = self.join(engine, self.gate(engine)?, serving);
                match (self.take_folder(&releases, bundle, faults).await, stored) {
                    (Ok(()), _) => return Ok(releases),
                    (Err(failure), None) => return Err(failure),
                    (Err(failure), Some(stored)) => {
                        not_taken(&failure);
                        stored
                    }
                }
            }
        };
        let gate = self.gate(engine)?;
        let serving = stored_version(&self.stores, engine, &gate, &record, &self.config.data_dir).await?;
        let releases = self.join(engine, gate, serving);
        // A canary, too.
        releases.follow().await;
        Ok(releases)
    }

    fn gate(&self, engine: &Arc<Engine>) -> Result<Gate, Failure> {
        let plugins: Arc<dyn PluginRuntime> = self.sandbox.clone();
        let gate = Gate::new(engine, self.scripting.clone(), plugins, &self.config.data_dir);
        gate.map_err(|error| Failure::usage(error.to_string(), "check the limits of this process"))
    }

    fn join(&self, engine: &Arc<Engine>, gate: Gate, serving: Serving) -> Arc<Releases> {
        let limits = ReleaseLimits {
            utterance_days: self.config.reload.utterance_days,
            utterances: self.config.reload.utterances,
        };
        // The address is that of many: 0.0.0.0, in containers.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = format!("{}:{}", host.trim(), self.config.port);
        let catalogs = Arc::new(Catalogs::new(serving));
        let (stores, data_dir) = (self.stores.clone(), &self.config.data_dir);
        Arc::new(Releases::new(Arc::clone(engine), gate, catalogs, stores, data_dir, limits, name))
    }

    /// Publishes the folder as it is at the start. Two servers that begin at the same time publish once; the other one follows.
    async fn take_folder(&self, releases: &Releases, bundle: Bundle, faults: Faults) -> Result<(), Failure> {
        let actor = Actor { user: None, name: "start".to_owned() };
        let message = "the bot's folder at the server's start".to_owned();
        let wish = Wish { message, skip_fixtures: !self.config.reload.replay_at_start, ..Wish::default() };
        let bar = StepBar::default();
        let published = releases.publish(bundle, faults, &wish, &actor, &|step| bar.show(step)).await;
        drop(bar);
        match published {
            Ok(_) => Ok(()),
            Err(ReleaseError::Conflict) => {
                releases.follow().await;
                Ok(())
            }
            Err(ReleaseError::Refused(report)) => {
                eprintln!("{}", show::refusal(&report));
                Err(Failure::check(
                    format!("the bot in {} does not pass", self.config.bot.display()),
                    "`banter replay` shows the differences; mend the bot or its fixtures and try again",
                ))
            }
            Err(error) => Err(Failure::usage(error.to_string(), "see the log")),
        }
    }
}

/// A folder that is followed and not good keeps nobody from being answered.
fn not_taken(failure: &Failure) {
    eprintln!("{failure}\nthe version before stays in use");
}

/// The version that the store names, built without one before it.
async fn stored_version(
    stores: &Stores,
    engine: &Engine,
    gate: &Gate,
    record: &VersionRecord,
    data_dir: &Path,
) -> Result<Serving, Failure> {
    let bar = BuildBar::default();
    let source = Source { stores, contents: &Contents::new(data_dir.join("catalogue")), gate, engine };
    let folder = data_dir.join("index");
    let built = source.build(record, None, &folder, &|stage| bar.show(stage)).await;
    built.map_err(|error| {
        let message = format!("the version in use, {}, cannot be served here: {error}", show::short(&record.id));
        Failure::usage(message, "see the log; another server can roll back")
    })
}

/// Where a server's plugins run; compiled code is kept in the data folder.
fn sandbox(config: &Config, runtime: Handle) -> Sandbox {
    Sandbox::new(runtime, Some(config.data_dir.join("plugins")))
}

/// Where commands call plugins that a server may be running too.
pub fn observing_sandbox(config: &Config, runtime: Handle) -> Sandbox {
    Sandbox::observing(runtime, Some(config.data_dir.join("plugins")))
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
    releases: Arc<Releases>,
    metrics: Metrics,
) -> Result<App, Failure> {
    let secret = match &config.auth.secret {
        Some(secret) => secret.clone(),
        None => secret_file::read_or_make(&config.data_dir, secret_file::SECRET)?,
    };
    let local = match rules {
        Rules::Dev => Some(secret_file::read_or_make(&config.data_dir, secret_file::ADMIN_KEY)?),
        Rules::Release => None,
    };
    let tokens = Tokens::new(&secret, &config.auth.algorithm);
    let parallel = if config.auth.parallel_hashes == 0 { cores() } else { config.auth.parallel_hashes };
    let passwords = Passwords::new(parallel, config.auth.waiting_hashes);
    let accounts = Accounts::new(stores.clone(), tokens, passwords, &config.auth);
    let metrics = Arc::new(metrics);
    let parallel = config.limits.parallel_turns;
    let conversations = Conversations::new(engine, releases.catalogs(), stores.clone(), metrics.clone(), parallel)
        .map_err(|error| Failure::usage(format!("no thread: {error}"), "check the limits of this process"))?;
    Ok(App {
        accounts: Arc::new(accounts),
        conversations: Arc::new(conversations),
        stores,
        metrics,
        releases,
        admins: AdminKeys::of(&config.admin, local),
        upload_time: Duration::from_secs(config.reload.upload_seconds),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        channel: ChannelAccess::of(config, rules),
        health_key: config.health.key.clone(),
        front: config.front.clone(),
        proxies: config.proxies.clone(),
        body_bytes: config.limits.body_bytes,
        body_time: Duration::from_secs(config.limits.body_seconds),
    })
}
