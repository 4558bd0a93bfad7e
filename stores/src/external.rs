//! PostgreSQL, MongoDB and Redis as one set, and what takes the place of Redis while it is away.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    RateLimits, Session, SessionStore, StoreError, Stores,
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

/// Pauses between attempts to reach a store at start.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// What each attempt has, however late it is.
const LEAST: Duration = Duration::from_secs(5);

/// The set, open.
pub struct External {
    postgres: PostgresStore,
    mongo: MongoStore,
    redis: RedisStore,
    listener: JoinHandle<()>,
    session_life: Duration,
    clock: SharedClock,
}

impl External {
    /// Connects, brings tables, indexes and validators up to date, and waits for stores that start at the same time.
    ///
    /// # Errors
    /// When PostgreSQL or MongoDB do not answer in time, or hold what contradicts the schema. Redis may come later.
    pub async fn open(
        urls: &Urls,
        config: &StoresConfig,
        session_life: Duration,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let limit = Duration::from_millis(config.timeout_ms.max(1));
        let redis_limit = Duration::from_millis(config.redis_timeout_ms.max(1));
        let postgres = PostgresStore::connect(&urls.postgres, config.pool, limit)?;
        let mongo = MongoStore::connect(&urls.mongo, config.pool, limit).await?;
        let authorities = config.redis_ca.as_deref();
        let (redis, listener) =
            RedisStore::connect(&urls.redis, authorities, &config.redis_prefix, session_life, redis_limit)?;
        let end = Instant::now() + Duration::from_secs(config.start_seconds);
        patiently("postgres", end, || postgres::migrate(&urls.postgres)).await?;
        patiently("mongodb", end, || mongo.prepare()).await?;
        if let Err(error) = redis.ping().await {
            tracing::warn!(%error, "redis does not answer; the server starts without it");
        }
        Ok(Self { postgres, mongo, redis, listener, session_life, clock })
    }

    /// As the use-cases want it.
    pub fn stores(&self) -> Stores {
        let postgres = Arc::new(self.postgres.clone());
        let redis = Arc::new(self.redis.clone());
        let sessions = Sessions { redis: self.redis.clone(), postgres: self.postgres.clone(), life: self.session_life };
        Stores {
            users: postgres.clone(),
            dialogs: postgres.clone(),
            catalog: postgres,
            turns: Arc::new(self.mongo.clone()),
            sessions: Arc::new(sessions),
            cache: redis.clone(),
            limits: Arc::new(Limits { redis: self.redis.clone(), local: MemoryLimits::new(Arc::clone(&self.clock)) }),
            bus: redis,
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.listener.abort();
        self.postgres.close().await;
        self.mongo.close().await;
    }
}

/// Tries until `end` while the store is away.
async fn patiently<F: Future<Output = Result<(), StoreError>>>(
    store: &'static str,
    end: Instant,
    work: impl Fn() -> F,
) -> Result<(), StoreError> {
    let mut result = Err(StoreError::outage(store, "no answer in time"));
    for pause in Pauses::new(PAUSES.0, PAUSES.1) {
        // A store that freezes, or a lock that is never given back, must not hold the start for ever.
        let late = |_| Err(StoreError::outage(store, "no answer in time; `banter migrate up` waits without a bound"));
        result = timeout_at(end.max(Instant::now() + LEAST), work()).await.unwrap_or_else(late);
        match &result {
            Err(error) if error.outage && Instant::now() + pause < end => {
                tracing::info!(%error, "waiting for a store");
                tokio::time::sleep(pause).await;
            }
            _ => break,
        }
    }
    result
}

/// Sessions in Redis; while it is away new ones are listed in PostgreSQL, and those made before cannot be told from revoked
/// ones.
struct Sessions {
    redis: RedisStore,
    postgres: PostgresStore,
    life: Duration,
}

#[async_trait]
impl SessionStore for Sessions {
    async fn put(&self, token: &str, session: Session) -> Result<(), StoreError> {
        match self.redis.put(token, session.clone()).await {
            Err(error) if error.outage => {
                tracing::warn!(%error, "a session is listed in PostgreSQL");
                self.postgres.put_session(token, &session, self.life).await
            }
            other => other,
        }
    }

    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        match self.redis.is_alive(token, session).await {
            Ok(true) => Ok(true),
            Ok(false) => self.listed(token, session).await,
            Err(error) if self.listed(token, session).await? => {
                tracing::warn!(%error, "Redis does not answer; the session was found in PostgreSQL");
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
    /// Whether PostgreSQL lists it, where those are that were made while Redis was away.
    async fn listed(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        Ok(self.postgres.get_session(token).await?.as_ref() == Some(session))
    }
}

/// Limits in Redis, exact across servers; while it is away each server counts for itself.
struct Limits {
    redis: RedisStore,
    local: MemoryLimits,
}

#[async_trait]
impl RateLimits for Limits {
    async fn hit(&self, key: &str, limit: u32) -> Result<Option<u64>, StoreError> {
        match self.redis.hit(key, limit).await {
            Err(error) if error.outage => {
                tracing::warn!(%error, "rate limits are counted by each server for itself");
                self.local.hit(key, limit).await
            }
            other => other,
        }
    }
}
