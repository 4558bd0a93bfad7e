//! Turns messages into a fixture that passes at once. The messages, without personal data, are played with the real
//! host: its answers become stubs, and the bot's turns become expectations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    Outcome, Played, fixture, reader,
    redactor::Redactor,
    replay,
    rewrite::{write, write_text},
    seed_of,
};
use crate::{
    diagnostic::{Diagnostics, Severity},
    engine::{Engine, EngineError, Request},
    host::{Host, HostError, HttpAnswer},
    policy::HttpPolicy,
    snapshot::Snapshot,
    state::DialogueState,
    turn::Message,
};

/// The maximum number of messages in a recording.
pub const MAX_MESSAGES: usize = 1_000;

/// The shortest pause worth recording, in seconds; shorter ones are typing.
const PAUSE: i64 = 60;

/// Why there is no recording.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the conversation has no messages")]
    Empty,
    /// The diagnostics, as text.
    #[error("the messages do not make a valid fixture:\n{0}")]
    Invalid(String),
    #[error("the bot replies differently when the recording is replayed")]
    Unrepeatable,
}

/// The messages of one user.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The name of the fixture.
    pub name: String,
    pub messages: Vec<Utterance>,
    /// Slots that were filled, with their values, to find names to redact.
    pub slots: Vec<(String, String)>,
    /// The seed of the rng.
    pub seed: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Utterance {
    pub text: String,
    /// The time, if known.
    pub at: Option<Timestamp>,
    /// What was answered from outside before it, in a dialogue that was handed off.
    pub answered: Option<String>,
}

impl Utterance {
    /// What the user said in turns, each with its time in milliseconds since 1970, its message and its response. An
    /// answer from outside is a turn without a message; it goes before the next message.
    pub fn of<'a>(turns: impl Iterator<Item = (i64, &'a str, &'a str)>) -> Vec<Self> {
        let mut answered = None;
        let mut all = Vec::new();
        for (at, text, response) in turns {
            if text.is_empty() {
                answered = Some(response.to_owned());
                continue;
            }
            let at = Timestamp::from_millisecond(at).ok();
            all.push(Self { text: text.to_owned(), at, answered: answered.take() });
        }
        all
    }
}

/// The slots with texts, for finding names.
pub fn text_slots(slots: &BTreeMap<String, Value>) -> impl Iterator<Item = (String, String)> {
    slots.iter().filter_map(|(slot, value)| Some((slot.clone(), value.as_str()?.to_owned())))
}

/// The pages that handlers fetched, by URL.
pub type Pages = BTreeMap<String, Result<HttpAnswer, String>>;

/// A host that records the answers of another host.
pub struct RecordingHost {
    inner: Arc<dyn Host>,
    pages: Mutex<Pages>,
    reads: Mutex<BTreeSet<String>>,
    kept: Mutex<BTreeMap<String, Value>>,
}

impl RecordingHost {
    /// Wraps `inner`.
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
}

