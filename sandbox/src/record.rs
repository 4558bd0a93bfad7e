//! A plugin's history: call counts for metrics, its suspension, and the note on disk that `banter check` reads.

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

/// The state of a plugin, for metrics and `banter check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// The plugin's name in bot.yaml.
    pub name: String,
    /// Number of successful calls.
    pub answered: u64,
    /// Number of failed calls, by kind.
    pub failed: Vec<(FailureKind, u64)>,
    /// The remaining time of the suspension.
    pub suspended_for: Option<Duration>,
    /// The last suspension of this exact component, by any process with the same folder. Removed after the next
    /// successful call.
    pub note: Option<Note>,
}

/// A suspension as stored on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// BLAKE3 of the component, in hex.
    component: String,
    /// The kind of the last failure.
    pub kind: String,
    /// Number of consecutive failures.
    pub failures: u32,
    /// When the suspension ends, in milliseconds since 1970.
    pub until_ms: u64,
}

/// Call counts of a plugin over all its components, by result.
#[derive(Debug, Default)]
pub struct Counts {
    answered: AtomicU64,
    failed: [AtomicU64; FailureKind::ALL.len()],
}

/// The history of one component under one plugin name.
#[derive(Debug)]
pub struct Record {
    name: String,
    /// BLAKE3 of the component, in hex.
    component: String,
    path: Option<PathBuf>,
    purpose: Purpose,
    counts: Arc<Counts>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    suspension: Suspension,
    /// Whether there is a note on disk.
    noted: bool,
}

/// Summarises the counts of a plugin and the records of its components.
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

    /// The plugin's name in bot.yaml.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The remaining time of the suspension.
    pub fn suspended(&self) -> Option<Duration> {
        self.current().suspension.left()
    }

    /// Whether the last call failed and the plugin was to blame.
    pub fn failing(&self) -> bool {
        self.current().suspension.failures() > 0
    }

    /// Records the result of a call. Errors that the plugin itself reports, and those caused by too many callers, do
    /// not count as failures of its code.
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
            // Another process that shares the folder may have removed it already.
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
            Err(error) => tracing::warn!(plugin = self.name, %error, "cannot save the plugin's suspension"),
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

    /// Reads the note of this component; a note about another build is ignored.
    fn read_note(&self) -> Option<Note> {
        let path = self.path.as_ref()?;
        let unreadable = |reason: String| {
            tracing::warn!(path = %path.display(), reason, "a note about a suspended plugin cannot be read");
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                unreadable(error.to_string());
                return None;
            }
        };
        let note = serde_json::from_slice::<Note>(&bytes).map_err(|error| unreadable(error.to_string())).ok()?;
        (note.component == self.component).then_some(note)
    }
}

impl Note {
    /// The remaining time of the suspension, by this machine's clock.
    pub fn left(&self) -> Option<Duration> {
        self.until_ms.checked_sub(now_ms()).filter(|left| *left > 0).map(Duration::from_millis)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it failed {} times in a row, the last time with `{}`, and ", self.failures, self.kind)?;
        match self.left() {
            Some(left) => write!(f, "is suspended for another {} s", left.as_secs() + 1),
            None => write!(f, "has not answered since"),
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
