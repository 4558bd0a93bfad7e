//! What a plugin can reach: the granted functions of the contract, and a WASI without files, environment or network.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use banter_engine::{
    handlers::{
        context::View,
        plugin::{Grants, PluginCall, PluginSpec},
    },
    host::Host as Outside,
    random::Random,
    text::shorten,
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokio::task::spawn_blocking;
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::contract::banter::plugin::{
    clock::{self, Time},
    dialogue,
    http::{self, Answer},
    kv,
    log::{self, Level},
    random, types,
};

/// Limits on calls of host functions per plugin call.
const MAX_READS: u32 = 64;
const MAX_FETCHES: u32 = 4;
const MAX_LINES: u32 = 32;
/// Limit on a log line, in characters.
const MAX_LINE: usize = 500;
const MAX_KEY: usize = 100;
const MAX_VALUE: usize = 16_384;
const MAX_KEPT: usize = 32;
/// Limit on random bytes per WASI request.
const MAX_RANDOM: u64 = 65_536;
const TABLES: usize = 32;
const MEMORIES: usize = 4;
const TABLE_ELEMENTS: usize = 50_000;

/// Limits on memory and tables, and whether one was exceeded.
#[derive(Debug)]
pub struct Bounds {
    memory: usize,
    used: usize,
    /// The resource that was requested above its limit.
    pub denied: Option<&'static str>,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The limit applies to the sum of all memories of an instance.
        let used = self.used + desired.saturating_sub(current);
        if used > self.memory {
            self.denied = Some("memory");
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.denied = Some("table elements");
        }
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

/// The store data of one call.
pub struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    /// Limits on memory and tables.
    pub bounds: Bounds,
    name: String,
    grants: Grants,
    outside: Arc<dyn Outside>,
    user: i64,
    /// What the contract's `dialogue.view` tells.
    view: View,
    time: Time,
    /// The turn's random number generator.
    pub random: Random,
    /// Values that the turn stores.
    pub kept: BTreeMap<String, Value>,
    /// The function that the plugin used without a grant.
    pub not_granted: Option<&'static str>,
    reads: u32,
    fetches: u32,
    lines: u32,
}

impl GuestState {
    /// Creates the state for a call.
    pub fn new(spec: &PluginSpec, call: &PluginCall<'_>) -> Self {
        let (now, mut random) = (&call.now, call.random.clone());
        // The clocks and random numbers of WASI follow the contract: without a grant they are constant.
        let seconds = if spec.grants.clock { now.timestamp().as_second().max(0).unsigned_abs() } else { 0 };
        let frozen = Frozen(Duration::from_secs(seconds));
        let mut seeded = || StdRng::seed_from_u64(if spec.grants.random { random.bits() } else { 0 });
        let wasi = WasiCtxBuilder::new()
            .wall_clock(frozen)
            .monotonic_clock(Frozen(Duration::ZERO))
            .secure_random(seeded())
            .insecure_random(seeded())
            .insecure_random_seed(0)
            .max_random_size(MAX_RANDOM)
            .build();
        let time = Time {
            unix: now.timestamp().as_second(),
            year: now.year().into(),
            month: now.month().unsigned_abs().into(),
            day: now.day().unsigned_abs().into(),
            hour: now.hour().unsigned_abs().into(),
            minute: now.minute().unsigned_abs().into(),
            second: now.second().unsigned_abs().into(),
            weekday: now.weekday().to_monday_one_offset().unsigned_abs().into(),
        };
        Self {
            wasi,
            table: ResourceTable::new(),
            bounds: Bounds { memory: spec.limits.memory_bytes, used: 0, denied: None },
            name: spec.name.clone(),
            grants: spec.grants.clone(),
            outside: call.host.clone(),
            user: call.context.user,
            view: View::of(call.context),
            time,
            random: call.random.clone(),
            kept: call.kept.clone(),
            not_granted: None,
            reads: 0,
            fetches: 0,
            lines: 0,
        }
    }

