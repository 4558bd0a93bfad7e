//! From what people said to a fixture that passes at once: their messages, without personal data, are played with the outside as it is;
//! what the outside answered becomes stubs, and what the bot made of it becomes the expectations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use banter_engine::{
    Engine, EngineError, Snapshot,
    catalogue::{
        HttpPolicy,
        fault::{Faults, Severity},
    },
    handlers::plugin::{Plugin, PluginCall, PluginFailure, PluginReply},
    host::{Host, HostError, HttpAnswer},
    replay::{
        Outcome, Played, reader, replay,
        rewrite::{write, write_text},
        seed_of,
    },
    state::DialogueState,
    turn::Message,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::masks::Masks;
use crate::failure::Failure;

/// The most messages of a recording.
pub const MAX_MESSAGES: usize = 1_000;

/// A shorter pause is how people type, and matters to no bot.
const PAUSE: i64 = 60;

/// What was said, by one user.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// What the fixture is called.
    pub name: String,
    /// The messages.
    pub messages: Vec<Utterance>,
    /// Values of slots that were filled on the way, to find names among them.
    pub slots: Vec<(String, String)>,
    /// Where chance comes from.
    pub seed: u64,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub struct Utterance {
    /// What was said.
    pub text: String,
    /// When, where that is known.
    pub at: Option<Timestamp>,
}

/// Pages that handlers fetched.
pub type Pages = BTreeMap<String, Result<HttpAnswer, String>>;

/// The outside as it is, with what it answered written down.
pub struct RecordingHost {
    inner: Arc<dyn Host>,
    pages: Mutex<Pages>,
    reads: Mutex<BTreeSet<String>>,
    kept: Mutex<BTreeMap<String, Value>>,
}

impl RecordingHost {
    /// In front of another.
    pub fn new(inner: Arc<dyn Host>) -> Self {
        Self { inner, pages: Mutex::default(), reads: Mutex::default(), kept: Mutex::default() }
    }
}

impl Host for RecordingHost {
    fn kv_get(&self, _: i64, key: &str) -> Result<Option<Value>, HostError> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        let answer = self.inner.http_get(url, policy);
        if !matches!(answer, Err(HostError::Refused(_))) {
            let page = answer.clone().map_err(|error| error.to_string());
            self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), page);
        }
        answer
    }

    fn log(&self, source: &str, message: &str) {
        self.inner.log(source, message);
    }

    fn call_plugin(&self, plugin: &dyn Plugin, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        self.inner.call_plugin(plugin, call)
    }
}

/// The fixture of what was said. `engine` has the outside that is recorded.
///
/// # Errors
/// When the model fails, and when there is nothing to record.
pub fn fixture(
    engine: &Engine,
    outside: Arc<dyn Host>,
    snapshot: &Snapshot,
    said: &Said,
    mask: bool,
) -> Result<String, Failure> {
    let failed = |error: EngineError| Failure::usage(error.to_string(), "see the log");
    if said.messages.is_empty() {
        return Err(Failure::usage("nothing was said", "record a conversation with messages in it"));
    }
    let mut masks = Masks::default();
    masks.learn_names(said.slots.iter().map(|(slot, value)| (slot.as_str(), value.as_str())));
    let spoken = &said.messages[..said.messages.len().min(MAX_MESSAGES)];
    let texts: Vec<String> =
        spoken.iter().map(|one| if mask { masks.mask(&one.text) } else { one.text.clone() }).collect();
    let pauses = pauses(spoken);
    let host = Arc::new(RecordingHost::new(outside));
    let live = engine.with_host(host.clone());
    let usual = || Timestamp::from_second(banter_engine::replay::fixture::NOW).unwrap_or_default();
    let begin = spoken[0].at.unwrap_or_else(usual);
    let (mut state, mut now) = (DialogueState::default(), begin);
    for (index, (text, pause)) in texts.iter().zip(&pauses).enumerate() {
        now = now.checked_add(*pause).unwrap_or(now);
        let message = Message { text, user: 2, dialog: 1, seed: seed_of(said.seed, 1, index as u64) };
        let turn = live.reply(snapshot, &state, &message, snapshot.local(now)).map_err(failed)?;
        host.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(turn.kept.clone());
        state = turn.state;
    }
    let name = if mask { masks.mask(&said.name) } else { said.name.clone() };
    let head = head(&name, begin, said.seed, &host, mask.then_some(&mut masks));
    let messages = texts.iter().zip(&pauses).map(|(text, pause)| message(text, *pause));
    let played = play(engine, snapshot, &format!("{head}{}", messages.collect::<String>()))?;
    let turns: String = played.turns.iter().zip(&pauses).map(|(played, pause)| turn(played, *pause)).collect();
    let text = format!("{head}{turns}");
    if !play(engine, snapshot, &text)?.passed() {
        return Err(Failure::usage("the conversation goes another way when it is repeated", "record it in parts"));
    }
    Ok(text)
}

