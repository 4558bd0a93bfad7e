//! Stored versions: fetches and verifies their files, and builds them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{Catalogue, bundle::Bundle, manifest::hash_of},
    decide::training::RECIPE,
    diagnostic::Diagnostics,
    embedding::Embedder,
    snapshot::{BuildError, Stage},
};
use banter_stores::{Stores, catalog::VersionRecord, contents::Contents};
use tokio::task::block_in_place;

use super::{gate::Gate, serving::Serving, terms::ReleaseError};

/// The parts that fetch and build versions.
pub struct Source {
    pub stores: Stores,
    /// The cache on this disk.
    contents: Contents,
    pub gate: Gate,
    pub engine: Arc<Engine>,
    /// Where vectors and classifiers are kept between starts.
    index_folder: PathBuf,
}

/// Called at each stage.
pub type Stages<'a> = &'a (dyn Fn(Stage) + Sync);

impl Source {
    /// A source that keeps its caches in the data folder.
    pub fn new(stores: Stores, gate: Gate, engine: Arc<Engine>, data_dir: &std::path::Path) -> Self {
        let (contents, index_folder) = (Contents::new(data_dir.join("catalogue")), data_dir.join("index"));
        Self { stores, contents, gate, engine, index_folder }
    }

    /// The id of a version, from its first digits.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn resolve(&self, beginning: &str) -> Result<String, ReleaseError> {
        let unknown = || ReleaseError::Unknown(beginning.chars().take(80).collect());
        let digits = beginning.len() >= 4 && beginning.len() <= 64 && beginning.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Err(unknown());
        }
        let mut found = self.stores.catalog.versions_like(&beginning.to_lowercase()).await?;
        match (found.pop(), found.pop()) {
            (Some(id), None) => Ok(id),
            _ => Err(unknown()),
        }
    }

    /// A version by its whole id.
    ///
    /// # Errors
    /// When there is none.
    pub async fn record(&self, id: &str) -> Result<VersionRecord, ReleaseError> {
        self.stores.catalog.version(id).await?.ok_or_else(|| ReleaseError::Unknown(id.to_owned()))
    }

    /// The files of a version.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub async fn bundle(&self, record: &VersionRecord) -> Result<Bundle, ReleaseError> {
        let mut fetched: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for part in record.manifest.files.values() {
            if !fetched.contains_key(&part.hash) {
                let bytes = self.content(&part.hash).await?;
                let bytes = bytes.ok_or_else(|| damaged(record, "a file is missing in the store"))?;
                fetched.insert(part.hash.clone(), bytes);
            }
        }
        let assembled = record.manifest.assemble(&record.id, |hash| fetched.get(hash).cloned());
        assembled.map_err(|error| damaged(record, &error.to_string()))
    }

    async fn content(&self, hash: &str) -> Result<Option<Vec<u8>>, ReleaseError> {
        match self.contents.get(hash) {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read a cached file of a version; it is fetched again"),
        }
        let bytes = self.stores.catalog.blob(hash).await?;
        if let Some(bytes) = &bytes
            && hash_of(bytes) == hash
            && let Err(error) = self.contents.put(hash, bytes)
        {
            tracing::warn!(%error, "cannot cache a file of the version; it will be fetched again next time");
        }
        Ok(bytes)
    }

    /// Forgets the contents on this disk that belong to none of these versions.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_only(&self, versions: &[&str]) -> Result<(), ReleaseError> {
        let mut hashes = std::collections::BTreeSet::new();
        for version in versions {
            if let Some(record) = self.stores.catalog.version(version).await? {
                hashes.extend(record.manifest.files.into_values().map(|part| part.hash));
            }
        }
        self.contents.keep(&hashes);
        Ok(())
    }

    /// Builds a version with the classifier that all servers share. The version passed the gate of the server that
    /// published it. Results in `base` are reused.
    ///
    /// # Errors
    /// A file is missing or damaged, or the files do not load here.
    pub async fn build(
        &self,
        record: &VersionRecord,
        base: Option<&Snapshot>,
        stages: Stages<'_>,
    ) -> Result<Serving, ReleaseError> {
        let bundle = self.bundle(record).await?;
        let catalogue = self.catalogue(&bundle)?;
        let embedder = self.embedder(&catalogue)?;
        let shared = self.classifier(record, &*embedder).await?;
        let (snapshot, adopted) = self.snapshot(&catalogue, &*embedder, shared.as_deref(), base, stages)?;
        if adopted {
            return Ok(Serving::new(record.id.clone(), snapshot));
        }
        // The shared classifier is gone or of another model. Train a new one, replay the fixtures with it, and share
        // it. If two servers train the same version, the first result wins.
        block_in_place(|| self.gate.replay_again(&record.id, &bundle, &snapshot))?;
        let own = self.share(&record.id, &snapshot).await?;
        let agreed = self.classifier(record, &*embedder).await?;
        let snapshot = match agreed.filter(|bytes| hash_of(bytes) != own) {
            Some(bytes) => self.snapshot(&catalogue, &*embedder, Some(&bytes), Some(&snapshot), stages)?.0,
            None => snapshot,
        };
        Ok(Serving::new(record.id.clone(), snapshot))
    }

    /// The shared classifier of a version. A damaged one counts as absent: a new one is trained.
    async fn classifier(
        &self,
        record: &VersionRecord,
        embedder: &dyn Embedder,
    ) -> Result<Option<Vec<u8>>, ReleaseError> {
        let stored = self.stores.catalog.classifier(&record.id, &recipe(embedder)).await?;
        let Some((hash, bytes)) = stored else { return Ok(None) };
        if hash_of(&bytes) == hash {
            return Ok(Some(bytes));
        }
        tracing::warn!(version = record.id, "the stored classifier is damaged; it is trained again");
        Ok(None)
    }

    fn catalogue(&self, bundle: &Bundle) -> Result<Arc<Catalogue>, ReleaseError> {
        let load = || {
            let mut diagnostics = Diagnostics::default();
            let catalogue = self.gate.load_stored(bundle, &mut diagnostics);
            catalogue.map(Arc::new).ok_or_else(|| ReleaseError::Internal(diagnostics.render(false)))
        };
        block_in_place(|| self.gate.run_stored(load))
    }

    fn embedder(&self, catalogue: &Catalogue) -> Result<Arc<dyn Embedder>, ReleaseError> {
        self.engine.embedder(catalogue).map_err(|error| ReleaseError::Internal(error.to_string()))
    }

    /// A snapshot, and whether it uses the given classifier.
    fn snapshot(
        &self,
        catalogue: &Arc<Catalogue>,
        embedder: &dyn Embedder,
        classifier: Option<&[u8]>,
        base: Option<&Snapshot>,
        stages: Stages<'_>,
    ) -> Result<(Snapshot, bool), ReleaseError> {
        let folder = Some(self.index_folder.as_path());
        let catalogue = || Arc::clone(catalogue);
        let work = || {
            let mut show = |stage| stages(stage);
            let adopted = match classifier {
                Some(bytes) => Snapshot::adopt(base, catalogue(), bytes, embedder, folder, &mut show),
                None => Err(BuildError::ForeignClassifier),
            };
            let is_adopted = adopted.is_ok();
            let built = match (adopted, base) {
                (Err(BuildError::ForeignClassifier), Some(base)) => {
                    base.succeed(catalogue(), embedder, folder, &mut show).map(|(snapshot, _)| snapshot)
                }
                (Err(BuildError::ForeignClassifier), None) => {
                    Snapshot::build(catalogue(), embedder, folder, &mut show).map(|(snapshot, _)| snapshot)
                }
                (other, _) => other,
            };
            let built = built.map_err(|error| ReleaseError::Internal(error.to_string()))?;
            Ok((built, is_adopted))
        };
        block_in_place(|| self.gate.run_stored(work))
    }

    /// Stores the classifier of a version for all servers; its hash.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn share(&self, version: &str, snapshot: &Snapshot) -> Result<String, ReleaseError> {
        let embedder = &*self.embedder(&snapshot.catalogue)?;
        let internal = |error: std::io::Error| ReleaseError::Internal(error.to_string());
        let hash = block_in_place(|| snapshot.classifier_hash(embedder)).map_err(internal)?;
        let (catalog, recipe) = (&self.stores.catalog, recipe(embedder));
        if !catalog.name_classifier(version, &recipe, &hash).await? {
            let bytes = block_in_place(|| snapshot.classifier_bytes(embedder)).map_err(internal)?;
            catalog.put_classifier(&hash, &bytes).await?;
            catalog.name_classifier(version, &recipe, &hash).await?;
        }
        Ok(hash)
    }

    /// Writes a snapshot's classifier down for the next start of this server. Blocks.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep_classifier(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        let embedder = self.engine.embedder(&snapshot.catalogue).map_err(std::io::Error::other)?;
        snapshot.keep(&*embedder, &self.index_folder)
    }
}

/// What a classifier depends on besides its version: the encoders and the algorithm.
fn recipe(embedder: &dyn Embedder) -> String {
    format!("{} {RECIPE}", embedder.id())
}

fn damaged(record: &VersionRecord, what: &str) -> ReleaseError {
    ReleaseError::Internal(format!("version {}: {what}", record.id))
}
