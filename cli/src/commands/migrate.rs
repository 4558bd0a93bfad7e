//! `banter migrate`: lists the database's migrations, and applies them before the servers would.

use clap::Subcommand;
use serde_json::json;

use super::{block_on, print};
use banter_server::config::Config;
use banter_stores::{StoreError, postgres, secret::Secret};

use crate::failure::{CHECK_FAILED, Failure};

/// What to do with the migrations.
#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// List the migrations. The exit code is 1 if some are missing.
    #[command(after_help = "Example:\n  banter migrate status --json")]
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Apply the missing migrations. Servers also do this when they start.
    #[command(after_help = "Example:\n  banter migrate up")]
    Up,
}

pub(super) fn run(config: &Config, action: &MigrateAction) -> Result<u8, Failure> {
    let urls = config.store_urls()?.ok_or_else(|| {
        Failure::usage(
            "there is nothing to migrate: the embedded store applies its own migrations",
            "to use external stores, set stores.postgres, stores.mongo and stores.redis",
        )
    })?;
    block_on(async {
        match action {
            MigrateAction::Status { json } => status(&urls.postgres, *json).await,
            MigrateAction::Up => {
                postgres::migrate(&urls.postgres).await.map_err(failed)?;
                print("all migrations are applied");
                Ok(0)
            }
        }
    })
}

async fn status(url: &Secret, as_json: bool) -> Result<u8, Failure> {
    let states = postgres::migration_states(url).await.map_err(failed)?;
    if as_json {
        let list: Vec<_> = states
            .iter()
            .map(|one| json!({ "version": one.version, "name": one.name, "applied": one.applied }))
            .collect();
        print(format!("{:#}", json!({ "migrations": list })));
    } else {
        for one in &states {
            print(format!("{:>4}  {:<24} {}", one.version, one.name, if one.applied { "applied" } else { "missing" }));
        }
    }
    Ok(if states.iter().all(|one| one.applied) { 0 } else { CHECK_FAILED })
}

fn failed(error: StoreError) -> Failure {
    Failure::usage(error.to_string(), "check that PostgreSQL is running and that stores.postgres is correct")
}
