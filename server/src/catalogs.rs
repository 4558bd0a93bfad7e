//! Which bot answers: the versions in use, and the way of a new one into use.
//!
//! `gate` lets nothing through that is not good in every respect; `releases` are what admins do; `follower` makes this server run what
//! the store says; `watch` follows a folder.

pub mod archive;
pub mod contents;
pub mod follower;
pub mod gate;
pub mod releases;
pub mod serving;
pub mod show;
pub mod source;
pub mod watch;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{Catalogue, bundle::Bundle, fault::Faults, loader},
    handlers::{plugin::PluginRuntime, script::Scripting},
    snapshot::{BuildReport, Stage},
};

use crate::{
    failure::{Failure, counted},
    stores::UserId,
};
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

/// Reads a bot's folder.
///
/// # Errors
/// When it cannot be read.
pub fn read(folder: &Path, faults: &mut Faults) -> Result<Bundle, Failure> {
    Bundle::read(folder, faults).map_err(|error| {
        Failure::usage(
            format!("the bot's folder {} cannot be read: {error}", folder.display()),
            "name one with --bot DIR, or make one with `banter new <name>`",
        )
    })
}

/// Reads and checks a bot's folder.
///
/// # Errors
/// When the folder cannot be read. Faults of the files are in the second value.
pub fn load(
    folder: &Path,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
) -> Result<(Option<Catalogue>, Faults), Failure> {
    let mut faults = Faults::default();
    let bundle = read(folder, &mut faults)?;
    let catalogue = loader::load(&bundle, scripting, plugins, &mut faults);
    Ok((catalogue, faults))
}

/// Loads a bot that must be without errors; warnings go to the log.
///
/// # Errors
/// All faults, rendered.
pub fn load_good(
    folder: &Path,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
    colour: bool,
) -> Result<Catalogue, Failure> {
    let mut faults = Faults::default();
    let bundle = read(folder, &mut faults)?;
    load_bundle(folder, &bundle, &faults, scripting, plugins, colour)
}

/// [`load_good`] of what was read from `folder`, with the faults that were found then.
///
/// # Errors
/// All faults, rendered.
pub fn load_bundle(
    folder: &Path,
    bundle: &Bundle,
    faults: &Faults,
    scripting: &Scripting,
    plugins: &dyn PluginRuntime,
    colour: bool,
) -> Result<Catalogue, Failure> {
    let mut faults = faults.clone();
    let catalogue = loader::load(bundle, scripting, plugins, &mut faults);
    let warnings = faults.count(banter_engine::catalogue::fault::Severity::Warning);
    match catalogue {
        Some(catalogue) => {
            if warnings > 0 {
                tracing::warn!("the bot has {}; see `banter check`", counted(warnings, "warning"));
            }
            Ok(catalogue)
        }
        None => {
            let errors = counted(faults.count(banter_engine::catalogue::fault::Severity::Error), "error");
            eprint!("{}", faults.render(colour));
            Err(Failure::check(format!("the bot in {} has {errors}", folder.display()), "mend that and try again"))
        }
    }
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
) -> Result<(Snapshot, BuildReport), Failure> {
    Snapshot::build(Arc::new(catalogue), &**engine.embedder(), folder, progress)
        .map_err(|error| Failure::usage(error.to_string(), "see the log; `make setup` fetches the model anew"))
}
