//! A guest that is built once, a host that records calls, and a helper `call`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

use banter_engine::{
    entities::Entity,
    handlers::{
        Effect,
        context::{Context, Frame},
        plugin::{Grants, Plugin, PluginCall, PluginFailure, PluginLimits, PluginReply, PluginRuntime, PluginSpec},
    },
    host::{Host, HostError, HttpAnswer},
    ids::IntentId,
    language::Language,
    policy::HttpPolicy,
    random::Random,
    state::{ActiveContext, Stage},
};
use banter_sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The component built from `guest/`, for version 1.0 of the contract.
pub static GUEST: LazyLock<Vec<u8>> = LazyLock::new(|| build("guest"));

/// The component built from `viewer/`, for version 1.1.
pub static VIEWER: LazyLock<Vec<u8>> = LazyLock::new(|| build("viewer"));

fn build(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest");
    // As `banter plugin build` does it. The target is part of the machine's toolchain.
    let added = Command::new("rustup").args(["target", "add", "wasm32-wasip2"]).output();
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}; rustup: {added:?}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(target.join(format!("wasm32-wasip2/release/{name}.wasm"))).unwrap()
}

/// All test sandboxes share compiled code, except those that test it, which have their own folders.
pub static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| sandbox(Some(&shared_folder())));

pub fn shared_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

pub fn sandbox(folder: Option<&Path>) -> Sandbox {
    Sandbox::new(RUNTIME.handle().clone(), folder.map(Path::to_owned))
}

/// A host that records what it is asked for.
#[derive(Default)]
pub struct TestHost {
    pub kept: Mutex<BTreeMap<(i64, String), Value>>,
    pub gets: Mutex<Vec<(i64, String)>>,
    pub lines: Mutex<Vec<String>>,
    pub fetched: Mutex<Vec<String>>,
}

impl Host for TestHost {
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError> {
        self.gets.lock().unwrap().push((user, key.to_owned()));
        Ok(self.kept.lock().unwrap().get(&(user, key.to_owned())).cloned())
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.fetched.lock().unwrap().push(url.to_owned());
        if policy.allow.iter().any(|host| url.contains(host.as_str())) {
            Ok(HttpAnswer { status: 200, body: "ok".to_owned() })
        } else {
            Err(HostError::Refused("not allowed".to_owned()))
        }
    }

    fn log(&self, source: &str, message: &str) {
        self.lines.lock().unwrap().push(format!("{source}: {message}"));
    }
}

/// All grants, and limits that no honest call exceeds.
pub fn spec(name: &str) -> PluginSpec {
    let http = HttpPolicy { allow: vec!["api.example".to_owned()], ..HttpPolicy::default() };
    PluginSpec {
        name: name.to_owned(),
        file: format!("plugins/{name}.wasm"),
        grants: Grants { log: true, kv: true, clock: true, random: true, http },
        limits: PluginLimits { memory_bytes: 16 << 20, time_ms: 10_000, fuel: 2_000_000_000, parallel: 4 },
        settings: json!({ "a": 1 }),
    }
}

pub fn load(spec: PluginSpec) -> Arc<dyn Plugin> {
    SANDBOX.load(spec, &GUEST).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The result of a call.
pub struct Told {
    pub result: Result<PluginReply, PluginFailure>,
    pub kept: BTreeMap<String, Value>,
}

impl Told {
    /// The text of the only effect.
    pub fn text(&self) -> &str {
        match self.result.as_ref().map(|reply| reply.effects.as_slice()) {
            Ok([Effect::Say { text, .. }, ..]) => text,
            other => panic!("{other:?}"),
        }
    }

    /// The kind of failure, and the message.
    pub fn failure(&self) -> (&'static str, &str) {
        let failure = self.result.as_ref().expect_err("a failure");
        (failure.kind.as_str(), &failure.message)
    }
}

pub fn call_as(plugin: &dyn Plugin, host: &Arc<TestHost>, user: i64, text: &str) -> Told {
    call_with(plugin, host, user, text, false)
}

pub fn replayed(plugin: &dyn Plugin, text: &str) -> Told {
    call_with(plugin, &Arc::default(), 7, text, true)
}

fn call_with(plugin: &dyn Plugin, host: &Arc<TestHost>, user: i64, text: &str, replayed: bool) -> Told {
    let context = Context {
        text: text.to_owned(),
        language: Language::new("en").unwrap(),
        intent: IntentId::new("test"),
        probability: 0.5,
        entities: vec![Entity {
            entity: "city".to_owned(),
            value: "London".to_owned(),
            past: None,
            role: Some("from".to_owned()),
            parts: BTreeMap::new(),
            text: "london".to_owned(),
            start: 0,
            end: 6,
        }],
        slots: BTreeMap::from([("city".to_owned(), json!("London"))]),
        shown: BTreeMap::new(),
        contexts: [("offer".to_owned(), ActiveContext { turns: 3, ..ActiveContext::default() })].into(),
        frames: vec![Frame {
            intent: IntentId::new("order"),
            slot: "city".to_owned(),
            stage: Stage::Slot,
            slots: [("guests".to_owned(), 2.into())].into(),
        }],
        user,
        dialogue: 1,
        history: Vec::new(),
    };
    let outside: Arc<dyn Host> = host.clone();
    let (mut random, mut kept) = (Random::new(7), BTreeMap::new());
    let now = jiff::Timestamp::from_second(1_767_607_200).unwrap();
    let call = PluginCall {
        context: &context,
        arguments: Some(json!({ "b": 2 })),
        host: &outside,
        now: now.to_zoned(jiff::tz::TimeZone::UTC),
        random: &mut random,
        kept: &mut kept,
        replayed,
    };
    let result = plugin.call(call);
    Told { result, kept }
}

pub fn call(plugin: &dyn Plugin, text: &str) -> Told {
    call_as(plugin, &Arc::default(), 7, text)
}
