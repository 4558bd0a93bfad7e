//! The requests, results and errors of releases.

use std::collections::BTreeMap;

use banter_engine::{catalogue::diff::CatalogueDiff, forecast::Changed};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::catalogs::{
    gate::{GateError, GateReport},
    serving::TurnCounts,
};
use banter_stores::{
    Millis, StoreError, UserId,
    catalog::{Activation, ServerRecord, VersionRecord},
};

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NothingToDo {
    #[error("there is no earlier version")]
    NoEarlierVersion,
    #[error("nothing has been published yet")]
    NothingPublished,
    #[error("there is no canary")]
    NoCanary,
    #[error("all users already have this version")]
    AlreadyForAll,
}

/// What is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Bound {
    #[error("the message is longer than 500 characters")]
    LongMessage,
    #[error("the message contains line breaks or other control characters")]
    ControlCharacters,
    #[error("the share of a canary must be from 1 to 99 percent")]
    CanaryShare,
}

/// Why an operation failed.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// The version did not pass the gate.
    #[error("the version did not pass")]
    Refused(Box<GateReport>),
    /// Another admin has activated a version in the meantime.
    #[error("another version was activated in the meantime")]
    Conflict,
    /// The version is stored, but another one was activated while it went through the gate.
    #[error("another version was activated while version {0} was checked; it is stored and can be activated")]
    Overtaken(String),
    /// The current generation is not the one that the caller expected.
    #[error("the state is not the expected one")]
    Stale,
    /// No version begins with these digits, or several do.
    #[error("there is no version {0}")]
    Unknown(String),
    /// There is nothing to do, such as no earlier version or no canary.
    #[error("{0}")]
    Nothing(NothingToDo),
    /// A number or a text is out of bounds.
    #[error("{0}")]
    Bounds(Bound),
    /// A store does not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An unexpected error.
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

/// The author of an operation, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user; `None` for keys and for the server itself.
    pub user: Option<UserId>,
    /// `key:ci`, `user:7`, `watch`, `start`.
    pub name: String,
}

/// How to publish a bundle.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The reason, in the author's words.
    pub message: String,
    /// Whether to change nothing.
    pub dry_run: bool,
    /// The share of users for a canary, in percent; `None` publishes to all.
    pub canary: Option<u8>,
    /// The generation that the caller expects to be in use.
    pub expected: Option<i64>,
    /// Whether the forecast may contain users' utterances.
    pub utterances: bool,
    /// Whether to skip the fixtures, for a server start with `reload.replay_at_start = false`.
    pub skip_fixtures: bool,
}

/// The result of publishing a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// The id of the version.
    pub version: String,
    /// Whether a version was activated: false in a dry run, or if it was already in use.
    pub activated: bool,
    /// The generation in use now.
    pub generation: i64,
    pub report: GateReport,
    /// The differences from the previous version.
    pub diff: CatalogueDiff,
    /// The messages that would get other answers; only in a dry run.
    #[schema(required)]
    pub forecast: Option<Forecast>,
}

/// The messages that would get other answers from a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    /// The days of conversations that were sampled.
    pub days: u32,
    /// The number of distinct user utterances that were tried.
    pub utterances: usize,
    /// Whether there were more utterances than were tried.
    pub more: bool,
    /// How many of them would get other answers.
    pub changed: usize,
    /// These utterances, if the caller may see them; else empty.
    pub of_users: Vec<Changed>,
    /// Messages of the version's fixtures that would get other answers.
    pub of_fixtures: Vec<Changed>,
}

/// The live servers and what they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// The current activation; `None` before the first publication.
    #[schema(required)]
    pub activation: Option<Activation>,
    pub servers: Vec<FleetServer>,
    /// Whether there are servers and all of them serve the activation.
    pub converged: bool,
    /// The outcomes of turns by version, over all servers since each began to serve it.
    pub versions: BTreeMap<String, VersionCounts>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetServer {
    /// The server's last announcement.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// Whether it serves the activation.
    pub current: bool,
}

/// The outcomes of a version's turns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionCounts {
    #[serde(flatten)]
    pub counts: TurnCounts,
    /// The share of messages outside forms that matched an intent, from 0 to 1.
    #[schema(required)]
    pub match_rate: Option<f64>,
}

/// A version in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    /// The id: 64 hex digits.
    pub id: String,
    /// The catalogue version that turns are stored with.
    pub catalogue: String,
    /// The version that was in use when it was published.
    #[schema(required)]
    pub parent: Option<String>,
    pub author: String,
    /// The reason, in the author's words.
    pub message: String,
    #[schema(value_type = i64)]
    pub created_at: Millis,
    /// The number of files.
    pub files: usize,
    /// Whether it is in use for all users.
    pub active: bool,
}

/// Versions, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Versions {
    pub versions: Vec<VersionSummary>,
}

impl VersionSummary {
    /// The row of a stored version; `active` is the id of the version in use.
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
