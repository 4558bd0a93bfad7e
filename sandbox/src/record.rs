//! How a plugin has fared: counts for metrics, its suspension, and the note of it that `banter check` reads.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use banter_engine::handlers::plugin::{FailureKind, PluginFailure};
use serde::{Deserialize, Serialize};

use crate::{Purpose, suspension::Suspension};

/// How a plugin has fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// Its name in bot.yaml.
    pub name: String,
    /// Calls that ended with a reply.
    pub answered: u64,
    /// Calls that did not, by kind.
    pub failed: Vec<(FailureKind, u64)>,
    /// How long it is still left alone.
    pub suspended_for: Option<Duration>,
    /// The last suspension of this very component, by this or another process with the same folder; gone once it answers.
    pub note: Option<Note>,
}

/// A suspension, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// BLAKE3 of the component, in hex.
    component: String,
    /// In what way the last call failed.
    pub kind: String,
    /// Failures in a row.
    pub failures: u32,
    /// When the pause ends, in milliseconds since 1970.
    pub until_ms: u64,
}

/// Calls of a plugin, of whichever component, by how they ended.
#[derive(Debug, Default)]
pub struct Counts {
    answered: AtomicU64,
    failed: [AtomicU64; FailureKind::ALL.len()],
}

/// What is known of one component under one name.
#[derive(Debug)]
pub struct Record {
    name: String,
    /// BLAKE3, in hex.
    component: String,
    path: Option<PathBuf>,
    purpose: Purpose,
    counts: Arc<Counts>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    suspension: Suspension,
    /// Whether a note is on disk.
    noted: bool,
}

/// How a plugin has fared, whose components have these records.
pub fn state_of<'a>(name: &str, counts: &Counts, records: impl Iterator<Item = &'a Record>) -> PluginState {
    let records: Vec<&Record> = records.collect();
    let count = |kind: FailureKind| (kind, counts.failed[kind as usize].load(Ordering::Relaxed));
    PluginState {
        name: name.to_owned(),
        answered: counts.answered.load(Ordering::Relaxed),
        failed: FailureKind::ALL.into_iter().map(count).collect(),
        suspended_for: records.iter().filter_map(|record| record.suspended()).max(),
        note: records.iter().find_map(|record| record.read_note()),
    }
}

impl Record {
    pub fn new(name: &str, component: &str, counts: Arc<Counts>, folder: Option<&Path>, purpose: Purpose) -> Self {
        let path = folder.map(|folder| folder.join(format!("{name}.suspended.json")));
        let record = Self {
            name: name.to_owned(),
            component: component.to_owned(),
            path,
            purpose,
            counts,
            current: Mutex::default(),
        };
        record.current().noted = record.read_note().is_some();
        record
    }

    /// Its name in bot.yaml.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the plugin is still left alone.
    pub fn suspended(&self) -> Option<Duration> {
        self.current().suspension.left()
    }

    /// Whether its last call failed through its own fault.
    pub fn failing(&self) -> bool {
        self.current().suspension.failures() > 0
    }

    /// Counts a call. What the plugin itself refuses, and what comes of too many callers, is no fault of its code.
    pub fn note(&self, result: Result<(), &PluginFailure>) {
        let Err(failure) = result else {
            self.counts.answered.fetch_add(1, Ordering::Relaxed);
            return self.forgive();
        };
        self.counts.failed[failure.kind as usize].fetch_add(1, Ordering::Relaxed);
        let own_fault = match failure.kind {
            FailureKind::Refused => return self.forgive(),
            FailureKind::Busy | FailureKind::Suspended | FailureKind::Missing => false,
            FailureKind::Trapped
            | FailureKind::TimedOut
            | FailureKind::OutOfFuel
            | FailureKind::OutOfMemory
            | FailureKind::NotGranted
            | FailureKind::BadReply => true,
        };
        if own_fault {
            self.blame(failure.kind);
        }
    }

    fn forgive(&self) {
        let mut current = self.current();
        current.suspension.succeeded();
        if std::mem::take(&mut current.noted)
            && self.purpose == Purpose::Serving
            && let Some(path) = &self.path
        {
            // It may be gone already: another process shares the folder.
            let _ = fs::remove_file(path);
        }
    }

    fn blame(&self, kind: FailureKind) {
        let mut current = self.current();
        let Some(pause) = current.suspension.failed() else { return };
        tracing::error!(
            plugin = self.name,
            kind = kind.as_str(),
            pause_ms = pause.as_millis() as u64,
            "a plugin keeps failing and is suspended"
        );
        let note = Note {
            component: self.component.clone(),
            kind: kind.as_str().to_owned(),
            failures: current.suspension.failures(),
            until_ms: now_ms().saturating_add(pause.as_millis() as u64),
        };
        match self.write_note(&note) {
            Ok(noted) => current.noted = noted,
            Err(error) => tracing::warn!(plugin = self.name, %error, "its suspension is not written down"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_note(&self, note: &Note) -> io::Result<bool> {
        let Some(path) = self.path.as_ref().filter(|_| self.purpose == Purpose::Serving) else { return Ok(false) };
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&temporary, serde_json::to_vec(note)?)?;
        fs::rename(temporary, path)?;
        Ok(true)
    }

    /// The note of this component; one of an older build counts no longer.
    fn read_note(&self) -> Option<Note> {
        let bytes = fs::read(self.path.as_ref()?).ok()?;
        let note: Note = serde_json::from_slice(&bytes).ok()?;
        (note.component == self.component).then_some(note)
    }
}

impl Note {
    /// How long the pause still lasts, by this machine's clock.
    pub fn left(&self) -> Option<Duration> {
        self.until_ms.checked_sub(now_ms()).filter(|left| *left > 0).map(Duration::from_millis)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it failed {} times in a row, at last by `{}`, and ", self.failures, self.kind)?;
        match self.left() {
            Some(left) => write!(f, "is left alone for another {} s", left.as_secs() + 1),
            None => write!(f, "has not answered since"),
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
