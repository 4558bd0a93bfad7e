//! The admins' operations: publish, activate, roll back, and start a canary. Each moves the store's pointer by one
//! generation and writes an entry to the audit log. Servers follow the pointer.

mod earlier;
mod forecast;
mod publish;

use std::sync::Arc;

use banter_engine::catalogue::bundle::Bundle;
use banter_stores::{
    AuditEntry, Counter, Millis, News, Stores,
    catalog::{Activation, ActivationReason, Canary},
    clock::SharedClock,
};
use serde_json::json;

use super::{
    follower::Follower,
    source::Source,
    terms::{Actor, Bound, NothingToDo, ReleaseError},
};
use earlier::before;

/// The number of activations that a roll-back searches.
const HISTORY: u32 = 200;

/// Publishes and activates versions.
pub struct Releases {
    source: Arc<Source>,
    follower: Arc<Follower>,
    clock: SharedClock,
    limits: ReleaseLimits,
    /// One bundle at a time, because the gate uses all cores.
    publishing: tokio::sync::Mutex<()>,
}

/// How much a dry run looks at.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseLimits {
    /// Days of conversations.
    pub utterance_days: u32,
    /// Utterances of users.
    pub utterances: u32,
}

impl Releases {
    pub fn new(source: Arc<Source>, follower: Arc<Follower>, clock: SharedClock, limits: ReleaseLimits) -> Self {
        Self { source, follower, clock, limits, publishing: tokio::sync::Mutex::default() }
    }

    fn stores(&self) -> &Stores {
        &self.source.stores
    }

