//! The outside world that handlers may use. The engine itself has no network, database or clock; the server implements
//! this trait.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use thiserror::Error;

use crate::policy::HttpPolicy;

/// The outside world as handlers see it. Calls may block, and each limits its own time.
pub trait Host: Send + Sync {
    /// A value that an earlier turn stored for a user, or `None`.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] if the store does not answer.
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError>;

    /// Fetches a URL if the policy allows it: allowed host, limited time and size, no redirect to another host, and no
    /// private address unless allowed.
    ///
    /// # Errors
    /// [`HostError::Refused`] if the policy forbids the request, [`HostError::Failed`] if it failed.
    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError>;

    /// Writes a handler's message to the log.
    fn log(&self, source: &str, message: &str);
}

/// The response of an HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Why a host call gave no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// The bot's own rules forbid the call.
    #[error("{0}")]
    Refused(String),
    /// The call was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// The store is unavailable. The turn could not be stored either, so it fails whatever the handler does.
    #[error("{reason}")]
    Unavailable {
        /// The store.
        part: &'static str,
        reason: String,
    },
}

/// How long all fetches of one turn may take together.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// The host of one turn: passes calls on, remembers whether a store was unavailable, and bounds the time of all fetches.
pub(crate) struct TurnHost {
    inner: Arc<dyn Host>,
    away: OnceLock<(&'static str, String)>,
    /// What fetches have taken so far.
    fetching: Mutex<Duration>,
}

impl TurnHost {
    pub(crate) fn new(inner: Arc<dyn Host>) -> Self {
        Self { inner, away: OnceLock::new(), fetching: Mutex::default() }
    }

    /// The store that did not answer, and the reason, if there was one.
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
        let left = FETCH_TIME.saturating_sub(*self.fetching.lock().unwrap_or_else(PoisonError::into_inner));
        if left.is_zero() {
            let limit = FETCH_TIME.as_secs();
            return Err(HostError::Failed(format!(
                "the fetches of this turn have taken {limit} s, which is the limit"
            )));
        }
        let timeout_ms = policy.timeout_ms.min(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        let begun = Instant::now();
        let answer = self.inner.http_get(url, &HttpPolicy { timeout_ms, ..policy.clone() });
        *self.fetching.lock().unwrap_or_else(PoisonError::into_inner) += begun.elapsed();
        answer
    }

    fn log(&self, source: &str, message: &str) {
        self.inner.log(source, message);
    }
}

/// A host without stored values or network. For `check`, for comparisons of versions and for tests.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fetches_of_a_turn_share_their_time() {
        let host = TurnHost::new(Arc::new(NoHost));
        let policy = HttpPolicy { timeout_ms: 2_000, ..HttpPolicy::default() };
        let told = |host: &TurnHost| host.http_get("https://x.example", &policy).unwrap_err().to_string();
        assert_eq!(told(&host), "there is no network here");
        *host.fetching.lock().unwrap() = FETCH_TIME;
        assert_eq!(told(&host), "the fetches of this turn have taken 10 s, which is the limit");
    }
}
