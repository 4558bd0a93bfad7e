//! What all plugins share: wasmtime's engine, and the linker with the contract.

use std::{path::PathBuf, sync::Arc};

use banter_engine::handlers::plugin::LoadFailure;
use tokio::sync::Semaphore;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker, types::ComponentItem},
};

use crate::{
    background::Background,
    clock::GuestClock,
    contract::{Plugin, PluginPre},
    host::GuestState,
    precompiled::Precompiled,
};

/// The contract's package.
const PACKAGE: &str = "banter:plugin/";
/// The contract's version.
pub const VERSION: &str = "1.1.0";
/// Limit on concurrent instances of all plugins.
const INSTANCES: u32 = 64;
/// Limits on the parts of one component.
const CORE_INSTANCES: u32 = 64;
const MEMORIES: u32 = 4;
const TABLES: u32 = 32;
/// Upper bound on a plugin's memory limit, in bytes.
pub const MAX_MEMORY: usize = 256 << 20;
/// Size limit of a component, in bytes.
pub const MAX_COMPONENT: usize = 64 << 20;

pub struct Machine {
    pub engine: Engine,
    /// Interrupts running guests.
    pub clock: Arc<GuestClock>,
    /// Runs long calls.
    pub background: Arc<Background>,
    /// Permits for instances.
    pub instances: Arc<Semaphore>,
    linker: Linker<GuestState>,
    compiled: Option<Precompiled>,
}

impl Machine {
    pub fn new(folder: Option<PathBuf>) -> Result<Self, LoadFailure> {
        let failed = |error: wasmtime::Error| LoadFailure {
            message: format!("WebAssembly cannot run here: {error:#}"),
            hint: "it needs 64-bit Linux and an unlimited address space (`ulimit -v unlimited`)".to_owned(),
        };
        let engine = Engine::new(&config()).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(failed)?;
        let clock = Arc::new(GuestClock::start(&engine).map_err(|error| failed(error.into()))?);
        let compiled = folder.map(|folder| Precompiled::new(folder, &engine));
        let background = Background::start().map_err(|error| failed(error.into()))?;
        let instances = Arc::new(Semaphore::new(INSTANCES as usize));
        Ok(Self { engine, clock, linker, compiled, background: Arc::new(background), instances })
    }

    /// Compiles a component, or loads it from the cache.
    pub fn compile(&self, name: &str, component: &[u8]) -> Result<Component, LoadFailure> {
        if component.len() > MAX_COMPONENT {
            return Err(LoadFailure {
                message: format!("the component has {} bytes, more than {MAX_COMPONENT}", component.len()),
                hint: "build it without debug information".to_owned(),
            });
        }
        if let Some(found) = self.compiled.as_ref().and_then(|kept| kept.load(&self.engine, component)) {
            return Ok(found);
        }
        tracing::info!(plugin = name, kib = component.len() / 1024, "compiling a plugin; the result is kept");
        let compiled = Component::from_binary(&self.engine, component).map_err(|error| LoadFailure {
            message: format!("this is not a component: {}", first_line(&error)),
            hint: "build it with `banter plugin build`; other WebAssembly modules do not work".to_owned(),
        })?;
        if let Some(kept) = &self.compiled {
            kept.store(component, &compiled);
            // What is mapped from the file needs less memory than what was just compiled.
            return Ok(kept.load(&self.engine, component).unwrap_or(compiled));
        }
        Ok(compiled)
    }

    /// Links a component to the contract.
    pub fn link(&self, component: &Component) -> Result<PluginPre<GuestState>, LoadFailure> {
        for import in self.contract_imports(component) {
            let version = import.split_once('@').map_or("", |(_, version)| version);
            if !is_compatible(version) {
                return Err(LoadFailure {
                    message: format!(
                        "the plugin was built for banter:plugin@{version}, and this server runs banter:plugin@{VERSION}"
                    ),
                    hint: "build it against the server's plugins/wit/plugin.wit".to_owned(),
                });
            }
        }
        let other_world = |error: wasmtime::Error| LoadFailure {
            message: format!(
                "the component targets another world ({}) than banter:plugin@{VERSION}: {}",
                self.world(component),
                first_line(&error)
            ),
            hint: "build it for the world `plugin` in plugins/wit/plugin.wit".to_owned(),
        };
        let linked = self.linker.instantiate_pre(component).map_err(other_world)?;
        PluginPre::new(linked).map_err(other_world)
    }

    /// The interfaces of the contract that a component imports, as `name@version`.
    pub fn contract_imports(&self, component: &Component) -> Vec<String> {
        let kind = component.component_type();
        let imports =
            kind.imports(&self.engine).filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)));
        imports.filter_map(|(name, _)| name.strip_prefix(PACKAGE).map(str::to_owned)).collect()
    }

    /// A short list of a component's imports and exports, without WASI.
    fn world(&self, component: &Component) -> String {
        let kind = component.component_type();
        let imports = kind.imports(&self.engine).map(|(name, _)| name).filter(|name| !name.starts_with("wasi:"));
        let exports = kind.exports(&self.engine).map(|(name, _)| format!("export {name}"));
        let words: Vec<String> = imports.map(|name| format!("import {name}")).chain(exports).take(6).collect();
        if words.is_empty() { "nothing imported or exported".to_owned() } else { words.join(", ") }
    }
}

fn config() -> Config {
    // If the kernel reports which pages were written (Linux 6.7), those are cleared by hand, which is cheaper than
    // mapping new ones. Otherwise all pages would have to be cleared.
    let resident = if PoolingAllocationConfig::is_pagemap_scan_available() { 512 << 10 } else { 0 };
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        // Room for the maximum of all instances together, so that no call can exhaust the pool for others.
        .total_core_instances(INSTANCES * CORE_INSTANCES)
        .total_memories(INSTANCES * MEMORIES)
        .total_tables(INSTANCES * TABLES)
        .total_stacks(INSTANCES)
        .max_memory_size(MAX_MEMORY)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(4 << 20)
        .max_tables_per_component(TABLES)
        .max_memories_per_component(MEMORIES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .table_elements(50_000)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(resident)
        .table_keep_resident(resident / 8)
        .max_unused_warm_slots(INSTANCES);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Whether a plugin built for `version` runs here: within a major version, later minor versions keep everything.
fn is_compatible(version: &str) -> bool {
    let numbers = |text: &str| -> Option<(u64, u64)> {
        let mut parts = text.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    match (numbers(version), numbers(VERSION)) {
        (Some((major, minor)), Some((our_major, our_minor))) => major == our_major && minor <= our_minor,
        _ => false,
    }
}

pub fn first_line(error: &wasmtime::Error) -> String {
    let whole = format!("{error:#}");
    whole.lines().next().unwrap_or_default().to_owned()
}
