//! Versions, activations and servers in SQLite.

use std::{collections::BTreeSet, sync::PoisonError};

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::task::block_in_place;

use super::{SqliteStore, failed, users::add_audit};
use crate::{
    stores::{
        AuditEntry, Millis, StoreError,
        catalog::{
            Activation, AuditLine, CatalogStore, KEPT_CLASSIFIERS, PIECE, ServerRecord, VersionRecord,
            rows::{ActivationRow, AuditRow, VersionRow, write},
        },
    },
    time::now,
};

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn missing_blobs(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT value FROM json_each(?) WHERE value NOT IN (SELECT hash FROM blobs)")
                .bind(write(&hashes)?)
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        Ok(rows.into_iter().map(|(hash,)| hash).collect())
    }

    async fn put_blob(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        let pieces = content.chunks(PIECE);
        let count = pieces.len();
        for (piece, content) in pieces.enumerate() {
            let (hash, content) = (hash.to_owned(), content.to_vec());
            let last = (piece + 1 == count).then_some(count);
            self.writer
                .write(move |connection| Box::pin(add_piece(connection, hash, Some((piece, content)), last)))
                .await?;
        }
        if count == 0 {
            let hash = hash.to_owned();
            self.writer.write(move |connection| Box::pin(add_piece(connection, hash, None, Some(0)))).await?;
        }
        Ok(())
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let known: Option<(i64,)> = sqlx::query_as("SELECT pieces FROM blobs WHERE hash = ?")
            .bind(hash)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        let Some((count,)) = known else { return Ok(None) };
        let rows: Vec<(Vec<u8>,)> =
            sqlx::query_as("SELECT content FROM blob_pieces WHERE hash = ? AND piece < ? ORDER BY piece")
                .bind(hash)
                .bind(count)
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        Ok(Some(rows.into_iter().flat_map(|(content,)| content).collect()))
    }

    async fn put_version(&self, version: &VersionRecord) -> Result<(), StoreError> {
        let (version, manifest) = (version.clone(), write(&version.manifest)?);
        self.writer.write(move |connection| Box::pin(add_version(connection, version, manifest))).await
    }

    async fn name_classifier(&self, version: &str, model: &str, hash: &str) -> Result<bool, StoreError> {
        if !self.classifiers.has(hash) {
            return Ok(false);
        }
        let (version, model, hash) = (version.to_owned(), model.to_owned(), hash.to_owned());
        let kept =
            self.writer.write(move |connection| Box::pin(add_classifier(connection, version, model, hash))).await?;
        self.classifiers.keep(&kept);
        Ok(true)
    }

    // Megabytes that can be made anew, which would hold up the turns that wait for the disk: they lie beside the database.
    async fn put_classifier(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        let put = block_in_place(|| self.classifiers.put(hash, content));
        put.map_err(|error| StoreError::outage("sqlite", error.to_string()))
    }

    async fn classifier(&self, version: &str, model: &str) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT hash FROM classifiers WHERE version = ? AND model = ?")
            .bind(version)
            .bind(model)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        Ok(row.and_then(|(hash,)| block_in_place(|| self.classifiers.get(&hash)).map(|content| (hash, content))))
    }

    async fn version(&self, id: &str) -> Result<Option<VersionRecord>, StoreError> {
        let row: Option<VersionRow> = sqlx::query_as(
            "SELECT id, catalogue, parent, author, message, created_at, manifest FROM versions WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed)?;
        row.map(VersionRecord::try_from).transpose()
    }

    async fn versions_like(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM versions WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2")
                .bind(beginning)
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, StoreError> {
        let rows: Vec<VersionRow> = sqlx::query_as(
            "SELECT id, catalogue, parent, author, message, created_at, manifest
             FROM versions
             WHERE ?1 IS NULL OR position < (SELECT position FROM versions WHERE id = ?1)
             ORDER BY position DESC LIMIT ?2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(VersionRecord::try_from).collect()
    }

    async fn activation(&self) -> Result<Option<Activation>, StoreError> {
        Ok(self.activations(1).await?.pop())
    }

    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        let rows: Vec<ActivationRow> = sqlx::query_as(
            "SELECT generation, version, canary, percent, at, made_by, reason FROM activations
             ORDER BY generation DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(Activation::from).collect())
    }

    async fn activate(&self, activation: &Activation, entry: &AuditEntry) -> Result<bool, StoreError> {
        let (activation, entry) = (activation.clone(), entry.clone());
        self.writer.write(move |connection| Box::pin(add_activation(connection, activation, entry))).await
    }

    // One server has the file to itself, so what it tells of itself need not be written down.
    async fn announce(&self, server: &ServerRecord) -> Result<(), StoreError> {
        let server = ServerRecord { seen_at: now(), ..server.clone() };
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(server.id.clone(), server);
        Ok(())
    }

    async fn withdraw(&self, server: &str) -> Result<(), StoreError> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
        Ok(())
    }

    async fn servers(&self, within: Millis) -> Result<Vec<ServerRecord>, StoreError> {
        let since = now() - within;
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(servers.values().filter(|server| server.seen_at >= since).cloned().collect())
    }

    async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "SELECT id, at, actor, action, subject, detail FROM audit WHERE ?1 IS NULL OR id < ?1
             ORDER BY id DESC LIMIT ?2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(AuditLine::try_from).collect()
    }
}

