//! What handlers can reach outside the engine: a user's kept values, and HTTP within the bot's policy.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use banter_engine::{
    host::{Host, HostError, HttpAnswer},
    policy::{Ceiling, HttpPolicy},
};
use moka::sync::Cache;
use serde_json::Value;
use tokio::{runtime::Handle, sync::Semaphore, task::block_in_place};
use ureq::{
    Agent,
    http::{Uri, header::LOCATION},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use banter_stores::{
    TurnStore, UserId,
    breaker::{Circuit, Pauses},
};

const MAX_REDIRECTS: usize = 3;
/// One in this many turns that run may fetch, so that a slow host does not stop the others.
const TURNS_PER_FETCH: usize = 16;
/// The first and the longest pause before a host that does not answer is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A host that does not answer within a shorter time may be well.
const TELLING_MS: u64 = 500;
/// Hosts whose answers are remembered.
const HOSTS: u64 = 1_000;

/// The server's [`Host`].
pub struct ServerHost {
    runtime: Handle,
    turns: Arc<dyn TurnStore>,
    http: OutboundHttp,
    fetches: Semaphore,
    ceiling: Ceiling,
    hosts: Cache<String, Arc<HostRecord>>,
    /// Fetches from one host.
    per_host: usize,
}

/// What is known about a host, and how many fetch from it.
struct HostRecord {
    circuit: Mutex<Circuit>,
    places: Semaphore,
}

impl HostRecord {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next fetch probe the host when this one ends, however it ends.
struct Probe<'h>(&'h HostRecord);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.circuit().probed();
    }
}

/// HTTP requests of handlers, within their bot's policy.
pub struct OutboundHttp {
    public: Agent,
    any: Agent,
}

impl Default for OutboundHttp {
    fn default() -> Self {
        Self { public: agent(false), any: agent(true) }
    }
}

impl OutboundHttp {
    /// See [`Host::http_get`].
    ///
    /// # Errors
    /// Like [`Host::http_get`].
    pub fn get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.try_get(url, policy).map_err(FetchError::into)
    }

    fn try_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, FetchError> {
        fetch(if policy.private { &self.any } else { &self.public }, url, policy)
    }
}

impl ServerHost {
    /// For a server that runs so many turns at a time. Its methods block: call them only on threads that may block.
    pub fn new(runtime: Handle, turns: Arc<dyn TurnStore>, parallel_turns: usize, ceiling: Ceiling) -> Self {
        let all = (parallel_turns / TURNS_PER_FETCH).max(1);
        let (fetches, per_host) = (Semaphore::new(all), all.div_ceil(2));
        let hosts = Cache::builder().max_capacity(HOSTS).build();
        Self { runtime, turns, http: OutboundHttp::default(), fetches, ceiling, hosts, per_host }
    }

    /// What is known about a host that the policy allows.
    fn record(&self, url: &str, policy: &HttpPolicy) -> Result<(String, Arc<HostRecord>), HostError> {
        let uri = parse(url)?;
        check_host(&uri, policy)?;
        let host = uri.authority().map_or("", |authority| authority.as_str()).to_lowercase();
        let fresh = || {
            let circuit = Mutex::new(Circuit::closed(Pauses::new(PAUSES.0, PAUSES.1)));
            Arc::new(HostRecord { circuit, places: Semaphore::new(self.per_host) })
        };
        let record = self.hosts.get_with_by_ref(&host, fresh);
        Ok((host, record))
    }
}

impl Host for ServerHost {
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError> {
        let kept = block_in_place(|| self.runtime.block_on(self.turns.kept(UserId(user), key)));
        kept.map_err(|error| match error.is_outage() {
            true => HostError::Unavailable { part: error.store, reason: error.message },
            false => HostError::Failed(error.to_string()),
        })
    }

    /// Refuses at once while too many turns fetch, or while the host has not answered a moment ago.
    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        // A version that was published before the ceiling came down has to stay below it, too.
        let policy = self.ceiling.limit(policy);
        let (host, record) = self.record(url, &policy)?;
        let busy = |_| HostError::Failed("too many fetches are running; try again later".to_owned());
        let _place = self.fetches.try_acquire().map_err(busy)?;
        let _place_at_host = record.places.try_acquire().map_err(busy)?;
        let Some(probes) = record.circuit().admit() else {
            return Err(HostError::Failed(format!("{host} did not answer a moment ago")));
        };
        let _probe = probes.then(|| Probe(&record));
        let answer = block_in_place(|| self.http.try_get(url, &policy));
        match &answer {
            // A fetch with little time left says nothing about the host.
            Err(FetchError::Unanswered(_)) if policy.timeout_ms < TELLING_MS => {}
            Err(FetchError::Unanswered(_)) => record.circuit().failed(),
            _ => record.circuit().answered(),
        }
        answer.map_err(FetchError::into)
    }

    fn log(&self, source: &str, message: &str) {
        tracing::info!(source, message, "script");
    }
}

/// Why a fetch gave nothing.
#[derive(Debug)]
enum FetchError {
    /// The host did not answer, or stopped within its answer.
    Unanswered(String),
    Other(HostError),
}

impl From<HostError> for FetchError {
    fn from(error: HostError) -> Self {
        Self::Other(error)
    }
}

impl From<FetchError> for HostError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unanswered(reason) => Self::Failed(reason),
            FetchError::Other(error) => error,
        }
    }
}

