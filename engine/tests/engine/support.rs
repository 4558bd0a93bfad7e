//! A bot in memory, a host that records calls, and a `check` for conversations.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use banter_engine::{
    Engine, EngineError, Request, Snapshot,
    catalogue::{Catalogue, bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{AnyLanguage, Embedder, EmbeddingError, Urgency, Vector, hashed::HashedEmbedder},
    handlers::{
        plugin::{NoPlugins, PluginRuntime},
        script::Scripting,
    },
    host::{Host, HostError, HttpAnswer},
    policy::{Ceiling, HttpPolicy},
    state::DialogueState,
    turn::{Message, Turn},
};
use serde_json::Value;

/// 2026-01-05 is a Monday.
pub const NOW: i64 = 1_767_607_200;

pub const BOT: &str = "
name: test
languages: [en, ru]
fallback: { tries: 2, then: handoff, text: { en: Pardon?, ru: Простите? } }
handoff: { en: Calling somebody., ru: Зову человека. }
entities:
  order_id: { pattern: '[A-Z]-\\d{4}' }
  city: { values: { moscow: [Moscow, Москва], london: [London, Лондон] }, fuzzy: true }
http: { allow: [api.example] }
";
pub const GREET: &str = "
intent: greet
examples: { en: [hello there, good morning friend], ru: [привет тебе, доброе утро друг] }
handler: { reply: { en: Hello!, ru: Привет! }, suggest: { en: [track order], ru: [где заказ] } }
";
pub const STATUS: &str = "
intent: status
examples: { en: ['where is my order', 'track order [A-1042](order_id)'], ru: ['где мой заказ', 'отследить заказ [A-1042](order_id)'] }
slots: { order_id: { entity: order_id, ask: { en: Which order?, ru: Какой заказ? }, retry: { en: It looks like A-1042., ru: Он вида A-1042. } } }
handler: { reply: { en: 'Order {order_id} is fine.', ru: 'Заказ {order_id} в порядке.' } }
";
pub const STOP: &str = "
intent: stop
role: cancel
examples: { en: [never mind that, forget about it], ru: [забудь об этом, не надо уже] }
handler: { reply: { en: Dropped., ru: Оставим. } }
";

/// A host with recorded answers.
#[derive(Default)]
pub struct TestHost {
    pub kept: Mutex<BTreeMap<String, Value>>,
    pub pages: BTreeMap<String, HttpAnswer>,
    pub logged: Mutex<Vec<String>>,
    /// Whether stored values cannot be read.
    pub away: AtomicBool,
}

impl Host for TestHost {
    fn kv_get(&self, user: i64, key: &str) -> Result<Option<Value>, HostError> {
        assert_eq!(user, 7);
        if self.away.load(Ordering::Relaxed) {
            return Err(HostError::Unavailable { part: "test", reason: "the store is away".to_owned() });
        }
        Ok(self.kept.lock().unwrap().get(key).cloned())
    }

    fn http_get(&self, url: &str, _: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.pages.get(url).cloned().ok_or_else(|| HostError::Failed(format!("no page {url}")))
    }

    fn log(&self, source: &str, message: &str) {
        self.logged.lock().unwrap().push(format!("{source}: {message}"));
    }
}

/// Loads files; also returns all diagnostics, rendered.
pub fn load(files: &[(&str, &str)]) -> (Option<Catalogue>, String) {
    load_with(files, &NoPlugins)
}

pub fn load_with(files: &[(&str, &str)], plugins: &dyn PluginRuntime) -> (Option<Catalogue>, String) {
    let mut diagnostics = Diagnostics::default();
    let catalogue =
        loader::load(&Bundle::of(files), &Scripting::new(), plugins, &Ceiling::unlimited(), &mut diagnostics);
    (catalogue, diagnostics.render(false))
}

/// Embeds, and remembers what it was asked about.
struct Recording {
    inner: HashedEmbedder,
    asked: Arc<Mutex<Vec<(Urgency, String)>>>,
}

