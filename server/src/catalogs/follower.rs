//! This server runs what the store's pointer says: told by the bus at once, or found by a look every few seconds. A version that cannot be
//! built here changes nothing: the old one stays, and everybody can see why.

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use banter_engine::Snapshot;
use futures::FutureExt;
use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};

use super::{
    releases::{ACTIVATED, ReleaseError, Releases},
    serving::{Line, Serving},
};
use crate::stores::{
    BusEvent,
    catalog::{Activation, ServerRecord},
};

/// Between two looks at the pointer, and two signs of life.
const LOOK: Duration = Duration::from_secs(2);
/// A version that has been in use for so long is written down for the next start.
const SETTLED: Duration = Duration::from_secs(2);
/// After a version could not be built: the first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// How this server follows.
pub struct Following {
    /// Made anew at each start.
    id: String,
    name: String,
    /// One change at a time.
    changing: tokio::sync::Mutex<Retry>,
    problem: Mutex<Option<String>>,
    /// What is to be written down for the next start.
    to_keep: Arc<Mutex<Option<Arc<Snapshot>>>>,
}

/// When what failed is tried again.
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

impl Following {
    /// Of a server with this name, for people.
    pub fn new(name: String) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self { id, name, changing: tokio::sync::Mutex::default(), problem: Mutex::default(), to_keep: Arc::default() }
    }

    /// Why this server is behind, if it is.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

impl Releases {
    /// Follows the pointer as long as the process lives.
    pub async fn keep_following(&self) {
        let mut events = self.stores.bus.subscribe();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(BusEvent::Message { topic, .. }) if topic != ACTIVATED => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => self.follow().await,
                    // Without a bus there is still the look.
                    Err(RecvError::Closed) => {
                        looks.tick().await;
                        self.follow().await;
                    }
                },
                _ = looks.tick() => self.follow().await,
            }
        }
    }

    /// Gives signs of life as long as the process lives, also while a version is built.
    pub async fn keep_announcing(&self) {
        let mut signs = interval(LOOK);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            signs.tick().await;
            self.announce().await;
        }
    }

    /// Takes this server off the list, at its end.
    pub async fn withdraw(&self) {
        if let Err(error) = self.stores.catalog.withdraw(&self.following.id).await {
            tracing::warn!(%error, "this server stays on the list until it is missed");
        }
    }

    /// Looks at the pointer and, where it has moved, serves what it points to.
    pub async fn follow(&self) {
        let mut retry = self.following.changing.lock().await;
        let activation = match self.stores.catalog.activation().await {
            Ok(Some(activation)) => activation,
            Ok(None) => return,
            Err(error) => {
                // What is served stays; that the store is away is told by others.
                tracing::debug!(%error, "the pointer cannot be read");
                return;
            }
        };
        if activation.generation == self.catalogs.line().generation || retry.waits(activation.generation) {
            return;
        }
        // Whatever happens in a build, this server goes on following, and says what happened.
        let panicked = |_| Err(ReleaseError::Internal("building it panicked; the log has more".to_owned()));
        let served = AssertUnwindSafe(self.serve(&activation)).catch_unwind().await;
        match served.unwrap_or_else(panicked) {
            Ok(()) => {
                *retry = Retry::default();
                self.following.set_problem(None);
                let (version, generation) = (&activation.version, activation.generation);
                tracing::info!(version, generation, reason = activation.reason, "serving");
            }
            Err(error) => {
                retry.later(activation.generation);
                let version = &activation.version;
                tracing::error!(version, %error, "a version cannot be served here; the old one stays");
                self.following.set_problem(Some(told(&error)));
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
        let in_use = [Some(&stable), canary.as_ref().map(|(serving, _)| serving)];
        let mut hashes = BTreeSet::new();
        for serving in in_use.into_iter().flatten() {
            if let Some(record) = self.stores.catalog.version(&serving.id).await? {
                hashes.extend(record.manifest.files.into_values().map(|part| part.hash));
            }
        }
        let before = Arc::clone(&self.catalogs.line().stable.snapshot.classifier);
        let keep = (!Arc::ptr_eq(&before, &stable.snapshot.classifier)).then(|| Arc::clone(&stable.snapshot));
        self.catalogs.swap(Line { generation: activation.generation, stable, canary });
        self.contents.keep(&hashes);
        if let Some(snapshot) = keep {
            self.keep(snapshot);
        }
        Ok(())
    }

    /// For the next start of this server; nobody waits for it. Of several that follow each other fast, only the last is kept.
    fn keep(&self, snapshot: Arc<Snapshot>) {
        let next = Arc::clone(&self.following.to_keep);
        let busy = next.lock().unwrap_or_else(PoisonError::into_inner).replace(snapshot).is_some();
        if busy {
            return;
        }
        let (embedder, folder) = (Arc::clone(self.engine.embedder()), self.index_folder.clone());
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(SETTLED);
            let last = next.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(Err(error)) = last.map(|snapshot| snapshot.keep(&*embedder, &folder)) {
                tracing::warn!(%error, "the classifier could not be kept; the next start takes longer");
            }
        });
    }

    /// A version that is in use here, has just passed here, or is built.
    async fn get(&self, id: &str) -> Result<Arc<Serving>, ReleaseError> {
        let line = self.catalogs.line();
        let canary = line.canary.as_ref().map(|(serving, _)| serving);
        if let Some(known) = [Some(&line.stable), canary].into_iter().flatten().find(|serving| serving.id == id) {
            return Ok(Arc::clone(known));
        }
        if let Some(prepared) = self.take_prepared(id) {
            return Ok(prepared);
        }
        Ok(Arc::new(self.build(id).await?))
    }

    /// Builds a stored version.
    pub(super) async fn build(&self, id: &str) -> Result<Serving, ReleaseError> {
        let record = self.stores.catalog.version(id).await?.ok_or_else(|| ReleaseError::Unknown(id.to_owned()))?;
        let base = self.catalogs.line();
        self.source().build(&record, Some(&base.stable.snapshot), &self.index_folder, &|_| {}).await
    }

    /// Tells the others what this server serves.
    async fn announce(&self) {
        let line = self.catalogs.line();
        let record = ServerRecord {
            id: self.following.id.clone(),
            name: self.following.name.clone(),
            // The store knows the time.
            seen_at: 0,
            generation: line.generation,
            version: line.stable.id.clone(),
            canary: line.canary.as_ref().map(|(serving, _)| serving.id.clone()),
            problem: self.following.problem(),
            counts: json!(line.counts()),
        };
        if let Err(error) = self.stores.catalog.announce(&record).await {
            tracing::debug!(%error, "this server cannot tell what it serves");
        }
    }
}

/// An error as an admin of another server may read it: the cause in one line.
fn told(error: &ReleaseError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
