//! Plugins in a sandbox: WebAssembly components, each call in a fresh instance with bounds on time, fuel, memory and output, and
//! without any right that bot.yaml does not grant.
//!
//! The contract is `plugins/wit/plugin.wit`; what a plugin is to the engine is `banter_engine::handlers::plugin`.

#![warn(missing_docs)]

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

/// Compiles components and runs them. One for a process; a bot without plugins pays nothing for it.
pub struct Sandbox {
    runtime: Handle,
    folder: Option<PathBuf>,
    machine: OnceLock<Result<Machine, LoadFailure>>,
    purpose: Purpose,
    /// By name and hash of the component; they outlive a plugin's reload.
    records: Mutex<BTreeMap<(String, String), Arc<Record>>>,
    /// By name.
    counts: Mutex<BTreeMap<String, Arc<Counts>>>,
}

/// What calls are for, and so what may come of their failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Users: a plugin that keeps failing is suspended, and a note of it is kept.
    Serving,
    /// A look: suspensions are known here alone; notes are read.
    Observing,
}

impl Sandbox {
    /// A sandbox whose calls wait on `runtime`; compiled code and the notes of suspended plugins are kept in `folder`.
    pub fn new(runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self::with_purpose(Purpose::Serving, runtime, folder)
    }

    /// A sandbox for a look at plugins that a server may be running: a call here changes nothing of what is noted there.
    pub fn observing(runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self::with_purpose(Purpose::Observing, runtime, folder)
    }

    fn with_purpose(purpose: Purpose, runtime: Handle, folder: Option<PathBuf>) -> Self {
        Self { runtime, folder, machine: OnceLock::new(), purpose, records: Mutex::default(), counts: Mutex::default() }
    }

    /// The interfaces of the contract that a component imports, as `name@version`.
    ///
    /// # Errors
    /// When it is no component.
    pub fn imports(&self, component: &[u8]) -> Result<Vec<String>, LoadFailure> {
        let machine = self.machine()?;
        Ok(machine.contract_imports(&machine.compile(component)?))
    }

    /// How each plugin has fared, by name.
    pub fn states(&self) -> Vec<PluginState> {
        // Notes lie on the disk: nothing is locked while they are read.
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

    /// The record of a component under a name. Another component begins without a suspension; what was known of those that nobody can
    /// call any more is forgotten.
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
        let pre = machine.link(&machine.compile(component)?)?;
        let record = self.record(&spec.name, component);
        Ok(Arc::new(Loaded::new(spec, machine, pre, self.runtime.clone(), record)))
    }
}
