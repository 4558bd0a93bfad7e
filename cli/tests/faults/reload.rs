//! Three servers receive new versions of the bot. One is killed in the middle, one is cut off from Redis. All must
//! converge on the same version, and none may ever serve a version that did not pass the gate.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_engine::catalogue::bundle::Bundle;
use banter_server::catalogs::archive;
use banter_stores::secret::Secret;
use serde_json::{Value, json};
use ureq::Agent;

use crate::{
    fleet::{Fleet, launch_with, target, through},
    proxy::Proxy,
    services,
    support::Running,
};

const KEY: &str = "the admin key of all three servers";
/// Servers check for a new activation every two seconds; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// A bot whose greeting names its version. Its fixture passes only for versions named "good …".
fn bot(version: &str) -> Bundle {
    let greet = format!(
        "intent: greet\nexamples: {{ en: [hello, hi there, good morning] }}\nhandler: {{ reply: \"version {version}\" }}\n"
    );
    let other = "intent: bye\nexamples: { en: [good bye, see you later, farewell] }\nhandler: { reply: Bye }\n";
    let fixture = "conversation: greets\nturns:\n  - user: hello\n    expect: { text: ~\"version good\" }\n";
    Bundle::of(&[
        ("bot.yaml", "name: test\nlanguages: [en]\nfallback: { text: Pardon? }\n"),
        ("intents/greet.yaml", &greet),
        ("intents/bye.yaml", other),
        ("fixtures/greets.yaml", fixture),
    ])
}

struct Servers {
    running: [Mutex<Option<Running>>; 3],
    agent: Agent,
    heard: Mutex<BTreeSet<String>>,
}

impl Servers {
    fn address(&self, server: usize) -> Option<String> {
        self.running[server].lock().unwrap().as_ref().map(|running| running.address.clone())
    }

    /// The server's reply to a greeting, if it responds.
    fn hear(&self, server: usize) -> Option<String> {
        let url = format!("{}/webhooks/rest/webhook", self.address(server)?);
        let body = json!({ "sender": format!("user of {server}"), "message": "hello" });
        let mut answer = self.agent.post(url).send_json(body).ok().filter(|answer| answer.status() == 200)?;
        let parts: Value = answer.body_mut().read_json().ok()?;
        let text = parts[0]["text"].as_str()?.to_owned();
        self.heard.lock().unwrap().insert(text.clone());
        Some(text)
    }

    fn admin(&self, server: usize, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.address(server).unwrap());
        let mut answer = self.agent.post(url).header("X-Admin-Key", KEY).send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    fn publish(&self, server: usize, version: &str) -> (u16, Value) {
        let url = format!("{}/admin/versions", self.address(server).unwrap());
        let tar = archive::write(&bot(version)).unwrap();
        let request = self.agent.post(url).header("X-Admin-Key", KEY).content_type("application/x-tar");
        let mut answer = request.send(&tar).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    /// Waits until all of these servers reply with `text`.
    fn converge(&self, servers: &[usize], text: &str) {
        let end = Instant::now() + PATIENCE;
        for server in servers {
            loop {
                let heard = self.hear(*server);
                if heard.as_deref() == Some(text) {
                    break;
                }
                assert!(Instant::now() < end, "server {server} replies {heard:?} instead of {text}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn fleet(&self, server: usize) -> Value {
        let url = format!("{}/admin/fleet", self.address(server).unwrap());
        self.agent.get(url).header("X-Admin-Key", KEY).call().unwrap().body_mut().read_json().unwrap()
    }
}

#[test]
fn a_fleet_comes_to_serve_the_same_whatever_breaks() {
    let _alone = Fleet::alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stores = runtime.block_on(services::fresh());
    let redis = stores.redis.as_ref().unwrap().text().to_owned();
    let proxy = Proxy::to(&target(&redis), |_| false);
    let mut cut_off = stores.clone();
    cut_off.redis = Some(Secret::new(through(&redis, &proxy)));
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bot");
    for (path, bytes) in &bot("good 1").files {
        let path = place.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let launch = |server: usize| {
        let stores = if server == 2 { &cut_off } else { &stores };
        let data_dir = folder.path().join(format!("server{server}"));
        let more = [("BANTER_BOT", place.to_str().unwrap()), ("BANTER_ADMIN__KEY", KEY)];
        launch_with(Path::new(&data_dir), stores, &more)
    };
    let agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).http_status_as_error(false);
    let servers = Servers {
        running: [0, 1, 2].map(|server| Mutex::new(Some(launch(server)))),
        agent: agent.proxy(None).build().into(),
        heard: Mutex::default(),
    };
    let stop = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        for server in 0..3 {
            let (servers, stop) = (&servers, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    servers.hear(server);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| happen(&servers, &proxy, &launch)));
        stop.store(true, Ordering::SeqCst);
        told
    });
    if let Err(panic) = told {
        std::panic::resume_unwind(panic);
    }
    let heard = servers.heard.lock().unwrap().clone();
    let good: BTreeSet<String> = ["version good 1", "version good 2", "version good 3"].map(str::to_owned).into();
    assert_eq!(heard, good, "no other reply was ever given");
}

fn happen(servers: &Servers, proxy: &Proxy, launch: &dyn Fn(usize) -> Running) {
    servers.converge(&[0, 1, 2], "version good 1");
    proxy.sever(true);
    thread::scope(|scope| {
        let publishing = scope.spawn(|| servers.publish(0, "good 2"));
        // Kill the server during the publication.
        thread::sleep(Duration::from_millis(30));
        servers.running[1].lock().unwrap().take().unwrap().kill();
        assert_eq!(publishing.join().unwrap().0, 200);
    });
    servers.converge(&[0, 2], "version good 2");
    *servers.running[1].lock().unwrap() = Some(launch(1));
    servers.converge(&[1], "version good 2");

    let (status, refused) = servers.publish(1, "bad");
    assert_eq!((status, &refused["code"]), (422, &json!("version_refused")), "{refused}");
    let back = servers.admin(2, "/admin/rollback", &json!({}));
    assert_eq!(back.0, 200, "{}", back.1);
    servers.converge(&[0, 1, 2], "version good 1");

    proxy.sever(false);
    assert_eq!(servers.publish(2, "good 3").0, 200);
    servers.converge(&[0, 1, 2], "version good 3");
    let end = Instant::now() + PATIENCE;
    while servers.fleet(0)["converged"] != json!(true) {
        assert!(Instant::now() < end, "{}", servers.fleet(0));
        thread::sleep(Duration::from_millis(200));
    }
    let fleet = servers.fleet(1);
    assert_eq!(fleet["servers"].as_array().unwrap().len(), 3, "the restarted server is missing: {fleet}");
}
