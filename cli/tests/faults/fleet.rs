//! Two servers, eight clients, and a record of sent and acknowledged messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_stores::{config::StoresConfig, secret::Secret};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use ureq::Agent;

use crate::{proxy::Proxy, services, support::Running};

const CLIENTS: usize = 8;
/// Users, each with one dialogue; clients share them.
const USERS: usize = 2;
/// Acknowledged messages before the fault, and again after it is repaired.
const MESSAGES: usize = 60;
/// How long a client waits for an answer. Shorter than the pause of a store.
const PATIENCE: Duration = Duration::from_millis(3_500);
const DEADLINE: Duration = Duration::from_secs(90);
/// How long a server may take to notice that a store is back: the longest pause of its breaker, plus a margin for a
/// busy machine.
const RECOVERY: Duration = Duration::from_secs(10);
/// A client logs in again after this many messages, so that PostgreSQL has work.
const LOGIN_EVERY: usize = 10;

const HEALTH_KEY: &str = "health key";
/// The key of the external AI.
pub const ANSWERER_KEY: &str = "answerer key";

/// Allows one fault at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A sent message.
struct Sent {
    at: Instant,
    acknowledged: Option<Instant>,
}

/// Two servers on shared stores.
pub struct Fleet {
    pub stores: StoresConfig,
    servers: [RwLock<Running>; 2],
    folder: PathBuf,
    clock: [Option<String>; 2],
    sent: Mutex<BTreeMap<(usize, usize), Sent>>,
    retried: AtomicUsize,
    timed_out: AtomicUsize,
    stop: AtomicBool,
    _alone: MutexGuard<'static, ()>,
}

/// Options of a fleet.
pub struct Setup {
    /// Use fresh databases instead of the default ones of `services.sh`.
    pub own_databases: bool,
    /// Proxies in front of PostgreSQL, MongoDB, and Redis.
    pub proxies: Option<[Proxy; 3]>,
    /// The URL of another MongoDB.
    pub mongo: Option<String>,
    /// Offset of the second server's clock, in seconds.
    pub clock_offset: Option<i64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { own_databases: true, proxies: None, mongo: None, clock_offset: None }
    }
}

