//! Plugins as the engine sees them: a call with plain data in and effects out. Who runs them is behind [`PluginRuntime`].

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;
use thiserror::Error;

use super::{Effect, api::Context};
use crate::{catalogue::HttpPolicy, host::Host, random::Random, turn::Event};

/// What bot.yaml says of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// Its name in bot.yaml.
    pub name: String,
    /// Its component in the bot's folder.
    pub file: String,
    /// What it may do.
    pub grants: Grants,
    /// How much it may use.
    pub limits: Limits,
    /// An object for the plugin itself.
    pub settings: Value,
}

/// What a plugin may do beyond computing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Write to the log.
    pub log: bool,
    /// Keep values for users.
    pub kv: bool,
    /// Read the turn's clock.
    pub clock: bool,
    /// Use the turn's chance.
    pub random: bool,
    /// Fetch from these hosts; none when the list is empty.
    pub http: HttpPolicy,
}

/// How much a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Milliseconds from beginning to end, host functions included.
    pub time_ms: u64,
    /// Units of wasmtime's fuel, about one an instruction.
    pub fuel: u64,
    /// Calls at a time; more wait within their time.
    pub parallel: usize,
}

/// One call.
pub struct PluginCall<'a> {
    /// What is known of the turn.
    pub context: &'a Context,
    /// What a script gives.
    pub arguments: Option<Value>,
    /// The outside.
    pub host: &'a Arc<dyn Host>,
    /// The turn's clock, in the bot's time zone.
    pub now: jiff::Zoned,
    /// The turn's chance; advanced by the call.
    pub random: &'a mut Random,
    /// Values kept by this turn so far; advanced by a call that succeeds.
    pub kept: &'a mut BTreeMap<String, Value>,
    /// Whether it is part of a replay: fuel bounds it as ever, but what it gives must not depend on how busy the machine is, nor on
    /// other calls, and nothing of it is remembered of the plugin.
    pub replayed: bool,
}

/// What a plugin answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginReply {
    /// In order.
    pub effects: Vec<Effect>,
    /// For the script that called.
    pub value: Option<Value>,
    /// Fuel that the call took.
    pub fuel: u64,
}

/// In what way a call went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin said so itself.
    Refused,
    /// It crashed.
    Trapped,
    /// It took too long.
    TimedOut,
    /// It took too much fuel.
    OutOfFuel,
    /// It wanted more memory or tables than it may have.
    OutOfMemory,
    /// It did what bot.yaml does not grant.
    NotGranted,
    /// Its reply breaks a bound.
    BadReply,
    /// It has failed so often that it is left alone for a while.
    Suspended,
    /// Too many calls at once.
    Busy,
    /// Its file is not there.
    Missing,
}

impl FailureKind {
    /// All of them, in the order of their numbers.
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

    /// A word for logs.
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

/// A call without a reply.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{message}")]
pub struct PluginFailure {
    /// In what way.
    pub kind: FailureKind,
    /// For the author.
    pub message: String,
    /// For the user, if the plugin gave one.
    pub user_text: Option<String>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl PluginFailure {
    /// For the turn and the log.
    pub fn event(&self, plugin: &str) -> Event {
        Event::PluginFailed {
            plugin: plugin.to_owned(),
            kind: self.kind.as_str().to_owned(),
            message: self.message.clone(),
            retryable: self.retryable,
        }
    }

    /// One of the host's own.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, FailureKind::Suspended | FailureKind::Busy | FailureKind::TimedOut);
        Self { kind, message: message.into(), user_text: None, retryable }
    }
}

/// A plugin that can be called. May block for as long as its limits allow.
pub trait Plugin: Send + Sync {
    /// Its name in bot.yaml.
    fn name(&self) -> &str;

    /// Whether it may read the turn's clock.
    fn reads_clock(&self) -> bool;

    /// Runs it once, in an instance of its own.
    ///
    /// # Errors
    /// [`PluginFailure`], whatever goes wrong; nothing is kept then.
    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure>;
}

impl fmt::Debug for dyn Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.name()).finish()
    }
}

/// Why a file is no plugin.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct LoadFailure {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

/// Makes plugins out of components.
pub trait PluginRuntime: Send + Sync {
    /// Compiles a component, or takes it from a cache.
    ///
    /// # Errors
    /// When the bytes are no component, or one for another world.
    fn load(&self, spec: PluginSpec, component: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure>;
}

/// Stands for a plugin that bot.yaml calls optional and whose file is not there.
pub struct MissingPlugin(pub String);

impl Plugin for MissingPlugin {
    fn name(&self) -> &str {
        &self.0
    }

    fn reads_clock(&self) -> bool {
        false
    }

    fn call(&self, _: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        Err(PluginFailure::new(FailureKind::Missing, "its file is not there"))
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