impl Embedder for Recording {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn blocks(&self) -> &[usize] {
        self.inner.blocks()
    }

    fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }

    fn remembers(&self, text: &str) -> bool {
        self.inner.remembers(text)
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        self.asked.lock().unwrap().extend(texts.iter().map(|text| (urgency, text.clone())));
        self.inner.embed(texts, urgency)
    }
}

/// A dialogue with a bot.
pub struct Talk {
    engine: Engine,
    snapshot: Snapshot,
    pub host: Arc<TestHost>,
    asked: Arc<Mutex<Vec<(Urgency, String)>>>,
    pub state: DialogueState,
    turns: u64,
    now: jiff::Timestamp,
}

impl Talk {
    pub fn with(files: &[(&str, &str)]) -> Self {
        Self::with_host(files, TestHost::default())
    }

    pub fn with_host(files: &[(&str, &str)], host: TestHost) -> Self {
        Self::with_plugins(files, host, &NoPlugins)
    }

    pub fn with_plugins(files: &[(&str, &str)], host: TestHost, plugins: &dyn PluginRuntime) -> Self {
        let (catalogue, diagnostics) = load_with(files, plugins);
        let catalogue = catalogue.unwrap_or_else(|| panic!("{diagnostics}"));
        let host = Arc::new(host);
        let asked = Arc::default();
        let embedder = Arc::new(Recording { inner: HashedEmbedder::new(128), asked: Arc::clone(&asked) });
        let (snapshot, _) = Snapshot::build(Arc::new(catalogue), &*embedder, None, &mut |_| {}).expect("a snapshot");
        let engine = Engine::new(Arc::new(AnyLanguage(embedder)), Arc::new(Scripting::new()), host.clone());
        let now = jiff::Timestamp::from_second(NOW).unwrap();
        Self { engine, snapshot, host, asked, state: DialogueState::default(), turns: 0, now }
    }

    /// The texts that the model was asked about to answer a message.
    pub fn asked_for(&mut self, message: &str) -> Vec<(Urgency, String)> {
        self.asked.lock().unwrap().clear();
        self.say(message);
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Lets seconds pass.
    pub fn wait(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    pub fn say(&mut self, text: &str) -> Turn {
        self.try_to_say(text).expect("a turn")
    }

    pub fn try_to_say(&mut self, text: &str) -> Result<Turn, EngineError> {
        self.turns += 1;
        let message = Message { text, user: 7, dialogue: 3, seed: self.turns };
        let turn = self.engine.reply(&self.snapshot, Request::new(&self.snapshot, message, &self.state, self.now))?;
        self.state = turn.state.clone();
        self.host.kept.lock().unwrap().extend(turn.kept.clone());
        Ok(turn)
    }

    /// The last message once more, from another state.
    pub fn again(&self, state: &DialogueState, text: &str) -> Turn {
        let message = Message { text, user: 7, dialogue: 3, seed: self.turns };
        self.engine.reply(&self.snapshot, Request::new(&self.snapshot, message, state, self.now)).expect("a turn")
    }

    /// Lets the bot speak by itself, if it does.
    pub fn fall_silent(&mut self) -> Option<Turn> {
        self.turns += 1;
        let message = Message { text: "", user: 7, dialogue: 3, seed: self.turns };
        let request = Request::new(&self.snapshot, message, &self.state, self.now);
        let turn = self.engine.break_silence(&self.snapshot, request).expect("no store is away")?;
        self.state = turn.state.clone();
        Some(turn)
    }

    /// Checks pairs of a user's message and the bot's reply.
    pub fn check(&mut self, lines: &[(&str, &str)]) {
        for (user, expected) in lines {
            let turn = self.say(user);
            assert_eq!(turn.text(), *expected, "to {user:?}: {:#?}", turn.explain);
        }
    }
}
