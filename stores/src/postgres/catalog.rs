//! Versions, activations and servers in PostgreSQL.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{PostgresStore, users::add_audit};
use crate::{
    AuditEntry, Millis, StoreError,
    catalog::{
        Activation, AuditLine, CatalogStore, KEPT_CLASSIFIERS, PIECE, SERVER_LIFE, ServerRecord, VersionRecord,
        rows::{ActivationRow, AuditRow, ServerRow, VersionRow, write},
    },
};

#[async_trait]
impl CatalogStore for PostgresStore {
    async fn missing_blobs(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = self
            .ask(
                sqlx::query_as(
                    "SELECT wanted FROM UNNEST($1::text[]) AS wanted
                     WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE hash = wanted)",
                )
                .bind(hashes)
                .fetch_all(&self.pool),
            )
            .await?;
        Ok(rows.into_iter().map(|(hash,)| hash).collect())
    }

    async fn put_blob(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        let pieces = content.chunks(PIECE);
        let count = pieces.len() as i64;
        for (piece, content) in pieces.enumerate() {
            self.ask(
                sqlx::query(
                    "INSERT INTO blob_pieces (hash, piece, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(hash)
                .bind(piece as i64)
                .bind(content)
                .execute(&self.pool),
            )
            .await?;
        }
        self.ask(
            sqlx::query("INSERT INTO blobs (hash, pieces) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(hash)
                .bind(count)
                .execute(&self.pool),
        )
        .await
        .map(|_| ())
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let known: Option<(i64,)> = self
            .ask(sqlx::query_as("SELECT pieces FROM blobs WHERE hash = $1").bind(hash).fetch_optional(&self.pool))
            .await?;
        let Some((count,)) = known else { return Ok(None) };
        let mut content = Vec::new();
        for piece in 0..count {
            let row: Option<(Vec<u8>,)> = self
                .ask(
                    sqlx::query_as("SELECT content FROM blob_pieces WHERE hash = $1 AND piece = $2")
                        .bind(hash)
                        .bind(piece)
                        .fetch_optional(&self.pool),
                )
                .await?;
            let Some((bytes,)) = row else { return Ok(None) };
            content.extend_from_slice(&bytes);
        }
        Ok(Some(content))
    }

    async fn put_version(&self, version: &VersionRecord) -> Result<(), StoreError> {
        self.ask(
            sqlx::query(
                "INSERT INTO versions (id, catalogue, parent, author, message, created_at, manifest)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&version.id)
            .bind(&version.catalogue)
            .bind(&version.parent)
            .bind(&version.author)
            .bind(&version.message)
            .bind(version.created_at)
            .bind(write(&version.manifest)?)
            .execute(&self.pool),
        )
        .await
        .map(|_| ())
    }

    async fn name_classifier(&self, version: &str, model: &str, hash: &str) -> Result<bool, StoreError> {
        if !self.missing_blobs(&[hash.to_owned()]).await?.is_empty() {
            return Ok(false);
        }
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            add_classifier(&mut transaction, version, model, hash).await?;
            transaction.commit().await
        })
        .await?;
        Ok(true)
    }

    async fn put_classifier(&self, hash: &str, content: &[u8]) -> Result<(), StoreError> {
        self.put_blob(hash, content).await
    }

    async fn classifier(&self, version: &str, model: &str) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let row: Option<(String,)> = self
            .ask(
                sqlx::query_as("SELECT hash FROM classifiers WHERE version = $1 AND model = $2")
                    .bind(version)
                    .bind(model)
                    .fetch_optional(&self.pool),
            )
            .await?;
        let Some((hash,)) = row else { return Ok(None) };
        Ok(self.blob(&hash).await?.map(|content| (hash, content)))
    }

    async fn version(&self, id: &str) -> Result<Option<VersionRecord>, StoreError> {
        let query = "SELECT id, catalogue, parent, author, message, created_at, manifest FROM versions WHERE id = $1";
        let row: Option<VersionRow> = self.ask(sqlx::query_as(query).bind(id).fetch_optional(&self.pool)).await?;
        row.map(VersionRecord::try_from).transpose()
    }

    async fn versions_like(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = self
            .ask(
                sqlx::query_as("SELECT id FROM versions WHERE left(id, length($1)) = $1 ORDER BY id LIMIT 2")
                    .bind(beginning)
                    .fetch_all(&self.pool),
            )
            .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, StoreError> {
        let query = "SELECT id, catalogue, parent, author, message, created_at, manifest
             FROM versions
             WHERE $1::text IS NULL OR position < (SELECT position FROM versions WHERE id = $1)
             ORDER BY position DESC LIMIT $2";
        let rows: Vec<VersionRow> =
            self.ask(sqlx::query_as(query).bind(before).bind(i64::from(limit)).fetch_all(&self.pool)).await?;
        rows.into_iter().map(VersionRecord::try_from).collect()
    }

    async fn activation(&self) -> Result<Option<Activation>, StoreError> {
        Ok(self.activations(1).await?.pop())
    }

    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError> {
        let rows: Vec<ActivationRow> = self
            .ask(
                sqlx::query_as(
                    "SELECT generation, version, canary, percent, at, made_by, reason FROM activations
                     ORDER BY generation DESC LIMIT $1",
                )
                .bind(i64::from(limit))
                .fetch_all(&self.pool),
            )
            .await?;
        rows.into_iter().map(Activation::try_from).collect()
    }

    async fn activate(&self, activation: &Activation, entry: &AuditEntry) -> Result<bool, StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            let added = sqlx::query(
                "INSERT INTO activations (generation, version, canary, percent, at, made_by, reason)
                 SELECT $1, $2, $3, $4, $5, $6, $7
                 WHERE $1 = (SELECT COALESCE(MAX(generation), 0) + 1 FROM activations)
                 ON CONFLICT (generation) DO NOTHING",
            )
            .bind(activation.generation)
            .bind(&activation.version)
            .bind(activation.canary.as_ref().map(|canary| canary.version.as_str()))
            .bind(activation.canary.as_ref().map(|canary| i64::from(canary.percent)))
            .bind(activation.at)
            .bind(&activation.by)
            .bind(activation.reason.as_str())
            .execute(&mut *transaction)
            .await?;
            if added.rows_affected() == 0 {
                return Ok(false);
            }
            add_audit(&mut *transaction, entry).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn announce(&self, server: &ServerRecord) -> Result<(), StoreError> {
        self.ask(async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query("DELETE FROM servers WHERE seen_at < (extract(epoch FROM now()) * 1000)::bigint - $1")
                .bind(SERVER_LIFE)
                .execute(&mut *transaction)
                .await?;
            // Uses the database's clock, because the servers' clocks may differ.
            sqlx::query(
                "INSERT INTO servers (id, name, seen_at, generation, version, canary, problem, counts)
                 VALUES ($1, $2, (extract(epoch FROM now()) * 1000)::bigint, $3, $4, $5, $6, $7)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at,
                 generation = excluded.generation, version = excluded.version, canary = excluded.canary,
                 problem = excluded.problem, counts = excluded.counts",
            )
            .bind(&server.id)
            .bind(&server.name)
            .bind(server.generation)
            .bind(&server.version)
            .bind(&server.canary)
            .bind(&server.problem)
            .bind(server.counts.to_string())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    async fn withdraw(&self, server: &str) -> Result<(), StoreError> {
        self.ask(sqlx::query("DELETE FROM servers WHERE id = $1").bind(server).execute(&self.pool)).await.map(|_| ())
    }

    async fn servers(&self, within: Millis) -> Result<Vec<ServerRecord>, StoreError> {
        let rows: Vec<ServerRow> = self
            .ask(
                sqlx::query_as(
                    "SELECT id, name, seen_at, generation, version, canary, problem, counts FROM servers
                     WHERE seen_at >= (extract(epoch FROM now()) * 1000)::bigint - $1 ORDER BY name, id",
                )
                .bind(within)
                .fetch_all(&self.pool),
            )
            .await?;
        rows.into_iter().map(ServerRecord::try_from).collect()
    }

    async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError> {
        let rows: Vec<AuditRow> = self
            .ask(
                sqlx::query_as(
                    "SELECT id, at, actor, action, subject, detail::text AS detail FROM audit
                     WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
                )
                .bind(before)
                .bind(i64::from(limit))
                .fetch_all(&self.pool),
            )
            .await?;
        rows.into_iter().map(AuditLine::try_from).collect()
    }
}

async fn add_classifier(
    connection: &mut PgConnection,
    version: &str,
    model: &str,
    hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO classifiers (version, model, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(version)
        .bind(model)
        .bind(hash)
        .execute(&mut *connection)
        .await?;
    // Keep what is or may soon be in use: the newest versions, the versions of the newest activations, and this one.
    let gone: Vec<(String,)> = sqlx::query_as(
        "DELETE FROM classifiers WHERE version NOT IN (SELECT id FROM versions ORDER BY position DESC LIMIT $1)
         AND version NOT IN (SELECT version FROM activations ORDER BY generation DESC LIMIT $1)
         AND version NOT IN (SELECT canary FROM activations WHERE canary IS NOT NULL ORDER BY generation DESC LIMIT $1)
         AND version <> $2 RETURNING hash",
    )
    .bind(KEPT_CLASSIFIERS)
    .bind(version)
    .fetch_all(&mut *connection)
    .await?;
    for (hash,) in gone {
        for statement in [
            "DELETE FROM blobs WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM classifiers WHERE hash = $1)",
            "DELETE FROM blob_pieces WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM classifiers WHERE hash = $1)",
        ] {
            sqlx::query(statement).bind(&hash).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
