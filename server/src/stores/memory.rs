//! What the embedded backend keeps in process: sessions and rate limits. They end with the process, by design: clients
//! refresh their access tokens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::sync::Cache;

use super::{RateLimits, Session, SessionStore, StoreError};

/// Bound on entries, whatever clients do.
const MAX_ENTRIES: u64 = 1_000_000;
const WINDOW: Duration = Duration::from_secs(60);

/// Access tokens by id.
pub struct MemorySessions {
    sessions: Cache<String, Session>,
}

impl MemorySessions {
    /// Sessions that live for `life`.
    pub fn new(life: Duration) -> Self {
        let sessions =
            Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(life).support_invalidation_closures().build();
        Self { sessions }
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(&self, token: &str, session: Session) -> Result<(), StoreError> {
        self.sessions.insert(token.to_owned(), session);
        Ok(())
    }

    async fn get(&self, token: &str) -> Result<Option<Session>, StoreError> {
        Ok(self.sessions.get(token))
    }

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        let family = family.to_owned();
        self.sessions
            .invalidate_entries_if(move |_, session| session.family == family)
            .map(|_| ())
            .map_err(|error| StoreError { store: "sessions", message: error.to_string() })
    }
}

/// Counts in windows of a minute that begin with the first event.
pub struct MemoryLimits {
    windows: Cache<String, Arc<Mutex<Window>>>,
}

struct Window {
    count: u32,
    start: Instant,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { windows: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(WINDOW).build() }
    }
}

#[async_trait]
impl RateLimits for MemoryLimits {
    async fn hit(&self, key: &str, limit: u32) -> Result<Option<u64>, StoreError> {
        let fresh = || Arc::new(Mutex::new(Window { count: 0, start: Instant::now() }));
        let window = self.windows.get_with_by_ref(key, fresh);
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        window.count = window.count.saturating_add(1);
        let left = WINDOW.saturating_sub(window.start.elapsed()).as_secs() + 1;
        Ok((window.count > limit).then_some(left))
    }
}
