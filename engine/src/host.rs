//! What handlers may ask of the world. The engine itself has no network, no database and no clock; the server implements this.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use thiserror::Error;

use crate::{
    catalogue::HttpPolicy,
    handlers::plugin::{Plugin, PluginCall, PluginFailure, PluginReply},
};

/// The outside, as handlers see it. Calls may block; each bounds its own time.
pub trait Host: Send + Sync {
    /// A value kept for a user by an earlier turn, or `None`.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] when the store does not answer.
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError>;

    /// Fetches a URL within the policy: allowed host, bounded time and size, no redirect to another host, no private address
    /// unless allowed.
    ///
    /// # Errors
    /// [`HostError::Refused`] when the policy forbids it, [`HostError::Failed`] when it did not work.
    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError>;

    /// A line for the log, from a handler.
    fn log(&self, source: &str, message: &str);

    /// Calls a plugin, or what stands for it here.
    ///
    /// # Errors
    /// Those of [`Plugin::call`].
    fn call_plugin(&self, plugin: &dyn Plugin, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure>;
}

/// What a host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Why the outside gave nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// Forbidden by the bot's own rules.
    #[error("{0}")]
    Refused(String),
    /// Tried, without success.
    #[error("{0}")]
    Failed(String),
    /// The store is away. Whatever the handler makes of it, the turn cannot be stored either, and is not answered.
    #[error("{reason}")]
    Unavailable {
        /// Which store.
        part: &'static str,
        /// What happened.
        reason: String,
    },
}

/// The outside for one turn: passes calls on, and remembers that a store was away.
pub(crate) struct TurnHost {
    inner: Arc<dyn Host>,
    away: OnceLock<(&'static str, String)>,
}

impl TurnHost {
    pub(crate) fn new(inner: Arc<dyn Host>) -> Self {
        Self { inner, away: OnceLock::new() }
    }

    /// Which store gave no answer, and why, if one did not.
    pub(crate) fn away(&self) -> Option<(&'static str, &str)> {
        self.away.get().map(|(part, reason)| (*part, reason.as_str()))
    }
}

impl Host for TurnHost {
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError> {
        let found = self.inner.kv_get(user, key);
        if let Err(HostError::Unavailable { part, reason }) = &found {
            self.away.get_or_init(|| (part, reason.clone()));
        }
        found
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.inner.http_get(url, policy)
    }

    fn log(&self, source: &str, message: &str) {
        self.inner.log(source, message);
    }

    fn call_plugin(&self, plugin: &dyn Plugin, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        self.inner.call_plugin(plugin, call)
    }
}

/// A host with nothing in it: no stored values, no network; plugins are called as in a replay. For `check`, for what new versions would
/// answer, and for tests.
pub struct NoHost;

impl Host for NoHost {
    fn kv_get(&self, _: i64, _: &str) -> Result<Option<Value>, HostError> {
        Ok(None)
    }

    fn http_get(&self, _: &str, _: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        Err(HostError::Failed("there is no network here".to_owned()))
    }

    fn log(&self, _: &str, _: &str) {}

    fn call_plugin(&self, plugin: &dyn Plugin, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        plugin.call(PluginCall { replayed: true, ..call })
    }
}
