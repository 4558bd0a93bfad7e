//! The outside world of a replayed turn: answers come from the fixture alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::fixture::{FixtureLocation, PluginStub, Stubs};
use crate::{
    catalogue::Catalogue,
    handlers::plugin::{FailureKind, Plugin, PluginCall, PluginFailure, PluginReply, Plugins},
    host::{Host, HostError, HttpAnswer},
    policy::HttpPolicy,
};

/// What a turn asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Calls without a stub in the fixture.
    pub missing: Vec<String>,
    /// Parts of the outside world that the turn used and the fixture replaced.
    pub outside: BTreeSet<&'static str>,
    /// Names of the plugins that were called.
    pub plugins: Vec<String>,
    /// Of these, the ones without a file.
    pub absent: BTreeSet<String>,
    /// Locations of the stubs that answered.
    pub used: BTreeSet<FixtureLocation>,
}

/// Notes what a turn asks for.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Asked>>);

impl Notes {
    fn note(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What the turn has asked for so far.
    pub fn asked(&self) -> Asked {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A [`Host`] that answers from a fixture.
pub struct StubHost {
    catalogue: Arc<Catalogue>,
    stubs: Arc<Stubs>,
    kept: BTreeMap<String, Value>,
    notes: Notes,
}

impl StubHost {
    pub fn new(catalogue: Arc<Catalogue>, stubs: Arc<Stubs>, kept: BTreeMap<String, Value>, notes: Notes) -> Self {
        Self { catalogue, stubs, kept, notes }
    }

    fn missing(&self, call: String) -> HostError {
        self.notes.note(|asked| asked.missing.push(call.clone()));
        HostError::Failed(format!("{call} has no stub in the fixture"))
    }
}

impl Host for StubHost {
    fn kv_get(&self, _: i64, key: &str) -> Result<Option<Value>, HostError> {
        if let Some(value) = self.kept.get(key) {
            return Ok(Some(value.clone()));
        }
        if self.stubs.kv {
            return Ok(None);
        }
        Err(self.missing(format!("kv_get({key:?}) (`stubs: {{ kv: {{}} }}` starts without stored values)")))
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.notes.note(|asked| asked.outside.extend(["http"]));
        let wanted = Value::from(url);
        let found = self.stubs.http.iter().find(|stub| stub.url.holds(&wanted, &self.catalogue));
        let Some(stub) = found else { return Err(self.missing(format!("http_get({url:?})"))) };
        self.notes.note(|asked| asked.used.extend([stub.location.clone()]));
        // Refuse hosts that the bot may not fetch from, as a server does.
        let host = check_url(policy, url).map_err(HostError::Refused);
        host.and_then(|()| stub.answer.clone().map_err(HostError::Failed))
    }

    fn log(&self, _: &str, _: &str) {}
}

/// Checks that a URL may be fetched, as far as its text tells; a server checks what it connects to.
///
/// # Errors
/// Why it may not: another scheme, a user name, or a host that the bot does not allow.
fn check_url(policy: &HttpPolicy, url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("\"{url}\" is not a URL"))?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Err("http_get fetches http and https only".to_owned()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("URLs with a user name are not fetched".to_owned());
    }
    let with_port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let (host, port) = match with_port {
        Some((host, port)) => (host, port.parse().map_err(|_| format!("\"{port}\" is not a port"))?),
        None => (authority, default_port),
    };
    if policy.allows(host, port, default_port) {
        return Ok(());
    }
    Err(format!("the host {}:{port} is not allowed by bot.yaml", host.to_lowercase()))
}

/// A plugin in a replay: the fixture's stub answers, if there is one.
struct StubbedPlugin {
    inner: Arc<dyn Plugin>,
    stub: Option<PluginStub>,
    notes: Notes,
}

impl Plugin for StubbedPlugin {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn reads_clock(&self) -> bool {
        self.inner.reads_clock()
    }

    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        let name = || self.name().to_owned();
        self.notes.note(|asked| asked.plugins.push(name()));
        let Some(stub) = &self.stub else {
            let reply = self.inner.call(PluginCall { replayed: true, ..call });
            if reply.as_ref().is_err_and(|failure| failure.kind == FailureKind::Missing) {
                self.notes.note(|asked| asked.absent.extend([name()]));
            }
            return reply;
        };
        self.notes.note(|asked| {
            asked.outside.extend(["plugin"]);
            asked.used.extend([stub.location.clone()]);
        });
        stub.answer.clone()
    }
}

/// A bot's plugins with a fixture's stubs before them.
pub fn stubbed(plugins: &Plugins, stubs: &Stubs, notes: &Notes) -> Plugins {
    let one = |(name, plugin): (&String, &Arc<dyn Plugin>)| {
        let (inner, stub) = (Arc::clone(plugin), stubs.plugins.get(name).cloned());
        let plugin: Arc<dyn Plugin> = Arc::new(StubbedPlugin { inner, stub, notes: notes.clone() });
        (name.clone(), plugin)
    };
    Arc::new(plugins.iter().map(one).collect())
}
