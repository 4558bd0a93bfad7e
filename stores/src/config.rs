//! Settings of the stores. `Rocket.toml` documents each key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The embedded store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    pub synchronous: Synchronous,
    /// Connections for reading.
    pub readers: u32,
}

/// SQLite's `synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// A commit survives a power cut.
    Full,
    /// A commit survives the end of the process.
    Normal,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { synchronous: Synchronous::Full, readers: 4 }
    }
}

/// The external stores. The server uses the embedded one if none of the three URLs is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoresConfig {
    /// `postgres://…`
    pub postgres: Option<Secret>,
    /// `mongodb://…`
    pub mongo: Option<Secret>,
    /// `redis://…` or `rediss://…`
    pub redis: Option<Secret>,
    /// Whether connections to other machines may be in clear or unverified in the profile `release`.
    pub plaintext: bool,
    /// A PEM file with the authorities that may sign Redis's certificate. The default is the public ones.
    pub redis_ca: Option<PathBuf>,
    /// Prefix of each key and channel in Redis.
    pub redis_prefix: String,
    /// Connections to PostgreSQL, and as many to MongoDB.
    pub pool: u32,
    /// Limit for one statement to PostgreSQL or MongoDB.
    pub timeout_ms: u64,
    /// Limit for one command to Redis.
    pub redis_timeout_ms: u64,
    /// How long the server waits at its start for stores that do not answer yet.
    pub start_seconds: u64,
}

impl Default for StoresConfig {
    fn default() -> Self {
        Self {
            postgres: None,
            mongo: None,
            redis: None,
            plaintext: false,
            redis_ca: None,
            redis_prefix: "banter:".to_owned(),
            pool: 16,
            timeout_ms: 700,
            redis_timeout_ms: 250,
            start_seconds: 30,
        }
    }
}

/// The URLs of all three external stores.
#[derive(Clone, Debug)]
pub struct Urls {
    pub postgres: Secret,
    pub mongo: Secret,
    pub redis: Secret,
}

impl StoresConfig {
    /// The URLs, or `None` for the embedded store.
    ///
    /// # Errors
    /// The keys that are missing, when only some of the three are set.
    pub fn urls(&self) -> Result<Option<Urls>, Vec<&'static str>> {
        match (&self.postgres, &self.mongo, &self.redis) {
            (None, None, None) => Ok(None),
            (Some(postgres), Some(mongo), Some(redis)) => {
                Ok(Some(Urls { postgres: postgres.clone(), mongo: mongo.clone(), redis: redis.clone() }))
            }
            (postgres, mongo, redis) => {
                let keys = [
                    ("stores.postgres (BANTER_STORES__POSTGRES)", postgres.is_none()),
                    ("stores.mongo (BANTER_STORES__MONGO)", mongo.is_none()),
                    ("stores.redis (BANTER_STORES__REDIS)", redis.is_none()),
                ];
                Err(keys.into_iter().filter_map(|(name, missing)| missing.then_some(name)).collect())
            }
        }
    }
}
