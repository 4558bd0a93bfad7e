//! What the embedded backend keeps in the process: sessions and rate limits. They end with the process, by
//! design: clients refresh their access tokens.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::{Expiry, sync::Cache};

use super::{
    Counter, Millis, News, RateLimits, Recalled, Remembered, Session, SessionStore, StoreError, TurnCache, UserId,
    UserStore, bus::LocalBus, clock::SharedClock,
};

/// Bound on entries, whatever clients do.
const MAX_ENTRIES: u64 = 1_000_000;
/// How long a session counts as one of an existing user before the store is asked again.
pub(crate) const CHECKED_FOR: Duration = Duration::from_secs(1);

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
        if now - listed.checked_at.load(Ordering::Relaxed) >= CHECKED_FOR.as_millis() as Millis {
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

/// Counts in memory, by the time of a clock.
pub struct MemoryLimits {
    windows: Cache<String, Arc<Mutex<RateWindow>>>,
    clock: SharedClock,
}

struct RateWindow {
    count: u32,
    start: Millis,
    length: Duration,
}

impl RateWindow {
    /// Milliseconds that are left of the window; 0 if it has ended.
    fn left(&self, now: Millis) -> u64 {
        let past = now.saturating_sub(self.start).max(0).unsigned_abs();
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX).saturating_sub(past)
    }
}

/// Frees the memory of a window at its end.
struct WindowEnd;

impl Expiry<String, Arc<Mutex<RateWindow>>> for WindowEnd {
    fn expire_after_create(&self, _: &String, window: &Arc<Mutex<RateWindow>>, _: Instant) -> Option<Duration> {
        Some(unlock(window).length)
    }
}

fn unlock(window: &Mutex<RateWindow>) -> MutexGuard<'_, RateWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryLimits {
    pub fn new(clock: SharedClock) -> Self {
        Self { windows: Cache::builder().max_capacity(MAX_ENTRIES).expire_after(WindowEnd).build(), clock }
    }

    /// Counts an event; the milliseconds to wait, if there are too many.
    fn count(&self, counter: &Counter, now: Millis) -> Option<u64> {
        let fresh = || RateWindow { count: 0, start: now, length: counter.window };
        let window = self.windows.get_with_by_ref(counter.key.as_str(), || Arc::new(Mutex::new(fresh())));
        let mut window = unlock(&window);
        if window.left(now) == 0 {
            *window = fresh();
        }
        window.count = window.count.saturating_add(1);
        (window.count > counter.limit).then(|| window.left(now))
    }
}

#[async_trait]
impl RateLimits for MemoryLimits {
    async fn hit(&self, counters: &[Counter]) -> Result<Option<u64>, StoreError> {
        let now = self.clock.now();
        Ok(counters.iter().find_map(|counter| self.count(counter, now)).map(seconds_to_wait))
    }

    async fn take_back(&self, key: &str) -> Result<(), StoreError> {
        if let Some(window) = self.windows.get(key) {
            let mut window = unlock(&window);
            window.count = window.count.saturating_sub(1);
        }
        Ok(())
    }

    async fn has_event(&self, key: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let counted = |window: Arc<Mutex<RateWindow>>| {
            let window = unlock(&window);
            window.count > 0 && window.left(now) > 0
        };
        Ok(self.windows.get(key).is_some_and(counted))
    }
}

/// Whole seconds, and never none.
pub(crate) fn seconds_to_wait(millis: u64) -> u64 {
    millis.div_ceil(1_000).max(1)
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
    async fn a_window_ends_after_its_time() {
        let clock = Arc::new(ManualClock::at(1_000));
        let limits = MemoryLimits::new(clock.clone());
        let hit = async || limits.hit(&[Counter::per_minute("k", 2), Counter::per_day("long", 4)]).await.unwrap();
        assert_eq!((hit().await, hit().await, hit().await), (None, None, Some(60)));
        clock.advance(59_999);
        assert_eq!(hit().await, Some(1));
        clock.advance(1);
        assert_eq!(
            (hit().await, hit().await),
            (None, None),
            "a new window; what was refused does not count in the day"
        );
        clock.advance(60_000);
        assert_eq!(hit().await, Some(24 * 60 * 60 - 120), "the day has had its four");
        limits.take_back("long").await.unwrap();
        limits.take_back("long").await.unwrap();
        assert_eq!(hit().await, None);
        clock.advance(60_000);
        assert!(!limits.has_event("k").await.unwrap() && limits.has_event("long").await.unwrap());
    }
}
