//! Makes this server run the version that the store's pointer names. The bus announces changes at once; a poll every
//! few seconds finds the others. If a version cannot be built here, the old one stays, and the fleet shows why.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use banter_engine::Snapshot;
use banter_stores::{
    Topic,
    catalog::{Activation, ServerRecord},
};
use futures::FutureExt;
use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};

use super::{
    Catalogs,
    serving::{ActiveVersions, Serving},
    source::Source,
    terms::ReleaseError,
};

/// The pause between two polls of the pointer, and between two announcements of this server.
const LOOK: Duration = Duration::from_secs(2);
/// A version in use for this long is saved for the next start.
const SETTLED: Duration = Duration::from_secs(2);
/// The first and the longest pause after a failed build.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Makes this server serve what the pointer names.
pub struct Follower {
    source: Arc<Source>,
    catalogs: Arc<Catalogs>,
    /// A new id at each start.
    id: String,
    /// For people.
    name: String,
    /// One change at a time.
    changing: tokio::sync::Mutex<Retry>,
    problem: Mutex<Option<String>>,
    /// The version that has just passed here, so that it is not built a second time.
    prepared: Mutex<Option<Arc<Serving>>>,
    /// The snapshot to save for the next start.
    to_keep: Arc<Mutex<Option<Arc<Snapshot>>>>,
}

/// When to retry a failed build.
#[derive(Default)]
struct Retry {
    generation: i64,
    pause: Duration,
    at: Option<Instant>,
}

impl Retry {
    fn waits(&self, generation: i64) -> bool {
        self.generation == generation && self.at.is_some_and(|at| Instant::now() < at)
    }

    fn later(&mut self, generation: i64) {
        let next = if self.generation == generation { self.pause * 2 } else { PAUSES.0 };
        *self = Self { generation, pause: next.clamp(PAUSES.0, PAUSES.1), at: None };
        self.at = Some(Instant::now() + self.pause);
    }
}

impl Follower {
    /// The state of a server with this display name.
    pub fn new(source: Arc<Source>, catalogs: Arc<Catalogs>, name: String) -> Self {
        Self {
            source,
            catalogs,
            id: uuid::Uuid::new_v4().simple().to_string(),
            name,
            changing: tokio::sync::Mutex::default(),
            problem: Mutex::default(),
            prepared: Mutex::default(),
            to_keep: Arc::default(),
        }
    }

    /// What is in use here.
    pub fn line(&self) -> Arc<ActiveVersions> {
        self.catalogs.line()
    }

    /// The versions in use here.
    pub fn catalogs(&self) -> Arc<Catalogs> {
        Arc::clone(&self.catalogs)
    }

