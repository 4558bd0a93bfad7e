//! Versions of the bot, which of them is in use, and which servers run it.

pub mod rows;

use async_trait::async_trait;
use banter_engine::catalogue::manifest::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntry, Millis, StoreError};

/// A version of the bot. It passed the gate before it was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The hash of its files, 64 hex digits.
    pub id: String,
    /// The bot's version as turns tell it: that of its files without the fixtures.
    pub catalogue: String,
    /// The version that was in use when it was made.
    pub parent: Option<String>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Millis,
    /// Its files.
    pub manifest: Manifest,
}

/// Which version is in use. Each change is a row of its own, numbered without holes; the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// 1 for the first.
    pub generation: i64,
    /// What users get.
    pub version: String,
    /// What some users get instead.
    pub canary: Option<Canary>,
    /// When it was chosen.
    pub at: Millis,
    /// By whom.
    pub by: String,
    /// `publish`, `activate`, `rollback`, `canary`, `promote`.
    pub reason: String,
}

/// A version for some users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Which.
    pub version: String,
    /// For so many users in a hundred, always the same ones.
    pub percent: u8,
}

/// What a server tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Made anew at each start.
    pub id: String,
    /// For people: host and port.
    pub name: String,
    /// When it was last heard of, by the clock of the store, which fills it in.
    pub seen_at: Millis,
    /// The activation that it follows; 0 before the first.
    pub generation: i64,
    /// The version that it serves.
    pub version: String,
    /// The version that it serves to some users.
    pub canary: Option<String>,
    /// Why it is behind, if it is.
    pub problem: Option<String>,
    /// How its turns went, by version.
    pub counts: Value,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Rising.
    pub id: i64,
    /// When.
    pub at: Millis,
    /// The user, if a user did it.
    pub actor: Option<i64>,
    /// In the past tense.
    pub action: String,
    /// To which user.
    pub subject: Option<i64>,
    /// What else there is to know.
    pub detail: Value,
}

/// Versions, activations and servers.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// Which of these contents are not stored.
    async fn missing_blobs(&self, hashes: &[String]) -> Result<Vec<String>, StoreError>;

    /// Stores a content by its hash, in pieces; one that is there stays.
    async fn put_blob(&self, hash: &str, content: &[u8]) -> Result<(), StoreError>;

    /// A content.
    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a version whose contents are stored; one that is there stays.
    async fn put_version(&self, version: &VersionRecord) -> Result<(), StoreError>;

    /// Names the classifier of a version for an embedding model by the hash of its content, unless there is one; `false` when the content
    /// is not stored yet. Classifiers of all but the newest versions are removed.
    async fn name_classifier(&self, version: &str, model: &str, hash: &str) -> Result<bool, StoreError>;

    /// Stores the content of a classifier by its hash. It can be made anew, so it need not outlive a power cut.
    async fn put_classifier(&self, hash: &str, content: &[u8]) -> Result<(), StoreError>;

    /// The classifier of a version for a model: hash and content, as long as it is kept.
    async fn classifier(&self, version: &str, model: &str) -> Result<Option<(String, Vec<u8>)>, StoreError>;

    /// A version.
    async fn version(&self, id: &str) -> Result<Option<VersionRecord>, StoreError>;

    /// The ids that begin so, two at the most.
    async fn versions_like(&self, beginning: &str) -> Result<Vec<String>, StoreError>;

    /// Versions, the newest first, so many at the most, older than the one with this id.
    async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, StoreError>;

    /// The activation in force; `None` before the first.
    async fn activation(&self) -> Result<Option<Activation>, StoreError>;

    /// Activations, the newest first, so many at the most.
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError>;

    /// Puts the next activation in force and writes the audit line, both or neither; `false` when somebody else was faster:
    /// its generation is not the next.
    async fn activate(&self, activation: &Activation, entry: &AuditEntry) -> Result<bool, StoreError>;

    /// Tells of a server; forgets those that have not been heard of for a day.
    async fn announce(&self, server: &ServerRecord) -> Result<(), StoreError>;

    /// Takes a server off the list, at its orderly end.
    async fn withdraw(&self, server: &str) -> Result<(), StoreError>;

    /// Servers that were heard of within the last milliseconds, by name.
    async fn servers(&self, within: Millis) -> Result<Vec<ServerRecord>, StoreError>;

    /// The audit log, the newest first, so many lines at the most, older than the one with this id.
    async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError>;
}

/// Contents are stored in pieces of so many bytes: no statement takes long, and turns are written between two of them.
pub const PIECE: usize = 1 << 20;
/// Of so many of the newest versions the classifier is kept.
pub const KEPT_CLASSIFIERS: i64 = 10;
/// A server that has not been heard of for so long is forgotten.
pub const SERVER_LIFE: Millis = 24 * 60 * 60 * 1000;
