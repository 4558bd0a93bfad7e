//! Commands on the stores, embedded and external.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    services,
    support::{Running, banter, root},
};

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn history(address: &str, token: &str) -> Value {
    let mut response = ureq::get(format!("{address}/session/history"))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap();
    serde_json::from_str::<Value>(&response.body_mut().read_to_string().unwrap()).unwrap()["history"].take()
}

fn check(environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let command = |words: &[&str]| {
        let mut command = banter(folder.path());
        command.args(words).envs(environment.iter().copied()).env("BANTER_LOG__FILTER", "off");
        run(&mut command)
    };
    let server = Running::start(folder.path(), environment);
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    for text in ["hello", "where is my order"] {
        post(&server.address, "/messages/send", &token, &json!({ "text": text })).unwrap();
    }
    let before = history(&server.address, &token);
    assert_eq!(before.as_array().unwrap().len(), 2);

    let (code, out, err) = command(&["verify", "Ann@mail.example"]);
    assert_eq!((code, out.trim()), (0, "the address of user 2 is verified"), "{err}");
    let (code, _, err) = command(&["verify", "nobody@mail.example"]);
    let told = "nobody has the address nobody@mail.example\nhint: use the address with which the user logs in";
    assert!(code == 2 && err.contains(told), "{err}");

    let file = folder.path().join("ann.jsonl");
    let file = file.to_str().unwrap();
    let (code, _, err) = command(&["export", "Ann@mail.example", "--out", file]);
    assert_eq!((code, err.trim()), (0, "user 2 exported, 2 turns"));
    let (code, _, err) = command(&["export", "2", "--out", file]);
    assert!(code == 2 && err.contains("already exists\nhint: choose a file that does not exist yet"), "{err}");
    let exported = std::fs::read_to_string(file).unwrap();
    assert!(exported.lines().nth(1).unwrap().contains(r#""verified":true"#), "{exported}");
    let (code, _, err) = command(&["import", file]);
    assert!(code == 2 && err.contains("a user with the identity password ann@mail.example exists already"), "{err}");
    let (code, out, err) = command(&["delete", "ann@mail.example"]);
    assert_eq!((code, out.trim()), (0, "user 2 deleted"), "{err}");
    let again = ureq::get(format!("{}/session/history", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .call();
    assert!(matches!(again, Err(ureq::Error::StatusCode(401))), "the sessions of a running server end: {again:?}");
    let sent = ureq::post(format!("{}/messages/send", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .send(r#"{"text":"hello"}"#);
    assert!(matches!(sent, Err(ureq::Error::StatusCode(401))), "nothing more is stored: {sent:?}");
    let (code, _, err) = command(&["delete", "ann@mail.example"]);
    assert!(code == 2 && err.contains("there is no user ann@mail.example"), "{err}");
    assert_eq!(command(&["delete", "1"]).0, 2, "the bot cannot be deleted");
    assert_eq!(command(&["delete", "--unfinished"]).1.trim(), "there are no interrupted deletions");
    let (code, out, err) = command(&["import", file]);
    assert!(code == 0 && out.starts_with("imported as user ") && out.ends_with(", 2 turns\n"), "{out}{err}");

    // The server, which ran all the time, serves the new user with the old password and history.
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    assert_eq!(history(&server.address, &token), before);
    let answer = post(&server.address, "/messages/send", &token, &json!({ "text": "A-1042" })).unwrap();
    assert!(answer["response"].as_str().unwrap().contains("A-1042"), "the form goes on: {answer}");
}

#[test]
fn a_users_data_in_the_embedded_store() {
    check(&[]);
}

#[test]
fn a_users_data_in_external_stores() {
    with_urls(check);
}

/// Runs `work` with fresh external stores, and the environment that names them.
pub fn with_urls(work: impl FnOnce(&[(&str, &str)])) {
    let stores = tokio::runtime::Runtime::new().unwrap().block_on(services::fresh());
    let url = |secret: &Option<banter_stores::secret::Secret>| secret.as_ref().unwrap().text().to_owned();
    let (postgres, mongo, redis) = (url(&stores.postgres), url(&stores.mongo), url(&stores.redis));
    work(&[
        ("BANTER_STORES__POSTGRES", &postgres),
        ("BANTER_STORES__MONGO", &mongo),
        ("BANTER_STORES__REDIS", &redis),
        ("BANTER_STORES__REDIS_PREFIX", &stores.redis_prefix),
        ("SECRET_KEY_JWT", "a secret of all servers, 0123456789"),
    ]);
}

#[test]
fn migrations_are_listed_and_applied() {
    with_urls(|environment| {
        let folder = tempfile::tempdir().unwrap();
        let command = |words: &[&str]| run(banter(folder.path()).args(words).envs(environment.iter().copied()));
        let (code, out, err) = command(&["migrate", "status"]);
        let files = std::fs::read_dir(root().join("migrations/postgres")).unwrap().count();
        assert_eq!((code, out.matches("missing").count()), (1, files), "{err}");
        assert_eq!(command(&["migrate", "up"]).0, 0);
        let (code, out, _) = command(&["migrate", "status", "--json"]);
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &told["migrations"][1]["name"]), (0, &json!("user records")), "{out}");
        assert_eq!(run(banter(folder.path()).args(["migrate", "up"])).0, 2, "the embedded store has none");
    });
}

#[test]
fn ten_servers_may_migrate_at_once() {
    with_urls(|environment| {
        let folder = tempfile::tempdir().unwrap();
        let started: Vec<_> = (0..10)
            .map(|_| banter(folder.path()).args(["migrate", "up"]).envs(environment.iter().copied()).spawn().unwrap())
            .collect();
        for mut child in started {
            assert!(child.wait().unwrap().success());
        }
    });
}

#[test]
fn stores_are_wanted_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |environment: &[(&str, &str)]| {
        run(banter(folder.path()).args(["serve", "--port", "0"]).envs(environment.iter().copied()))
    };
    let (code, _, err) = serve(&[("BANTER_STORES__POSTGRES", "postgres://u:sesame@127.0.0.1:1/x")]);
    assert!(code == 2 && err.contains("stores.mongo (BANTER_STORES__MONGO) and stores.redis"), "{err}");
    let (code, _, err) = serve(&[
        ("BANTER_STORES__POSTGRES", "postgres://127.0.0.1:1/x"),
        ("BANTER_STORES__MONGO", "mongodb://127.0.0.1:1"),
        ("BANTER_STORES__REDIS", "redis://127.0.0.1:1"),
    ]);
    assert!(code == 2 && err.contains("auth.secret (SECRET_KEY_JWT)"), "{err}");
    let (code, _, err) = serve(&[("DATABASE_HOST", "127.0.0.1")]);
    assert!(code == 2 && err.contains("DATABASE_NAME is not"), "{err}");
    let all = [
        ("DATABASE_HOST", "127.0.0.1"),
        ("DATABASE_PORT", "1"),
        ("DATABASE_NAME", "x"),
        ("DATABASE_USER", "u"),
        ("DATABASE_PASSWORD", "se/same"),
        ("BANTER_STORES__MONGO", "mongodb://127.0.0.1:1"),
        ("BANTER_STORES__REDIS", "redis://127.0.0.1:1"),
        ("BANTER_STORES__START_SECONDS", "0"),
        ("SECRET_KEY_JWT", "a secret of all servers, 0123456789"),
    ];
    let (code, _, err) = serve(&all);
    assert!(code == 2 && err.contains("postgres:") && err.contains("hint: check that the store is running"), "{err}");
    assert!(!err.contains("se/same") && !err.contains("se%2Fsame"), "{err}");
    let (code, _, err) = serve(&[
        ("SECRET_KEY_JWT", "a secret of all servers, 0123456789"),
        ("BANTER_STORES__POSTGRES", "sesame"),
        ("BANTER_STORES__MONGO", "sesame"),
        ("BANTER_STORES__REDIS", "sesame"),
    ]);
    assert!(code == 2 && err.contains("stores.postgres is not a postgres:// URL") && !err.contains("sesame"), "{err}");
}
