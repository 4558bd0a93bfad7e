//! The embedded store: one SQLite file in WAL mode, readers in a pool, one writer that commits in groups.

mod catalog;
mod dialogs;
mod line;
mod turns;
mod users;
mod writer;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::ErrorCode;
use sqlx::{
    SqliteConnection, SqlitePool,
    error::ErrorKind,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{StoreError, catalog::ServerRecord};
use crate::{
    catalogs::contents::Contents,
    config::{SqliteConfig, Synchronous},
};
use line::Line;
use writer::Writer;

const BUSY: Duration = Duration::from_secs(5);

/// The embedded backend of `UserStore`, `DialogStore`, `TurnStore` and `CatalogStore`.
#[derive(Clone)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    /// Classifiers of versions, beside the file.
    classifiers: Contents,
    /// The server that has the file, by its id.
    servers: Arc<Mutex<BTreeMap<String, ServerRecord>>>,
}

impl SqliteStore {
    /// Opens the file, makes it when it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or is of a newer version.
    pub async fn open(path: &Path, config: &SqliteConfig) -> Result<Self, StoreError> {
        let synchronous = match config.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("temp_store", "memory")
            .pragma("mmap_size", "134217728");
        let mut line = Line::open(&options).await?;
        let mut migrations: Migrator = sqlx::migrate!("../migrations/sqlite");
        // The binary before a migration works with it.
        migrations.set_ignore_missing(true);
        migrations.run(&mut line.connection).await.map_err(|error| StoreError::outage("sqlite", error.to_string()))?;
        preallocate(&mut line.connection).await.map_err(failed)?;
        let classifiers = Contents::new(path.with_file_name("classifiers"));
        let readers = SqlitePoolOptions::new()
            .max_connections(config.readers.max(1))
            .acquire_timeout(BUSY)
            // A file does not hang up; the test would cost each query a round trip.
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(failed)?;
        Ok(Self { readers, writer: Writer::start(line)?, classifiers, servers: Arc::default() })
    }

    /// Ends the writer when all that was handed in is stored.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// Grows the write-ahead log to the size at which it is begun anew. A commit that makes a file longer waits for the file
/// system's own journal too, which doubles its time.
async fn preallocate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let statements = "CREATE TABLE IF NOT EXISTS preallocation (filler BLOB) STRICT;
                      INSERT INTO preallocation VALUES (zeroblob(3800000));
                      DROP TABLE preallocation;
                      PRAGMA wal_checkpoint(RESTART);";
    sqlx::raw_sql(statements).execute(connection).await?;
    Ok(())
}

fn failed(error: sqlx::Error) -> StoreError {
    // A user that is deleted meanwhile breaks a constraint; the file is well.
    let constraint = error.as_database_error().is_some_and(|cause| cause.kind() != ErrorKind::Other);
    StoreError { store: "sqlite", message: error.to_string(), outage: !constraint }
}

fn failed_directly(error: rusqlite::Error) -> StoreError {
    let constraint = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
    StoreError { store: "sqlite", message: error.to_string(), outage: !constraint }
}
