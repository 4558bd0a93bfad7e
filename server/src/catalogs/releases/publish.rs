//! Publishing: a bundle goes through the gate and, unless it is a dry run, into use.

use std::collections::BTreeMap;

use banter_engine::{
    catalogue::{bundle::Bundle, diff::CatalogueDiff},
    diagnostic::{Diagnostics, Severity},
};
use banter_stores::catalog::{Activation, ActivationReason, Canary, VersionRecord};
use serde_json::json;
use tokio::task::block_in_place;

use super::{Releases, check_percent};
use crate::catalogs::{
    gate::{CheckedVersion, GateError, Progress},
    serving::Serving,
    terms::{Actor, Bound, NothingToDo, Published, ReleaseError, Wish},
};

/// Characters of an admin's message.
const MAX_MESSAGE: usize = 500;

impl Releases {
    /// Takes a bundle through the gate and, unless it is a dry run, puts it into use here; other servers follow.
    ///
    /// # Errors
    /// [`ReleaseError`]; then nothing has changed.
    pub async fn publish(
        &self,
        bundle: Bundle,
        diagnostics: Diagnostics,
        wish: &Wish,
        actor: &Actor,
        progress: Progress<'_>,
    ) -> Result<Published, ReleaseError> {
        check(wish)?;
        let seen = self.expected(wish.expected).await?;
        let _one = self.publishing.lock().await;
        // A dry run looks at whatever is in use when its turn has come.
        let before = if wish.dry_run { self.expected(wish.expected).await? } else { self.unmoved(seen).await? };
        let line = self.follower.line();
        let stable = &line.stable.snapshot;
        let passed =
            block_in_place(|| self.source.gate.pass(bundle, diagnostics, stable, !wish.skip_fixtures, progress));
        let candidate = match passed {
            Ok(candidate) => candidate,
            Err(error) => {
                self.audit_refusal(&error, wish, actor).await?;
                return Err(error.into());
            }
        };
        let mut published = Published {
            version: candidate.id.clone(),
            activated: false,
            generation: before.as_ref().map_or(0, |activation| activation.generation),
            diff: self.diff_to(&line.stable, &candidate).await?,
            report: candidate.report.clone(),
            forecast: None,
        };
        if wish.dry_run {
            published.forecast = Some(self.forecast(&line.stable, &candidate, wish.utterances, progress).await?);
            self.audit_look(&published, wish, actor).await?;
            return Ok(published);
        }
        if is_in_use(&candidate.id, wish.canary, before.as_ref())? {
            return Ok(published);
        }
        let used = self.put_into_use(candidate, before.as_ref(), wish, actor).await;
        published.generation = used.map_err(|error| match error {
            ReleaseError::Conflict => ReleaseError::Overtaken(published.version.clone()),
            other => other,
        })?;
        published.activated = true;
        Ok(published)
    }

    /// Stores a version that passed and moves the pointer to it; the new generation.
    async fn put_into_use(
        &self,
        candidate: CheckedVersion,
        before: Option<&Activation>,
        wish: &Wish,
        actor: &Actor,
    ) -> Result<i64, ReleaseError> {
        let known = self.stores().catalog.version(&candidate.id).await?.is_some();
        if !known {
            self.store(&candidate, before, &wish.message, actor).await?;
        }
        let id = candidate.id.clone();
        // A version that is stored already has a classifier that all servers share.
        let serving =
            if known { self.follower.build(&id).await? } else { Serving::new(candidate.id, candidate.snapshot) };
        self.follower.prepare(serving);
        let (version, canary, reason) = match (wish.canary, before) {
            (Some(percent), Some(before)) => {
                (before.version.clone(), Some(Canary { version: id, percent }), ActivationReason::Canary)
            }
            _ => (id, None, ActivationReason::Publish),
        };
        self.point(before, version, canary, reason, actor).await
    }

    /// Stores files, version and classifier, in this order: what names something comes after it.
    async fn store(
        &self,
        candidate: &CheckedVersion,
        before: Option<&Activation>,
        message: &str,
        actor: &Actor,
    ) -> Result<(), ReleaseError> {
        let catalog = &self.stores().catalog;
        let by_hash: BTreeMap<&String, &Vec<u8>> =
            candidate.manifest.files.values().map(|part| &part.hash).zip(candidate.bundle.files.values()).collect();
        let hashes: Vec<String> = by_hash.keys().map(|hash| (*hash).clone()).collect();
        for hash in catalog.missing_blobs(&hashes).await? {
            catalog.put_blob(&hash, by_hash[&hash]).await?;
        }
        let record = VersionRecord {
            id: candidate.id.clone(),
            catalogue: candidate.snapshot.catalogue.version.clone(),
            parent: before.map(|activation| activation.version.clone()),
            author: actor.name.clone(),
            message: message.to_owned(),
            created_at: self.now(),
            manifest: candidate.manifest.clone(),
        };
        catalog.put_version(&record).await?;
        self.source.share(&candidate.id, &candidate.snapshot).await.map(drop)
    }

    async fn diff_to(&self, from: &Serving, candidate: &CheckedVersion) -> Result<CatalogueDiff, ReleaseError> {
        // The first version has no record yet, so all its files are new.
        let old = self.stores().catalog.version(&from.id).await?.map(|record| record.manifest).unwrap_or_default();
        let new = (&*candidate.snapshot.catalogue, &candidate.manifest);
        Ok(CatalogueDiff::between((&from.snapshot.catalogue, &old), new))
    }

    async fn audit_refusal(&self, error: &GateError, wish: &Wish, actor: &Actor) -> Result<(), ReleaseError> {
        let GateError::Refused(report) = error else { return Ok(()) };
        let detail = json!({
            "by": actor.name, "dry_run": wish.dry_run,
            "errors": report.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count(),
            "differences": report.differences.len(),
        });
        Ok(self.stores().users.audit(&self.audit_entry(actor, "catalogue_refused", detail)).await?)
    }

    async fn audit_look(&self, published: &Published, wish: &Wish, actor: &Actor) -> Result<(), ReleaseError> {
        let detail = json!({ "by": actor.name, "version": published.version, "texts_of_users": wish.utterances });
        Ok(self.stores().users.audit(&self.audit_entry(actor, "catalogue_tried", detail)).await?)
    }
}

fn check(wish: &Wish) -> Result<(), ReleaseError> {
    if wish.message.chars().count() > MAX_MESSAGE {
        return Err(ReleaseError::Bounds(Bound::LongMessage));
    }
    if wish.message.contains(char::is_control) {
        return Err(ReleaseError::Bounds(Bound::ControlCharacters));
    }
    check_percent(wish.canary)
}

/// Whether the version is in use already, in the way that is wanted.
fn is_in_use(version: &str, percent: Option<u8>, before: Option<&Activation>) -> Result<bool, ReleaseError> {
    let Some(before) = before else { return Ok(false) };
    match (percent, &before.canary) {
        (None, None) => Ok(before.version == version),
        (Some(_), _) if before.version == version => Err(ReleaseError::Nothing(NothingToDo::AlreadyForAll)),
        (Some(percent), Some(canary)) => Ok(canary.version == version && canary.percent == percent),
        _ => Ok(false),
    }
}
