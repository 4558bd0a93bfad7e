//! Limits on what clients may ask for. `Rocket.toml` documents each key.

use serde::{Deserialize, Serialize};

/// Limits on requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// The maximum size of a request body.
    pub body_bytes: u64,
    /// How long a body may take to arrive.
    pub body_seconds: u64,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections from one address at the same time. Proxies may have more.
    pub connections_per_address: usize,
    /// The size of a request's head.
    pub head_bytes: usize,
    /// How long a request's head may take to arrive.
    pub head_seconds: u64,
    /// How long a connection may be silent between requests.
    pub idle_seconds: u64,
    /// Turns in work at the same time, with those that wait for an encoder or a host. As many more may wait to begin;
    /// others are refused with 503.
    pub parallel_turns: usize,
    /// Messages of one user in a minute; 0 for no limit.
    pub messages_per_minute: u32,
    /// Messages of one user in a day; 0 for no limit.
    pub messages_per_day: u32,
    /// Histories that are read at the same time.
    pub histories: usize,
    /// Histories of one user that are read at the same time.
    pub histories_per_user: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body_bytes: 65_536,
            body_seconds: 15,
            connections: 4_096,
            connections_per_address: 1_024,
            head_bytes: 32_768,
            head_seconds: 10,
            idle_seconds: 75,
            parallel_turns: 256,
            messages_per_minute: 300,
            messages_per_day: 10_000,
            histories: 16,
            histories_per_user: 2,
        }
    }
}
