//! Versions, activations and servers in SQLite.

use std::{collections::BTreeSet, sync::PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::task::block_in_place;

use super::{SqliteStore, users::add_audit};
use crate::{
    AuditEntry, Millis, StoreError,
    catalog::{
        Activation, AuditLine, CatalogStore, KEPT_CLASSIFIERS, PIECE, ServerRecord, VersionRecord,
        rows::{ActivationRow, AuditRow, VersionRow, write},
    },
};

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn missing_blobs(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        let hashes = write(&hashes)?;
        self.read(move |connection| {
            let missing = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT hash FROM blobs)";
            connection.prepare(missing)?.query_map([hashes], |row| row.get(0))?.collect()
        })
        .await
    }

    async fn put_blob(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        for (piece, content) in (0_i64..).zip(content.chunks(PIECE)) {
            let (hash, content) = (hash.to_owned(), content.to_vec());
            self.write(move |connection| {
                let add = "INSERT OR IGNORE INTO blob_pieces (hash, piece, content) VALUES (?, ?, ?)";
                connection.execute(add, params![hash, piece, content]).map(drop)
            })
            .await?;
        }
        // The row that says that all pieces are there comes last.
        let (hash, pieces) = (hash.to_owned(), content.chunks(PIECE).len() as i64);
        self.write(move |connection| {
            let add = "INSERT OR IGNORE INTO blobs (hash, pieces) VALUES (?, ?)";
            connection.execute(add, params![hash, pieces]).map(drop)
        })
        .await
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let hash = hash.to_owned();
        self.read(move |connection| {
            let known = "SELECT pieces FROM blobs WHERE hash = ?";
            let Some(count) = connection.query_row(known, [&hash], |row| row.get::<_, i64>(0)).optional()? else {
                return Ok(None);
            };
            let pieces = "SELECT content FROM blob_pieces WHERE hash = ? AND piece < ? ORDER BY piece";
            let mut statement = connection.prepare(pieces)?;
            let mut rows = statement.query(params![hash, count])?;
            let mut content = Vec::new();
            while let Some(row) = rows.next()? {
                content.extend_from_slice(row.get_ref(0)?.as_blob()?);
            }
            Ok(Some(content))
        })
        .await
    }

    async fn put_version(&self, version: &VersionRecord) -> Result<(), StoreError> {
        let (version, manifest) = (version.clone(), write(&version.manifest)?);
        self.write(move |connection| {
            let VersionRecord { id, catalogue, parent, author, message, created_at, manifest: _ } = version;
            let add = "INSERT INTO versions (id, catalogue, parent, author, message, created_at, manifest)
                       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
            connection.execute(add, params![id, catalogue, parent, author, message, created_at, manifest]).map(drop)
        })
        .await
    }

    async fn name_classifier(&self, version: &str, model: &str, hash: &str) -> Result<bool, StoreError> {
        if !self.classifiers.has(hash) {
            return Ok(false);
        }
        let (version, model, hash) = (version.to_owned(), model.to_owned(), hash.to_owned());
        let kept = self.write(move |connection| add_classifier(connection, &version, &model, &hash)).await?;
        self.classifiers.keep(&kept);
        Ok(true)
    }

    // Megabytes that can be computed again would hold up the turns that wait for the disk, so they lie beside the
    // database.
    async fn put_classifier(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        let put = block_in_place(|| self.classifiers.put(hash, content));
        put.map_err(|error| StoreError::outage("sqlite", error.to_string()))
    }

    async fn classifier(&self, version: &str, model: &str) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let (version, model) = (version.to_owned(), model.to_owned());
        let hash: Option<String> = self
            .read(move |connection| {
                let find = "SELECT hash FROM classifiers WHERE version = ? AND model = ?";
                connection.query_row(find, [version, model], |row| row.get(0)).optional()
            })
            .await?;
        let Some(hash) = hash else { return Ok(None) };
        let content = block_in_place(|| self.classifiers.get(&hash));
        let content = content.map_err(|error| StoreError::outage("sqlite", error.to_string()))?;
        Ok(content.map(|content| (hash, content)))
    }

    async fn version(&self, id: &str) -> Result<Option<VersionRecord>, StoreError> {
        let id = id.to_owned();
        let row = self
            .read(move |connection| {
                let find = "SELECT id, catalogue, parent, author, message, created_at, manifest FROM versions
                            WHERE id = ?";
                connection.query_row(find, [id], version_row).optional()
            })
            .await?;
        row.map(VersionRecord::try_from).transpose()
    }

    async fn versions_like(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        let beginning = beginning.to_owned();
        self.read(move |connection| {
            let find = "SELECT id FROM versions WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2";
            connection.prepare(find)?.query_map([beginning], |row| row.get(0))?.collect()
        })
        .await
    }

    async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, StoreError> {
        let before = before.map(str::to_owned);
        let rows: Vec<VersionRow> = self
            .read(move |connection| {
                let list = "SELECT id, catalogue, parent, author, message, created_at, manifest FROM versions
                            WHERE ?1 IS NULL OR position < (SELECT position FROM versions WHERE id = ?1)
                            ORDER BY position DESC LIMIT ?2";
                connection.prepare(list)?.query_map(params![before, limit], version_row)?.collect()
            })
            .await?;
        rows.into_iter().map(VersionRecord::try_from).collect()
    }

    async fn activation(&self) -> Result<Option<Activation>, StoreError> {
        Ok(self.activations(1).await?.pop())
    }

    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        let rows: Vec<ActivationRow> = self
            .read(move |connection| {
                let list = "SELECT generation, version, canary, percent, at, made_by, reason FROM activations
                            ORDER BY generation DESC LIMIT ?";
                connection.prepare_cached(list)?.query_map([limit], activation_row)?.collect()
            })
            .await?;
        rows.into_iter().map(Activation::try_from).collect()
    }

    async fn activate(&self, activation: &Activation, entry: &AuditEntry) -> Result<bool, StoreError> {
        let (activation, entry) = (activation.clone(), entry.clone());
        self.write(move |connection| add_activation(connection, &activation, &entry)).await
    }

    // One server has the file to itself, so its record need not be written down.
    async fn announce(&self, server: &ServerRecord) -> Result<(), StoreError> {
        let server = ServerRecord { seen_at: self.clock.now(), ..server.clone() };
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(server.id.clone(), server);
        Ok(())
    }

    async fn withdraw(&self, server: &str) -> Result<(), StoreError> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
        Ok(())
    }

    async fn servers(&self, within: Millis) -> Result<Vec<ServerRecord>, StoreError> {
        let since = self.clock.now() - within;
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(servers.values().filter(|server| server.seen_at >= since).cloned().collect())
    }

    async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError> {
        let rows: Vec<AuditRow> = self
            .read(move |connection| {
                let list = "SELECT id, at, actor, action, subject, detail FROM audit WHERE ?1 IS NULL OR id < ?1
                            ORDER BY id DESC LIMIT ?2";
                connection.prepare(list)?.query_map(params![before, limit], audit_row)?.collect()
            })
            .await?;
        rows.into_iter().map(AuditLine::try_from).collect()
    }
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        id: row.get(0)?,
        catalogue: row.get(1)?,
        parent: row.get(2)?,
        author: row.get(3)?,
        message: row.get(4)?,
        created_at: row.get(5)?,
        manifest: row.get(6)?,
    })
}

