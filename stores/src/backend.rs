//! Which stores a process uses: chosen once, when it starts.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    StoreError, Stores,
    bus::LocalBus,
    clock::SharedClock,
    config::{SqliteConfig, StoresConfig, Urls},
    external::External,
    memory::{CHECKED_FOR, MemoryLimits, MemorySessions, NoCache},
    sqlite::SqliteStore,
};

/// The embedded store's file in the data folder.
pub const DATABASE: &str = "banter.db";

/// What opening the stores needs to know.
pub struct BackendOptions {
    /// `None` for the embedded store.
    pub urls: Option<Urls>,
    pub stores: StoresConfig,
    pub sqlite: SqliteConfig,
    /// The folder of the embedded store.
    pub data_dir: PathBuf,
}

/// The stores in use.
pub enum Backend {
    /// One SQLite file, with sessions and limits in this process.
    Embedded(Embedded),
    /// PostgreSQL, MongoDB and Redis.
    External(Box<External>),
}

/// The embedded store and what lives beside it in the process.
pub struct Embedded {
    store: Arc<SqliteStore>,
    clock: SharedClock,
}

impl Backend {
    /// Opens the stores.
    ///
    /// # Errors
    /// When a store does not answer, or the file cannot be used.
    pub async fn open(options: &BackendOptions, clock: SharedClock) -> Result<Self, StoreError> {
        if let Some(urls) = &options.urls {
            let external = External::open(urls, &options.stores, clock).await?;
            return Ok(Self::External(Box::new(external)));
        }
        let path = options.data_dir.join(DATABASE);
        make_private(&path)?;
        let store = Arc::new(SqliteStore::open(&path, &options.sqlite, Arc::clone(&clock)).await?);
        Ok(Self::Embedded(Embedded { store, clock }))
    }

    /// The stores as the use cases see them. Sessions and limits of the embedded backend are new with each call.
    pub fn stores(&self) -> Stores {
        match self {
            Self::External(external) => external.stores(),
            Self::Embedded(embedded) => embedded.stores(),
        }
    }

    /// Waits until everything that was handed in is stored, then closes.
    pub async fn close(&self) {
        match self {
            Self::Embedded(embedded) => embedded.store.close().await,
            Self::External(external) => external.close().await,
        }
    }
}

impl Embedded {
    fn stores(&self) -> Stores {
        let Self { store, clock } = self;
        let bus = Arc::new(LocalBus::default());
        Stores {
            users: store.clone(),
            tokens: store.clone(),
            dialogues: store.clone(),
            turns: store.clone(),
            waiting: store.clone(),
            reports: store.clone(),
            catalog: store.clone(),
            sessions: Arc::new(MemorySessions::new(store.clone(), Arc::clone(clock))),
            cache: Arc::new(NoCache { bus: Arc::clone(&bus) }),
            limits: Arc::new(MemoryLimits::new(Arc::clone(clock))),
            bus,
            // No turn comes late here; but a server may take a user for granted for so long.
            late_writes: CHECKED_FOR,
        }
    }
}

/// Makes the file readable for its owner alone: it holds conversations.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map(drop).map_err(|error| StoreError::outage("sqlite", format!("{}: {error}", path.display())))
}
