//! The external backend: PostgreSQL, MongoDB, and Redis, with fallbacks for an outage of Redis.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    Counter, RateLimits, Session, SessionStore, StoreError, Stores,
    breaker::Pauses,
    memory::MemoryLimits,
    mongo::MongoStore,
    postgres::{self, PostgresStore},
    redis::RedisStore,
};
use crate::{
    clock::SharedClock,
    config::{StoresConfig, Urls},
};

/// The first and the longest pause between attempts to reach a store at start.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// The least time for an attempt, even if the start time is over.
const LEAST: Duration = Duration::from_secs(5);

/// By then, a write that timed out here is stored, or never will be.
const AFTER_TIME_OUT: Duration = Duration::from_secs(2);

/// How long a turn's write may be on its way: it waits for a connection and for its answer, before that for those of
/// the write in front of it, and before that for those of the last look at the dialogue's owner.
fn late_writes(limit: Duration) -> Duration {
    6 * limit + AFTER_TIME_OUT
}

/// The open stores.
pub struct External {
    postgres: PostgresStore,
    mongo: MongoStore,
    redis: RedisStore,
    listener: JoinHandle<()>,
    late_writes: Duration,
    clock: SharedClock,
}

impl External {
    /// Connects, migrates tables, indexes, and validators, and waits for stores that are still starting.
    ///
    /// # Errors
    /// When PostgreSQL or MongoDB does not respond in time, or holds data that contradicts the schema. Redis may come
    /// later.
    pub async fn open(urls: &Urls, config: &StoresConfig, clock: SharedClock) -> Result<Self, StoreError> {
        let limit = Duration::from_millis(config.timeout_ms.max(1));
        let redis_limit = Duration::from_millis(config.redis_timeout_ms.max(1));
        let postgres = PostgresStore::connect(&urls.postgres, config.pool, limit)?;
        let mongo = MongoStore::connect(&urls.mongo, config.pool, limit).await?;
        let authorities = config.redis_ca.as_deref();
        let (redis, listener) = RedisStore::connect(&urls.redis, authorities, &config.redis_prefix, redis_limit)?;
        let end = Instant::now() + Duration::from_secs(config.start_seconds);
        patiently("postgres", end, || postgres::migrate(&urls.postgres)).await?;
        patiently("mongodb", end, || mongo.prepare()).await?;
        if let Err(error) = redis.ping().await {
            tracing::warn!(%error, "redis does not respond; the server starts without it");
        }
        Ok(Self { postgres, mongo, redis, listener, late_writes: late_writes(limit), clock })
    }

    /// The stores as the use-cases see them.
    pub fn stores(&self) -> Stores {
        let postgres = Arc::new(self.postgres.clone());
        let (mongo, redis) = (Arc::new(self.mongo.clone()), Arc::new(self.redis.clone()));
        let sessions = Sessions { redis: self.redis.clone(), postgres: self.postgres.clone() };
        Stores {
            users: postgres.clone(),
            tokens: postgres.clone(),
            dialogues: postgres.clone(),
            catalog: postgres,
            turns: mongo.clone(),
            waiting: mongo.clone(),
            reports: mongo,
            sessions: Arc::new(sessions),
            cache: redis.clone(),
            limits: Arc::new(Limits { redis: self.redis.clone(), local: MemoryLimits::new(Arc::clone(&self.clock)) }),
            bus: redis,
            late_writes: self.late_writes,
        }
    }

    pub async fn close(&self) {
        self.listener.abort();
        self.postgres.close().await;
        self.mongo.close().await;
    }
}

/// Retries until `end` while the store is unreachable.
async fn patiently<F: Future<Output = Result<(), StoreError>>>(
    store: &'static str,
    end: Instant,
    work: impl Fn() -> F,
) -> Result<(), StoreError> {
    let mut result = Err(StoreError::outage(store, "no answer in time"));
    for pause in Pauses::new(PAUSES.0, PAUSES.1) {
        // A frozen store, or a lock that is never released, must not block the start forever.
        let late =
            |_| Err(StoreError::outage(store, "no answer in time; `banter migrate up` waits without a time limit"));
        result = timeout_at(end.max(Instant::now() + LEAST), work()).await.unwrap_or_else(late);
        match &result {
            Err(error) if error.is_outage() && Instant::now() + pause < end => {
                tracing::info!(%error, "waiting for a store");
                tokio::time::sleep(pause).await;
            }
            _ => break,
        }
    }
    result
}

/// Sessions in Redis. During an outage of Redis, new sessions go to PostgreSQL; older ones are refused, because they
/// could have been revoked.
struct Sessions {
    redis: RedisStore,
    postgres: PostgresStore,
}

#[async_trait]
impl SessionStore for Sessions {
    async fn put(&self, token: &str, session: Session, life: Duration) -> Result<(), StoreError> {
        match self.redis.put(token, session.clone(), life).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "redis does not respond; stored a session in PostgreSQL");
                self.postgres.put_session(token, &session, life).await
            }
            other => other,
        }
    }

    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        match self.redis.is_alive(token, session).await {
            Ok(true) => Ok(true),
            Ok(false) => self.listed(token, session).await,
            Err(error) if self.listed(token, session).await? => {
                tracing::warn!(%error, "redis does not respond; found a session in PostgreSQL");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        self.postgres.revoke_sessions(family).await?;
        self.redis.revoke_family(family).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.redis.ping().await
    }
}

impl Sessions {
    /// Whether PostgreSQL has this session: it has those created during an outage of Redis.
    async fn listed(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        Ok(self.postgres.get_session(token).await?.as_ref() == Some(session))
    }
}

/// Limits in Redis, exact across servers. During an outage of Redis, each server counts on its own.
struct Limits {
    redis: RedisStore,
    local: MemoryLimits,
}

#[async_trait]
impl RateLimits for Limits {
    async fn hit(&self, counters: &[Counter]) -> Result<Option<u64>, StoreError> {
        match self.redis.hit(counters).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "redis does not respond; each server counts rate limits on its own");
                self.local.hit(counters).await
            }
            other => other,
        }
    }

    async fn take_back(&self, key: &str) -> Result<(), StoreError> {
        self.local.take_back(key).await?;
        match self.redis.take_back(key).await {
            Err(error) if error.is_outage() => Ok(()),
            other => other,
        }
    }

    async fn has_event(&self, key: &str) -> Result<bool, StoreError> {
        match self.redis.has_event(key).await {
            Err(error) if error.is_outage() => self.local.has_event(key).await,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_late_writes_follows_the_time_out() {
        for seconds in [1, 30] {
            let limit = Duration::from_secs(seconds);
            assert!(late_writes(limit) > 6 * limit, "a write that takes all of its time is waited for");
        }
    }
}
