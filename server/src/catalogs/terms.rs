//! What releases are asked, and what they answer.

use std::collections::BTreeMap;

use banter_engine::{catalogue::diff::CatalogueDiff, forecast::Changed};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalogs::{
    gate::{GateError, GateReport},
    serving::Counts,
};
use banter_stores::{
    Millis, StoreError, UserId,
    catalog::{Activation, ServerRecord, VersionRecord},
};

/// The topic of activations on the bus; the text is the generation.
pub const ACTIVATED: &str = "catalogue";

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NothingToDo {
    #[error("no other version was in use before")]
    NoEarlierVersion,
    #[error("nothing has been published yet")]
    NothingPublished,
    #[error("there is no canary")]
    NoCanary,
    #[error("all users have this version already")]
    AlreadyForAll,
}

/// What is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Bound {
    #[error("the message is longer than 500 characters")]
    LongMessage,
    #[error("the message has line breaks or other control characters")]
    ControlCharacters,
    #[error("a canary is for 1 to 99 percent of the users")]
    CanaryShare,
}

/// Why something did not happen.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// The version did not pass the gate.
    #[error("the version did not pass")]
    Refused(Box<GateReport>),
    /// Somebody else has activated something meanwhile.
    #[error("another version was activated meanwhile")]
    Conflict,
    /// The caller knew of another state than there is.
    #[error("the state is another than was expected")]
    Stale,
    /// There is no such version, or more than one begins so.
    #[error("there is no version {0}")]
    Unknown(String),
    /// There is nothing to go back to, or no canary.
    #[error("{0}")]
    Nothing(NothingToDo),
    /// A number or text out of its bounds.
    #[error("{0}")]
    Bounds(Bound),
    /// A store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What should not happen.
    #[error("{0}")]
    Internal(String),
}

impl From<GateError> for ReleaseError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Refused(report) => Self::Refused(report),
            GateError::Broken(message) => Self::Internal(message),
        }
    }
}

/// Who acts, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user, if it is one.
    pub user: Option<UserId>,
    /// `key:ci`, `user:7`, `watch`, `start`.
    pub name: String,
}

/// How a bundle is to be published.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Why, in the author's words.
    pub message: String,
    /// Only look.
    pub dry_run: bool,
    /// For so many users in a hundred at first.
    pub canary: Option<u8>,
    /// The generation that the caller knows of.
    pub expected: Option<i64>,
    /// Whether texts of users may be told.
    pub utterances: bool,
    /// Whether the fixtures are left out, for a server's start where the administrator wants it.
    pub skip_fixtures: bool,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The version.
    pub version: String,
    /// Whether anything was activated: not in a dry run, and not when the version was in use already.
    pub activated: bool,
    /// The activation in force now.
    pub generation: i64,
    /// What the gate found.
    pub report: GateReport,
    /// What is different from the version before.
    pub diff: CatalogueDiff,
    /// What would be answered otherwise; only in a dry run.
    pub forecast: Option<Forecast>,
}

/// What a version would answer otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Days of conversations that were looked at.
    pub days: u32,
    /// Different utterances of users that were tried.
    pub utterances: usize,
    /// Whether there were more than are tried.
    pub more: bool,
    /// Of these, how many would be answered otherwise.
    pub changed: usize,
    /// Which, where the caller may see texts of users.
    pub of_users: Vec<Changed>,
    /// Messages of the version's fixtures that would be answered otherwise.
    pub of_fixtures: Vec<Changed>,
}

/// The servers and what they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// What is to be served; `None` before the first publication.
    pub activation: Option<Activation>,
    /// Servers that are alive.
    pub servers: Vec<FleetServer>,
    /// Whether all of them serve it.
    pub converged: bool,
    /// How turns went, by version, over all servers since each began with it.
    pub versions: BTreeMap<String, VersionCounts>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetServer {
    /// What it told.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// Whether it serves what it should.
    pub current: bool,
}

/// How turns of a version went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionCounts {
    /// The numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// The share of messages outside forms that were understood.
    pub match_rate: Option<f64>,
}

/// A version as a list has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionRow {
    /// Its id, 64 hex digits.
    pub id: String,
    /// What turns call it.
    pub catalogue: String,
    /// The version that it follows.
    pub parent: Option<String>,
    /// Who published it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Millis,
    /// How many files it has.
    pub files: usize,
    /// Whether it is the one in use.
    pub active: bool,
}

/// Versions, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// A row each.
    pub versions: Vec<VersionRow>,
}

impl VersionRow {
    /// Of a stored version.
    pub fn of(record: &VersionRecord, active: Option<&str>) -> Self {
        Self {
            active: active == Some(record.id.as_str()),
            id: record.id.clone(),
            catalogue: record.catalogue.clone(),
            parent: record.parent.clone(),
            author: record.author.clone(),
            message: record.message.clone(),
            created_at: record.created_at,
            files: record.manifest.files.len(),
        }
    }
}
