//! Metrics for Prometheus in the OpenMetrics text format. Labels have few values and never come from users.

use std::{fmt, sync::Arc, time::Duration};

use crate::catalogs::{
    follower::Follower,
    serving::{TurnCounts, short},
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

/// Upper bounds of the histogram of turn times, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

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
    /// Includes the plugins of the sandbox, if there is one.
    pub fn new(sandbox: Option<Arc<Sandbox>>) -> Self {
        let mut registry = Registry::with_prefix("banter");
        let turns = Family::<TurnLabels, Counter>::default();
        let events = Family::<EventLabels, Counter>::default();
        let seconds = Histogram::new(BUCKETS);
        registry.register("turns", "Turns by how the message was classified", turns.clone());
        registry.register("turn_events", "Failures in handlers, by kind", events.clone());
        registry.register(
            "turn_seconds",
            "Time to compute the reply, without loading the dialogue state and storing the turn",
            seconds.clone(),
        );
        if let Some(sandbox) = sandbox {
            registry.register_collector(Box::new(PluginCollector(sandbox)));
        }
        Self { registry, turns, events, seconds }
    }

    /// Adds metrics of the versions in use.
    pub fn watch(&mut self, follower: Arc<Follower>) {
        self.registry.register_collector(Box::new(VersionMetrics(follower)));
    }

    /// Counts a turn, its events, and its time.
    pub fn count(&self, turn: &Turn, took: Duration) {
        let kind = match turn.kind {
            TurnKind::Matched => "matched",
            TurnKind::Ambiguous => "ambiguous",
            TurnKind::Unknown => "unknown",
            TurnKind::Form => "form",
            TurnKind::Waiting => "waiting",
            TurnKind::Answer => "answer",
            TurnKind::GivenBack => "given_back",
            TurnKind::Silence => "silence",
        };
        self.turns.get_or_create(&TurnLabels { kind }).inc();
        for event in &turn.events {
            self.events.get_or_create(&EventLabels { event: event.kind() }).inc();
        }
        // The others are not computed.
        if matches!(turn.kind, TurnKind::Matched | TurnKind::Ambiguous | TurnKind::Unknown | TurnKind::Form) {
            self.seconds.observe(took.as_secs_f64());
        }
    }

    /// All metrics as text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// Reads the versions in use at each scrape.
struct VersionMetrics(Arc<Follower>);

impl fmt::Debug for VersionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Versions")
    }
}

impl Collector for VersionMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let line = self.0.line();
        let help = "The activation that this server serves";
        let generation = encoder.encode_descriptor("banter_catalogue_generation", help, None, MetricType::Gauge)?;
        ConstGauge::new(line.generation).encode(generation)?;
        let help = "Whether this server cannot serve the current activation";
        let behind = encoder.encode_descriptor("banter_catalogue_behind", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.0.problem().is_some())).encode(behind)?;
        let help = "Turns of the versions in use, by how the message was classified";
        let mut turns = encoder.encode_descriptor("banter_version_turns", help, None, MetricType::Counter)?;
        for (version, counts) in line.counts() {
            let TurnCounts { matched, ambiguous, unknown, form, failed: _ } = counts;
            let kinds = [("matched", matched), ("ambiguous", ambiguous), ("unknown", unknown), ("form", form)];
            for (kind, count) in kinds {
                let labels = [("version", short(&version)), ("kind", kind)];
                ConstCounter::new(count).encode(turns.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Reads the state of plugins at each scrape.
struct PluginCollector(Arc<Sandbox>);

impl fmt::Debug for PluginCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plugins")
    }
}

impl Collector for PluginCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let states = self.0.states();
        let help = "Plugin calls, by result";
        let mut calls = encoder.encode_descriptor("banter_plugin_calls", help, None, MetricType::Counter)?;
        for PluginState { name, answered, failed, .. } in &states {
            let ended = failed.iter().map(|(kind, count)| (kind.as_str(), *count)).chain([("answered", *answered)]);
            for (result, count) in ended.filter(|(_, count)| *count > 0) {
                let labels = [("plugin", name.as_str()), ("result", result)];
                ConstCounter::new(count).encode(calls.encode_family(&labels)?)?;
            }
        }
        let help = "Whether a plugin is suspended because it kept failing";
        let mut suspended = encoder.encode_descriptor("banter_plugin_suspended", help, None, MetricType::Gauge)?;
        for PluginState { name, suspended_for, .. } in &states {
            let value = i64::from(suspended_for.is_some());
            ConstGauge::new(value).encode(suspended.encode_family(&[("plugin", name.as_str())])?)?;
        }
        Ok(())
    }
}
