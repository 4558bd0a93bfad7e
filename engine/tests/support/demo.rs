//! The demo bot with the real model; what needs a network or a plugin is recorded or missing. Needs `make setup`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{Catalogue, bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::encoders::{EncoderSettings, Encoders, usual},
    handlers::{
        plugin::{LoadFailure, MissingPlugin, Plugin, PluginRuntime, PluginSpec},
        script::Scripting,
    },
    host::{Host, HostError, HttpAnswer},
    policy::{Ceiling, HttpPolicy},
};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A recorded answer of the weather service; no other URL works.
struct Recorded;

impl Host for Recorded {
    fn kv_get(&self, _: i64, _: &str) -> Result<Option<Value>, HostError> {
        Ok(None)
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        assert_eq!(policy.allow, ["api.open-meteo.com"]);
        if !url.contains("latitude=51.51") {
            return Err(HostError::Failed("no answer is recorded for this place".to_owned()));
        }
        let body = r#"{"current":{"time":"2026-01-05T10:00","temperature_2m":7.5,"wind_speed_10m":14.0}}"#;
        Ok(HttpAnswer { status: 200, body: body.to_owned() })
    }

    fn log(&self, _: &str, _: &str) {}
}

/// Stand-ins for the demo bot's plugins: these tests check what the bot understands, not what plugins answer.
struct Unloaded;

impl PluginRuntime for Unloaded {
    fn load(&self, spec: PluginSpec, _: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure> {
        Ok(Arc::new(MissingPlugin(spec.name)))
    }
}

pub static BOT: LazyLock<(Engine, Snapshot)> = LazyLock::new(|| {
    let settings = EncoderSettings {
        library: root().join(".cache/onnxruntime/libonnxruntime.so"),
        max_tokens: 256,
        threads: 2,
        patience: Duration::MAX,
        recent: 1_000,
    };
    let encoders = Encoders::in_folder(&root().join(".cache/encoders"), &usual(), &settings);
    let engine = Engine::new(Arc::new(encoders), Arc::new(Scripting::new()), Arc::new(Recorded));
    let catalogue = catalogue(&engine, |_| {});
    let embedder = engine.embedder(&catalogue).unwrap_or_else(|error| panic!("{error}; {}", error.hint()));
    let (snapshot, _) = Snapshot::build(Arc::new(catalogue), &*embedder, None, &mut |_| {}).unwrap();
    (engine, snapshot)
});

/// The demo bot's files, with a change.
pub fn catalogue(engine: &Engine, change: impl FnOnce(&mut Bundle)) -> Catalogue {
    let mut diagnostics = Diagnostics::default();
    let mut bundle = Bundle::read(&root(), &mut diagnostics).unwrap();
    change(&mut bundle);
    let catalogue = loader::load(&bundle, engine.scripting(), &Unloaded, &Ceiling::unlimited(), &mut diagnostics);
    catalogue.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}
