//! What handlers may fetch over HTTP, and what a server lets the handlers of any bot do at most.

use serde::{Deserialize, Serialize};

/// Which URLs scripts may fetch, and the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpPolicy {
    /// `host` or `host:port`, lower-case.
    pub allow: Vec<String>,
    /// Whether private and loopback addresses are allowed.
    pub private: bool,
    /// Time limit of a whole request, in milliseconds.
    pub timeout_ms: u64,
    /// Size limit of a response, in bytes.
    pub max_bytes: u64,
}

impl HttpPolicy {
    /// Whether a host may be fetched from. An entry without a port allows the scheme's default port only.
    pub fn allows(&self, host: &str, port: u16, default_port: u16) -> bool {
        let host = host.to_lowercase();
        let with_port = format!("{host}:{port}");
        self.allow.iter().any(|entry| *entry == with_port || (*entry == host && port == default_port))
    }
}

/// What the handlers of any bot may do at most on one server. A bot that asks for more is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Hosts as in [`HttpPolicy::allow`]; `*` stands for any.
    pub allow: Vec<String>,
    /// Whether hosts may have private and loopback addresses.
    pub private: bool,
    /// What plugins may do beyond computing.
    pub plugins: Vec<PluginRight>,
}

/// What a plugin may do beyond computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginRight {
    Log,
    Kv,
    Clock,
    Random,
    Http,
}

impl PluginRight {
    pub const ALL: [Self; 5] = [Self::Log, Self::Kv, Self::Clock, Self::Random, Self::Http];

    /// The name in bot.yaml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Kv => "kv",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Http => "http",
        }
    }
}

impl Default for Ceiling {
    /// Any public host, and every right of plugins.
    fn default() -> Self {
        Self { allow: vec!["*".to_owned()], private: false, plugins: PluginRight::ALL.to_vec() }
    }
}

impl Ceiling {
    /// For commands that only look at a bot: nothing is above it.
    pub fn unlimited() -> Self {
        Self { private: true, ..Self::default() }
    }

    /// Whether a bot may list this host.
    pub fn allows(&self, host: &str) -> bool {
        self.allow.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host))
    }

    /// What is left of a policy below the ceiling.
    pub fn limit(&self, policy: &HttpPolicy) -> HttpPolicy {
        let allow = policy.allow.iter().filter(|host| self.allows(host)).cloned().collect();
        HttpPolicy { allow, private: policy.private && self.private, ..policy.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_port_allows_the_default_port_alone() {
        let allow = ["api.example.org", "other.example.org:8443"].map(str::to_owned).to_vec();
        let policy = HttpPolicy { allow, ..HttpPolicy::default() };
        assert!(policy.allows("api.example.org", 443, 443) && policy.allows("API.example.org", 80, 80));
        assert!(!policy.allows("api.example.org", 8443, 443));
        assert!(policy.allows("other.example.org", 8443, 443) && !policy.allows("other.example.org", 443, 443));
    }
}
