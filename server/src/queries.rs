//! What lists and consoles read. Nothing here changes anything.

use std::{collections::BTreeMap, sync::Arc};

use banter_engine::{
    catalogue::{bundle::Bundle, diff::CatalogueDiff},
    diagnostic::Diagnostics,
};
use banter_stores::{
    DialogueRecord, Millis, Profile, StoreError, UserId,
    catalog::{Activation, AuditLine, ServerRecord, VersionRecord},
};
use tokio::task::block_in_place;

use crate::catalogs::{
    serving::TurnCounts,
    source::Source,
    terms::{Fleet, FleetServer, ReleaseError, VersionCounts},
};

/// A server that was heard of within this time is alive.
const ALIVE: Millis = 10_000;

pub struct Queries {
    source: Arc<Source>,
}

impl Queries {
    pub fn new(source: Arc<Source>) -> Self {
        Self { source }
    }

    /// A user's dialogues by id, without the default one.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn dialogues(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError> {
        let all = self.source.stores.dialogues.of_user(user).await?;
        Ok(all.into_iter().filter(|dialogue| !dialogue.is_default).collect())
    }

    /// How a user is shown.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn profile(&self, user: UserId) -> Result<Profile, StoreError> {
        self.source.stores.users.profile(user).await
    }

    /// Whether all stores answer without which no user is served.
    ///
    /// # Errors
    /// The first that does not.
    pub async fn ping_needed(&self) -> Result<(), StoreError> {
        self.source.stores.ping_needed().await
    }

    /// Whether every store answers.
    ///
    /// # Errors
    /// The first that does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.source.stores.ping().await
    }

    /// The activation in force; `None` before the first publication.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn activation(&self) -> Result<Option<Activation>, StoreError> {
        self.source.stores.catalog.activation().await
    }

    /// Versions, the newest first, older than the one that begins with `before`.
    ///
    /// # Errors
    /// When there is no such version, or the store does not answer.
    pub async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, ReleaseError> {
        let before = match before {
            Some(before) => Some(self.source.resolve(before).await?),
            None => None,
        };
        Ok(self.source.stores.catalog.versions(limit, before.as_deref()).await?)
    }

    /// A version by its first digits.
    ///
    /// # Errors
    /// When there is none.
    pub async fn version(&self, beginning: &str) -> Result<VersionRecord, ReleaseError> {
        let id = self.source.resolve(beginning).await?;
        self.source.record(&id).await
    }

    /// What is different between two stored versions.
    ///
    /// # Errors
    /// When there is no such version, or one that no longer loads.
    pub async fn diff(&self, from: &str, to: &str) -> Result<CatalogueDiff, ReleaseError> {
        let (from, to) = (self.version(from).await?, self.version(to).await?);
        let (old, new) = (self.source.bundle(&from).await?, self.source.bundle(&to).await?);
        let gate = &self.source.gate;
        let load = |bundle: &Bundle, record: &VersionRecord| {
            let loaded = gate.load_stored(bundle, &mut Diagnostics::default());
            loaded.ok_or_else(|| ReleaseError::Internal(format!("version {} no longer loads", record.id)))
        };
        block_in_place(|| {
            gate.run(|| {
                let (old, new) = (load(&old, &from)?, load(&new, &to)?);
                Ok(CatalogueDiff::between((&old, &from.manifest), (&new, &to.manifest)))
            })
        })
    }

    /// The servers and what they run.
    ///
    /// # Errors
    /// When the store does not answer, or a server's counts cannot be read.
    pub async fn fleet(&self) -> Result<Fleet, ReleaseError> {
        let activation = self.activation().await?;
        let records = self.source.stores.catalog.servers(ALIVE).await?;
        let mut versions: BTreeMap<String, VersionCounts> = BTreeMap::new();
        for record in &records {
            let counts: BTreeMap<String, TurnCounts> = serde_json::from_value(record.counts.clone())
                .map_err(|error| ReleaseError::Internal(format!("the counts of server {}: {error}", record.name)))?;
            for (version, counts) in counts {
                let sum = versions.entry(version).or_default();
                sum.counts = sum.counts.plus(counts);
                sum.match_rate = sum.counts.match_rate();
            }
        }
        let generation = activation.as_ref().map_or(0, |activation| activation.generation);
        let current = |record: &ServerRecord| record.generation == generation && record.problem.is_none();
        let servers: Vec<FleetServer> =
            records.into_iter().map(|record| FleetServer { current: current(&record), record }).collect();
        let converged = !servers.is_empty() && servers.iter().all(|server| server.current);
        Ok(Fleet { activation, servers, converged, versions })
    }

    /// The audit log, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, StoreError> {
        self.source.stores.catalog.audit_log(limit, before).await
    }
}
