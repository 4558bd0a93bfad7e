//! Real PostgreSQL, MongoDB and Redis for tests: those of `services/services.sh`, started when they do not run. Each
//! caller gets databases of its own.

use std::{
    path::Path,
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use banter_stores::{config::StoresConfig, secret::Secret};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

/// URLs of the servers.
pub struct Servers {
    pub postgres: String,
    pub mongo: String,
    pub redis: String,
}

/// The servers, running.
pub static SERVERS: LazyLock<Servers> = LazyLock::new(|| {
    let output = script("up");
    let value = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(&format!("export BANTER_STORES__{name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {output}")).trim_matches('\'').to_owned()
    };
    Servers { postgres: value("POSTGRES"), mongo: value("MONGO"), redis: value("REDIS") }
});

/// Runs `services/services.sh` with these words; what it prints.
pub fn script(words: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("services/services.sh").args(words.split(' ')).current_dir(root).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "services.sh {words}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Fresh databases for one test, with timeouts that are long enough for a busy machine.
pub async fn fresh() -> StoresConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let options: PgConnectOptions = SERVERS.postgres.parse().unwrap();
    let mut postgres = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut postgres).await.unwrap();
    let (mongo, parameters) = SERVERS.mongo.split_once('?').unwrap_or((&SERVERS.mongo, ""));
    let with_name = |url: &str| format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    StoresConfig {
        postgres: Some(Secret::new(with_name(&SERVERS.postgres))),
        mongo: Some(Secret::new(format!("{}?{parameters}", with_name(mongo)))),
        redis: Some(Secret::new(SERVERS.redis.clone())),
        redis_prefix: format!("{name}:"),
        pool: 8,
        timeout_ms: 2_500,
        redis_timeout_ms: 20_000,
        ..StoresConfig::default()
    }
}
