//! What handlers may ask of the world. The engine itself has no network, no database and no clock; the server implements this.

use serde_json::Value;
use thiserror::Error;

use crate::catalogue::HttpPolicy;

/// The outside, as handlers see it. Calls may block; each bounds its own time.
pub trait Host: Send + Sync {
    /// A value kept for a user by an earlier turn, or `None`.
    ///
    /// # Errors
    /// When the store does not answer.
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError>;

    /// Fetches a URL within the policy: allowed host, bounded time and size, no redirect to another host, no private address
    /// unless allowed.
    ///
    /// # Errors
    /// [`HostError::Refused`] when the policy forbids it, [`HostError::Failed`] when it did not work.
    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError>;

    /// A line for the log, from a handler.
    fn log(&self, source: &str, message: &str);
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
}

/// A host with nothing in it: no stored values, no network. For `check` and for tests.
pub struct NoHost;

impl Host for NoHost {
    fn kv_get(&self, _: i64, _: &str) -> Result<Option<Value>, HostError> {
        Ok(None)
    }

    fn http_get(&self, _: &str, _: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        Err(HostError::Failed("there is no network here".to_owned()))
    }

    fn log(&self, _: &str, _: &str) {}
}
