//! What the embedded backend keeps in process: sessions, rate limits and the bus. They end with the process, by design: clients
//! refresh their access tokens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::sync::Cache;
use tokio::sync::broadcast;

use super::{
    Bus, BusEvent, Purpose, RateLimits, Recalled, Remembered, Session, SessionStore, StoreError, TurnCache, UserId,
    UserStore,
};

/// Bound on entries, whatever clients do.
const MAX_ENTRIES: u64 = 1_000_000;
const WINDOW: Duration = Duration::from_secs(60);

/// Access tokens by id.
pub struct MemorySessions {
    sessions: Cache<String, Session>,
    users: Arc<dyn UserStore>,
}

impl MemorySessions {
    /// Sessions that live for `life`, and not longer than their users.
    pub fn new(life: Duration, users: Arc<dyn UserStore>) -> Self {
        let sessions =
            Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(life).support_invalidation_closures().build();
        Self { sessions, users }
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(&self, token: &str, session: Session) -> Result<(), StoreError> {
        self.sessions.insert(token.to_owned(), session);
        Ok(())
    }

    async fn open(
        &self,
        token: &str,
        session: &Session,
        purpose: Purpose<'_>,
    ) -> Result<(bool, Option<Recalled>), StoreError> {
        if self.sessions.get(token).as_ref() != Some(session) {
            return Ok((false, None));
        }
        // A command in another process may have deleted the user; a turn finds that out when it is stored.
        let alive = matches!(purpose, Purpose::Turn(_)) || self.users.exists(session.user).await?;
        Ok((alive, None))
    }

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        let family = family.to_owned();
        self.sessions
            .invalidate_entries_if(move |_, session| session.family == family)
            .map(|_| ())
            .map_err(|error| StoreError::damaged("sessions", error.to_string()))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
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

/// No cache beside that of the conversations: the embedded store is in the same process.
pub struct NoCache;

#[async_trait]
impl TurnCache for NoCache {
    async fn recall(&self, _user: UserId, _key: Option<&str>) -> Recalled {
        Recalled::default()
    }

    async fn remember(&self, _turn: Remembered<'_>) {}

    async fn forget(&self, _user: UserId) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Events that a slow receiver may be behind.
const BACKLOG: usize = 1_024;

/// A bus with one server on it.
pub struct LocalBus {
    sender: broadcast::Sender<BusEvent>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG) }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, topic: &str, text: &str) -> Result<(), StoreError> {
        // Nobody listens: nobody needs to know.
        let _ = self.sender.send(BusEvent::Message { topic: topic.to_owned(), text: text.to_owned() });
        Ok(())
    }

    fn subscribe(&self) -> broadcast::Receiver<BusEvent> {
        self.sender.subscribe()
    }
}