fn activation_row(row: &Row<'_>) -> rusqlite::Result<ActivationRow> {
    Ok(ActivationRow {
        generation: row.get(0)?,
        version: row.get(1)?,
        canary: row.get(2)?,
        percent: row.get(3)?,
        at: row.get(4)?,
        made_by: row.get(5)?,
        reason: row.get(6)?,
    })
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
    })
}

/// Names a version's classifier and forgets old ones; the hashes that are still named.
fn add_classifier(
    connection: &Connection,
    version: &str,
    model: &str,
    hash: &str,
) -> rusqlite::Result<BTreeSet<String>> {
    let add = "INSERT OR IGNORE INTO classifiers (version, model, hash) VALUES (?, ?, ?)";
    connection.execute(add, [version, model, hash])?;
    // What is in use is among the newest activations, if not among the newest versions; this one is about to be.
    let forget = "DELETE FROM classifiers
        WHERE version NOT IN (SELECT id FROM versions ORDER BY position DESC LIMIT ?1)
          AND version NOT IN (SELECT version FROM activations ORDER BY generation DESC LIMIT ?1)
          AND version NOT IN (SELECT canary FROM activations WHERE canary IS NOT NULL ORDER BY generation DESC LIMIT ?1)
          AND version <> ?2";
    connection.execute(forget, params![KEPT_CLASSIFIERS, version])?;
    connection.prepare("SELECT hash FROM classifiers")?.query_map([], |row| row.get(0))?.collect()
}

/// Adds the next activation; `false` when its generation is not the next.
fn add_activation(connection: &Connection, activation: &Activation, entry: &AuditEntry) -> rusqlite::Result<bool> {
    let canary = activation.canary.as_ref();
    let add = "INSERT INTO activations (generation, version, canary, percent, at, made_by, reason)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
               WHERE ?1 = (SELECT COALESCE(MAX(generation), 0) + 1 FROM activations)";
    let added = connection.execute(
        add,
        params![
            activation.generation,
            activation.version,
            canary.map(|canary| &canary.version),
            canary.map(|canary| canary.percent),
            activation.at,
            activation.by,
            activation.reason.as_str(),
        ],
    )?;
    if added == 0 {
        return Ok(false);
    }
    add_audit(connection, entry)?;
    Ok(true)
}
