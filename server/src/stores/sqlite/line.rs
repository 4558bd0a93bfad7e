//! The writer's connection, seen in two ways: by sqlx, which opened it, and directly.
//!
//! A connection of sqlx has a thread of its own, so that each statement wakes two threads. A turn is one statement, and most of what it
//! costs beyond the disk was that. Its handle itself can be used by any thread.

use rusqlite::Connection;
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{StoreError, failed, failed_directly};

/// One connection.
pub struct Line {
    /// What runs its statements on the thread that asks. It is dropped before the connection that owns the handle.
    pub direct: Connection,
    /// What waits for a thread of its own. Transactions are begun and ended by `direct`.
    pub connection: SqliteConnection,
}

impl Line {
    /// Opens a connection.
    ///
    /// # Errors
    /// When the file cannot be opened or is no database.
    pub async fn open(options: &SqliteConnectOptions) -> Result<Self, StoreError> {
        // SQLite then has a lock around each call, which costs nothing where nobody waits.
        let mut connection = options.clone().serialized(true).connect().await.map_err(failed)?;
        let handle = connection.lock_handle().await.map_err(failed)?.as_raw_handle();
        let direct = share(handle.as_ptr()).map_err(failed_directly)?;
        Ok(Self { direct, connection })
    }
}

#[expect(unsafe_code, reason = "sqlx lends its handle as a pointer")]
fn share(handle: *mut rusqlite::ffi::sqlite3) -> rusqlite::Result<Connection> {
    // SAFETY: the handle is open, and stays so as long as the `SqliteConnection` beside which the result is kept and before which it is
    // dropped; both are of the same libsqlite3-sys. It was opened with SQLITE_OPEN_FULLMUTEX, so SQLite itself keeps its threads
    // apart. The result neither closes it nor sets its hooks.
    unsafe { Connection::from_handle(handle) }
}
