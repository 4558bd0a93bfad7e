//! What admins do: publish, activate, roll back, try a version on some users. Each changes the store's pointer by one step, with its line
//! in the audit log; servers follow the pointer.

mod history;
mod terms;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use banter_engine::{
    Engine,
    catalogue::{
        bundle::Bundle,
        diff::CatalogueDiff,
        fault::{Faults, Severity},
    },
    forecast,
};
use serde_json::json;
use tokio::task::block_in_place;

use super::{
    Catalogs,
    contents::Contents,
    gate::{Candidate, Gate, GateError, Progress, Step},
    serving::{Counts, Serving},
    source::{Source, share},
};
use crate::{
    stores::{
        AuditEntry, Millis, Stores,
        catalog::{Activation, AuditLine, Canary, ServerRecord, VersionRecord},
    },
    time::{now, timestamp},
};

pub use terms::*;

use history::before;

/// The topic of activations; the text is the generation.
pub const ACTIVATED: &str = "catalogue";
/// A server that was heard of within this time is alive.
pub const ALIVE: Millis = 10_000;
/// Activations that a roll-back looks through.
const HISTORY: u32 = 200;
const DAY: Millis = 24 * 60 * 60 * 1000;
/// Characters of an admin's message.
const MAX_MESSAGE: usize = 500;

/// Publishing and activating.
pub struct Releases {
    pub(super) engine: Arc<Engine>,
    pub(super) gate: Gate,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) stores: Stores,
    pub(super) contents: Contents,
    pub(super) index_folder: PathBuf,
    limits: ReleaseLimits,
    /// One bundle at a time: the gate takes all cores.
    publishing: tokio::sync::Mutex<()>,
    /// The version that has just passed here, so that it is not built a second time.
    prepared: Mutex<Option<Arc<Serving>>>,
    pub(super) following: super::follower::Following,
}

impl Releases {
    /// Over these; `name` is this server's, for people.
    pub fn new(
        engine: Arc<Engine>,
        gate: Gate,
        catalogs: Arc<Catalogs>,
        stores: Stores,
        data_dir: &std::path::Path,
        limits: ReleaseLimits,
        name: String,
    ) -> Self {
        Self {
            engine,
            gate,
            catalogs,
            stores,
            contents: Contents::new(data_dir.join("catalogue")),
            index_folder: data_dir.join("index"),
            limits,
            publishing: tokio::sync::Mutex::default(),
            prepared: Mutex::default(),
            following: super::follower::Following::new(name),
        }
    }

    /// Takes a bundle through the gate and, unless it is a dry run, puts it into use here; other servers follow.
    ///
    /// # Errors
    /// [`ReleaseError`]; then nothing has changed.
    pub async fn publish(
        &self,
        bundle: Bundle,
        faults: Faults,
        wish: &Wish,
        actor: &Actor,
        progress: Progress<'_>,
    ) -> Result<Published, ReleaseError> {
        if wish.message.chars().count() > MAX_MESSAGE {
            return Err(ReleaseError::Bounds(LONG_MESSAGE));
        }
        if wish.message.contains(char::is_control) {
            return Err(ReleaseError::Bounds(CONTROL_MESSAGE));
        }
        check_percent(wish.canary)?;
        let seen = self.expected(wish.expected).await?;
        let _one = self.publishing.lock().await;
        // Who only looks may look at whatever is there when their turn has come.
        let before = if wish.dry_run { self.expected(wish.expected).await? } else { self.unmoved(seen).await? };
        let line = self.catalogs.line();
        let passed =
            block_in_place(|| self.gate.pass(bundle, faults, &line.stable.snapshot, !wish.skip_fixtures, progress));
        let candidate = match passed {
            Ok(candidate) => candidate,
            Err(error) => {
                self.audit_refusal(&error, wish, actor).await?;
                return Err(error.into());
            }
        };
        let generation = before.as_ref().map_or(0, |activation| activation.generation);
        let mut published = Published {
            version: candidate.id.clone(),
            activated: false,
            generation,
            diff: self.diff_to(&line.stable, &candidate).await?,
            report: candidate.report.clone(),
            forecast: None,
        };
        if wish.dry_run {
            published.forecast = Some(self.forecast(&line.stable, &candidate, wish.utterances, progress).await?);
            self.audit_look(&published, wish, actor).await?;
            return Ok(published);
        }
        let in_use = before.as_ref().map(|activation| (activation.version.as_str(), activation.canary.as_ref()));
        let own = candidate.id.as_str();
        match (wish.canary, in_use) {
            // As it is wanted already.
            (None, Some((stable, None))) if stable == own => return Ok(published),
            (Some(percent), Some((_, Some(canary)))) if canary.version == own && canary.percent == percent => {
                return Ok(published);
            }
            (Some(_), Some((stable, _))) if stable == own => return Err(ReleaseError::Nothing(ALREADY_FOR_ALL)),
            _ => {}
        }
        let known = self.stores.catalog.version(&candidate.id).await?.is_some();
        if !known {
            self.store(&candidate, before.as_ref(), &wish.message, actor).await?;
        }
        let id = candidate.id.clone();
        // A version that is stored already has a classifier that all servers share.
        let serving = if known { self.build(&id).await? } else { Serving::new(candidate.id, candidate.snapshot) };
        self.prepare(serving);
        let (version, canary, reason) = match (wish.canary, before.as_ref()) {
            (Some(percent), Some(before)) => (before.version.clone(), Some(Canary { version: id, percent }), "canary"),
            _ => (id, None, "publish"),
        };
        published.generation = self.point(before.as_ref(), version, canary, reason, actor).await?;
        published.activated = true;
        Ok(published)
    }