    /// Ends the call if something is not granted; for functions whose result cannot report an error.
    fn need(&mut self, granted: bool, what: &'static str) -> wasmtime::Result<()> {
        if granted {
            return Ok(());
        }
        self.not_granted = Some(what);
        Err(wasmtime::Error::msg(format!("{what} is not granted")))
    }

    /// The key of a value in the user's storage, prefixed so that plugins cannot reach each other's values.
    fn own_key(&self, key: &str) -> Result<String, String> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(format!("a key must have 1 to {MAX_KEY} bytes"));
        }
        Ok(format!("plugin:{}:{key}", self.name))
    }
}

/// A clock that stays at the time of the turn.
struct Frozen(Duration);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for GuestState {}

impl log::Host for GuestState {
    async fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.need(self.grants.log, "log")?;
        self.lines += 1;
        if self.lines <= MAX_LINES {
            let word = match level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warn => "warn",
                Level::Error => "error",
            };
            self.outside.log(&format!("plugin {} {word}", self.name), &shorten(&message, MAX_LINE));
        }
        Ok(())
    }
}

impl kv::Host for GuestState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, String>> {
        if !self.grants.kv {
            return Ok(Err("bot.yaml does not grant `kv`".to_owned()));
        }
        let key = match self.own_key(&key) {
            Ok(key) => key,
            Err(message) => return Ok(Err(message)),
        };
        if let Some(value) = self.kept.get(&key) {
            return Ok(Ok(Some(value.to_string())));
        }
        self.reads += 1;
        if self.reads > MAX_READS {
            return Ok(Err(format!("kv.get was called more than {MAX_READS} times")));
        }
        let (outside, user) = (self.outside.clone(), self.user);
        let found = spawn_blocking(move || outside.kv_get(user, &key)).await?;
        Ok(found.map(|value| value.map(|value| value.to_string())).map_err(|error| error.to_string()))
    }

    async fn set(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), String>> {
        Ok(self.keep(&key, &value))
    }
}

impl GuestState {
    fn keep(&mut self, key: &str, value: &str) -> Result<(), String> {
        if !self.grants.kv {
            return Err("bot.yaml does not grant `kv`".to_owned());
        }
        let key = self.own_key(key)?;
        if value.len() > MAX_VALUE {
            return Err(format!("a value may have at most {MAX_VALUE} bytes"));
        }
        let value = serde_json::from_str(value).map_err(|error| format!("the value is not valid JSON: {error}"))?;
        if self.kept.len() >= MAX_KEPT && !self.kept.contains_key(&key) {
            return Err(format!("a turn may store at most {MAX_KEPT} values"));
        }
        self.kept.insert(key, value);
        Ok(())
    }
}

impl http::Host for GuestState {
    async fn get(&mut self, url: String) -> wasmtime::Result<Result<Answer, String>> {
        if self.grants.http.allow.is_empty() {
            return Ok(Err("bot.yaml does not grant `http`".to_owned()));
        }
        self.fetches += 1;
        if self.fetches > MAX_FETCHES {
            return Ok(Err(format!("http.get was called more than {MAX_FETCHES} times")));
        }
        let (outside, policy) = (self.outside.clone(), self.grants.http.clone());
        let answer = spawn_blocking(move || outside.http_get(&url, &policy)).await?;
        Ok(answer.map(|answer| Answer { status: answer.status, body: answer.body }).map_err(|error| error.to_string()))
    }
}

impl clock::Host for GuestState {
    async fn now(&mut self) -> wasmtime::Result<Time> {
        self.need(self.grants.clock, "clock")?;
        Ok(self.time)
    }
}

impl dialogue::Host for GuestState {
    async fn view(&mut self) -> wasmtime::Result<String> {
        Ok(self.view.to_json().to_string())
    }
}

impl random::Host for GuestState {
    async fn unit(&mut self) -> wasmtime::Result<f64> {
        self.need(self.grants.random, "random")?;
        Ok(self.random.unit())
    }

    async fn below(&mut self, limit: u32) -> wasmtime::Result<u32> {
        self.need(self.grants.random, "random")?;
        Ok(if limit == 0 { 0 } else { u32::try_from(self.random.below(limit as usize)).unwrap_or(0) })
    }
}
