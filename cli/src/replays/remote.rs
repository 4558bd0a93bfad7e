//! Replays the same fixtures against running servers. A client sees less than the engine, and cannot set what a fixture
//! sets (the time, the seed, the stubs). Such expectations are reported as not compared, and never silently skipped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_engine::{
    replay::{
        Difference, Outcome, Played, differences_of,
        fixture::{Fixture, Step, Subject},
        replay,
    },
    turn::Output,
};
use banter_stores::secret::Secret;
use serde_json::{Value, json};
use ureq::{Agent, http::Uri};
use uuid::Uuid;

use super::{Rig, report::Seen};
use crate::{failure::Failure, key_file};

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest pause that a busy server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The maximum number of tries while a server is busy.
const TRIES: usize = 20;

/// The server interface to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RemoteChannel {
    /// `/auth/login` and `/messages/send`: the reply as one text.
    Native,
    /// `/webhooks/rest/webhook`: also shows quick replies, images and data.
    Rasa,
}

/// The servers under test.
pub struct Remote {
    urls: Vec<String>,
    channel: RemoteChannel,
    key: Option<Secret>,
    agent: Agent,
    /// A unique id in the user names, so that each run has new users.
    run: String,
    next: AtomicUsize,
    pace: Option<Mutex<Pace>>,
    /// Whether the message about waiting was already printed.
    waited: AtomicBool,
    seen: Mutex<HashMap<(usize, usize), Seen>>,
    /// Tells a person why a server makes them wait.
    notice: fn(&str),
}

struct Pace {
    every: Duration,
    next: Instant,
}

impl Remote {
    /// Servers by URL, used in turn. Sends at most `rate` messages per second; `rate` must be above 0.
    ///
    /// # Errors
    /// A URL is not valid, or the key would travel in clear.
    pub fn new(
        urls: Vec<String>,
        channel: RemoteChannel,
        key: Option<Secret>,
        rate: Option<f64>,
        notice: fn(&str),
    ) -> Result<Self, Failure> {
        for url in &urls {
            let server: Uri = url
                .parse()
                .map_err(|error| Failure::usage(format!("{url}: {error}"), "write http://host:port or https://host"))?;
            // The native channel logs in, and needs no key.
            if key.is_some() && channel == RemoteChannel::Rasa {
                key_file::refuse_in_clear("channel", &server)?;
            }
        }
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).max_redirects(0);
        let every = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Ok(Self {
            urls: urls.into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            channel,
            key,
            agent: config.build().into(),
            run: Uuid::new_v4().simple().to_string(),
            next: AtomicUsize::new(0),
            pace: every.map(|every| Mutex::new(Pace { every, next: Instant::now() })),
            waited: AtomicBool::new(false),
            seen: Mutex::default(),
            notice,
        })
    }

    /// What a client saw of a message.
    pub fn seen(&self, fixture: usize, turn: usize) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(fixture, turn)).cloned().unwrap_or_default()
    }

    /// Plays a fixture of a rig on the servers. It is played locally first, to find what each turn depends on.
    ///
    /// # Errors
    /// A server does not respond, or is not a banter server.
    pub fn play(&self, rig: &Rig, index: usize) -> Result<Outcome, Failure> {
        let fixture = &rig.fixtures[index];
        let failed = |error: banter_engine::EngineError| Failure::usage(error.to_string(), "see the log");
        let mut outcome = replay(&rig.engine, &rig.snapshot, fixture).map_err(failed)?;
        let inside = fixture.needs_inside();
        let mut talk = Talk { remote: self, fixture: index, tokens: BTreeMap::new() };
        let mut spoiled: Option<&'static str> = None;
        for (turn, (step, played)) in fixture.steps.iter().zip(&mut outcome.turns).enumerate() {
            let here = inside.or_else(|| depends(played)).or(spoiled);
            let answer = match inside {
                // The server would lack the context of the message.
                Some(_) => None,
                None => Some(talk.say(fixture, step, turn)?),
            };
            let (differences, seen) = self.compare(rig, step, played, answer, here);
            played.differences = differences;
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert((index, turn), seen);
            // After a turn that the client cannot control, later turns may differ too.
            if depends(played).is_some() && !fixture.independent {
                spoiled = Some("an earlier turn depends on something that a client cannot set");
            }
        }
        Ok(outcome)
    }

    /// The differences, and what the client saw.
    fn compare(
        &self,
        rig: &Rig,
        step: &Step,
        played: &mut Played,
        outputs: Option<Vec<Output>>,
        reason: Option<&'static str>,
    ) -> (Vec<Difference>, Seen) {
        let sees = |subject: &Subject| match self.channel {
            RemoteChannel::Native => *subject == Subject::Text,
            RemoteChannel::Rasa => subject.is_visible(),
        };
        let hidden = step.expectations.iter().filter(|expectation| !sees(&expectation.subject));
        let mut not_compared: Vec<String> = hidden.map(|expectation| expectation.subject.name()).collect();
        if step.events.is_some() {
            not_compared.push("events".to_owned());
        }
        let mut differences = Vec::new();
        let (sent, visible) = (outputs.is_some(), step.expectations.iter().filter(|one| sees(&one.subject)).count());
        match outputs {
            Some(outputs) => {
                played.turn.outputs = outputs;
                differences = differences_of(&rig.snapshot.catalogue, step, &played.turn, &sees);
            }
            None => {
                let seen = step.expectations.iter().filter(|expectation| sees(&expectation.subject));
                let reason = reason.unwrap_or("it was not played");
                not_compared.extend(seen.map(|expectation| format!("{}: {reason}", expectation.subject.name())));
            }
        }
        let mut compared = if sent { visible } else { 0 };
        if let Some(reason) = reason {
            // Equal values do not count either: they may differ next time.
            compared = 0;
            if sent {
                let seen = step.expectations.iter().filter(|expectation| sees(&expectation.subject));
                not_compared.extend(seen.map(|expectation| format!("{}: {reason}", expectation.subject.name())));
            }
            differences.clear();
        }
        not_compared.dedup();
        (differences, Seen { sent, compared, not_compared })
    }

    fn wait_for_pace(&self) {
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = pace.next.max(now);
        pace.next = at + pace.every;
        drop(pace);
        thread::sleep(at.saturating_duration_since(now));
    }

    fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value, Failure> {
        let idempotency = Uuid::new_v4().to_string();
        let mut last = String::new();
        for attempt in 0..TRIES {
            let url = &self.urls[self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len()];
            let mut request = self.agent.post(format!("{url}{path}")).header("Idempotency-Key", &idempotency);
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let mut answer = request.send_json(body).map_err(|error| {
                Failure::usage(
                    format!("{url} does not respond: {error}"),
                    "start the server, or choose another with --url",
                )
            })?;
            let status = answer.status().as_u16();
            let text = answer.body_mut().read_to_string().map_err(|error| {
                Failure::usage(format!("the response of {url}{path} breaks off: {error}"), "look into the server's log")
            })?;
            match status {
                200..=299 => {
                    return serde_json::from_str(&text).map_err(|error| {
                        Failure::usage(
                            format!("the response of {url}{path} is not JSON: {error}"),
                            "check that it is a banter server",
                        )
                    });
                }
                429 | 503 => {
                    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                    last = format!("{status} {text}");
                    if status == 429 && !self.waited.swap(true, Ordering::Relaxed) {
                        (self.notice)(&format!(
                            "waiting: {url} limits log-ins per minute, and each speaker logs in; raise \
                             auth.logins_per_address there, or use --channel rasa"
                        ));
                    }
                    let wait = wait.map_or(Duration::from_millis(100 << attempt.min(4)), Duration::from_secs);
                    thread::sleep(wait.min(LONGEST_PAUSE));
                }
                _ => {
                    let message = format!("{url}{path} answered {status}: {text}");
                    return Err(Failure::usage(message, "check the address, the channel and its key (--key-file)"));
                }
            }
        }
        Err(Failure::usage(format!("the server is too busy for {path}: {last}"), "lower --rate or --jobs"))
    }
}