    /// Puts a stored version into use for all.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn activate(
        &self,
        version: &str,
        expected: Option<i64>,
        actor: &Actor,
    ) -> Result<Activation, ReleaseError> {
        let id = self.resolve(version).await?;
        self.change(expected, actor, "activate", |_| Ok((id, None))).await
    }

    /// Goes back: to a version, or without one ends a canary, or else takes the version that was in use before.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn roll_back(
        &self,
        version: Option<&str>,
        expected: Option<i64>,
        actor: &Actor,
    ) -> Result<Activation, ReleaseError> {
        let wanted = match version {
            Some(version) => Some(self.resolve(version).await?),
            None => None,
        };
        let history = self.stores.catalog.activations(HISTORY).await?;
        self.change(expected, actor, "rollback", move |current| {
            if history.first() != Some(current) {
                return Err(ReleaseError::Conflict);
            }
            if let Some(wanted) = wanted {
                return Ok((wanted, None));
            }
            if current.canary.is_some() {
                return Ok((current.version.clone(), None));
            }
            let earlier = before(&history).ok_or(ReleaseError::Nothing(NO_EARLIER))?;
            Ok((earlier, None))
        })
        .await
    }

    /// Gives a stored version to some users.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn canary(
        &self,
        version: &str,
        percent: u8,
        expected: Option<i64>,
        actor: &Actor,
    ) -> Result<Activation, ReleaseError> {
        check_percent(Some(percent))?;
        let id = self.resolve(version).await?;
        self.change(expected, actor, "canary", |current| {
            if current.version == id {
                return Err(ReleaseError::Nothing(ALREADY_FOR_ALL));
            }
            Ok((current.version.clone(), Some(Canary { version: id, percent })))
        })
        .await
    }

    /// Gives the canary to all users.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn promote(&self, expected: Option<i64>, actor: &Actor) -> Result<Activation, ReleaseError> {
        self.change(expected, actor, "promote", |current| {
            let canary = current.canary.as_ref().ok_or(ReleaseError::Nothing(NO_CANARY))?;
            Ok((canary.version.clone(), None))
        })
        .await
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

    /// Versions, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn versions(&self, limit: u32, before: Option<&str>) -> Result<Vec<VersionRecord>, ReleaseError> {
        Ok(self.stores.catalog.versions(limit, before).await?)
    }

    /// A version by its first digits.
    ///
    /// # Errors
    /// When there is none.
    pub async fn version(&self, beginning: &str) -> Result<VersionRecord, ReleaseError> {
        let id = self.resolve(beginning).await?;
        self.stores.catalog.version(&id).await?.ok_or(ReleaseError::Unknown(id))
    }

    /// The files of a version.
    ///
    /// # Errors
    /// When there is none, or one that is damaged.
    pub async fn bundle(&self, record: &VersionRecord) -> Result<Bundle, ReleaseError> {
        self.source().bundle(record).await
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source { stores: &self.stores, contents: &self.contents, gate: &self.gate, engine: &self.engine }
    }

    /// What is different between two stored versions.
    ///
    /// # Errors
    /// When there is no such version, or one that no longer loads.
    pub async fn diff(&self, from: &str, to: &str) -> Result<CatalogueDiff, ReleaseError> {
        let (from, to) = (self.version(from).await?, self.version(to).await?);
        let (old, new) = (self.bundle(&from).await?, self.bundle(&to).await?);
        let load = |bundle: &Bundle, record: &VersionRecord| {
            let mut faults = Faults::default();
            let loaded = self.gate.load(bundle, &mut faults);
            loaded.ok_or_else(|| ReleaseError::Internal(format!("version {} does not load any more", record.id)))
        };
        block_in_place(|| {
            self.gate.run(|| {
                let (old, new) = (load(&old, &from)?, load(&new, &to)?);
                Ok(CatalogueDiff::between((&old, &from.manifest), (&new, &to.manifest)))
            })
        })
    }

    /// The servers and what they run.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fleet(&self) -> Result<Fleet, ReleaseError> {
        let activation = self.stores.catalog.activation().await?;
        let records = self.stores.catalog.servers(ALIVE).await?;
        let mut versions: BTreeMap<String, VersionCounts> = BTreeMap::new();
        for record in &records {
            let counts: BTreeMap<String, Counts> = serde_json::from_value(record.counts.clone()).unwrap_or_default();
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
    pub async fn audit_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<AuditLine>, ReleaseError> {
        Ok(self.stores.catalog.audit_log(limit, before).await?)
    }

    /// The versions in use here.
    pub fn catalogs(&self) -> Arc<Catalogs> {
        Arc::clone(&self.catalogs)
    }

    /// What is in use here.
    pub fn line(&self) -> Arc<super::serving::Line> {
        self.catalogs.line()
    }

    /// Why this server is behind, if it is.
    pub fn problem(&self) -> Option<String> {
        self.following.problem()
    }

    /// The activation in force, if it is the one that the caller knows of.
    async fn expected(&self, expected: Option<i64>) -> Result<Option<Activation>, ReleaseError> {
        let current = self.stores.catalog.activation().await?;
        let generation = current.as_ref().map_or(0, |activation| activation.generation);
        match expected {
            Some(expected) if expected != generation => Err(ReleaseError::Stale),
            _ => Ok(current),
        }
    }

    /// The activation in force, if nobody has moved the pointer since it was seen.
    async fn unmoved(&self, seen: Option<Activation>) -> Result<Option<Activation>, ReleaseError> {
        if self.stores.catalog.activation().await? == seen { Ok(seen) } else { Err(ReleaseError::Conflict) }
    }

    /// Moves the pointer to stored versions. They are built here first, so that what this server cannot run is not activated by it.
    async fn change(
        &self,
        expected: Option<i64>,
        actor: &Actor,
        reason: &'static str,
        next: impl FnOnce(&Activation) -> Result<(String, Option<Canary>), ReleaseError>,
    ) -> Result<Activation, ReleaseError> {
        let seen = self.expected(expected).await?;
        let _one = self.publishing.lock().await;
        let current = self.unmoved(seen).await?.ok_or(ReleaseError::Nothing(NOTHING_PUBLISHED))?;
        let (version, canary) = next(&current)?;
        if (current.version == version) && current.canary == canary {
            return Ok(current);
        }
        let wanted = canary.as_ref().map_or(&version, |canary| &canary.version).clone();
        let line = self.catalogs.line();
        let known = line.stable.id == wanted || line.canary.as_ref().is_some_and(|(canary, _)| canary.id == wanted);
        if !known {
            let serving = self.build(&wanted).await?;
            self.prepare(serving);
        }
        self.point(Some(&current), version, canary, reason, actor).await?;
        let newest = self.stores.catalog.activation().await?;
        newest.ok_or_else(|| ReleaseError::Internal("the activation is gone".to_owned()))
    }

    /// Writes the next activation, tells all servers, and follows it here. The new generation.
    async fn point(
        &self,
        before: Option<&Activation>,
        version: String,
        canary: Option<Canary>,
        reason: &'static str,
        actor: &Actor,
    ) -> Result<i64, ReleaseError> {
        let generation = before.map_or(0, |activation| activation.generation) + 1;
        let detail = json!({
            "by": actor.name, "generation": generation, "version": version, "canary": canary, "reason": reason,
            "before": before.map(|activation| &activation.version),
        });
        let entry = AuditEntry { at: now(), actor: actor.user, action: "catalogue_activated", subject: None, detail };
        let reason = reason.to_owned();
        let activation = Activation { generation, version, canary, at: entry.at, by: actor.name.clone(), reason };
        if !self.stores.catalog.activate(&activation, &entry).await? {
            return Err(ReleaseError::Conflict);
        }
        if let Err(error) = self.stores.bus.publish(ACTIVATED, &generation.to_string()).await {
            tracing::warn!(%error, "other servers find the new version at their next look");
        }
        self.follow().await;
        Ok(generation)
    }

    fn prepare(&self, serving: Serving) {
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(serving));
    }

    /// The prepared version, if it is this one. What was prepared for something else is let go.
    pub(super) fn take_prepared(&self, id: &str) -> Option<Arc<Serving>> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        prepared.filter(|serving| serving.id == id)
    }

    /// Files, version and classifier, in this order: what names something comes after it.
    async fn store(
        &self,
        candidate: &Candidate,
        before: Option<&Activation>,
        message: &str,
        actor: &Actor,
    ) -> Result<(), ReleaseError> {
        let by_hash: BTreeMap<&String, &Vec<u8>> =
            candidate.manifest.files.values().map(|part| &part.hash).zip(candidate.bundle.files.values()).collect();
        let hashes: Vec<String> = by_hash.keys().map(|hash| (*hash).clone()).collect();
        for hash in self.stores.catalog.missing_blobs(&hashes).await? {
            self.stores.catalog.put_blob(&hash, by_hash[&hash]).await?;
        }
        let record = VersionRecord {
            id: candidate.id.clone(),
            catalogue: candidate.snapshot.catalogue.version.clone(),
            parent: before.map(|activation| activation.version.clone()),
            author: actor.name.clone(),
            message: message.to_owned(),
            created_at: now(),
            manifest: candidate.manifest.clone(),
        };
        self.stores.catalog.put_version(&record).await?;
        share(&self.stores, &self.engine, &candidate.id, &candidate.snapshot).await.map(drop)
    }

    async fn diff_to(&self, from: &Serving, candidate: &Candidate) -> Result<CatalogueDiff, ReleaseError> {
        let old = self.stores.catalog.version(&from.id).await?.map(|record| record.manifest).unwrap_or_default();
        let new = (&*candidate.snapshot.catalogue, &candidate.manifest);
        Ok(CatalogueDiff::between((&from.snapshot.catalogue, &old), new))
    }

    async fn forecast(
        &self,
        from: &Serving,
        candidate: &Candidate,
        with_texts: bool,
        progress: Progress<'_>,
    ) -> Result<Forecast, ReleaseError> {
        let limits = self.limits;
        let since = now() - Millis::from(limits.utterance_days) * DAY;
        let said = self.stores.turns.utterances(since, limits.utterances).await?;
        let (said, more) = (said.texts, said.more);
        let engine = self.gate.replaying_engine(&candidate.fixtures, progress)?;
        let snapshots = [&*from.snapshot, &candidate.snapshot];
        let at = timestamp(now());
        let internal = |error: banter_engine::EngineError| ReleaseError::Internal(error.to_string());
        let (mut of_users, mut of_fixtures) = (Vec::new(), Vec::new());
        block_in_place(|| {
            self.gate.run(|| {
                for (done, text) in said.iter().enumerate() {
                    progress(Step { stage: super::gate::GateStage::Replay, done, total: said.len() });
                    of_users.extend(forecast::of_utterance(&engine, snapshots, text, at).map_err(internal)?);
                }
                for fixture in &candidate.fixtures {
                    of_fixtures.extend(forecast::of_fixture(&engine, snapshots, fixture).map_err(internal)?);
                }
                Ok::<_, ReleaseError>(())
            })
        })?;
        let changed = of_users.len();
        if !with_texts {
            of_users.clear();
        }
        let days = limits.utterance_days;
        Ok(Forecast { days, utterances: said.len(), more, changed, of_users, of_fixtures })
    }

    async fn audit_refusal(&self, error: &GateError, wish: &Wish, actor: &Actor) -> Result<(), ReleaseError> {
        let GateError::Refused(report) = error else { return Ok(()) };
        let detail = json!({
            "by": actor.name, "dry_run": wish.dry_run,
            "errors": report.faults.iter().filter(|fault| fault.severity == Severity::Error).count(),
            "differences": report.differences.len(),
        });
        let entry = AuditEntry { at: now(), actor: actor.user, action: "catalogue_refused", subject: None, detail };
        Ok(self.stores.users.audit(&entry).await?)
    }

    async fn audit_look(&self, published: &Published, wish: &Wish, actor: &Actor) -> Result<(), ReleaseError> {
        let detail = json!({ "by": actor.name, "version": published.version, "texts_of_users": wish.utterances });
        let entry = AuditEntry { at: now(), actor: actor.user, action: "catalogue_tried", subject: None, detail };
        Ok(self.stores.users.audit(&entry).await?)
    }
}

fn check_percent(percent: Option<u8>) -> Result<(), ReleaseError> {
    match percent {
        Some(percent) if !(1..=99).contains(&percent) => Err(ReleaseError::Bounds(CANARY_SHARE)),
        _ => Ok(()),
    }
}
