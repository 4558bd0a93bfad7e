//! Rows of the catalogue's tables, which are the same in SQLite and PostgreSQL.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::FromRow;

use super::{Activation, AuditLine, Canary, ServerRecord, VersionRecord};
use crate::stores::{Millis, StoreError};

/// A version.
#[derive(FromRow)]
pub struct VersionRow {
    id: String,
    catalogue: String,
    parent: Option<String>,
    author: String,
    message: String,
    created_at: Millis,
    manifest: String,
}

impl TryFrom<VersionRow> for VersionRecord {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self, StoreError> {
        Ok(Self {
            manifest: read(&row.manifest)?,
            id: row.id,
            catalogue: row.catalogue,
            parent: row.parent,
            author: row.author,
            message: row.message,
            created_at: row.created_at,
        })
    }
}

/// An activation.
#[derive(FromRow)]
pub struct ActivationRow {
    generation: i64,
    version: String,
    canary: Option<String>,
    percent: Option<i64>,
    at: Millis,
    made_by: String,
    reason: String,
}

impl From<ActivationRow> for Activation {
    fn from(row: ActivationRow) -> Self {
        let percent = row.percent.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(0);
        Self {
            generation: row.generation,
            version: row.version,
            canary: row.canary.map(|version| Canary { version, percent }),
            at: row.at,
            by: row.made_by,
            reason: row.reason,
        }
    }
}

/// A server.
#[derive(FromRow)]
pub struct ServerRow {
    id: String,
    name: String,
    seen_at: Millis,
    generation: i64,
    version: String,
    canary: Option<String>,
    problem: Option<String>,
    counts: String,
}

impl TryFrom<ServerRow> for ServerRecord {
    type Error = StoreError;

    fn try_from(row: ServerRow) -> Result<Self, StoreError> {
        Ok(Self {
            counts: read(&row.counts)?,
            id: row.id,
            name: row.name,
            seen_at: row.seen_at,
            generation: row.generation,
            version: row.version,
            canary: row.canary,
            problem: row.problem,
        })
    }
}

/// A line of the audit log.
#[derive(FromRow)]
pub struct AuditRow {
    id: i64,
    at: Millis,
    actor: Option<i64>,
    action: String,
    subject: Option<i64>,
    detail: String,
}

impl TryFrom<AuditRow> for AuditLine {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        Ok(Self {
            detail: read(&row.detail)?,
            id: row.id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
        })
    }
}

/// A value as it is stored.
pub fn write<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::damaged("catalogue", error.to_string()))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged("catalogue", error.to_string()))
}
