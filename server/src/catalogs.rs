//! Which bot answers: the versions in use, and the way of a new one into use.
//!
//! `gate` refuses what is not good in every respect; `releases` is what admins do; `follower` makes this server run what the store's
//! pointer names; `source` builds stored versions; `watch` follows a folder; `terms` are the words that they share.

pub mod archive;
pub mod follower;
pub mod gate;
pub mod releases;
pub mod serving;
pub mod source;
pub mod terms;
pub mod watch;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{
        Catalogue,
        bundle::Bundle,
        fault::{Faults, Severity},
        loader,
    },
    handlers::{plugin::PluginRuntime, script::Scripting},
    snapshot::{BuildError, BuildReport, Stage},
};
use banter_stores::{Millis, UserId};
use thiserror::Error;

use serving::{Line, Serving};

/// The versions in use. Turns take a reference and keep it to their end; what nobody refers to any more is freed.
pub struct Catalogs {
    line: RwLock<Arc<Line>>,
}

impl Catalogs {
    /// Begins with a version for all.
    pub fn new(serving: Serving) -> Self {
        Self { line: RwLock::new(Arc::new(Line { generation: 0, stable: Arc::new(serving), canary: None })) }
    }

    /// What is in use.
    pub fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version for a turn of this user that begins now.
    pub fn for_user(&self, user: UserId) -> Arc<Serving> {
        Arc::clone(self.line.read().unwrap_or_else(PoisonError::into_inner).for_user(user))
    }

    /// Puts other versions into use. Turns that have begun end on theirs.
    pub fn swap(&self, line: Line) {
        let old = std::mem::replace(&mut *self.line.write().unwrap_or_else(PoisonError::into_inner), Arc::new(line));
        // Freeing a large version takes a while; it happens here, outside the lock, or where its last turn ends.
        drop(old);
    }
}

/// Why a bot's folder gives no bot.
#[derive(Debug, Error)]
pub enum BotError {
    #[error("the bot's folder {} cannot be read: {reason}", folder.display())]
    Unreadable { folder: PathBuf, reason: io::Error },
    /// Its files have errors, which a command prints.
    #[error("the bot in {} has errors", folder.display())]
    Faulty { folder: PathBuf, faults: Faults },
    /// The model failed, or what it has made could not be kept.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Reads a bot's folder.
///
/// # Errors
/// [`BotError::Unreadable`].
pub fn read(folder: &Path, faults: &mut Faults) -> Result<Bundle, BotError> {
    Bundle::read(folder, faults).map_err(|reason| BotError::Unreadable { folder: folder.to_owned(), reason })
}

/// Loads a bot that must be without errors; warnings go to the log.
///
/// # Errors
/// [`BotError::Unreadable`] and [`BotError::Faulty`].
pub fn load_good(folder: &Path, scripting: &Scripting, plugins: &dyn PluginRuntime) -> Result<Catalogue, BotError> {
    let mut faults = Faults::default();
    let bundle = read(folder, &mut faults)?;
    load_bundle(folder, &bundle, &faults, scripting, plugins)
}

/// [`load_good`] of what was read from `folder`, with the faults that were found then.
///
/// # Errors
/// [`BotError::Faulty`].
pub fn load_bundle(
    folder: &Path,
    bundle: &Bundle,
    faults: &Faults,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
) -> Result<Catalogue, BotError> {
    let mut faults = faults.clone();
    let Some(catalogue) = loader::load(bundle, scripting, plugins, &mut faults) else {
        return Err(BotError::Faulty { folder: folder.to_owned(), faults });
    };
    let warnings = faults.count(Severity::Warning);
    if warnings > 0 {
        tracing::warn!(warnings, "the bot's files have warnings; `banter check` lists them");
    }
    Ok(catalogue)
}

/// Makes a snapshot, keeping vectors and classifier under `folder`.
///
/// # Errors
/// When the model fails.
pub fn build(
    catalogue: Catalogue,
    engine: &Engine,
    folder: Option<&Path>,
    progress: &mut dyn FnMut(Stage),
) -> Result<(Snapshot, BuildReport), BotError> {
    Ok(Snapshot::build(Arc::new(catalogue), &**engine.embedder(), folder, progress)?)
}

/// A time in milliseconds as the engine wants it.
pub(crate) fn timestamp(millis: Millis) -> jiff::Timestamp {
    // Beyond the year 9999 there is no other.
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}
