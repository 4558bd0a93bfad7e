//! PostgreSQL: users, identities, refresh tokens, dialogues, the audit log, the catalogue, and sessions created during
//! an outage of Redis.

mod catalog;
mod dialogues;
mod google;
mod sessions;
mod tokens;
mod users;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, PgPool, SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::time::timeout;

use super::{StoreError, Trouble, breaker::Breaker};
use crate::secret::Secret;

/// The time limit for connecting outside the pool.
const CONNECT: Duration = Duration::from_secs(5);
const STORE: &str = "postgres";
/// The pool closes a connection that is unused for this long.
const IDLE: Duration = Duration::from_secs(600);

/// `UserStore`, `DialogueStore` and `CatalogStore` of the external backend.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    breaker: Breaker,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    pub version: i64,
    pub name: String,
    pub applied: bool,
}

impl PostgresStore {
    /// A connection pool to a migrated database. Connects on first use.
    ///
    /// # Errors
    /// When the URL is not valid.
    pub fn connect(url: &Secret, connections: u32, limit: Duration) -> Result<Self, StoreError> {
        // The database times out shortly before we do, so that its error says why; and a lock before the statement that
        // waits for it.
        let (statement, lock) = (limit.as_millis() * 9 / 10, limit.as_millis() / 2);
        let (statement, lock) = (format!("{statement}ms"), format!("{lock}ms"));
        let options = options(url)?
            .application_name("banter")
            .options([("statement_timeout", statement.as_str()), ("lock_timeout", lock.as_str())]);
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(limit)
            .idle_timeout(IDLE)
            .connect_lazy_with(options);
        Ok(Self { pool, breaker: Breaker::with_places(STORE, limit, connections.max(1)) })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        self.breaker.call(async { work.await.map_err(failed) }).await
    }
}

/// Migrates the tables. Servers that start at the same time wait for each other.
///
/// # Errors
/// When the database does not respond, or a migration fails or was changed after it was applied.
pub async fn migrate(url: &Secret) -> Result<(), StoreError> {
    let mut connection = connect(url).await?;
    migrations().run(&mut connection).await.map_err(migration_failed)
}

/// The migrations, in order; they run under an advisory lock. Ignores unknown ones that a newer binary applied: every
/// migration is compatible with the previous binary, which must still start.
fn migrations() -> Migrator {
    let migration = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrations = Migrator::with_migrations(vec![
        migration(1, "init", include_str!("../../migrations/postgres/0001_init.sql")),
        migration(2, "user records", include_str!("../../migrations/postgres/0002_user_records.sql")),
        migration(3, "catalogue", include_str!("../../migrations/postgres/0003_catalogue.sql")),
        migration(4, "identities", include_str!("../../migrations/postgres/0004_identities.sql")),
        migration(5, "dialogues", include_str!("../../migrations/postgres/0005_dialogues.sql")),
        migration(6, "clock", include_str!("../../migrations/postgres/0006_clock.sql")),
    ]);
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

/// All migrations, and which of them are applied.
///
/// # Errors
/// When the database does not respond.
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
    // The driver's message quotes parts of the URL, which holds a password.
    PgConnectOptions::from_str(url.text())
        .map_err(|_| StoreError::damaged(STORE, "stores.postgres is not a postgres:// URL"))
}

fn migration_failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => failed(error),
        other => StoreError::damaged(STORE, other.to_string()),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    let trouble = match &error {
        // SQLSTATE: 55P03 lock time-out; 08 connection, 53 resources, 57 operator intervention (also our time-outs),
        // 58 system error, 25006 read-only (after a fail-over).
        sqlx::Error::Database(cause) => match cause.code().as_deref() {
            Some("55P03") => Trouble::Busy,
            Some("25006") => Trouble::Outage,
            Some(code) if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Trouble::Outage,
            _ => Trouble::Damage,
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Trouble::Outage,
        _ => Trouble::Damage,
    };
    StoreError { store: STORE, message: error.to_string(), trouble }
}