/// What a turn depends on that a client cannot set, judged by the local run.
fn depends(played: &Played) -> Option<&'static str> {
    let footprint = &played.turn.footprint;
    if footprint.clock {
        return Some("it depends on the clock");
    }
    if footprint.chance {
        return Some("it depends on random numbers");
    }
    played.outside.first().map(|part| match *part {
        "http" => "it depends on an HTTP response that the fixture stubs",
        _ => "it depends on a plugin that the fixture stubs",
    })
}

/// One fixture's conversation with the servers.
struct Talk<'a> {
    remote: &'a Remote,
    fixture: usize,
    tokens: BTreeMap<String, String>,
}

impl Talk<'_> {
    fn say(&mut self, fixture: &Fixture, step: &Step, turn: usize) -> Result<Vec<Output>, Failure> {
        let mut name = format!("{}-{}-{}", self.remote.run, self.fixture, step.speaker);
        if fixture.independent {
            name.push_str(&format!("-{turn}"));
        }
        let remote = self.remote;
        match remote.channel {
            RemoteChannel::Native => {
                let token = match self.tokens.get(&name) {
                    Some(token) => token.clone(),
                    None => {
                        let token = log_in(remote, &format!("{}-{}", self.fixture, self.tokens.len()))?;
                        self.tokens.insert(name, token.clone());
                        token
                    }
                };
                remote.wait_for_pace();
                let answer = remote.post("/messages/send", Some(&token), &json!({ "text": step.text }))?;
                let text = answer["response"].as_str().ok_or_else(|| no_reply(&answer))?.to_owned();
                Ok(vec![Output::Text { text, suggestions: Vec::new() }])
            }
            RemoteChannel::Rasa => {
                remote.wait_for_pace();
                let body = json!({ "sender": name, "message": step.text });
                let answer = remote.post("/webhooks/rest/webhook", remote.key.as_ref().map(Secret::text), &body)?;
                let parts = answer.as_array().ok_or_else(|| no_reply(&answer))?;
                parts.iter().map(|part| output(part).ok_or_else(|| no_reply(part))).collect()
            }
        }
    }
}

fn log_in(remote: &Remote, name: &str) -> Result<String, Failure> {
    let body = json!({ "email": format!("{}-{name}@replay.example", remote.run), "password": remote.run });
    let answer = remote.post("/auth/login", None, &body)?;
    let token = answer["access_token"].as_str().map(str::to_owned);
    token.ok_or_else(|| Failure::usage("the server returned no access token", "check that it is a banter server"))
}

/// An answer that is not what the API promises must not count as an empty reply, which satisfies each `not`.
fn no_reply(answer: &Value) -> Failure {
    let start: String = answer.to_string().chars().take(80).collect();
    Failure::usage(format!("the server's answer is not a reply: {start}"), "check that it is a banter server")
}

/// Converts a part of a Rasa response.
fn output(part: &Value) -> Option<Output> {
    if let Some(text) = part["text"].as_str() {
        let titles = part["buttons"].as_array().into_iter().flatten();
        let suggestions = titles.map(|button| button["title"].as_str().map(str::to_owned)).collect::<Option<_>>()?;
        return Some(Output::Text { text: text.to_owned(), suggestions });
    }
    if let Some(url) = part["image"].as_str() {
        return Some(Output::Image { url: url.to_owned() });
    }
    part.get("custom").map(|value| Output::Payload { value: value.clone() })
}
