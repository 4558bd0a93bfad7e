//! What handlers may fetch over HTTP.

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