    /// Why this server is behind, if it is.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Follows the pointer as long as the process runs.
    pub async fn keep_following(&self) {
        let mut events = self.source.stores.bus.subscribe(Topic::Activations);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.follow().await,
                    // Without a bus, polling still works.
                    Err(RecvError::Closed) => {
                        looks.tick().await;
                        self.follow().await;
                    }
                },
                _ = looks.tick() => self.follow().await,
            }
        }
    }

    /// Announces this server as long as the process runs, also while a version is built.
    pub async fn keep_announcing(&self) {
        let mut signs = interval(LOOK);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            signs.tick().await;
            self.announce().await;
        }
    }

    /// Removes this server from the fleet at shutdown.
    pub async fn withdraw(&self) {
        if let Err(error) = self.source.stores.catalog.withdraw(&self.id).await {
            tracing::warn!(%error, "cannot remove this server from the fleet; it will expire");
        }
    }

    /// Polls the pointer and, if it has moved, serves the version that it names.
    pub async fn follow(&self) {
        let mut retry = self.changing.lock().await;
        let activation = match self.source.stores.catalog.activation().await {
            Ok(Some(activation)) => activation,
            Ok(None) => return,
            Err(error) => {
                // The served version stays. An unavailable store is reported elsewhere.
                tracing::debug!(%error, "cannot read the pointer");
                return;
            }
        };
        if activation.generation == self.catalogs.line().generation || retry.waits(activation.generation) {
            return;
        }
        // Even if a build panics, this server keeps following and reports the problem.
        let panicked = |_| Err(ReleaseError::Internal("the build panicked; see the log".to_owned()));
        let served = AssertUnwindSafe(self.serve(&activation)).catch_unwind().await;
        match served.unwrap_or_else(panicked) {
            Ok(()) => {
                *retry = Retry::default();
                self.set_problem(None);
                let (version, generation) = (&activation.version, activation.generation);
                tracing::info!(version, generation, reason = activation.reason.as_str(), "serving");
            }
            Err(error) => {
                retry.later(activation.generation);
                let version = &activation.version;
                tracing::error!(version, %error, "cannot serve a version; the old one stays in use");
                self.set_problem(Some(first_line(&error)));
            }
        }
        drop(retry);
        self.announce().await;
    }

    async fn serve(&self, activation: &Activation) -> Result<(), ReleaseError> {
        let stable = self.get(&activation.version).await?;
        let canary = match &activation.canary {
            Some(canary) => Some((self.get(&canary.version).await?, canary.percent)),
            None => None,
        };
        let mut in_use = vec![stable.id.clone()];
        in_use.extend(canary.as_ref().map(|(serving, _)| serving.id.clone()));
        let before = Arc::clone(&self.catalogs.line().stable.snapshot.classifier);
        let keep = (!Arc::ptr_eq(&before, &stable.snapshot.classifier)).then(|| Arc::clone(&stable.snapshot));
        self.catalogs.swap(ActiveVersions { generation: activation.generation, stable, canary });
        self.source.keep_only(&in_use.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        if let Some(snapshot) = keep {
            self.keep(snapshot);
        }
        Ok(())
    }

    /// Saves a snapshot in the background for the next start. Of several in quick succession, only the last is saved.
    fn keep(&self, snapshot: Arc<Snapshot>) {
        let next = Arc::clone(&self.to_keep);
        let busy = next.lock().unwrap_or_else(PoisonError::into_inner).replace(snapshot).is_some();
        if busy {
            return;
        }
        let source = Arc::clone(&self.source);
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(SETTLED);
            let last = next.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(Err(error)) = last.map(|snapshot| source.keep_classifier(&snapshot)) {
                tracing::warn!(%error, "cannot save the classifier; the next start will take longer");
            }
        });
    }

    /// A version that is in use here, was just built here, or is built now.
    async fn get(&self, id: &str) -> Result<Arc<Serving>, ReleaseError> {
        if let Some(known) = self.catalogs.line().find(id) {
            return Ok(known);
        }
        if let Some(prepared) = self.take_prepared(id) {
            return Ok(prepared);
        }
        Ok(Arc::new(self.build(id).await?))
    }

    /// Builds a stored version.
    ///
    /// # Errors
    /// When there is none, or it cannot be built here.
    pub async fn build(&self, id: &str) -> Result<Serving, ReleaseError> {
        let record = self.source.record(id).await?;
        let base = self.catalogs.line();
        self.source.build(&record, Some(&base.stable.snapshot), &|_| {}).await
    }

    /// Keeps a version ready for when the pointer names it.
    pub fn prepare(&self, serving: Serving) {
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(serving));
    }

    /// The prepared version, if it is this one. One that was prepared for something else is dropped.
    fn take_prepared(&self, id: &str) -> Option<Arc<Serving>> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        prepared.filter(|serving| serving.id == id)
    }

    /// Announces to the fleet what this server serves.
    async fn announce(&self) {
        let line = self.catalogs.line();
        let record = ServerRecord {
            id: self.id.clone(),
            name: self.name.clone(),
            // The store sets the time.
            seen_at: 0,
            generation: line.generation,
            version: line.stable.id.clone(),
            canary: line.canary.as_ref().map(|(serving, _)| serving.id.clone()),
            problem: self.problem(),
            counts: json!(line.counts()),
        };
        if let Err(error) = self.source.stores.catalog.announce(&record).await {
            tracing::debug!(%error, "cannot announce this server");
        }
    }
}

/// An error as an admin of another server may read it: the cause in one line.
fn first_line(error: &ReleaseError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
