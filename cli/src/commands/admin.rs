//! `banter admin`: grants and revokes users' rights to change the bot.

use clap::Subcommand;
use serde_json::json;

use super::{print, user};
use banter_server::config::Config;
use banter_stores::{
    AuditEntry, StoreError,
    clock::{Clock, SystemClock},
};

use crate::failure::Failure;

/// What to do with the right to change the bot.
#[derive(Debug, Subcommand)]
pub enum AdminAction {
    /// Give a user the right to change the bot.
    #[command(after_help = "Example:\n  banter admin grant ann@mail.example")]
    Grant {
        /// User number or e-mail address.
        user: String,
    },
    /// Take away a user's right to change the bot.
    #[command(after_help = "Example:\n  banter admin revoke 17")]
    Revoke {
        /// User number or e-mail address.
        user: String,
    },
}

pub(super) fn run(config: &Config, action: &AdminAction) -> Result<u8, Failure> {
    let (name, admin) = match action {
        AdminAction::Grant { user } => (user, true),
        AdminAction::Revoke { user } => (user, false),
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
        let failed = |error: StoreError| Failure::usage(error.to_string(), "run it again when the store responds");
        if !stores.users.set_admin(user, admin, &entry).await.map_err(failed)? {
            return Err(Failure::usage(format!("there is no user {name}"), "use the user's number or e-mail address"));
        }
        let told = if admin { "may now change the bot" } else { "may no longer change the bot" };
        print(format!("user {} {told}", user.0));
        Ok(0)
    })
}