/// A piece of a content, and with the last one the row that says that all are there.
async fn add_piece(
    connection: &mut SqliteConnection,
    hash: String,
    piece: Option<(usize, Vec<u8>)>,
    count: Option<usize>,
) -> Result<(), sqlx::Error> {
    if let Some((piece, content)) = piece {
        sqlx::query("INSERT OR IGNORE INTO blob_pieces (hash, piece, content) VALUES (?, ?, ?)")
            .bind(&hash)
            .bind(piece as i64)
            .bind(content)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(count) = count {
        sqlx::query("INSERT OR IGNORE INTO blobs (hash, pieces) VALUES (?, ?)")
            .bind(hash)
            .bind(count as i64)
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn add_version(
    connection: &mut SqliteConnection,
    version: VersionRecord,
    manifest: String,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO versions (id, catalogue, parent, author, message, created_at, manifest)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(version.id)
    .bind(version.catalogue)
    .bind(version.parent)
    .bind(version.author)
    .bind(version.message)
    .bind(version.created_at)
    .bind(manifest)
    .execute(connection)
    .await
    .map(|_| ())
}

/// All hashes that are still named.
async fn add_classifier(
    connection: &mut SqliteConnection,
    version: String,
    model: String,
    hash: String,
) -> Result<BTreeSet<String>, sqlx::Error> {
    sqlx::query("INSERT OR IGNORE INTO classifiers (version, model, hash) VALUES (?, ?, ?)")
        .bind(&version)
        .bind(model)
        .bind(hash)
        .execute(&mut *connection)
        .await?;
    // What is in use is among the newest activations, if not among the newest versions; this one is about to be.
    sqlx::query(
        "DELETE FROM classifiers WHERE version NOT IN (SELECT id FROM versions ORDER BY position DESC LIMIT ?1)
         AND version NOT IN (SELECT version FROM activations ORDER BY generation DESC LIMIT ?1)
         AND version NOT IN (SELECT canary FROM activations WHERE canary IS NOT NULL ORDER BY generation DESC LIMIT ?1)
         AND version <> ?2",
    )
    .bind(KEPT_CLASSIFIERS)
    .bind(&version)
    .execute(&mut *connection)
    .await?;
    let rows: Vec<(String,)> = sqlx::query_as("SELECT hash FROM classifiers").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(hash,)| hash).collect())
}

async fn add_activation(
    connection: &mut SqliteConnection,
    activation: Activation,
    entry: AuditEntry,
) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO activations (generation, version, canary, percent, at, made_by, reason)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE ?1 = (SELECT COALESCE(MAX(generation), 0) + 1 FROM activations)",
    )
    .bind(activation.generation)
    .bind(activation.version)
    .bind(activation.canary.as_ref().map(|canary| canary.version.clone()))
    .bind(activation.canary.as_ref().map(|canary| i64::from(canary.percent)))
    .bind(activation.at)
    .bind(activation.by)
    .bind(activation.reason)
    .execute(&mut *connection)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    add_audit(connection, entry).await?;
    Ok(true)
}
