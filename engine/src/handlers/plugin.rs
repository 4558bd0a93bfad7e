//! Plugins as the engine sees them: a call takes plain data and returns effects. [`PluginRuntime`] hides how they run.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;
use thiserror::Error;

use super::{context::Context, effect::Effect};
use crate::{host::Host, policy::HttpPolicy, random::Random, turn::Event};

/// A plugin's entry in bot.yaml.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// The plugin's name in bot.yaml.
    pub name: String,
    /// Path of the component in the bot's folder.
    pub file: String,
    /// What the plugin may do beyond computing.
    pub grants: Grants,
    /// Resource limits of a call.
    pub limits: PluginLimits,
    /// Settings that are passed to the plugin: a JSON object.
    pub settings: Value,
}

/// What a plugin may do beyond computing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// It may write to the log.
    pub log: bool,
    /// It may store values for users.
    pub kv: bool,
    /// It may read the turn's clock.
    pub clock: bool,
    /// It may use the turn's random numbers.
    pub random: bool,
    /// It may fetch from these hosts; with an empty list, from none.
    pub http: HttpPolicy,
}

/// Resource limits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Linear memory in bytes.
    pub memory_bytes: usize,
    /// Wall-clock time in milliseconds, including host functions.
    pub time_ms: u64,
    /// Units of wasmtime's fuel; one unit is about one instruction.
    pub fuel: u64,
    /// Number of concurrent calls; further calls wait, within their own time limit.
    pub parallel: usize,
}

/// The input of one call.
pub struct PluginCall<'a> {
    /// What is known about the turn.
    pub context: &'a Context,
    /// Arguments from the calling script, if there is one.
    pub arguments: Option<Value>,
    /// The host: storage, HTTP and log.
    pub host: &'a Arc<dyn Host>,
    /// The turn's clock, in the bot's time zone.
    pub now: jiff::Zoned,
    /// The turn's random number generator; the call advances it.
    pub random: &'a mut Random,
    /// Values that this turn has stored so far; a successful call adds to them.
    pub kept: &'a mut BTreeMap<String, Value>,
    /// Whether the call is part of a replay. Fuel limits it as always, but its result must not depend on the machine's
    /// load or on other calls, and it must not affect the plugin's failure history.
    pub replayed: bool,
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginReply {
    /// Effects, in order.
    pub effects: Vec<Effect>,
    /// A value for the calling script.
    pub value: Option<Value>,
    /// Fuel that the call consumed.
    pub fuel: u64,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin itself reported an error.
    Refused,
    /// It crashed.
    Trapped,
    /// It took too long.
    TimedOut,
    /// It ran out of fuel.
    OutOfFuel,
    /// It asked for more memory or tables than its limits allow.
    OutOfMemory,
    /// It used something that bot.yaml does not grant.
    NotGranted,
    /// Its reply is malformed or exceeds a limit.
    BadReply,
    /// It is suspended for a while after repeated failures.
    Suspended,
    /// Too many calls ran at the same time.
    Busy,
    /// Its file does not exist.
    Missing,
}

impl FailureKind {
    /// All kinds; the position of a kind is its number.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::Trapped,
        Self::TimedOut,
        Self::OutOfFuel,
        Self::OutOfMemory,
        Self::NotGranted,
        Self::BadReply,
        Self::Suspended,
        Self::Busy,
        Self::Missing,
    ];

    /// The name in logs and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Trapped => "trapped",
            Self::TimedOut => "timed_out",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::NotGranted => "not_granted",
            Self::BadReply => "bad_reply",
            Self::Suspended => "suspended",
            Self::Busy => "busy",
            Self::Missing => "missing",
        }
    }
}

/// A failed call.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{message}")]
pub struct PluginFailure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// A message for the author.
    pub message: String,
    /// A message for the user, if the plugin gave one.
    pub user_text: Option<String>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl PluginFailure {
    /// The failure as an event, for the turn and the log.
    pub fn event(&self, plugin: &str) -> Event {
        Event::PluginFailed {
            plugin: plugin.to_owned(),
            kind: self.kind.as_str().to_owned(),
            message: self.message.clone(),
            retryable: self.retryable,
        }
    }

    /// A failure that the host detected.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, FailureKind::Suspended | FailureKind::Busy | FailureKind::TimedOut);
        Self { kind, message: message.into(), user_text: None, retryable }
    }
}

/// A plugin that can be called. A call may block for as long as its limits allow.
pub trait Plugin: Send + Sync {
    /// Its name in bot.yaml.
    fn name(&self) -> &str;

    /// Whether it may read the turn's clock.
    fn reads_clock(&self) -> bool;

    /// Runs the plugin once, in a new instance.
    ///
    /// # Errors
    /// Any failure, as a [`PluginFailure`]; stored values are then discarded.
    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure>;
}

impl fmt::Debug for dyn Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.name()).finish()
    }
}

/// Why a file is not a usable plugin.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct LoadFailure {
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub hint: String,
}

/// The plugins that a turn may call, by name.
pub type Plugins = Arc<BTreeMap<String, Arc<dyn Plugin>>>;

/// A plugin whose calls are part of a replay ([`PluginCall::replayed`]).
pub struct Replayed(pub Arc<dyn Plugin>);

impl Plugin for Replayed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn reads_clock(&self) -> bool {
        self.0.reads_clock()
    }

    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        self.0.call(PluginCall { replayed: true, ..call })
    }
}

/// The same plugins, called as a replay does.
pub fn replayed(plugins: &Plugins) -> Plugins {
    let one = |(name, plugin): (&String, &Arc<dyn Plugin>)| {
        let plugin: Arc<dyn Plugin> = Arc::new(Replayed(Arc::clone(plugin)));
        (name.clone(), plugin)
    };
    Arc::new(plugins.iter().map(one).collect())
}

/// Creates plugins from components.
pub trait PluginRuntime: Send + Sync {
    /// Compiles a component, or takes it from a cache.
    ///
    /// # Errors
    /// If the bytes are not a component, or one for another world.
    fn load(&self, spec: PluginSpec, component: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure>;
}

/// Stands in for a plugin whose file does not exist.
pub struct MissingPlugin(pub String);

impl Plugin for MissingPlugin {
    fn name(&self) -> &str {
        &self.0
    }

    fn reads_clock(&self) -> bool {
        false
    }

    fn call(&self, _: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        Err(PluginFailure::new(FailureKind::Missing, "its file does not exist"))
    }
}

/// A runtime without WebAssembly, for bots without plugins.
pub struct NoPlugins;

impl PluginRuntime for NoPlugins {
    fn load(&self, spec: PluginSpec, _: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure> {
        Err(LoadFailure {
            message: format!("the plugin `{}` cannot be run here", spec.name),
            hint: "this program was built without WebAssembly".to_owned(),
        })
    }
}
