//! The versions in use, and how a new one is published.
//!
//! `gate` checks a version before it may serve; `releases` holds the admins' operations; `follower` makes this server
//! run the version that is active in the store; `watch` follows a folder.

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
    catalogue::{Catalogue, bundle::Bundle, loader},
    diagnostic::{Diagnostics, Severity},
    handlers::{plugin::PluginRuntime, script::Scripting},
    policy::Ceiling,
    snapshot::{BuildError, BuildReport, Stage},
};
use banter_stores::{Millis, UserId};
use thiserror::Error;

use serving::{ActiveVersions, Serving};

/// The versions in use. A turn keeps a reference until it ends; a version is freed with its last reference.
pub struct Catalogs {
    line: RwLock<Arc<ActiveVersions>>,
}

impl Catalogs {
    /// Starts with one version for all users.
    pub fn new(serving: Serving) -> Self {
        Self { line: RwLock::new(Arc::new(ActiveVersions { generation: 0, stable: Arc::new(serving), canary: None })) }
    }

    pub fn line(&self) -> Arc<ActiveVersions> {
        Arc::clone(&self.line.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version for this user's next turn.
    pub fn for_user(&self, user: UserId) -> Arc<Serving> {
        Arc::clone(self.line.read().unwrap_or_else(PoisonError::into_inner).for_user(user))
    }

    /// Replaces the versions in use. Turns in flight keep their version.
    pub fn swap(&self, line: ActiveVersions) {
        let old = std::mem::replace(&mut *self.line.write().unwrap_or_else(PoisonError::into_inner), Arc::new(line));
        // Freeing a large version takes a while, so it happens outside the lock, or when its last turn ends.
        drop(old);
    }
}

/// Why a bot's folder cannot be used.
#[derive(Debug, Error)]
pub enum BotError {
    #[error("cannot read the bot's folder {}: {reason}", folder.display())]
    Unreadable { folder: PathBuf, reason: io::Error },
    /// Its files have errors, which a command prints.
    #[error("the bot in {} has errors", folder.display())]
    Refused { folder: PathBuf, diagnostics: Diagnostics },
    /// The model failed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Reads a bot's folder.
///
/// # Errors
/// The folder cannot be read.
pub fn read(folder: &Path, diagnostics: &mut Diagnostics) -> Result<Bundle, BotError> {
    Bundle::read(folder, diagnostics).map_err(|reason| BotError::Unreadable { folder: folder.to_owned(), reason })
}

/// Loads a bot that must have no errors. The number of warnings is logged.
///
/// # Errors
/// The bot has errors, which [`BotError::Refused`] holds.
pub fn load_good(
    folder: &Path,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
    ceiling: &Ceiling,
) -> Result<Catalogue, BotError> {
    let mut diagnostics = Diagnostics::default();
    let bundle = read(folder, &mut diagnostics)?;
    load_bundle(folder, &bundle, &diagnostics, scripting, plugins, ceiling)
}

/// [`load_good`] for a bundle read from `folder`, with the diagnostics found by reading it.
///
/// # Errors
/// The bot has errors, which [`BotError::Refused`] holds.
pub fn load_bundle(
    folder: &Path,
    bundle: &Bundle,
    diagnostics: &Diagnostics,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
    ceiling: &Ceiling,
) -> Result<Catalogue, BotError> {
    let mut diagnostics = diagnostics.clone();
    let Some(catalogue) = loader::load(bundle, scripting, plugins, ceiling, &mut diagnostics) else {
        return Err(BotError::Refused { folder: folder.to_owned(), diagnostics });
    };
    let warnings = diagnostics.count(Severity::Warning);
    if warnings > 0 {
        tracing::warn!(warnings, "the bot has warnings; list them with `banter check`");
    }
    Ok(catalogue)
}

/// Builds a snapshot. Embeddings and the classifier are cached under `folder`.
///
/// # Errors
/// The model fails.
pub fn build(
    catalogue: Catalogue,
    engine: &Engine,
    folder: Option<&Path>,
    progress: &mut dyn FnMut(Stage),
) -> Result<(Snapshot, BuildReport), BotError> {
    let embedder = engine.embedder(&catalogue).map_err(BuildError::from)?;
    Ok(Snapshot::build(Arc::new(catalogue), &*embedder, folder, progress)?)
}

/// A time in milliseconds since 1970. Times beyond the year 9999, which cannot be represented, become the last one.
pub fn timestamp(millis: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}
