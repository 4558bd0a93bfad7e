//! Which bot answers: loading a folder into a snapshot, and the pointer to the one in use.

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

use crate::failure::Failure;

/// The snapshot in use. Turns take a reference and keep it to their end.
pub struct Catalogs {
    current: RwLock<Arc<Snapshot>>,
}

impl Catalogs {
    /// Begins with a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: RwLock::new(Arc::new(snapshot)) }
    }

    /// The snapshot for a turn that begins now.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
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
    let (catalogue, faults) = load(folder, scripting, plugins)?;
    let warnings = faults.count(banter_engine::catalogue::fault::Severity::Warning);
    match catalogue {
        Some(catalogue) => {
            if warnings > 0 {
                tracing::warn!("the bot has {warnings} warnings; see `banter check`");
            }
            Ok(catalogue)
        }
        None => {
            let count = faults.count(banter_engine::catalogue::fault::Severity::Error);
            eprint!("{}", faults.render(colour));
            Err(Failure::check(
                format!("the bot in {} has {count} errors", folder.display()),
                "mend them and try again",
            ))
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