/// A private address is refused by us, so it says nothing about the host.
fn unanswered(error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            HostError::Refused(cause.to_string()).into()
        }
        other => FetchError::Unanswered(other.to_string()),
    }
}

/// Fetches within a policy. The policy must allow every hop of a redirect; all hops share one time limit.
fn fetch(agent: &Agent, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, FetchError> {
    let deadline = Instant::now() + Duration::from_millis(policy.timeout_ms);
    let mut uri = parse(url)?;
    for _ in 0..=MAX_REDIRECTS {
        check_host(&uri, policy)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let request = agent.get(uri.clone()).config().timeout_global(Some(left)).build();
        let mut response = request.call().map_err(unanswered)?;
        if response.status().is_redirection()
            && let Some(target) = response.headers().get(LOCATION)
        {
            let target = target.to_str().map_err(|_| HostError::Failed("a redirect names no address".to_owned()))?;
            uri = follow(&uri, target)?;
            continue;
        }
        let body =
            response.body_mut().with_config().limit(policy.max_bytes).read_to_string().map_err(
                |error| match error {
                    ureq::Error::BodyExceedsLimit(_) => HostError::Failed(error.to_string()).into(),
                    other => FetchError::Unanswered(other.to_string()),
                },
            )?;
        return Ok(HttpAnswer { status: response.status().as_u16(), body });
    }
    Err(HostError::Failed(format!("more than {MAX_REDIRECTS} redirects")).into())
}

fn parse(url: &str) -> Result<Uri, HostError> {
    url.parse::<Uri>().map_err(|error| HostError::Refused(format!("\"{url}\" is not a URL: {error}")))
}

fn follow(from: &Uri, target: &str) -> Result<Uri, HostError> {
    if target.starts_with('/') && !target.starts_with("//") {
        let base = format!("{}://{}", from.scheme_str().unwrap_or("https"), from.host().unwrap_or_default());
        let port = from.port_u16().map_or(String::new(), |port| format!(":{port}"));
        return parse(&format!("{base}{port}{target}"));
    }
    let to = parse(target)?;
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err(HostError::Refused("a redirect leads from https to another scheme".to_owned()));
    }
    Ok(to)
}

fn check_host(uri: &Uri, policy: &HttpPolicy) -> Result<(), HostError> {
    let refused = |reason: String| Err(HostError::Refused(reason));
    let default_port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return refused("http_get fetches only http and https URLs".to_owned()),
    };
    let Some(authority) = uri.authority().filter(|authority| !authority.as_str().contains('@')) else {
        return refused("the URL must have a host and no user name".to_owned());
    };
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(default_port));
    if policy.allows(host, port, default_port) {
        return Ok(());
    }
    refused(format!("the host {}:{port} is not allowed by bot.yaml", host.to_lowercase()))
}

fn agent(private: bool) -> Agent {
    let config = Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        // A proxy from the environment would resolve names itself and bypass the guard below.
        .proxy(None)
        .user_agent("banter")
        .build();
    Agent::with_parts(config, DefaultConnector::new(), GuardedResolver { private, inner: DefaultResolver::default() })
}

/// A resolver that drops addresses that are not public. It checks the addresses that are connected to, so DNS rebinding
/// between two look-ups doesn't help an attacker.
struct GuardedResolver {
    private: bool,
    inner: DefaultResolver,
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedResolver").field("private", &self.private).finish()
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.private {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            let message = "the host has a private address, and `http.private` of bot.yaml is off";
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message).into());
        }
        Ok(public)
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Whether the address is outside the IANA registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3, except 6to4, Teredo and documentation addresses.
    (first & 0xE000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second == 0 || second == 0xDB8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allow: &[&str], expected: bool) {
        let policy = HttpPolicy { allow: allow.iter().map(|a| (*a).to_owned()).collect(), ..HttpPolicy::default() };
        let result = parse(url).and_then(|uri| check_host(&uri, &policy));
        assert_eq!(result.is_ok(), expected, "{url}: {result:?}");
    }

    #[test]
    fn only_allowed_hosts_are_asked() {
        check("https://api.example.org/x", &["api.example.org"], true);
        check("https://API.example.org/x", &["api.example.org"], true);
        check("https://api.example.org:8443/x", &["api.example.org"], false);
        check("http://127.0.0.1:9/x", &["127.0.0.1:9"], true);
        check("https://api.example.org@evil.example/", &["api.example.org"], false);
        check("https://evil.example/", &["api.example.org"], false);
        check("ftp://api.example.org/", &["api.example.org"], false);
        check("file:///etc/passwd", &["api.example.org"], false);
    }

    #[test]
    fn redirects_stay_as_safe_as_they_began() {
        let from = parse("https://api.example:8443/a").unwrap();
        assert_eq!(follow(&from, "/b?c").unwrap().to_string(), "https://api.example:8443/b?c");
        assert!(follow(&from, "https://api.example/b").is_ok());
        assert!(follow(&from, "http://api.example/b").is_err());
    }

    #[test]
    fn private_addresses_are_told() {
        for address in
            ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "2002:a00:1::"]
        {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_private_address_behind_an_allowed_name_is_refused() {
        let policy =
            HttpPolicy { allow: vec!["localhost:1".to_owned()], private: false, timeout_ms: 1_000, max_bytes: 10 };
        let error = HostError::from(fetch(&agent(false), "http://localhost:1/", &policy).unwrap_err());
        assert!(error.to_string().contains("private address"), "{error}");
    }
}
