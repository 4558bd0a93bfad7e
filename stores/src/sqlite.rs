//! The embedded store: one SQLite file in WAL mode, a small pool of readers, and one writer that commits in groups.

mod catalog;
mod dialogues;
mod migrations;
mod readers;
mod reports;
mod rows;
mod tokens;
mod turns;
mod users;
mod waiting;
mod writer;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use moka::sync::Cache;
use rusqlite::{Connection, ErrorCode};
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

use super::{StoreError, Trouble, UserId, catalog::ServerRecord};
use crate::{
    clock::SharedClock,
    config::{SqliteConfig, Synchronous},
    contents::Contents,
};
use readers::Readers;
use writer::Writer;

/// How long a statement waits for another process that writes, and a read for a free connection.
const BUSY: Duration = Duration::from_secs(5);
/// Senders that are remembered.
const SENDERS: u64 = 50_000;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// The embedded backend of `UserStore`, `DialogueStore`, `TurnStore` and `CatalogStore`.
pub struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    writer: Writer,
    /// One deletion empties the log at a time.
    emptying: tokio::sync::Mutex<()>,
    /// Senders of the REST channel, so that a known one costs no read. A command in another process may delete one: the
    /// next turn finds out, since it is stored only for a user that exists.
    senders: Cache<String, UserId>,
    /// Classifiers of versions, beside the file.
    classifiers: Contents,
    /// The servers on this file: this one, by its id.
    servers: Arc<Mutex<BTreeMap<String, ServerRecord>>>,
    clock: SharedClock,
}

impl SqliteStore {
    /// Opens the file, makes it if it is not there, and brings its tables up to date. A file that a newer binary has
    /// migrated is used as it is: every migration works with the binary before it.
    ///
    /// # Errors
    /// When the file cannot be opened or is no database.
    pub async fn open(path: &Path, config: &SqliteConfig, clock: SharedClock) -> Result<Self, StoreError> {
        let (owned, config) = (path.to_owned(), config.clone());
        let opened = spawn_blocking(move || open_all(&owned, &config)).await;
        let (writer, readers) =
            opened.map_err(|error| StoreError::damaged("sqlite", error.to_string()))?.map_err(failed)?;
        let classifiers = Contents::new(path.with_file_name("classifiers"));
        Ok(Self {
            path: path.to_owned(),
            emptying: tokio::sync::Mutex::default(),
            readers: Readers::new(readers),
            writer: Writer::start(writer)?,
            senders: Cache::builder().max_capacity(SENDERS).support_invalidation_closures().build(),
            classifiers,
            servers: Arc::default(),
            clock,
        })
    }

    /// Waits until everything that was handed in is stored, then closes.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close();
    }

    /// Empties the write-ahead log, which still has what was overwritten in the file.
    async fn empty_log(&self) -> Result<(), StoreError> {
        let _one = self.emptying.lock().await;
        let path = self.path.clone();
        let emptied = spawn_blocking(move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        });
        let busy = emptied.await.map_err(|error| StoreError::damaged("sqlite", error.to_string()))?;
        match busy.map_err(failed)? {
            true => Err(StoreError::busy("sqlite", "the log cannot be emptied while so much is read")),
            false => Ok(()),
        }
    }

    /// Forgets a user who is gone.
    fn forget_sender(senders: &Cache<String, UserId>, user: UserId) {
        if let Err(error) = senders.invalidate_entries_if(move |_, known| *known == user) {
            tracing::error!(%error, "senders cannot be forgotten one by one; all are forgotten");
            senders.invalidate_all();
        }
    }

    /// Runs statements that only read.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(work).await
    }

    /// Runs statements in one transaction, all or none, and waits until they are on the disk.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.submit(work).await?.await
    }
}

/// Keeps other processes from opening the file while it lives: two that make its tables at the same moment would fail.
fn lock_opening(path: &Path) -> rusqlite::Result<File> {
    let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"));
    let file = file.map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// The writer's connection, over migrated tables, and the readers'.
fn open_all(path: &Path, config: &SqliteConfig) -> rusqlite::Result<(Connection, Vec<Connection>)> {
    let _opening = lock_opening(path)?;
    let mut writer = connect(path, config.synchronous)?;
    migrations::run(&mut writer)?;
    preallocate(&writer)?;
    // What is deleted is overwritten.
    writer.pragma_update(None, "secure_delete", "on")?;
    let reader = |_| {
        let reader = connect(path, config.synchronous)?;
        reader.pragma_update(None, "query_only", "on")?;
        Ok(reader)
    };
    let readers = (0..config.readers.max(1)).map(reader).collect::<rusqlite::Result<_>>()?;
    Ok((writer, readers))
}

fn connect(path: &Path, synchronous: Synchronous) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "wal")?;
    let level = match synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", level)?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "mmap_size", 134_217_728)?;
    Ok(connection)
}

/// Grows the write-ahead log to the size at which SQLite begins it anew. A commit that makes a file longer waits for
/// the file system's journal too, which doubles its time.
fn preallocate(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS preallocation (filler BLOB) STRICT;
         INSERT INTO preallocation VALUES (zeroblob(3800000));
         DROP TABLE preallocation;
         PRAGMA wal_checkpoint(RESTART);",
    )
}

fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    let trouble = match &error {
        // Deleting a user while something of theirs is stored breaks a constraint; the file is sound.
        error if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Trouble::Damage,
        error if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
            Trouble::Damage
        }
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => Trouble::Damage,
        _ => Trouble::Outage,
    };
    StoreError { store: "sqlite", message: error.to_string(), trouble }
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))
}

fn damaged(message: &str) -> StoreError {
    StoreError::damaged("sqlite", format!("a stored value cannot be read: {message}"))
}
