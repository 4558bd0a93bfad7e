//! The clients of `examples/`, run as they are: both earlier clients' flows, on one account, with the external AI's
//! worker.

use std::{
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    client::log_in,
    publisher::{CLIENT_ID, FIRST, Publisher},
    round_robin::RoundRobin,
    stores::with_urls,
    support::{Running, banter, root},
};

const KEY: &str = "the key of the external AI";

/// A worker that answers what is handed off; it ends with the test.
struct Worker(Child);

impl Worker {
    fn start(address: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["examples/external_ai.py", address]).current_dir(root()).env("API_KEY_AI", KEY);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays all clients against `address`. `verify` marks an address as verified.
fn play(address: &str, verify: impl Fn(&str)) {
    // Two workers do not get in each other's way.
    let _workers = [Worker::start(address), Worker::start(address)];
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for (program, script) in [("python3", "examples/client.py"), ("node", "examples/client.mjs")] {
        for google in [false, true] {
            let email = format!("{program}-{google}@mail.example");
            let mut command = Command::new(program);
            command.args([script, address]).current_dir(root()).env("EMAIL", &email).env_remove("GOOGLE_TOKEN");
            if google {
                log_in(address, &email).unwrap();
                verify(&email);
                let claims = json!({ "sub": email, "email": email });
                command.env("GOOGLE_TOKEN", FIRST.token(now, claims));
            }
            let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{script} with Google: {google}: {told}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("the dialogue client is done"));
        }
    }
}

/// The settings of both tests.
fn settings(publisher: &Publisher) -> [(&'static str, String); 4] {
    [
        ("API_KEY_AI", KEY.to_owned()),
        ("GOOGLE_CLIENT_ID", CLIENT_ID.to_owned()),
        ("BANTER_GOOGLE__KEYS_URL", publisher.url.clone()),
        ("BANTER_AUTH__LOGINS_PER_EMAIL", "1000".to_owned()),
    ]
}

#[test]
fn both_clients_run_on_the_embedded_store() {
    let (folder, publisher) = (tempfile::tempdir().unwrap(), Publisher::start());
    let settings = settings(&publisher);
    let environment = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Running::start(folder.path(), &environment);
    play(&server.address, |email| {
        assert!(banter(folder.path()).args(["verify", email]).status().unwrap().success());
    });
}

#[test]
fn both_clients_run_on_two_servers_behind_a_proxy() {
    let publisher = Publisher::start();
    let settings = settings(&publisher);
    with_urls(|stores| {
        let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<(&str, &str)> = stores.iter().copied().chain(own).collect();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let servers = folders.each_ref().map(|folder| Running::start(folder.path(), &environment));
        let proxy = RoundRobin::before(servers.each_ref().map(|server| server.address.clone()));
        play(&proxy.address, |email| {
            let mut command = banter(folders[0].path());
            assert!(command.args(["verify", email]).envs(environment.iter().copied()).status().unwrap().success());
        });
        assert!(publisher.fetches() > 0, "the servers fetched the keys of the token");
        assert!(proxy.requests().iter().all(|requests| *requests > 20), "{:?}", proxy.requests());
    });
}
