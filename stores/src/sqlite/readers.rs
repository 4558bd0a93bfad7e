//! Connections for reading. A read runs on a thread for blocking work: it may wait for the disk.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{BUSY, StoreError, failed};

/// A pool of connections.
pub struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub fn new(connections: Vec<Connection>) -> Self {
        let free = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Arc::new(Mutex::new(connections)), free }
    }

    /// Runs statements on a free connection.
    ///
    /// # Errors
    /// Those of SQLite, and an outage when no connection is free in time or the pool is closed.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = timeout(BUSY, Arc::clone(&self.free).acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::outage("sqlite", "no reader is free"))?;
        let permit = permit.map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let read = spawn_blocking(move || {
            let connection = lock(&idle).pop().ok_or_else(closed)?;
            let read = work(&connection).map_err(failed);
            lock(&idle).push(connection);
            drop(permit);
            read
        });
        read.await.map_err(|error| StoreError::damaged("sqlite", error.to_string()))?
    }

    /// Closes the connections; reads that have begun end first.
    pub fn close(&self) {
        self.free.close();
        lock(&self.idle).clear();
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> StoreError {
    StoreError::outage("sqlite", "the store is closed")
}
