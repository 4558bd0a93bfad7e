//! Assembles the server. This is the only module that knows which backend and which model are used.

mod encoders;
mod folder;
mod origin;

use std::{fs::File, sync::Arc, time::Duration};

use banter_engine::{Engine, catalogue::Catalogue, handlers::script::Scripting, host::Host};
use banter_sandbox::Sandbox;
use banter_stores::{
    Millis, StoreError, Stores, Trouble,
    backend::Backend,
    clock::{SharedClock, SystemClock},
};
use tokio::runtime::Handle;

use crate::{
    accounts::{Accounts, GuestRules},
    catalogs::{
        BotError,
        follower::Follower,
        gate::{GateReport, Progress},
        releases::Releases,
        source::Source,
    },
    channel::Channel,
    config::{Config, Rules, cores},
    console::{Console, ConsoleParts},
    conversations::Conversations,
    dialogues::Dialogues,
    embedder::TaskEmbedding,
    expiry::keep_removing_guests,
    feeds::Feeds,
    google::GoogleSignIn,
    hand_offs::HandOffs,
    histories::Histories,
    host::ServerHost,
    metrics::Metrics,
    passwords::Passwords,
    queries::Queries,
    secret_file,
    setup::SetupError,
    tokens::Tokens,
    web::app::{Access, App, RequestBounds},
};

pub use encoders::encoders;
use folder::lock;
pub use folder::make_data_folder;
use origin::Parts;

/// The parts of a server, without HTTP.
pub struct Assembly {
    /// The state of the routes.
    pub app: App,
    /// The stores; close them at the end.
    pub backend: Backend,
    /// The bot, for the greeting of `serve`.
    pub catalogue: Arc<Catalogue>,
    /// Why the bot's folder is not served, if the previous version is served instead.
    pub not_taken: Option<StartError>,
    /// Locks the embedded store for this process while it lives.
    pub lock: Option<File>,
}

/// Why the server cannot start.
#[derive(Debug)]
pub enum StartError {
    Setup(SetupError),
    /// The bot's folder cannot be used.
    Bot(BotError),
    /// The bot does not pass its own checks.
    Refused(Box<GateReport>),
}

impl From<SetupError> for StartError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<BotError> for StartError {
    fn from(error: BotError) -> Self {
        Self::Bot(error)
    }
}

/// Opens the stores that the configuration names.
///
/// # Errors
/// When they cannot be opened, with what to check.
pub async fn open_backend(config: &Config, clock: SharedClock) -> Result<Backend, SetupError> {
    let options = config.backend()?;
    let external = options.urls.is_some();
    Backend::open(&options, clock).await.map_err(|error| {
        let hint = match (external, error.trouble) {
            (true, _) => "check that the store is running and that its URL (stores.*) is correct",
            (false, Trouble::Damage) => {
                "the file of the embedded store is damaged: restore it from a backup, or choose another folder with \
                 --data-dir"
            }
            (false, _) => "check the owner and the free space of the data folder, or choose another with --data-dir",
        };
        SetupError::new(error.to_string(), hint)
    })
}

/// Opens the stores, loads the bot and its encoders, and joins them.
///
/// # Errors
/// Anything that prevents the server from serving.
pub async fn assemble(config: &Config, rules: Rules, progress: Progress<'_>) -> Result<Assembly, StartError> {
    make_data_folder(config)?;
    let clock: SharedClock = Arc::new(SystemClock);
    check_clock(clock.now())?;
    let lock = if config.store_urls()?.is_none() { Some(lock(&config.data_dir)?) } else { None };
    let backend = open_backend(config, Arc::clone(&clock)).await?;
    let stores = backend.stores();
    let scripting = Arc::new(Scripting::new());
    let sandbox = Arc::new(sandbox(config, Handle::current()));
    let parts = Parts { config, stores: stores.clone(), clock: Arc::clone(&clock), scripting, sandbox, progress };
    let origin = parts.origin(watches(config, rules)).await?;
    let host: Arc<dyn Host> = {
        let parallel = config.limits.parallel_turns;
        Arc::new(ServerHost::new(Handle::current(), stores.turns.clone(), parallel, config.outside.clone()))
    };
    let encoders = encoders(&config.embedding, &config.data_dir);
    let engine = Arc::new(Engine::new(Arc::new(TaskEmbedding(encoders)), parts.scripting.clone(), host));
    let started = parts.start(&engine, origin).await?;
    let follower = Arc::clone(&started.serving.follower);
    let line = follower.line();
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
    metrics.watch(Arc::clone(&follower));
    let (guests_stores, guests_clock) = (stores.clone(), Arc::clone(&clock));
    let app = application(config, rules, stores, clock, engine, started.serving, metrics)?;
    let (conversations, signs) = (app.conversations.clone(), Arc::clone(&follower));
    tokio::spawn(app.dialogues.clone().resume());
    tokio::spawn(keep_removing_guests(guests_stores, guests_clock));
    tokio::spawn(async move { conversations.follow_bus().await });
    tokio::spawn(async move { follower.keep_following().await });
    tokio::spawn(async move { signs.keep_announcing().await });
    Ok(Assembly { app, backend, catalogue, not_taken: started.not_taken, lock })
}

