//! What the embedded backend keeps in the process: sessions and rate limits. They end with the process, by
//! design: clients refresh their access tokens.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::{Expiry, sync::Cache};

use super::{
    Millis, News, RateLimits, Recalled, Remembered, Session, SessionStore, StoreError, TurnCache, UserId, UserStore,
    bus::LocalBus, clock::SharedClock,
};

/// Bound on entries, whatever clients do.
const MAX_ENTRIES: u64 = 1_000_000;
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_MILLIS: Millis = 60_000;
/// How long a session counts as one of an existing user before the store is asked again.
const CHECKED_FOR: Millis = 1_000;

/// Access tokens by id.
pub struct MemorySessions {
    sessions: Cache<String, Arc<Listed>>,
    users: Arc<dyn UserStore>,
    clock: SharedClock,
}

struct Listed {
    session: Session,
    life: Duration,
    expires_at: Millis,
    /// When the user was last seen in the store.
    checked_at: AtomicI64,
}

/// Frees the memory of a session at its end.
struct End;

impl Expiry<String, Arc<Listed>> for End {
    fn expire_after_create(&self, _token: &String, listed: &Arc<Listed>, _now: Instant) -> Option<Duration> {
        Some(listed.life)
    }
}

impl MemorySessions {
    /// Sessions that live no longer than their users.
    pub fn new(users: Arc<dyn UserStore>, clock: SharedClock) -> Self {
        let sessions =
            Cache::builder().max_capacity(MAX_ENTRIES).expire_after(End).support_invalidation_closures().build();
        Self { sessions, users, clock }
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(&self, token: &str, session: Session, life: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        let expires_at = now.saturating_add(Millis::try_from(life.as_millis()).unwrap_or(Millis::MAX));
        let listed = Listed { session, life, expires_at, checked_at: AtomicI64::new(now) };
        self.sessions.insert(token.to_owned(), Arc::new(listed));
        Ok(())
    }

    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let listed = self.sessions.get(token).filter(|listed| listed.session == *session && now < listed.expires_at);
        let Some(listed) = listed else { return Ok(false) };
        // A command in another process may have deleted the user.
        if now - listed.checked_at.load(Ordering::Relaxed) >= CHECKED_FOR {
            if !self.users.exists(session.user).await? {
                return Ok(false);
            }
            listed.checked_at.store(now, Ordering::Relaxed);
        }
        Ok(true)
    }

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        let family = family.to_owned();
        self.sessions
            .invalidate_entries_if(move |_, listed| listed.session.family == family)
            .map(|_| ())
            .map_err(|error| StoreError::damaged("sessions", error.to_string()))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Counts in windows of a minute. A window begins with its first event.
pub struct MemoryLimits {
    windows: Cache<String, Arc<Mutex<RateWindow>>>,
    clock: SharedClock,
}

struct RateWindow {
    count: u32,
    start: Millis,
}

impl MemoryLimits {
    pub fn new(clock: SharedClock) -> Self {
        Self { windows: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(WINDOW).build(), clock }
    }
}

#[async_trait]
impl RateLimits for MemoryLimits {
    async fn hit(&self, key: &str, limit: u32) -> Result<Option<u64>, StoreError> {
        let now = self.clock.now();
        let fresh = || Arc::new(Mutex::new(RateWindow { count: 0, start: now }));
        let window = self.windows.get_with_by_ref(key, fresh);
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if now - window.start >= WINDOW_MILLIS {
            *window = RateWindow { count: 0, start: now };
        }
        window.count = window.count.saturating_add(1);
        let left = (WINDOW_MILLIS - (now - window.start)).max(0).unsigned_abs();
        Ok((window.count > limit).then_some(left.div_ceil(1_000).max(1)))
    }
}

/// A cache that remembers nothing: the embedded store is in the same process. It only tells of new turns.
pub struct NoCache {
    pub bus: Arc<LocalBus>,
}

#[async_trait]
impl TurnCache for NoCache {
    async fn recall(&self, _user: UserId, _key: Option<&str>) -> Recalled {
        Recalled::default()
    }

    async fn remember(&self, turn: Remembered<'_>) {
        self.bus.tell(News::TurnStored { dialogue: turn.dialogue, seq: turn.last.seq });
    }

    async fn forget_answers(&self, _user: UserId, _keys: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget(&self, _user: UserId) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_window_ends_after_a_minute() {
        let clock = Arc::new(ManualClock::at(1_000));
        let limits = MemoryLimits::new(clock.clone());
        let hit = async || limits.hit("k", 2).await.unwrap();
        assert_eq!((hit().await, hit().await, hit().await), (None, None, Some(60)));
        clock.advance(WINDOW_MILLIS - 1);
        assert_eq!(hit().await, Some(1));
        clock.advance(1);
        assert_eq!(hit().await, None, "a new window");
    }
}
