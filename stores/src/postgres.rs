//! PostgreSQL: users, identities, refresh tokens, dialogues, the audit log, and the sessions that were made while Redis was
//! away.

mod catalog;
mod dialogs;
mod sessions;
mod users;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::time::timeout;

use super::{StoreError, breaker::Breaker};
use crate::secret::Secret;

/// What making a connection outside the pool may take.
const CONNECT: Duration = Duration::from_secs(5);
const STORE: &str = "postgres";
/// Statements of one request share the pool's patience; a connection that nobody uses goes after this.
const IDLE: Duration = Duration::from_secs(600);

/// The external backend of `UserStore` and `DialogStore`.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    breaker: Breaker,
}

/// Where a migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

impl PostgresStore {
    /// A pool over a migrated database. Connections are made when they are needed.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn connect(url: &Secret, connections: u32, limit: Duration) -> Result<Self, StoreError> {
        // The server gives up shortly before we do, and says why.
        let statement = format!("{}ms", limit.as_millis() * 9 / 10);
        let options = options(url)?
            .application_name("banter")
            .options([("statement_timeout", statement.as_str()), ("lock_timeout", statement.as_str())]);
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(limit)
            .idle_timeout(IDLE)
            .connect_lazy_with(options);
        Ok(Self { pool, breaker: Breaker::new(STORE, limit) })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        self.breaker.call(async { work.await.map_err(failed) }).await
    }
}

/// Brings the tables up to date. Servers that start together wait for each other.
///
/// # Errors
/// When the database does not answer, or a migration fails or has been changed since it was applied.
pub async fn migrate(url: &Secret) -> Result<(), StoreError> {
    let mut connection = connect(url).await?;
    migrations().run(&mut connection).await.map_err(migration_failed)
}

/// In order; run under an advisory lock. A newer binary may have applied more: each is compatible with the binary before it, which
/// must still start.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../migrations/postgres");
    migrations.set_ignore_missing(true);
    migrations
}

async fn connect(url: &Secret) -> Result<PgConnection, StoreError> {
    let options = options(url)?;
    match timeout(CONNECT, options.connect()).await {
        Ok(made) => made.map_err(failed),
        Err(_) => Err(StoreError::outage(STORE, format!("no connection within {} s", CONNECT.as_secs()))),
    }
}

/// Which migrations the database has.
///
/// # Errors
/// When the database does not answer.
pub async fn migration_states(url: &Secret) -> Result<Vec<MigrationState>, StoreError> {
    let mut connection = connect(url).await?;
    let known: Option<(Option<String>,)> = sqlx::query_as("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_optional(&mut connection)
        .await
        .map_err(failed)?;
    let applied = match known {
        Some((Some(table),)) => connection.list_applied_migrations(&table).await.map_err(migration_failed)?,
        _ => Vec::new(),
    };
    let state = |migration: &sqlx::migrate::Migration| MigrationState {
        version: migration.version,
        name: migration.description.to_string(),
        applied: applied.iter().any(|one| one.version == migration.version),
    };
    Ok(migrations().iter().map(state).collect())
}

fn options(url: &Secret) -> Result<PgConnectOptions, StoreError> {
    // The driver's own message quotes parts of the URL.
    PgConnectOptions::from_str(url.text())
        .map_err(|_| StoreError::damaged(STORE, "stores.postgres is no postgres:// URL"))
}

fn migration_failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => failed(error),
        other => StoreError::damaged(STORE, other.to_string()),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    let outage = match &error {
        // Connection trouble, too little of something, the operator's hand, a time-out of ours, read-only after a fail-over.
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| {
            ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || code == "55P03" || code == "25006"
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    StoreError { store: STORE, message: error.to_string(), outage }
}