impl Fleet {
    /// Starts all stores. While the guard lives, no other test breaks them.
    pub fn alone() -> MutexGuard<'static, ()> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // A test that failed may have left a store dead or paused.
        for store in ["postgres", "mongo", "redis"] {
            let _ = Command::new("services/services.sh")
                .args(["resume", store])
                .current_dir(crate::support::root())
                .output();
        }
        services::script("up");
        alone
    }

    pub fn start(setup: &Setup) -> Self {
        let alone = Self::alone();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut stores = runtime.block_on(services::fresh());
        if !setup.own_databases {
            let secret = |url: &str| Some(Secret::new(url.to_owned()));
            let servers = &services::SERVERS;
            (stores.postgres, stores.mongo) = (secret(&servers.postgres), secret(&servers.mongo));
            stores.redis_prefix = "banter:".to_owned();
        }
        if let Some(mongo) = &setup.mongo {
            stores.mongo = Some(Secret::new(mongo.clone()));
        }
        if let Some(proxies) = &setup.proxies {
            for (url, proxy) in [&mut stores.postgres, &mut stores.mongo, &mut stores.redis].into_iter().zip(proxies) {
                *url = url.as_ref().map(|url| Secret::new(through(url.text(), proxy)));
            }
        }
        // All fleets share this folder, because it only holds the vectors of the demo bot.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleet");
        std::fs::create_dir_all(&folder).unwrap();
        let clock = [None, setup.clock_offset.map(|seconds| shifted_clock(&folder, seconds))];
        let servers = [0, 1].map(|server| RwLock::new(launch(&folder, &stores, clock[server].as_deref())));
        Self {
            stores,
            servers,
            folder,
            clock,
            sent: Mutex::default(),
            retried: AtomicUsize::new(0),
            timed_out: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            _alone: alone,
        }
    }

    /// Kills a server with `kill -9` and starts a new one.
    pub fn replace(&self, server: usize) {
        self.servers[server].write().unwrap().kill();
        thread::sleep(Duration::from_secs(1));
        *self.servers[server].write().unwrap() = launch(&self.folder, &self.stores, self.clock[server].as_deref());
    }

    pub fn address(&self, server: usize) -> String {
        self.servers[server].read().unwrap().address.clone()
    }

    /// Runs the clients, causes and repairs the fault by calling `fault`, lets the clients continue, and checks the
    /// result.
    pub fn survive(self, name: &str, fault: impl FnOnce(&Self)) {
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let fleet = &self;
                scope.spawn(move || fleet.send_numbered(client));
            }
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.await_acknowledged(MESSAGES);
                fault(&self);
                self.await_acknowledged(self.acknowledged() + MESSAGES);
            }));
            self.stop.store(true, Ordering::SeqCst);
            if let Err(panic) = told {
                std::panic::resume_unwind(panic);
            }
        });
        self.check_servers(name);
        self.count(name);
    }

    fn acknowledged(&self) -> usize {
        self.sent.lock().unwrap().values().filter(|sent| sent.acknowledged.is_some()).count()
    }

    fn await_acknowledged(&self, wanted: usize) {
        let end = Instant::now() + DEADLINE;
        while self.acknowledged() < wanted {
            assert!(Instant::now() < end, "only {} of {wanted} messages were acknowledged", self.acknowledged());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn send_numbered(&self, client: usize) {
        let agent = agent();
        let (mut server, mut token) = (client % 2, None);
        for number in 0.. {
            if number % LOGIN_EVERY == 0 {
                token = None;
            }
            let at = Instant::now();
            self.sent.lock().unwrap().insert((client, number), Sent { at, acknowledged: None });
            loop {
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                if self.try_to_send(&agent, server, client, number, &mut token) {
                    let mut sent = self.sent.lock().unwrap();
                    sent.get_mut(&(client, number)).unwrap().acknowledged = Some(Instant::now());
                    break;
                }
                self.retried.fetch_add(1, Ordering::Relaxed);
                server = 1 - server;
                thread::sleep(Duration::from_millis(50));
            }
            // Each dialogue gets messages through both servers.
            if number % 3 == 0 {
                server = 1 - server;
            }
        }
    }

    fn try_to_send(
        &self,
        agent: &Agent,
        server: usize,
        client: usize,
        number: usize,
        token: &mut Option<String>,
    ) -> bool {
        let address = self.address(server);
        if token.is_none() {
            let body = json!({ "email": email(client), "password": "tulip" });
            let answer = self.request(agent, &format!("{address}/auth/login"), &[], &body);
            *token = answer.and_then(|(status, answer)| match status {
                200 => Some(answer["access_token"].as_str().unwrap().to_owned()),
                503 => None,
                _ => panic!("log-in failed: {status} {answer}"),
            });
        }
        let Some(known) = &token else { return false };
        let (bearer, key) = (format!("Bearer {known}"), format!("{client}-{number}"));
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key.as_str())];
        let body = json!({ "text": text(client, number) });
        match self.request(agent, &format!("{address}/messages/send"), &headers, &body) {
            Some((200, answer)) => answer["response"].is_string(),
            Some((401, _)) => {
                *token = None;
                false
            }
            Some((503, _)) | None => false,
            Some((status, answer)) => panic!("{status} {answer}"),
        }
    }

    /// Waits until the first server is healthy.
    pub fn await_health(&self) {
        let end = Instant::now() + RECOVERY;
        while self.ask("/health", "", None).0 != 200 {
            assert!(Instant::now() < end, "the stores are back, but the server does not notice");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The current time by a server's clock, from a new token; seconds since 1970.
    pub fn token_time(&self, server: usize) -> i64 {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let body = json!({ "email": email(0), "password": "tulip" });
        let told = self.request(&agent(), &format!("{}/auth/login", self.address(server)), &[], &body).unwrap();
        let claims = told.1["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["iat"].as_i64().unwrap()
    }

    /// Sends one request to the first server.
    pub fn ask(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let (url, bearer) = (format!("{}{path}", self.address(0)), format!("Bearer {token}"));
        let told = match body {
            Some(body) => {
                agent.post(url).header("Authorization", bearer).content_type("application/json").send(body.to_string())
            }
            None => agent.get(url).header("Authorization", bearer).header("X-Health-Key", HEALTH_KEY).call(),
        };
        let mut response = told.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Status and JSON; `None` if the request failed. Counts time-outs.
    fn request(&self, agent: &Agent, url: &str, headers: &[(&str, &str)], body: &Value) -> Option<(u16, Value)> {
        let mut request = agent.post(url).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let told = request.send(body.to_string()).and_then(|mut response| {
            let text = response.body_mut().read_to_string()?;
            Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
        });
        match told {
            Ok(answer) => Some(answer),
            Err(error) => {
                if matches!(error, ureq::Error::Timeout(_)) {
                    self.timed_out.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
        }
    }

    /// Compares acknowledged messages with stored ones, on both servers.
    fn count(&self, name: &str) {
        let sent = self.sent.lock().unwrap();
        let of_text: BTreeMap<String, (usize, usize)> =
            sent.keys().map(|&(client, number)| (text(client, number), (client, number))).collect();
        let agent = agent();
        let (mut lost, mut duplicated) = (0, 0);
        for server in 0..2 {
            for user in 0..USERS {
                let history = self.history(&agent, server, user);
                let stored: Vec<(usize, usize)> = history
                    .iter()
                    .map(|text| *of_text.get(text).unwrap_or_else(|| panic!("{name}: \"{text}\" was never sent")))
                    .collect();
                let distinct: BTreeSet<_> = stored.iter().collect();
                duplicated += stored.len() - distinct.len();
                let ours = sent.iter().filter(|((client, _), _)| client % USERS == user);
                lost += ours.filter(|(key, one)| one.acknowledged.is_some() && !distinct.contains(key)).count();
                // A message that was acknowledged before another was sent must come before it.
                let mut latest = None;
                for key in &stored {
                    let one = &sent[key];
                    if let (Some(acknowledged), Some(latest)) = (one.acknowledged, latest) {
                        assert!(acknowledged >= latest, "{name}: {key:?} is out of order");
                    }
                    latest = latest.max(Some(one.at));
                }
            }
        }
        self.check_places(name);
        let acknowledged = sent.values().filter(|one| one.acknowledged.is_some()).count();
        let timed_out = self.timed_out.load(Ordering::Relaxed);
        println!(
            "{name:<24} sent {:>4}  acknowledged {acknowledged:>4}  retried {:>4}  lost {lost}  duplicated {duplicated}",
            sent.len(),
            self.retried.load(Ordering::Relaxed),
        );
        assert_eq!((lost, duplicated, timed_out), (0, 0, 0), "{name}: lost, duplicated, without an answer in time");
    }

    /// Checks that each server stores a new message without a restart.
    fn check_servers(&self, name: &str) {
        for server in 0..2 {
            let (client, number) = (CLIENTS + server, 0);
            let sent = Sent { at: Instant::now(), acknowledged: None };
            self.sent.lock().unwrap().insert((client, number), sent);
            let (agent, end, mut token) = (agent(), Instant::now() + DEADLINE, None);
            while !self.try_to_send(&agent, server, client, number, &mut token) {
                assert!(Instant::now() < end, "{name}: server {server} stores nothing without a restart");
                thread::sleep(Duration::from_millis(50));
            }
            self.sent.lock().unwrap().get_mut(&(client, number)).unwrap().acknowledged = Some(Instant::now());
        }
    }

    /// All messages of a user, oldest first.
    fn history(&self, agent: &Agent, server: usize, user: usize) -> Vec<String> {
        let address = self.address(server);
        let end = Instant::now() + DEADLINE;
        loop {
            let body = json!({ "email": email(user), "password": "tulip" });
            let told = self.request(agent, &format!("{address}/auth/login"), &[], &body);
            if let Some((200, tokens)) = told {
                let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
                let history = agent
                    .get(format!("{address}/session/history"))
                    .header("Authorization", bearer)
                    .call()
                    .and_then(|mut response| response.body_mut().read_to_string());
                if let Ok(Ok(answer)) = history.map(|text| serde_json::from_str::<Value>(&text))
                    && let Some(entries) = answer["history"].as_array()
                {
                    return entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect();
                }
            }
            assert!(Instant::now() < end, "server {server} does not recover without a restart");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Checks that turns are numbered 1, 2, 3, … in each dialogue.
    fn check_places(&self, name: &str) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dialogues: Vec<Document> = runtime.block_on(async {
            use futures::TryStreamExt;
            let client = mongodb::Client::with_uri_str(self.stores.mongo.as_ref().unwrap().text()).await.unwrap();
            let turns = client.default_database().unwrap().collection::<Document>("turns");
            let group = doc! { "$group": { "_id": "$dialog_id", "turns": { "$sum": 1 }, "last": { "$max": "$seq" } } };
            let dialogues = turns.aggregate([group]).await.unwrap().try_collect().await.unwrap();
            client.shutdown().await;
            dialogues
        });
        assert_eq!(dialogues.len(), USERS, "{name}: a dialogue for each user");
        for dialogue in dialogues {
            // The index forbids equal numbers, so if the count equals the last number, there is no gap.
            assert_eq!(
                i64::from(dialogue.get_i32("turns").unwrap()),
                dialogue.get_i64("last").unwrap(),
                "{name}: a gap"
            );
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).proxy(None).build().into()
}

fn email(client: usize) -> String {
    format!("user{}@mail.example", client % USERS)
}

fn text(client: usize, number: usize) -> String {
    format!("hello number {number} of client {client}")
}

fn launch(folder: &Path, stores: &StoresConfig, clock: Option<&str>) -> Running {
    let mut more = Vec::new();
    if let Some(clock) = clock {
        let (library, offset) = clock.split_once(' ').unwrap();
        more.extend([("LD_PRELOAD", library), ("CLOCK_OFFSET", offset)]);
    }
    launch_with(folder, stores, &more)
}

/// Starts a server on these stores, with additional environment variables.
pub fn launch_with(folder: &Path, stores: &StoresConfig, more: &[(&str, &str)]) -> Running {
    let url = |secret: &Option<Secret>| secret.as_ref().unwrap().text().to_owned();
    let (postgres, mongo, redis) = (url(&stores.postgres), url(&stores.mongo), url(&stores.redis));
    let mut environment = vec![
        ("BANTER_STORES__POSTGRES", postgres.as_str()),
        ("BANTER_STORES__MONGO", mongo.as_str()),
        ("BANTER_STORES__REDIS", redis.as_str()),
        ("BANTER_STORES__REDIS_PREFIX", stores.redis_prefix.as_str()),
        ("BANTER_AUTH__SECRET", "a secret of both servers, 0123456789"),
        ("BANTER_HEALTH__KEY", HEALTH_KEY),
        ("BANTER_HAND_OFF__KEY", ANSWERER_KEY),
        ("BANTER_HAND_OFF__WAIT_SECONDS", "10"),
        ("BANTER_AUTH__LOGINS_PER_EMAIL", "100000"),
        ("BANTER_AUTH__LOGINS_PER_ADDRESS", "100000"),
        ("BANTER_LIMITS__MESSAGES_PER_MINUTE", "0"),
        ("BANTER_LIMITS__MESSAGES_PER_DAY", "0"),
    ];
    environment.extend(more);
    Running::start(folder, &environment)
}

/// Builds the library that shifts the clock. Returns its path and the offset in seconds, separated by a space.
fn shifted_clock(folder: &Path, seconds: i64) -> String {
    let library = folder.join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(built.success());
    format!("{} {seconds}", library.display())
}

/// The URL of a store through a proxy.
pub fn through(url: &str, proxy: &Proxy) -> String {
    let target = target(url);
    let url = url.replace(&target, &proxy.address.to_string());
    // Otherwise the driver would connect to the address that the replica set announces.
    if url.starts_with("mongodb:") { url.replace("replicaSet=rs0", "directConnection=true") } else { url }
}

/// `host:port` of a URL.
pub fn target(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().to_owned()
}
