//! Runs plugins in a sandbox. A plugin is a WebAssembly component; each call runs in a fresh instance with limits on
//! time, fuel, memory and output, and can do only what bot.yaml grants.
//!
//! The contract is `plugins/wit/plugin.wit`; the engine's side of a plugin is `banter_engine::handlers::plugin`.

mod background;
mod clock;
mod contract;
mod convert;
mod host;
mod loaded;
mod machine;
mod precompiled;
mod record;
mod suspension;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use banter_engine::handlers::plugin::{LoadFailure, Plugin, PluginRuntime, PluginSpec};
use tokio::runtime::Handle;

pub use machine::{MAX_COMPONENT, VERSION};
pub use record::{Note, PluginState};

use loaded::Loaded;
use machine::{MAX_MEMORY, Machine};
use record::{Counts, Record, state_of};

/// Compiles components and runs them. A process needs one; WebAssembly is set up when the first plugin is loaded.
pub struct Sandbox {
    runtime: Handle,
    folder: Option<PathBuf>,
    machine: OnceLock<Result<Machine, LoadFailure>>,
    purpose: Purpose,
    /// By name and hash of the component. A record outlives a reload of the plugin.
    records: Mutex<BTreeMap<(String, String), Arc<Record>>>,
    /// By the plugin's name.
    counts: Mutex<BTreeMap<String, Arc<Counts>>>,
}

/// The purpose of calls, which determines the consequences of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Serving users: a plugin that keeps failing is suspended, and a note on disk records that.
    Serving,
    /// Observing, as `banter check` does: suspensions stay in this process, and notes are only read.
    Observing,
}

impl Sandbox {
    /// A sandbox for a server. Calls wait on `runtime`; `folder` stores compiled code and the notes of suspended
    /// plugins.
    pub fn new(runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self::with_purpose(Purpose::Serving, runtime, folder)
    }

    /// A sandbox for inspecting plugins that a server may be running; its calls do not change the server's notes.
    pub fn observing(runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self::with_purpose(Purpose::Observing, runtime, folder)
    }

    fn with_purpose(purpose: Purpose, runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self { runtime, folder, machine: OnceLock::new(), purpose, records: Mutex::default(), counts: Mutex::default() }
    }

    /// The interfaces of the contract that the component of a plugin imports, as `name@version`.
    ///
    /// # Errors
    /// If the bytes are not a component.
    pub fn imports(&self, name: &str, component: &[u8]) -> Result<Vec<String>, LoadFailure> {
        let machine = self.machine()?;
        Ok(machine.contract_imports(&machine.compile(name, component)?))
    }

    /// Call counts and suspensions of each plugin, by name.
    pub fn states(&self) -> Vec<PluginState> {
        // Notes are on disk, so hold no lock while they are read.
        let records: Vec<Arc<Record>> = self.locked_records().values().cloned().collect();
        let counts: Vec<(String, Arc<Counts>)> =
            self.locked_counts().iter().map(|(name, counts)| (name.clone(), counts.clone())).collect();
        let state = |(name, counts): &(String, Arc<Counts>)| {
            let own = records.iter().filter(|record| record.name() == name).map(|record| &**record);
            state_of(name, counts, own)
        };
        counts.iter().map(state).collect()
    }

    fn locked_records(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_counts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counts>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self) -> Result<&Machine, LoadFailure> {
        let machine = self.machine.get_or_init(|| Machine::new(self.folder.clone()));
        machine.as_ref().map_err(Clone::clone)
    }

    /// The record of a component under a plugin's name. A new component starts without a suspension. Records of
    /// components that can no longer be called are dropped.
    fn record(&self, name: &str, component: &[u8]) -> Arc<Record> {
        let component = blake3::hash(component).to_hex().to_string();
        let counts = self.locked_counts().entry(name.to_owned()).or_default().clone();
        let mut records = self.locked_records();
        records.retain(|(of, hash), record| of != name || *hash == component || Arc::strong_count(record) > 1);
        let fresh = || Arc::new(Record::new(name, &component, counts, self.folder.as_deref(), self.purpose));
        records.entry((name.to_owned(), component.clone())).or_insert_with(fresh).clone()
    }
}

impl PluginRuntime for Sandbox {
    fn load(&self, spec: PluginSpec, component: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure> {
        if spec.limits.memory_bytes > MAX_MEMORY {
            return Err(LoadFailure {
                message: format!("`limits.memory_mib` is above {}", MAX_MEMORY >> 20),
                hint: "lower it".to_owned(),
            });
        }
        let machine = self.machine()?;
        let pre = machine.link(&machine.compile(&spec.name, component)?)?;
        let record = self.record(&spec.name, component);
        Ok(Arc::new(Loaded::new(spec, machine, pre, self.runtime.clone(), record)))
    }
}
