//! Who may change the bot, and how new versions come into use.

use serde::{Deserialize, Serialize};

use banter_stores::secret::Secret;

/// Administrators who are no users: programs, mostly.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// A key that may do everything.
    pub key: Option<Secret>,
    /// Keys that may do some things.
    pub keys: Vec<AdminKey>,
}

/// A key and what it may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminKey {
    /// For the audit log.
    pub name: String,
    /// The value of `X-Admin-Key`.
    pub key: Secret,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at versions, differences and servers.
    Read,
    /// Upload versions, try them, and put them into use.
    Publish,
    /// Put stored versions into use, go back, begin and end canaries.
    Activate,
    /// Read texts of users in forecasts.
    Utterances,
    /// Read the audit log.
    Audit,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Publish, Self::Activate, Self::Utterances, Self::Audit];
}

/// How new versions come into use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadConfig {
    /// Whether the server follows the bot's folder; without it, in `dev` with the embedded store.
    pub watch: Option<bool>,
    /// Whether the fixtures are replayed before the bot's folder is taken at the start.
    pub replay_at_start: bool,
    /// Days of conversations that a dry run looks at.
    pub utterance_days: u32,
    /// Utterances of users that a dry run tries.
    pub utterances: u32,
    /// Seconds that an upload may take to arrive.
    pub upload_seconds: u64,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { watch: None, replay_at_start: true, utterance_days: 7, utterances: 500, upload_seconds: 120 }
    }
}
