//! `banter admin`: which users may change the bot.

use clap::Subcommand;
use serde_json::json;

use super::{print, user};
use banter_server::config::Config;
use banter_stores::{
    AuditEntry, StoreError,
    clock::{Clock, SystemClock},
};

use crate::failure::Failure;

/// What is wanted.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Let a user change the bot.
    #[command(after_help = "Example:\n  banter admin grant ann@mail.example")]
    Grant {
        /// Number or e-mail address.
        user: String,
    },
    /// Let a user change the bot no longer.
    #[command(after_help = "Example:\n  banter admin revoke 17")]
    Revoke {
        /// Number or e-mail address.
        user: String,
    },
}

pub(super) fn run(config: &Config, action: &Action) -> Result<u8, Failure> {
    let (name, admin) = match action {
        Action::Grant { user } => (user, true),
        Action::Revoke { user } => (user, false),
    };
    user::with_stores(config, async |stores| {
        let user = user::find(stores, name).await?;
        let action = if admin { "admin_granted" } else { "admin_revoked" };
        let entry = AuditEntry {
            at: SystemClock.now(),
            actor: None,
            action,
            subject: Some(user),
            detail: json!({ "by": "command" }),
        };
        let failed = |error: StoreError| Failure::usage(error.to_string(), "run it again when the store answers");
        if !stores.users.set_admin(user, admin, &entry).await.map_err(failed)? {
            return Err(Failure::usage(
                format!("there is no user {name}"),
                "name a user by number or by e-mail address",
            ));
        }
        let told = if admin { "may change the bot now" } else { "may no longer change the bot" };
        print(format!("user {} {told}", user.0));
        Ok(0)
    })
}