/// Whether the server follows the bot's folder. By default only in the dev profile with the embedded store.
pub fn watches(config: &Config, rules: Rules) -> bool {
    config.reload.watch.unwrap_or(rules == Rules::Dev && config.stores.postgres.is_none())
}

/// The sandbox of a server's plugins. Compiled code is kept in the data folder.
fn sandbox(config: &Config, runtime: Handle) -> Sandbox {
    Sandbox::new(runtime, Some(config.data_dir.join("plugins")))
}

/// The sandbox for commands, which may call plugins while a server runs them.
pub fn observing_sandbox(config: &Config, runtime: Handle) -> Sandbox {
    Sandbox::observing(runtime, Some(config.data_dir.join("plugins")))
}

/// The versions of a server: where they come from, which are in use, and what admins do with them.
pub struct ReleaseParts {
    pub source: Arc<Source>,
    pub follower: Arc<Follower>,
    pub releases: Arc<Releases>,
}

/// The use cases over the given stores and engine.
///
/// # Errors
/// No secret is set, and none can be created.
pub fn application(
    config: &Config,
    rules: Rules,
    stores: Stores,
    clock: SharedClock,
    engine: Arc<Engine>,
    versions: ReleaseParts,
    metrics: Metrics,
) -> Result<App, SetupError> {
    let secret = match &config.auth.secret {
        Some(secret) => secret.clone(),
        None => secret_file::read_or_make(&config.data_dir, secret_file::SECRET)?.into(),
    };
    let local = match rules {
        Rules::Dev => Some(secret_file::read_or_make(&config.data_dir, secret_file::ADMIN_KEY)?),
        Rules::Release => None,
    };
    let tokens = Tokens::new(&secret, config.auth.algorithm);
    let hashes = if config.auth.parallel_hashes == 0 { cores() } else { config.auth.parallel_hashes };
    let passwords = Passwords::new(hashes, config.auth.waiting_hashes);
    let guests = GuestRules::of(&config.guests, rules);
    let accounts = Accounts::new(stores.clone(), tokens, passwords, Arc::clone(&clock), config, guests);
    let accounts = Arc::new(accounts);
    let dialogues = Arc::new(Dialogues::new(stores.clone(), Arc::clone(&clock)));
    let google = GoogleSignIn::new(&config.google, Arc::clone(&clock));
    let (metrics, catalogs) = (Arc::new(metrics), versions.follower.catalogs());
    let parallel = config.limits.parallel_turns;
    let limit = Duration::from_secs(config.hand_off.wait_seconds.into());
    let console = ConsoleParts {
        source: Arc::clone(&versions.source),
        follower: Arc::clone(&versions.follower),
        releases: Arc::clone(&versions.releases),
        engine: Arc::clone(&engine),
        clock: Arc::clone(&clock),
        data_dir: config.data_dir.clone(),
        folder: watches(config, rules).then(|| config.bot.clone()),
    };
    let conversations =
        Conversations::new(engine, catalogs, stores.clone(), Arc::clone(&metrics), Arc::clone(&clock), parallel);
    let conversations = Arc::new(conversations);
    let histories = Histories::new(stores.clone(), &config.limits);
    Ok(App {
        console: Console::new(console, stores.clone()),
        channel: Channel::new(Arc::clone(&accounts), Arc::clone(&conversations)),
        feeds: Feeds::new(Arc::clone(&conversations), stores.clone(), Arc::clone(&clock)),
        hand_offs: HandOffs::new(Arc::clone(&conversations), stores, clock, limit),
        accounts,
        google,
        dialogues,
        conversations,
        histories,
        queries: Queries::new(versions.source),
        releases: versions.releases,
        follower: versions.follower,
        metrics,
        access: Access::of(config, rules, local),
        bounds: RequestBounds::of(config),
    })
}

/// This program is younger than that (2026-01-01, in milliseconds since 1970).
const YOUNGER_THAN: Millis = 1_767_225_600_000;

/// Refuses a clock that was never set: tokens and idempotency keys would be wrong when it is.
fn check_clock(now: Millis) -> Result<(), SetupError> {
    if now >= YOUNGER_THAN {
        return Ok(());
    }
    let told = jiff::Timestamp::from_millisecond(now).map_or_else(|_| now.to_string(), |time| time.to_string());
    Err(SetupError::new(
        format!("the clock of this machine says {told}, which is before this program was written"),
        "set the clock, for example by NTP",
    ))
}

fn store_failed(error: &StoreError) -> SetupError {
    SetupError::new(error.to_string(), "check the store, then start again")
}

#[cfg(test)]
mod tests {
    use banter_stores::clock::Clock;

    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_told() {
        assert!(check_clock(SystemClock.now()).is_ok());
        for now in [-1, 0, YOUNGER_THAN - 1, Millis::MIN] {
            let error = check_clock(now).unwrap_err();
            assert!(error.message.starts_with("the clock of this machine says"), "{}", error.message);
        }
    }
}
