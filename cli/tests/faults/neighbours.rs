//! Hostile users and slow neighbours: whatever one client, one host or one version does, the others are served, and
//! every acknowledged message is in the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_engine::catalogue::bundle::Bundle;
use banter_server::catalogs::archive;
use serde_json::{Value, json};
use ureq::Agent;

use crate::{
    fleet::{Fleet, launch_with},
    services,
    support::Running,
};

const KEY: &str = "the admin key of this server";
/// Others are served within this time, on a busy machine too.
const SOON: Duration = Duration::from_secs(5);

pub fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).http_status_as_error(false).build().into()
}

/// The status and the JSON of a POST.
pub fn post(agent: &Agent, url: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let request = headers.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
    let mut answer = request.send_json(body).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
}

pub fn log_in(agent: &Agent, address: &str, email: &str) -> (String, String) {
    let body = json!({ "email": email, "password": "tulip" });
    let (status, tokens) = post(agent, &format!("{address}/auth/login"), &[], &body);
    assert_eq!(status, 200, "{tokens}");
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    (token("access_token"), token("refresh_token"))
}

/// A user who writes while others misbehave.
struct Witness<'a> {
    agent: Agent,
    address: &'a str,
    bearer: String,
    acknowledged: Vec<String>,
    slowest: Duration,
}

impl<'a> Witness<'a> {
    fn new(address: &'a str) -> Self {
        let agent = agent();
        let bearer = format!("Bearer {}", log_in(&agent, address, "witness@mail.example").0);
        Self { agent, address, bearer, acknowledged: Vec::new(), slowest: Duration::ZERO }
    }

    fn say(&mut self) {
        let (begun, text) = (Instant::now(), format!("hello number {}", self.acknowledged.len()));
        let headers = [("Authorization", self.bearer.as_str())];
        let url = format!("{}/messages/send", self.address);
        let (status, answer) = post(&self.agent, &url, &headers, &json!({ "text": text }));
        assert_eq!(status, 200, "others are served: {answer}");
        self.slowest = self.slowest.max(begun.elapsed());
        self.acknowledged.push(text);
    }

    /// Compares what was acknowledged with the history.
    fn count(self, name: &str) {
        let url = format!("{}/session/history", self.address);
        let mut answer = self.agent.get(url).header("Authorization", &self.bearer).call().unwrap();
        let history: Value = answer.body_mut().read_json().unwrap();
        let entries = history["history"].as_array().unwrap();
        let stored: BTreeSet<&str> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
        let lost = self.acknowledged.iter().filter(|text| !stored.contains(text.as_str())).count();
        let (sent, slowest) = (self.acknowledged.len(), self.slowest.as_millis());
        println!("{name:<24} sent {sent:>4}  acknowledged {sent:>4}  slowest {slowest:>4} ms  lost {lost}");
        assert!(lost == 0 && self.slowest < SOON, "{name}: {lost} lost, the slowest took {slowest} ms");
    }
}

