//! What still works during the outage of a store: the rows of the table in ARCHITECTURE.md.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banter_server::{assembly::open_backend, config::Config};
use banter_stores::{BusEvent, Counter, News, Stores, Topic, backend::Backend, clock::SystemClock};
use serde_json::{Value, json};

use crate::{
    fleet::{Fleet, Setup},
    services::{self, script},
};

/// The longest time until a client gets the error.
const SOON: Duration = Duration::from_secs(1);

/// A request and its result during the outage: `missing` is `None` for success, or the part that the error names.
struct Row {
    what: &'static str,
    request: Request,
    missing: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Request {
    LogIn,
    Refresh,
    Message(Proof),
    /// A message in a dialogue that the server has not cached.
    OtherDialogue,
    History(Proof),
    Channel,
    Live,
    Ready,
    Health,
}

/// How the user authenticates.
#[derive(Clone, Copy)]
enum Proof {
    /// A session created before the outage.
    Session,
    /// A session created during the outage.
    NewSession,
    /// A refresh token issued before the outage.
    RefreshToken,
}

fn row(what: &'static str, request: Request, missing: Option<&'static str>) -> Row {
    Row { what, request, missing }
}

struct Tokens {
    access: String,
    refresh: String,
}

fn log_in(fleet: &Fleet, email: &str) -> (u16, Value, Tokens) {
    let (status, answer) = fleet.ask("/auth/login", "", Some(&json!({ "email": email, "password": "tulip" })));
    let token = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let tokens = Tokens { access: token("access_token"), refresh: token("refresh_token") };
    (status, answer, tokens)
}

/// A killed store refuses connections; a paused one never answers.
fn check(store: &str, rows: &[Row]) {
    check_with(store, "kill", "up", rows);
    check_with(store, "pause", "resume", rows);
}

fn check_with(store: &str, breaks: &str, mends: &str, rows: &[Row]) {
    let fleet = Fleet::start(&Setup::default());
    let user = "ann@mail.example";
    let (.., before) = log_in(&fleet, user);
    let (.., spare) = log_in(&fleet, user);
    let message = |token: &str| fleet.ask("/messages/send", token, Some(&json!({ "text": "hello" })));
    let channel = || fleet.ask("/webhooks/rest/webhook", "", Some(&json!({ "sender": "cid", "message": "hello" })));
    assert_eq!((message(&before.access).0, channel().0), (200, 200));

    script(&format!("{breaks} {store}"));
    let (_, _, during) = log_in(&fleet, user);
    for row in rows {
        let begun = Instant::now();
        let (status, answer) = match row.request {
            Request::LogIn => {
                let (status, answer, _) = log_in(&fleet, user);
                (status, answer)
            }
            Request::Refresh => fleet.ask("/auth/refresh", "", Some(&json!({ "refresh_token": spare.refresh }))),
            Request::Message(Proof::Session) => message(&before.access),
            Request::Message(Proof::NewSession) => message(&during.access),
            Request::Message(Proof::RefreshToken) => message(&before.refresh),
            Request::OtherDialogue => {
                fleet.ask("/messages/send", &before.access, Some(&json!({ "text": "hello", "dialog_id": 999_999 })))
            }
            Request::History(Proof::Session) => fleet.ask("/session/history", &before.access, None),
            Request::History(Proof::NewSession) => fleet.ask("/session/history", &during.access, None),
            Request::History(Proof::RefreshToken) => fleet.ask("/session/history", &before.refresh, None),
            Request::Channel => channel(),
            Request::Live => fleet.ask("/live", "", None),
            Request::Ready => fleet.ask("/ready", "", None),
            Request::Health => fleet.ask("/health", "", None),
        };
        let detail = answer["detail"].as_str().unwrap_or_default();
        match row.missing {
            None => assert_eq!(status, 200, "{store} away, {}: {answer}", row.what),
            Some(part) => {
                assert!(status == 503 && detail.contains(part), "{store} away, {}: {answer}", row.what);
                assert!(begun.elapsed() < SOON, "{store} away, {}: answered after {:?}", row.what, begun.elapsed());
            }
        }
    }

    script(&format!("{mends} {store}"));
    fleet.await_health();
    let (status, _, after) = log_in(&fleet, user);
    assert_eq!((status, message(&after.access).0), (200, 200), "{store} has recovered");
    if !during.access.is_empty() {
        assert_eq!(message(&during.access).0, 200, "a session created during the outage stays valid");
    }
    let texts = fleet.ask("/session/history", &after.access, None).1["history"].as_array().unwrap().len();
    let during_outage = rows.iter().filter(|row| matches!(row.request, Request::Message(_)) && row.missing.is_none());
    let expected = 2 + during_outage.count() + usize::from(!during.access.is_empty());
    assert_eq!(texts, expected, "answered messages are stored, refused ones are not");
}

#[test]
fn without_redis() {
    check(
        "redis",
        &[
            row("log in", Request::LogIn, None),
            row("refresh", Request::Refresh, None),
            row("message with a session made before the outage", Request::Message(Proof::Session), Some("redis")),
            row("message with a session made during the outage", Request::Message(Proof::NewSession), None),
            row("message with a refresh token", Request::Message(Proof::RefreshToken), None),
            row("history with a session made before the outage", Request::History(Proof::Session), Some("redis")),
            row("history with a session made during the outage", Request::History(Proof::NewSession), None),
            row("history with a refresh token", Request::History(Proof::RefreshToken), None),
            row("REST channel", Request::Channel, None),
            row("live", Request::Live, None),
            row("ready", Request::Ready, None),
            row("health", Request::Health, Some("redis")),
        ],
    );
}

#[test]
fn without_postgres() {
    check(
        "postgres",
        &[
            row("log in", Request::LogIn, Some("postgres")),
            row("refresh", Request::Refresh, Some("postgres")),
            row("message with a session made before the outage", Request::Message(Proof::Session), None),
            row("message with a refresh token", Request::Message(Proof::RefreshToken), Some("postgres")),
            row("another dialogue", Request::OtherDialogue, Some("postgres")),
            row("history with a session made before the outage", Request::History(Proof::Session), None),
            row("REST channel", Request::Channel, Some("postgres")),
            row("live", Request::Live, None),
            row("ready", Request::Ready, Some("postgres")),
            row("health", Request::Health, Some("postgres")),
        ],
    );
}

#[test]
fn without_mongodb() {
    check(
        "mongo",
        &[
            row("log in", Request::LogIn, None),
            row("refresh", Request::Refresh, None),
            row("message with a session", Request::Message(Proof::Session), Some("mongodb")),
            row("history", Request::History(Proof::Session), Some("mongodb")),
            row("REST channel", Request::Channel, Some("mongodb")),
            row("live", Request::Live, None),
            row("ready", Request::Ready, Some("mongodb")),
            row("health", Request::Health, Some("mongodb")),
        ],
    );
}

#[test]
fn with_redis_flushed() {
    let fleet = Fleet::start(&Setup::default());
    let (.., before) = log_in(&fleet, "ann@mail.example");
    let message = |token: &str| fleet.ask("/messages/send", token, Some(&json!({ "text": "hello" }))).0;
    assert_eq!(message(&before.access), 200);
    let client = redis::Client::open(fleet.stores.redis.as_ref().unwrap().text()).unwrap();
    let flush = || redis::cmd("FLUSHALL").exec(&mut client.get_connection().unwrap()).unwrap();
    flush();
    assert_eq!(message(&before.access), 200, "PostgreSQL knows that the log-in goes on");
    let history = fleet.ask("/session/history", &before.access, None).1;
    assert_eq!(history["history"].as_array().unwrap().len(), 2, "no text was lost");
    assert_eq!(fleet.ask("/logout", &before.access, Some(&json!({}))).0, 200);
    flush();
    let after = (message(&before.access), fleet.ask("/session/history", &before.access, None).0);
    assert_eq!(after, (401, 401), "a log-in that has ended does not come back");
}

/// A revoked family stays revoked, whatever fails during a refresh.
#[test]
fn a_refresh_that_fails_opens_no_revoked_family() {
    let fleet = Fleet::start(&Setup::default());
    let refresh = |token: &str| fleet.ask("/auth/refresh", "", Some(&json!({ "refresh_token": token })));
    let (.., first) = log_in(&fleet, "ann@mail.example");
    assert_eq!(fleet.ask("/logout", &first.access, Some(&json!({}))).0, 200);
    assert_eq!(refresh(&first.refresh).0, 401, "revoked");
    script("kill postgres");
    assert_eq!(refresh(&first.refresh).0, 503);
    script("up postgres");
    fleet.await_health();
    assert_eq!(fleet.ask("/session/history", &first.access, None).0, 401);
}

/// Stores in this process, with the default time-outs.
async fn stores() -> (Backend, Stores) {
    let usual = Config::default().stores;
    let mut config = Config { stores: services::fresh().await, ..Config::default() };
    (config.stores.timeout_ms, config.stores.redis_timeout_ms) = (usual.timeout_ms, usual.redis_timeout_ms);
    let backend = open_backend(&config, Arc::new(SystemClock)).await.unwrap_or_else(|error| panic!("{error}"));
    let stores = backend.stores();
    (backend, stores)
}

#[test]
fn a_server_starts_without_redis_and_counts_for_itself() {
    let _alone = Fleet::alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    script("kill redis");
    let (_backend, stores) = runtime.block_on(stores());
    let counters = [Counter::per_minute("k", 3)];
    for _ in 0..3 {
        assert_eq!(runtime.block_on(stores.limits.hit(&counters)).unwrap(), None);
    }
    assert!(runtime.block_on(stores.limits.hit(&counters)).unwrap().is_some(), "the fourth");
    script("up redis");
    runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(10);
        while stores.ping().await.is_err() {
            assert!(Instant::now() < end, "redis is back, but the server does not notice");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn the_bus_connects_again_and_says_so() {
    let _alone = Fleet::alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_backend, stores) = runtime.block_on(stores());
    let mut events = stores.bus.subscribe(Topic::Activations);
    let mut next = || {
        let event = async { tokio::time::timeout(Duration::from_secs(20), events.recv()).await };
        runtime.block_on(event).expect("no event").unwrap()
    };
    script("kill redis");
    script("up redis");
    assert_eq!(next(), BusEvent::Reconnected);
    let news = News::Activated { generation: 7 };
    let published = async {
        while stores.bus.publish(news).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    runtime.block_on(published);
    assert_eq!(next(), BusEvent::News(news));
}
