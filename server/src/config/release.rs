//! Settings of the keys that may change the bot, and of how new versions are published.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use banter_stores::secret::Secret;

/// Administrators that are not users, such as programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// The key with all scopes.
    pub key: Option<Secret>,
    /// Keys with some scopes.
    pub keys: Vec<AdminKey>,
}

/// A key with its scopes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminKey {
    /// The name in the audit log.
    pub name: String,
    /// The value of `X-Admin-Key`.
    pub key: Secret,
    pub scopes: Vec<Scope>,
}

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// View versions, differences, servers, numbers, and conversations without personal data.
    Read,
    /// Upload, try and publish versions.
    Publish,
    /// Activate stored versions, roll back, and start and end canaries.
    Activate,
    /// Read what users say: in forecasts, and at the console with personal data.
    Utterances,
    /// Read the audit log.
    Audit,
    /// Answer in dialogues that are handed off, and give them back to the bot.
    Answer,
    /// See, export and delete users, and grant the administrator role.
    Users,
}

impl Scope {
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Publish, Self::Activate, Self::Utterances, Self::Audit, Self::Answer, Self::Users];
}

/// How new versions are published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadConfig {
    /// Whether the server follows the bot's folder; the default is only in `dev` with the embedded store.
    pub watch: Option<bool>,
    /// Whether the fixtures are replayed before the bot's folder is published at the start.
    pub replay_at_start: bool,
    /// How many days of conversations a dry run samples.
    pub utterance_days: u32,
    /// The maximum number of user utterances that a dry run tries.
    pub utterances: u32,
    /// How long an upload may take to arrive.
    pub upload_seconds: u64,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { watch: None, replay_at_start: true, utterance_days: 7, utterances: 500, upload_seconds: 120 }
    }
}