#[test]
fn a_flood_of_refreshes_disturbs_nobody() {
    let _alone = Fleet::alone();
    let stores = tokio::runtime::Runtime::new().unwrap().block_on(services::fresh());
    let folder = tempfile::tempdir().unwrap();
    let server = launch_with(folder.path(), &stores, &[("BANTER_STORES__TIMEOUT_MS", "700")]);
    let (end, statuses) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let mut witness = Witness::new(&server.address);
    thread::scope(|scope| {
        for client in 0..8 {
            let (end, statuses, address) = (&end, &statuses, &server.address);
            scope.spawn(move || {
                let agent = agent();
                // Four log-ins, each with two clients that use its tokens at the same moment.
                let (_, mut token) = log_in(&agent, address, &format!("flood{}@mail.example", client / 2));
                while !end.load(Ordering::Relaxed) {
                    let body = json!({ "refresh_token": token });
                    let (status, answer) = post(&agent, &format!("{address}/auth/refresh"), &[], &body);
                    *statuses.lock().unwrap().entry(status).or_insert(0) += 1;
                    token = answer["refresh_token"].as_str().map_or(token, str::to_owned);
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            witness.say();
        }
        end.store(true, Ordering::Relaxed);
    });
    let statuses: BTreeMap<u16, usize> = statuses.into_inner().unwrap();
    assert!(statuses.keys().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses[&200] <= 160 && statuses[&429] > statuses[&200], "few are let through: {statuses:?}");
    witness.count("flood of refreshes");
}

/// Writes a bot whose handler fetches four times from a host.
fn write_fetching_bot(folder: &Path, host: &str) {
    let script = format!("fn handle(ctx) {{ for n in [1, 2, 3, 4] {{ http_get(\"http://{host}/\"); }} \"done\" }}\n");
    let bot = format!(
        "name: slow\nlanguages: [en]\nfallback: {{ text: No. }}\nhttp: {{ allow: [\"{host}\"], private: true, timeout_ms: 10000 }}\n"
    );
    for (path, content) in [
        ("bot.yaml", bot.as_str()),
        (
            "intents/sheep.yaml",
            "intent: sheep\nexamples: { en: [count sheep, please count the sheep] }\nhandler: { script: sheep.rhai }\n",
        ),
        ("intents/hello.yaml", "intent: hello\nexamples: { en: [hello, good morning] }\nhandler: { reply: Hello! }\n"),
        ("scripts/sheep.rhai", script.as_str()),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn a_host_that_never_answers_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("bot");
    // Connections wait in its queue for ever.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    write_fetching_bot(&bot, &host.local_addr().unwrap().to_string());
    // The witness writes as fast as it is answered, which a fast server would refuse as too much for one user.
    let environment = [
        ("BANTER_BOT", bot.to_str().unwrap()),
        ("BANTER_OUTSIDE__PRIVATE", "true"),
        ("BANTER_LIMITS__MESSAGES_PER_MINUTE", "0"),
    ];
    let server = Running::start(folder.path(), &environment);
    let mut witness = Witness::new(&server.address);
    let ended = AtomicUsize::new(0);
    thread::scope(|scope| {
        for sender in 0..80 {
            let (address, ended) = (&server.address, &ended);
            scope.spawn(move || {
                let body = json!({ "sender": format!("slow {sender}"), "message": "please count the sheep" });
                let (status, answer) = post(&agent(), &format!("{address}/webhooks/rest/webhook"), &[], &body);
                assert!([200, 503].contains(&status), "{status}: {answer}");
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        while ended.load(Ordering::Relaxed) < 80 {
            witness.say();
            thread::sleep(Duration::from_millis(20));
        }
    });
    witness.count("host that never answers");
}

/// A bot whose greeting names its version.
fn bot(version: &str, fixtures: usize) -> Vec<u8> {
    let greet = format!(
        "intent: greet\nexamples: {{ en: [hello, hi there, good morning] }}\nhandler: {{ reply: \"version {version}\" }}\n"
    );
    let bye = "intent: bye\nexamples: { en: [good bye, see you later, farewell] }\nhandler: { reply: Bye }\n";
    let mut bundle = Bundle::of(&[
        ("bot.yaml", "name: test\nlanguages: [en]\nfallback: { text: Pardon? }\n"),
        ("intents/greet.yaml", &greet),
        ("intents/bye.yaml", bye),
    ]);
    for number in 0..fixtures {
        let fixture = format!("conversation: greets {number}\nturns:\n  - user: hello for the time {number}\n");
        bundle.files.insert(format!("fixtures/greets{number}.yaml"), fixture.into_bytes());
    }
    archive::write(&bundle).unwrap()
}

#[test]
fn a_bad_version_goes_while_another_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("BANTER_ADMIN__KEY", KEY), ("BANTER_LIMITS__MESSAGES_PER_MINUTE", "0")];
    let server = Running::start(folder.path(), &environment);
    let url = |path: &str| format!("{}/admin/{path}", server.address);
    let publish = |tar: &[u8]| {
        let request = agent().post(url("versions")).header("X-Admin-Key", KEY).content_type("application/x-tar");
        let mut answer = request.send(tar).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json::<Value>().unwrap())
    };
    assert_eq!(publish(&bot("bad", 0)).0, 200);
    let mut witness = Witness::new(&server.address);
    thread::scope(|scope| {
        let slow = scope.spawn(|| publish(&bot("next", 900)));
        witness.say();
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        let (status, answer) = post(&agent(), &url("rollback"), &[("X-Admin-Key", KEY)], &json!({}));
        let took = begun.elapsed();
        assert_eq!(status, 200, "{answer}");
        assert!(!slow.is_finished(), "the publication takes longer than this test assumes");
        assert!(took < SOON, "the roll-back took {} ms", took.as_millis());
        while !slow.is_finished() {
            witness.say();
        }
        let (status, answer) = slow.join().unwrap();
        assert_eq!((status, &answer["code"]), (409, &json!("overtaken")), "{answer}");
    });
    witness.count("roll-back meanwhile");
}