/// The fixture of a conversation, as YAML. `outside` is the host whose answers are recorded.
///
/// # Errors
/// [`RecordError`].
pub fn record(
    engine: &Engine,
    outside: Arc<dyn Host>,
    snapshot: &Snapshot,
    said: &Said,
    redact: bool,
) -> Result<String, RecordError> {
    if said.messages.is_empty() {
        return Err(RecordError::Empty);
    }
    let mut redactor = Redactor::default();
    redactor.learn_names(said.slots.iter().map(|(slot, value)| (slot.as_str(), value.as_str())));
    let spoken = &said.messages[..said.messages.len().min(MAX_MESSAGES)];
    let texts: Vec<String> =
        spoken.iter().map(|one| if redact { redactor.redact(&one.text) } else { one.text.clone() }).collect();
    let answers: Vec<Option<String>> = spoken
        .iter()
        .map(|one| one.answered.as_ref().map(|text| if redact { redactor.redact(text) } else { text.clone() }))
        .collect();
    let pauses = pauses(spoken);
    let host = Arc::new(RecordingHost::new(outside));
    let live = engine.with_host(host.clone());
    let usual = || Timestamp::from_second(fixture::NOW).unwrap_or_default();
    let begin = spoken[0].at.unwrap_or_else(usual);
    let (mut state, mut now) = (DialogueState::default(), begin);
    for (index, (text, pause)) in texts.iter().zip(&pauses).enumerate() {
        now = now.checked_add(*pause).unwrap_or(now);
        if let Some(answer) = &answers[index] {
            state.end_hand_off(answer);
        }
        let message = Message { text, user: 2, dialogue: 1, seed: seed_of(said.seed, 1, index as u64) };
        let turn = live.reply(snapshot, Request::new(snapshot, message, &state, now))?;
        host.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(turn.kept.clone());
        state = turn.state;
    }
    let name = if redact { redactor.redact(&said.name) } else { said.name.clone() };
    let head = head(&name, begin, said.seed, &host, redact.then_some(&mut redactor));
    let heads: Vec<String> =
        texts.iter().zip(&pauses).zip(&answers).map(|((text, pause), answer)| message(text, *pause, answer)).collect();
    let played = play(engine, snapshot, &format!("{head}{}", heads.concat()))?;
    let turns: String =
        played.turns.iter().zip(&heads).map(|(played, head)| format!("{head}{}", expected(played))).collect();
    let text = format!("{head}{turns}");
    if !play(engine, snapshot, &text)?.passed() {
        return Err(RecordError::Unrepeatable);
    }
    Ok(text)
}

/// The pause before each message; zero if it is not worth recording.
fn pauses(spoken: &[Utterance]) -> Vec<SignedDuration> {
    let mut last = None;
    let pause = |one: &Utterance| {
        let since = last.and_then(|last| Some(one.at?.duration_since(last).as_secs())).unwrap_or(0);
        // A pause that is not recorded adds to the next one.
        if last.is_none() || since >= PAUSE {
            last = one.at.or(last);
        }
        SignedDuration::from_secs(if since >= PAUSE { since } else { 0 })
    };
    spoken.iter().map(pause).collect()
}

fn message(text: &str, pause: SignedDuration, answered: &Option<String>) -> String {
    let mut out = format!("  - user: {}\n", write_text(text));
    if let Some(answer) = answered {
        let _ = writeln!(out, "    answered: {}", write_text(answer));
    }
    if !pause.is_zero() {
        let _ = writeln!(out, "    after: {pause:#}");
    }
    out
}

fn play(engine: &Engine, snapshot: &Snapshot, yaml: &str) -> Result<Outcome, RecordError> {
    let files = BTreeMap::from([("recorded.yaml".to_owned(), yaml.as_bytes().to_vec())]);
    let mut diagnostics = Diagnostics::default();
    let fixtures = reader::read(&files, &snapshot.catalogue, &mut diagnostics);
    let Some(fixture) = fixtures.first().filter(|_| diagnostics.count(Severity::Error) == 0) else {
        return Err(RecordError::Invalid(diagnostics.render(false)));
    };
    Ok(replay(engine, snapshot, fixture)?)
}

fn head(name: &str, now: Timestamp, seed: u64, host: &RecordingHost, mut redactor: Option<&mut Redactor>) -> String {
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
                if let Some(redactor) = redactor.as_deref_mut() {
                    redactor.redact_json(&mut page.1);
                }
                let _ = writeln!(out, "      {}: {}", page.0, page.1);
            }
            Err(reason) => out.push_str(&format!("      fails: {}\n", Value::from(reason.as_str()))),
        }
    }
    out.push_str("turns:\n");
    out
}

fn expected(played: &Played) -> String {
    let turn = &played.turn;
    let mut out = "    expect:\n".to_owned();
    let mut add = |key: &str, value: Value| {
        let _ = writeln!(out, "      {key}: {}", write(&value));
    };
    add("intent", turn.intent.as_ref().map_or(Value::Null, |intent| intent.as_str().into()));
    add("handler", turn.handler.to_string().into());
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
