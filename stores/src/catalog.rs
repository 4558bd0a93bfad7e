//! The catalogue store: versions of the bot, activations, and the servers that run them.

pub mod rows;

use async_trait::async_trait;
use banter_engine::catalogue::manifest::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{AuditEntry, Millis, StoreError};

/// A version of the bot. It passed the gate before it was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The hash of its files, 64 hex digits.
    pub id: String,
    /// The version that turns record: the hash of the files without fixtures.
    pub catalogue: String,
    /// The version that was active when this one was created.
    pub parent: Option<String>,
    pub author: String,
    /// The author's reason.
    pub message: String,
    pub created_at: Millis,
    pub manifest: Manifest,
}

/// Which version is active. Each change is a new row, numbered without gaps; the newest row is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// Starts at 1.
    pub generation: i64,
    /// The version for all users outside the canary.
    pub version: String,
    #[schema(required)]
    pub canary: Option<Canary>,
    #[schema(value_type = i64)]
    pub at: Millis,
    pub by: String,
    pub reason: ActivationReason,
}

/// What made an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationReason {
    Publish,
    Activate,
    Rollback,
    Canary,
    Promote,
}

impl ActivationReason {
    const ALL: [Self; 5] = [Self::Publish, Self::Activate, Self::Rollback, Self::Canary, Self::Promote];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Canary => "canary",
            Self::Promote => "promote",
        }
    }

    /// The reason with this stored name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// A version for a share of the users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    pub version: String,
    /// Percentage of users, always the same ones.
    pub percent: u8,
}

/// The status that a server reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerRecord {
    /// New at each start.
    pub id: String,
    /// Host and port, for display.
    pub name: String,
    /// The last report, by the store's clock; the store sets it.
    #[schema(value_type = i64)]
    pub seen_at: Millis,
    /// The activation that it serves; 0 before the first.
    pub generation: i64,
    pub version: String,
    /// The canary that it serves.
    #[schema(required)]
    pub canary: Option<String>,
    /// Why it cannot serve the current activation, if so.
    #[schema(required)]
    pub problem: Option<String>,
    /// Turn counts by version.
    pub counts: Value,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLine {
    /// Ascending.
    pub id: i64,
    #[schema(value_type = i64)]
    pub at: Millis,
    /// The acting user, if it was a user.
    #[schema(required)]
    pub actor: Option<i64>,
    /// In the past tense: `user_deleted`.
    pub action: String,
    /// The affected user.
    #[schema(required)]
    pub subject: Option<i64>,
    pub detail: Value,
}

#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// Those of these blobs that are not stored.
    async fn missing_blobs(&self, hashes: &[String]) -> Result<Vec<String>, StoreError>;

    /// Stores a blob by its hash, in pieces. Does nothing if it exists.
    async fn put_blob(&self, hash: &str, content: &[u8]) -> Result<(), StoreError>;

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a version whose blobs are stored. Does nothing if it exists.
    async fn put_version(&self, version: &VersionRecord) -> Result<(), StoreError>;

    /// Records the classifier of a version for an embedding model, by the hash of its content. An existing record
    /// stays. Returns `false` if the content is not stored yet. Removes the classifiers of all but the newest and
    /// latest active versions: see [`KEPT_CLASSIFIERS`].
    async fn name_classifier(&self, version: &str, model: &str, hash: &str) -> Result<bool, StoreError>;

    /// Stores the content of a classifier by its hash. It can be trained again, so it need not survive a power cut.
    async fn put_classifier(&self, hash: &str, content: &[u8]) -> Result<(), StoreError>;

    /// The classifier of a version for a model, if it is still kept: hash and content.
    async fn classifier(&self, version: &str, model: &str) -> Result<Option<(String, Vec<u8>)>, StoreError>;

    async fn version(&self, id: &str) -> Result<Option<VersionRecord>, StoreError>;

    /// Ids with this prefix, at most two.
    async fn versions_like(&self, beginning: &str) -> Result<Vec<String>, StoreError>;

    /// At most `limit` versions, newest first, older than version `before`.
    async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, StoreError>;

    /// The activation in force; `None` before the first.
    async fn activation(&self) -> Result<Option<Activation>, StoreError>;

    /// At most `limit` activations, newest first.
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError>;

    /// Stores the next activation and the audit entry in one transaction. Returns `false` if its generation is not the
    /// next one, because another administrator was faster.
    async fn activate(&self, activation: &Activation, entry: &AuditEntry) -> Result<bool, StoreError>;

    /// Stores a server's report; removes servers without a report for [`SERVER_LIFE`].
    async fn announce(&self, server: &ServerRecord) -> Result<(), StoreError>;

    /// Removes a server at its orderly shutdown.
    async fn withdraw(&self, server: &str) -> Result<(), StoreError>;

    /// Servers that reported within the last `within` milliseconds, sorted by name.
    async fn servers(&self, within: Millis) -> Result<Vec<ServerRecord>, StoreError>;

    /// At most `limit` lines of the audit log, newest first, older than line `before`.
    async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError>;
}

/// Bytes per piece of a blob. Small, so that no statement takes long and turns can be written between two pieces.
pub const PIECE: usize = 1 << 20;
/// Classifiers are kept for this many of the newest versions, latest activations, and latest canaries.
pub const KEPT_CLASSIFIERS: i64 = 10;
/// A server without a report for this long is removed.
pub const SERVER_LIFE: Millis = 24 * 60 * 60 * 1000;
