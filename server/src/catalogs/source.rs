//! Stored versions: their files, pulled and verified, and what is built of them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{bundle::Bundle, fault::Faults, manifest::hash_of},
    decide::training::RECIPE,
    snapshot::{BuildError, Stage},
};
use tokio::task::block_in_place;

use super::{contents::Contents, gate::Gate, releases::ReleaseError, serving::Serving};
use crate::stores::{Stores, catalog::VersionRecord};

/// Where versions come from, and what builds them.
pub struct Source<'a> {
    /// The stores.
    pub stores: &'a Stores,
    /// What is on this disk already.
    pub contents: &'a Contents,
    /// Loads files.
    pub gate: &'a Gate,
    /// For the model.
    pub engine: &'a Engine,
}

/// Told of each stage.
pub type Stages<'a> = &'a (dyn Fn(Stage) + Sync);

/// What a classifier belongs to beside its version: the model, and the mathematics.
pub fn recipe(engine: &Engine) -> String {
    format!("{} {RECIPE}", engine.embedder().id())
}

impl Source<'_> {
    /// The files of a version.
    ///
    /// # Errors
    /// When anything is missing or damaged.
    pub async fn bundle(&self, record: &VersionRecord) -> Result<Bundle, ReleaseError> {
        let mut fetched: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for part in record.manifest.files.values() {
            if !fetched.contains_key(&part.hash) {
                let bytes = self.content(&part.hash).await?;
                let bytes = bytes.ok_or_else(|| damaged(record, "a content is missing"))?;
                fetched.insert(part.hash.clone(), bytes);
            }
        }
        let assembled = record.manifest.assemble(&record.id, |hash| fetched.get(hash).cloned());
        assembled.map_err(|error| damaged(record, &error.to_string()))
    }

    async fn content(&self, hash: &str) -> Result<Option<Vec<u8>>, ReleaseError> {
        if let Some(bytes) = self.contents.get(hash) {
            return Ok(Some(bytes));
        }
        let bytes = self.stores.catalog.blob(hash).await?;
        if let Some(bytes) = &bytes
            && hash_of(bytes) == hash
            && let Err(error) = self.contents.put(hash, bytes)
        {
            tracing::warn!(%error, "a content cannot be kept; it is fetched again the next time");
        }
        Ok(bytes)
    }

    /// A version, ready to answer, with the classifier that all servers share. It passed the gate where it was published. What is
    /// known of `base` is not computed again.
    ///
    /// # Errors
    /// When anything is missing or damaged, or the files do not load here.
    pub async fn build(
        &self,
        record: &VersionRecord,
        base: Option<&Snapshot>,
        folder: &Path,
        stages: Stages<'_>,
    ) -> Result<Serving, ReleaseError> {
        let bundle = self.bundle(record).await?;
        let shared = self.classifier(record).await?;
        let (snapshot, adopted) = self.snapshot(&bundle, shared.as_deref(), base, folder, stages)?;
        if adopted {
            return Ok(Serving::new(record.id.clone(), snapshot));
        }
        // No longer kept, or of another model: made anew, which no fixture has seen yet, and shared. Whoever was faster counts.
        block_in_place(|| self.gate.replay_again(&record.id, &bundle, &snapshot))?;
        let own = share(self.stores, self.engine, &record.id, &snapshot).await?;
        let agreed = self.classifier(record).await?;
        let snapshot = match agreed.filter(|bytes| hash_of(bytes) != own) {
            Some(bytes) => self.snapshot(&bundle, Some(&bytes), Some(&snapshot), folder, stages)?.0,
            None => snapshot,
        };
        Ok(Serving::new(record.id.clone(), snapshot))
    }

    async fn classifier(&self, record: &VersionRecord) -> Result<Option<Vec<u8>>, ReleaseError> {
        let stored = self.stores.catalog.classifier(&record.id, &recipe(self.engine)).await?;
        Ok(stored.filter(|(hash, bytes)| hash_of(bytes) == *hash).map(|(_, bytes)| bytes))
    }

    /// A snapshot, and whether its classifier is the one that was given.
    fn snapshot(
        &self,
        bundle: &Bundle,
        classifier: Option<&[u8]>,
        base: Option<&Snapshot>,
        folder: &Path,
        stages: Stages<'_>,
    ) -> Result<(Snapshot, bool), ReleaseError> {
        let embedder = &**self.engine.embedder();
        let work = || {
            let mut faults = Faults::default();
            let catalogue = self.gate.load(bundle, &mut faults);
            let catalogue = Arc::new(catalogue.ok_or_else(|| ReleaseError::Internal(faults.render(false)))?);
            let mut show = |stage| stages(stage);
            let adopted = match classifier {
                Some(bytes) => Snapshot::adopt(base, Arc::clone(&catalogue), bytes, embedder, Some(folder), &mut show),
                None => Err(BuildError::ForeignClassifier),
            };
            let is_adopted = adopted.is_ok();
            let built = match (adopted, base) {
                (Err(BuildError::ForeignClassifier), Some(base)) => {
                    base.succeed(catalogue, embedder, Some(folder), &mut show).map(|(snapshot, _)| snapshot)
                }
                (Err(BuildError::ForeignClassifier), None) => {
                    Snapshot::build(catalogue, embedder, Some(folder), &mut show).map(|(snapshot, _)| snapshot)
                }
                (other, _) => other,
            };
            let built = built.map_err(|error| ReleaseError::Internal(error.to_string()))?;
            Ok((built, is_adopted))
        };
        block_in_place(|| self.gate.run(work))
    }
}

/// Stores the classifier of a version for all servers; its hash.
///
/// # Errors
/// When the store does not answer.
pub async fn share(
    stores: &Stores,
    engine: &Engine,
    version: &str,
    snapshot: &Snapshot,
) -> Result<String, ReleaseError> {
    let embedder = &**engine.embedder();
    let internal = |error: std::io::Error| ReleaseError::Internal(error.to_string());
    let hash = block_in_place(|| snapshot.classifier_hash(embedder)).map_err(internal)?;
    let recipe = recipe(engine);
    if !stores.catalog.name_classifier(version, &recipe, &hash).await? {
        let bytes = block_in_place(|| snapshot.classifier_bytes(embedder)).map_err(internal)?;
        stores.catalog.put_classifier(&hash, &bytes).await?;
        stores.catalog.name_classifier(version, &recipe, &hash).await?;
    }
    Ok(hash)
}

fn damaged(record: &VersionRecord, what: &str) -> ReleaseError {
    ReleaseError::Internal(format!("version {}: {what}", record.id))
}