/// How long before each message nobody spoke, where that is worth telling.
fn pauses(spoken: &[Utterance]) -> Vec<SignedDuration> {
    let mut last = None;
    let pause = |one: &Utterance| {
        let since = last.and_then(|last| Some(one.at?.duration_since(last).as_secs())).unwrap_or(0);
        // What is not told has not passed: the next pause begins where this one would have.
        if last.is_none() || since >= PAUSE {
            last = one.at.or(last);
        }
        SignedDuration::from_secs(if since >= PAUSE { since } else { 0 })
    };
    spoken.iter().map(pause).collect()
}

fn message(text: &str, pause: SignedDuration) -> String {
    let mut out = format!("  - user: {}\n", write_text(text));
    if !pause.is_zero() {
        let _ = writeln!(out, "    after: {pause:#}");
    }
    out
}

fn play(engine: &Engine, snapshot: &Snapshot, yaml: &str) -> Result<Outcome, Failure> {
    let files = BTreeMap::from([("recorded.yaml".to_owned(), yaml.as_bytes().to_vec())]);
    let mut faults = Faults::default();
    let fixtures = reader::read(&files, &snapshot.catalogue, &mut faults);
    let Some(fixture) = fixtures.first().filter(|_| faults.count(Severity::Error) == 0) else {
        let told = faults.render(false);
        return Err(Failure::usage(format!("what was said makes no fixture:\n{told}"), "leave the message out"));
    };
    replay(engine, snapshot, fixture).map_err(|error| Failure::usage(error.to_string(), "see the log"))
}

fn head(name: &str, now: Timestamp, seed: u64, host: &RecordingHost, mut masks: Option<&mut Masks>) -> String {
    let mut out = format!("conversation: {}\nnow: {now}\n", write_text(name));
    if seed != 0 {
        let _ = writeln!(out, "seed: {seed}");
    }
    let pages = host.pages.lock().unwrap_or_else(PoisonError::into_inner);
    let reads = host.reads.lock().unwrap_or_else(PoisonError::into_inner);
    if !pages.is_empty() || !reads.is_empty() {
        out.push_str("stubs:\n");
    }
    if !reads.is_empty() {
        out.push_str("  kv: {}\n");
    }
    if !pages.is_empty() {
        out.push_str("  http:\n");
    }
    for (url, answer) in pages.iter() {
        let _ = writeln!(out, "    - url: {}", write(&url.as_str().into()));
        match answer {
            Ok(page) => {
                if page.status != 200 {
                    let _ = writeln!(out, "      status: {}", page.status);
                }
                let mut page = match serde_json::from_str::<Value>(&page.body) {
                    Ok(value) => ("json", value),
                    Err(_) => ("body", Value::from(page.body.as_str())),
                };
                if let Some(masks) = masks.as_deref_mut() {
                    mask_texts(&mut page.1, masks);
                }
                let _ = writeln!(out, "      {}: {}", page.0, page.1);
            }
            Err(reason) => out.push_str(&format!("      fails: {}\n", Value::from(reason.as_str()))),
        }
    }
    out.push_str("turns:\n");
    out
}

/// Texts in JSON, at any depth; numbers are no one's.
fn mask_texts(value: &mut Value, masks: &mut Masks) {
    match value {
        Value::String(text) => *text = masks.mask(text),
        Value::Array(items) => items.iter_mut().for_each(|item| mask_texts(item, masks)),
        Value::Object(fields) => fields.values_mut().for_each(|field| mask_texts(field, masks)),
        _ => {}
    }
}

fn turn(played: &Played, pause: SignedDuration) -> String {
    let turn = &played.turn;
    let mut out = message(&played.user, pause) + "    expect:\n";
    let mut add = |key: &str, value: Value| {
        let _ = writeln!(out, "      {key}: {}", write(&value));
    };
    add("intent", turn.intent.as_ref().map_or(Value::Null, |intent| intent.as_str().into()));
    add("handler", turn.handler.as_str().into());
    add("text", turn.text().into());
    if !turn.state.slots.is_empty() {
        add("slots", json!(turn.state.slots));
    }
    if turn.hand_off {
        add("hand_off", true.into());
    }
    if !turn.events.is_empty() {
        add("events", turn.events.iter().map(|event| Value::from(event.kind())).collect());
    }
    out
}