    /// Activates a stored version for all users.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn activate(
        &self,
        version: &str,
        expected: Option<i64>,
        actor: &Actor,
    ) -> Result<Activation, ReleaseError> {
        let id = self.source.resolve(version).await?;
        self.change(expected, actor, ActivationReason::Activate, |_| Ok((id, None))).await
    }

    /// Rolls back to a version. Without one, ends the canary or, if there is none, returns to the previous version.
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
            Some(version) => Some(self.source.resolve(version).await?),
            None => None,
        };
        let history = self.stores().catalog.activations(HISTORY).await?;
        self.change(expected, actor, ActivationReason::Rollback, move |current| {
            if history.first() != Some(current) {
                return Err(ReleaseError::Conflict);
            }
            if let Some(wanted) = wanted {
                return Ok((wanted, None));
            }
            if current.canary.is_some() {
                return Ok((current.version.clone(), None));
            }
            let earlier = before(&history).ok_or(ReleaseError::Nothing(NothingToDo::NoEarlierVersion))?;
            Ok((earlier, None))
        })
        .await
    }

    /// Starts a canary: gives a stored version to `percent` of the users.
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
        let id = self.source.resolve(version).await?;
        self.change(expected, actor, ActivationReason::Canary, |current| {
            if current.version == id {
                return Err(ReleaseError::Nothing(NothingToDo::AlreadyForAll));
            }
            Ok((current.version.clone(), Some(Canary { version: id, percent })))
        })
        .await
    }

    /// Promotes the canary to all users.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub async fn promote(&self, expected: Option<i64>, actor: &Actor) -> Result<Activation, ReleaseError> {
        self.change(expected, actor, ActivationReason::Promote, |current| {
            let canary = current.canary.as_ref().ok_or(ReleaseError::Nothing(NothingToDo::NoCanary))?;
            Ok((canary.version.clone(), None))
        })
        .await
    }

    /// The files of a version, by its first digits. The audit log tells who took them.
    ///
    /// # Errors
    /// When there is no such version, or it is damaged.
    pub async fn download(&self, version: &str, actor: &Actor) -> Result<Bundle, ReleaseError> {
        let record = self.source.record(&self.source.resolve(version).await?).await?;
        let bundle = self.source.bundle(&record).await?;
        let detail = json!({ "by": actor.name, "version": record.id });
        self.stores().users.audit(&self.audit_entry(actor, "catalogue_downloaded", detail)).await?;
        Ok(bundle)
    }

    /// Notes in the audit log that somebody came with a wrong admin key; once a minute for an address, so that nobody
    /// fills the log.
    ///
    /// # Errors
    /// [`ReleaseError::Store`].
    pub async fn note_wrong_key(&self, address: &str) -> Result<(), ReleaseError> {
        let once = Counter::per_minute(format!("admin:wrong:{address}"), 1);
        if self.stores().limits.hit(&[once]).await?.is_some() {
            return Ok(());
        }
        let nobody = Actor { user: None, name: "unknown".to_owned() };
        let entry = self.audit_entry(&nobody, "admin_key_refused", json!({ "address": address }));
        Ok(self.stores().users.audit(&entry).await?)
    }

    /// The current activation, if it has the generation that the caller expects.
    async fn expected(&self, expected: Option<i64>) -> Result<Option<Activation>, ReleaseError> {
        let current = self.stores().catalog.activation().await?;
        let generation = current.as_ref().map_or(0, |activation| activation.generation);
        match expected {
            Some(expected) if expected != generation => Err(ReleaseError::Stale),
            _ => Ok(current),
        }
    }

    /// The current activation, if nobody has moved the pointer since `seen`.
    async fn unmoved(&self, seen: Option<Activation>) -> Result<Option<Activation>, ReleaseError> {
        if self.stores().catalog.activation().await? == seen { Ok(seen) } else { Err(ReleaseError::Conflict) }
    }

    /// Moves the pointer to stored versions. They are built here first, so that this server does not activate what it
    /// cannot run. This does not wait for a publication, which reports that it was overtaken.
    async fn change(
        &self,
        expected: Option<i64>,
        actor: &Actor,
        reason: ActivationReason,
        next: impl FnOnce(&Activation) -> Result<(String, Option<Canary>), ReleaseError>,
    ) -> Result<Activation, ReleaseError> {
        let current = self.expected(expected).await?.ok_or(ReleaseError::Nothing(NothingToDo::NothingPublished))?;
        let (version, canary) = next(&current)?;
        if current.version == version && current.canary == canary {
            return Ok(current);
        }
        let wanted = canary.as_ref().map_or(&version, |canary| &canary.version);
        if self.follower.line().find(wanted).is_none() {
            let serving = self.follower.build(wanted).await?;
            self.follower.prepare(serving);
        }
        self.point(Some(&current), version, canary, reason, actor).await?;
        let newest = self.stores().catalog.activation().await?;
        newest.ok_or_else(|| ReleaseError::Internal("the activation is gone".to_owned()))
    }

    /// Writes the next activation, notifies all servers, and follows it here. Returns the new generation.
    async fn point(
        &self,
        before: Option<&Activation>,
        version: String,
        canary: Option<Canary>,
        reason: ActivationReason,
        actor: &Actor,
    ) -> Result<i64, ReleaseError> {
        let generation = before.map_or(0, |activation| activation.generation) + 1;
        let detail = json!({
            "by": actor.name, "generation": generation, "version": version, "canary": canary, "reason": reason,
            "before": before.map(|activation| &activation.version),
        });
        let entry = self.audit_entry(actor, "catalogue_activated", detail);
        let activation = Activation { generation, version, canary, at: entry.at, by: actor.name.clone(), reason };
        if !self.stores().catalog.activate(&activation, &entry).await? {
            return Err(ReleaseError::Conflict);
        }
        if let Err(error) = self.stores().bus.publish(News::Activated { generation }).await {
            tracing::warn!(%error, "other servers find the new version at their next look");
        }
        self.follower.follow().await;
        Ok(generation)
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn audit_entry(&self, actor: &Actor, action: &'static str, detail: serde_json::Value) -> AuditEntry {
        AuditEntry { at: self.now(), actor: actor.user, action, subject: None, detail }
    }
}

fn check_percent(percent: Option<u8>) -> Result<(), ReleaseError> {
    match percent {
        Some(percent) if !(1..=99).contains(&percent) => Err(ReleaseError::Bounds(Bound::CanaryShare)),
        _ => Ok(()),
    }
}
