//! The outside world of a replayed turn: answers come from the fixture alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::fixture::{Place, Stubs};
use crate::{
    catalogue::{Catalogue, HttpPolicy},
    handlers::plugin::{Plugin, PluginCall, PluginFailure, PluginReply},
    host::{Host, HostError, HttpAnswer},
};

/// A [`Host`] that answers from a fixture.
pub struct StubHost {
    catalogue: Arc<Catalogue>,
    stubs: Arc<Stubs>,
    kept: BTreeMap<String, Value>,
    seen: Mutex<Seen>,
}

/// What the turn asked for.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Calls without a stub in the fixture.
    pub missing: Vec<String>,
    /// Parts of the outside world that the turn used and the fixture replaced.
    pub outside: BTreeSet<&'static str>,
    /// Names of the plugins that were called.
    pub plugins: Vec<String>,
    /// Locations of the stubs that answered.
    pub used: BTreeSet<Place>,
}

impl StubHost {
    pub fn new(catalogue: Arc<Catalogue>, stubs: Arc<Stubs>, kept: BTreeMap<String, Value>) -> Self {
        Self { catalogue, stubs, kept, seen: Mutex::default() }
    }

    /// What the turn has asked for so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn missing(&self, call: String) -> HostError {
        self.note(|seen| seen.missing.push(call.clone()));
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
        self.note(|seen| seen.outside.extend(["http"]));
        let asked = Value::from(url);
        let found = self.stubs.http.iter().find(|stub| stub.url.holds(&asked, &self.catalogue));
        let Some(stub) = found else { return Err(self.missing(format!("http_get({url:?})"))) };
        self.note(|seen| seen.used.extend([stub.place.clone()]));
        // Refuse hosts that the bot may not fetch from, as a server does.
        let host = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or("");
        if !policy.allow.iter().any(|allowed| allowed == &host.to_lowercase()) {
            return Err(HostError::Refused(format!("the host {host} is not in the bot's `allow`")));
        }
        stub.answer.clone().map_err(HostError::Failed)
    }

    fn log(&self, _: &str, _: &str) {}

    fn call_plugin(&self, plugin: &dyn Plugin, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        self.note(|seen| seen.plugins.push(plugin.name().to_owned()));
        match self.stubs.plugins.get(plugin.name()) {
            Some(stub) => {
                self.note(|seen| {
                    seen.outside.extend(["plugin"]);
                    seen.used.extend([stub.place.clone()]);
                });
                stub.answer.clone()
            }
            None => plugin.call(PluginCall { replayed: true, ..call }),
        }
    }
}
