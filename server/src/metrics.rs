//! Counts and times for Prometheus, in the OpenMetrics text format. Labels are few and never come from users.

use std::{fmt, sync::Arc, time::Duration};

use crate::catalogs::{
    follower::Follower,
    serving::{Counts, short},
};
use banter_engine::turn::{Turn, TurnKind};
use banter_sandbox::{PluginState, Sandbox};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        MetricType, counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
    },
    registry::Registry,
};

/// Upper bounds of the histogram of turns, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What is counted.
pub struct Metrics {
    registry: Registry,
    turns: Family<TurnLabels, Counter>,
    events: Family<EventLabels, Counter>,
    seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
}

impl Metrics {
    /// With the plugins of a sandbox, where there is one.
    pub fn new(sandbox: Option<Arc<Sandbox>>) -> Self {
        let mut registry = Registry::with_prefix("banter");
        let turns = Family::<TurnLabels, Counter>::default();
        let events = Family::<EventLabels, Counter>::default();
        let seconds = Histogram::new(BUCKETS);
        registry.register("turns", "Turns by how the message was taken", turns.clone());
        registry.register("turn_events", "What went wrong in handlers, by kind", events.clone());
        registry.register(
            "turn_seconds",
            "Time from a message's state to its reply, the store not counted",
            seconds.clone(),
        );
        if let Some(sandbox) = sandbox {
            registry.register_collector(Box::new(Plugins(sandbox)));
        }
        Self { registry, turns, events, seconds }
    }

    /// Tells also which versions are served, and how their turns go.
    pub fn watch(&mut self, follower: Arc<Follower>) {
        self.registry.register_collector(Box::new(Versions(follower)));
    }

    /// A turn was made in so much time.
    pub fn count(&self, turn: &Turn, took: Duration) {
        let kind = match turn.kind {
            TurnKind::Matched => "matched",
            TurnKind::Ambiguous => "ambiguous",
            TurnKind::Unknown => "unknown",
            TurnKind::Form => "form",
        };
        self.turns.get_or_create(&TurnLabels { kind }).inc();
        for event in &turn.events {
            self.events.get_or_create(&EventLabels { event: event.kind() }).inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }

    /// All of it, as text.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// Reads what is in use when it is asked.
struct Versions(Arc<Follower>);

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Versions")
    }
}

impl Collector for Versions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let line = self.0.line();
        let help = "The activation that this server follows";
        let generation = encoder.encode_descriptor("banter_catalogue_generation", help, None, MetricType::Gauge)?;
        ConstGauge::new(line.generation).encode(generation)?;
        let help = "Whether this server cannot serve what it should";
        let behind = encoder.encode_descriptor("banter_catalogue_behind", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.0.problem().is_some())).encode(behind)?;
        let help = "Turns of the versions in use, by how the message was taken";
        let mut turns = encoder.encode_descriptor("banter_version_turns", help, None, MetricType::Counter)?;
        for (version, counts) in line.counts() {
            let Counts { matched, ambiguous, unknown, form, failed: _ } = counts;
            let kinds = [("matched", matched), ("ambiguous", ambiguous), ("unknown", unknown), ("form", form)];
            for (kind, count) in kinds {
                let labels = [("version", short(&version)), ("kind", kind)];
                ConstCounter::new(count).encode(turns.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Reads the records of plugins when it is asked.
struct Plugins(Arc<Sandbox>);

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plugins")
    }
}

impl Collector for Plugins {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let states = self.0.states();
        let help = "Calls of plugins by how they ended";
        let mut calls = encoder.encode_descriptor("banter_plugin_calls", help, None, MetricType::Counter)?;
        for PluginState { name, answered, failed, .. } in &states {
            let ended = failed.iter().map(|(kind, count)| (kind.as_str(), *count)).chain([("answered", *answered)]);
            for (result, count) in ended.filter(|(_, count)| *count > 0) {
                let labels = [("plugin", name.as_str()), ("result", result)];
                ConstCounter::new(count).encode(calls.encode_family(&labels)?)?;
            }
        }
        let help = "Whether a plugin is left alone since it kept failing";
        let mut suspended = encoder.encode_descriptor("banter_plugin_suspended", help, None, MetricType::Gauge)?;
        for PluginState { name, suspended_for, .. } in &states {
            let value = i64::from(suspended_for.is_some());
            ConstGauge::new(value).encode(suspended.encode_family(&[("plugin", name.as_str())])?)?;
        }
        Ok(())
    }
}
