//! Rows of the catalogue tables, which are the same in SQLite and PostgreSQL.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{FromRow, Row, postgres::PgRow};

use super::{Activation, ActivationReason, AuditLine, Canary, ServerRecord, VersionRecord};
use crate::{Millis, StoreError};

pub struct VersionRow {
    pub(crate) id: String,
    pub(crate) catalogue: String,
    pub(crate) parent: Option<String>,
    pub(crate) author: String,
    pub(crate) message: String,
    pub(crate) created_at: Millis,
    pub(crate) manifest: String,
}

impl FromRow<'_, PgRow> for VersionRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            catalogue: row.try_get("catalogue")?,
            parent: row.try_get("parent")?,
            author: row.try_get("author")?,
            message: row.try_get("message")?,
            created_at: row.try_get("created_at")?,
            manifest: row.try_get("manifest")?,
        })
    }
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

pub struct ActivationRow {
    pub(crate) generation: i64,
    pub(crate) version: String,
    pub(crate) canary: Option<String>,
    pub(crate) percent: Option<i64>,
    pub(crate) at: Millis,
    pub(crate) made_by: String,
    pub(crate) reason: String,
}

impl FromRow<'_, PgRow> for ActivationRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            generation: row.try_get("generation")?,
            version: row.try_get("version")?,
            canary: row.try_get("canary")?,
            percent: row.try_get("percent")?,
            at: row.try_get("at")?,
            made_by: row.try_get("made_by")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl TryFrom<ActivationRow> for Activation {
    type Error = StoreError;

    fn try_from(row: ActivationRow) -> Result<Self, StoreError> {
        let canary = match (row.canary, row.percent) {
            (None, _) => None,
            (Some(version), Some(percent @ 1..=99)) => Some(Canary { version, percent: percent as u8 }),
            (Some(_), percent) => {
                let told = percent.map_or("no share".to_owned(), |percent| format!("a share of {percent} %"));
                let message = format!("activation {} has a canary with {told} of the users", row.generation);
                return Err(StoreError::damaged("catalogue", message));
            }
        };
        let reason = ActivationReason::named(&row.reason).ok_or_else(|| {
            StoreError::damaged("catalogue", format!("activation {} has the reason {}", row.generation, row.reason))
        })?;
        Ok(Self { generation: row.generation, version: row.version, canary, at: row.at, by: row.made_by, reason })
    }
}

pub struct ServerRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) seen_at: Millis,
    pub(crate) generation: i64,
    pub(crate) version: String,
    pub(crate) canary: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) counts: String,
}

impl FromRow<'_, PgRow> for ServerRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            seen_at: row.try_get("seen_at")?,
            generation: row.try_get("generation")?,
            version: row.try_get("version")?,
            canary: row.try_get("canary")?,
            problem: row.try_get("problem")?,
            counts: row.try_get("counts")?,
        })
    }
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

pub struct AuditRow {
    pub(crate) id: i64,
    pub(crate) at: Millis,
    pub(crate) actor: Option<i64>,
    pub(crate) action: String,
    pub(crate) subject: Option<i64>,
    pub(crate) detail: String,
}

impl FromRow<'_, PgRow> for AuditRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            detail: row.try_get("detail")?,
        })
    }
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

/// A value in its stored form, as JSON.
pub fn write<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::damaged("catalogue", error.to_string()))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged("catalogue", error.to_string()))
}
