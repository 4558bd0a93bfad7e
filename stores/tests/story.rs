//! One test for every backend of the stores: the same operations must give the same results.

use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use banter_engine::state::DialogueState;
use banter_stores::{
    Appended, AuditEntry, BusEvent, Counter, DialogueId, DialogueRecord, HandOffChange, HistoryQuery, IdentityRecord,
    Import, LastTurn, NewTurn, News, Provider, Recalled, Remembered, Session, StoredAnswer, Stores, Topic, UserId,
    UserRecord,
    backend::{Backend, BackendOptions, DATABASE},
    clock::SystemClock,
    config::{SqliteConfig, StoresConfig},
    secret::Secret,
};
use mongodb::bson::{Document, doc};
use serde_json::json;

#[path = "story/catalog.rs"]
mod catalog;
#[path = "story/dialogues.rs"]
mod dialogue_removal;
#[path = "story/google.rs"]
mod google;
#[path = "story/passing.rs"]
mod passing;
#[path = "story/records.rs"]
mod records;
#[path = "story/reports.rs"]
mod reports;
#[path = "services/mod.rs"]
mod services;
#[path = "story/together.rs"]
mod together;
#[path = "story/tokens.rs"]
mod tokens;
#[path = "story/waiting.rs"]
mod waiting;

const DAY: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    check(StoresConfig::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external() {
    check(services::fresh().await).await;
}

/// A turn of a deleted user is rejected: users and turns are in one database.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_tells_that_a_user_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(&options(StoresConfig::default(), folder.path())).await;
    let stores = backend.stores();
    let ann = stores.users.create_user(Provider::Channel, "ann", None, 1).await.unwrap().unwrap();
    let dialogue = stores.dialogues.default_dialogue(ann, 1).await.unwrap().unwrap();
    stores.users.begin_deletion(ann, 5).await.unwrap();
    assert_eq!(stores.turns.submit(turn(ann, dialogue, 1, "late")).await.unwrap().await.unwrap(), Appended::Gone);
    assert!(stores.turns.page(ann, None, 9).await.unwrap().is_empty());
}

/// Two servers that count the same key concurrently admit as many requests as one server.
#[tokio::test]
async fn limits_are_exact_across_servers() {
    let config = external_options().await;
    let (one, two) = (open(&config).await, open(&config).await);
    let (first, second) = (one.stores(), two.stores());
    let counters = [Counter::per_minute("shared", 25)];
    let hits = (0..60).map(|number| {
        let limits = if number % 2 == 0 { &first.limits } else { &second.limits };
        limits.hit(&counters)
    });
    let told = futures::future::join_all(hits).await;
    assert_eq!(told.into_iter().filter(|hit| hit.as_ref().unwrap().is_none()).count(), 25);
}

/// Servers that start at the same time create tables, collections, and indexes once, and none fails.
#[tokio::test]
async fn ten_servers_start_at_once() {
    let config = external_options().await;
    let started = futures::future::join_all((0..10).map(|_| open(&config))).await;
    for backend in started {
        backend.stores().ping().await.unwrap();
        backend.close().await;
    }
}

/// An older binary starts on a database that a newer one has migrated.
#[tokio::test]
async fn an_older_binary_starts_on_a_newer_database() {
    let config = external_options().await;
    open(&config).await.close().await;
    let mut postgres = postgres(&config).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a newer binary', true, '\\x00', 0)";
    sqlx::raw_sql(newer).execute(&mut postgres).await.unwrap();
    let again = open(&config).await;
    again.stores().ping().await.unwrap();
    again.close().await;
}

/// The inserts of the first release still work: later columns have defaults.
#[tokio::test]
async fn statements_of_the_first_release_still_work() {
    let config = external_options().await;
    open(&config).await.close().await;
    let old = "INSERT INTO users (created_at) VALUES (1);
               INSERT INTO identities (provider, subject, user_id, secret) VALUES ('channel', 'old', 2, NULL);
               INSERT INTO refresh_tokens (hash, family, user_id, expires_at) VALUES ('\\x01', 'f', 2, 9);
               INSERT INTO dialogs (user_id, name, is_default, created_at) VALUES (2, 'default', true, 1)";
    sqlx::raw_sql(old).execute(&mut postgres(&config).await).await.unwrap();
}

#[tokio::test]
async fn mongodb_takes_no_other_documents_and_acknowledges_on_disk() {
    let config = external_options().await;
    let backend = open(&config).await;
    let stores = backend.stores();
    let client = mongodb::Client::with_uri_str(config.stores.mongo.as_ref().unwrap().text()).await.unwrap();
    let database = client.default_database().unwrap();
    let turns = database.collection::<Document>("turns");
    let refused = turns.insert_one(doc! { "dialog_id": 1_i64, "seq": 1_i64 }).await.unwrap_err();
    assert!(refused.to_string().contains("Document failed validation"), "{refused}");

    database.run_command(doc! { "profile": 2 }).await.unwrap();
    let store =
        async |seq| stores.turns.submit(turn(UserId(2), DialogueId(7), seq, "hello")).await.unwrap().await.unwrap();
    assert_eq!(store(1).await, Appended::Stored);
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    let profile = database.collection::<Document>("system.profile");
    let insert =
        profile.find_one(doc! { "op": "insert", "ns": format!("{}.turns", database.name()) }).await.unwrap().unwrap();
    let concern = insert.get_document("command").unwrap().get_document("writeConcern").unwrap();
    assert_eq!((concern.get_str("w").unwrap(), concern.get_bool("j").unwrap()), ("majority", true), "{insert}");

    // A document with an unknown schema version is rejected.
    turns.update_one(doc! {}, doc! { "$set": { "schema": 2 } }).await.unwrap();
    let told = stores.turns.last(DialogueId(7)).await.unwrap_err();
    assert!(!told.is_outage() && told.message.contains("schema 2 is not supported"), "{told}");
    backend.close().await;
}

fn options(stores: StoresConfig, data_dir: &Path) -> BackendOptions {
    BackendOptions {
        urls: stores.urls().unwrap(),
        stores,
        sqlite: SqliteConfig::default(),
        data_dir: data_dir.to_owned(),
    }
}

async fn external_options() -> BackendOptions {
    options(services::fresh().await, Path::new("."))
}

async fn open(config: &BackendOptions) -> Backend {
    Backend::open(config, Arc::new(SystemClock)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn postgres(config: &BackendOptions) -> sqlx::PgConnection {
    let options: sqlx::postgres::PgConnectOptions = config.stores.postgres.as_ref().unwrap().text().parse().unwrap();
    sqlx::ConnectOptions::connect(&options).await.unwrap()
}

/// The number of audit log lines about a user.
async fn audit_lines(config: &BackendOptions, user: UserId) -> i64 {
    const COUNT: &str = "SELECT COUNT(*) FROM audit WHERE subject = $1";
    if config.urls.is_some() {
        return sqlx::query_scalar(COUNT).bind(user.0).fetch_one(&mut postgres(config).await).await.unwrap();
    }
    let file = rusqlite::Connection::open(config.data_dir.join(DATABASE)).unwrap();
    file.query_row(COUNT, [user.0], |row| row.get(0)).unwrap()
}

/// Redis over TLS with a private certificate authority, for a Redis user that may access only our keys and channels.
#[tokio::test]
async fn redis_by_tls_with_an_acl_user() {
    let folder = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &str| {
        let output = Command::new(program).args(words.split(' ')).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(
        "openssl",
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:false -keyout key.pem -out cert.pem",
    );
    let mut stores = services::fresh().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let prefix = stores.redis_prefix.clone();
    std::fs::write(
        folder.path().join("redis.conf"),
        format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-cert-file cert.pem\ntls-key-file key.pem\ntls-auth-clients no\nsave \"\"\n\
             user default off\nuser banter on >sesame ~{prefix}* &{prefix}* +@all -@admin -@dangerous\n"
        ),
    )
    .unwrap();
    let _redis = tokio::process::Command::new("redis-server")
        .arg("redis.conf")
        .current_dir(&folder)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stores.redis = Some(Secret::new(format!("rediss://banter:sesame@127.0.0.1:{port}")));
    stores.redis_ca = Some(folder.path().join("cert.pem"));
    check(stores).await;
}

/// Runs the story, then checks what remains after a restart.
async fn check(stores: StoresConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = options(stores, folder.path());
    let backend = open(&config).await;
    let (ann, bob) = story(&backend.stores(), config.urls.is_some()).await;
    assert_eq!((audit_lines(&config, ann).await, audit_lines(&config, bob).await), (1, 1), "one line for each");
    backend.close().await;
    let again = open(&config).await;
    let stores = again.stores();
    let found = stores.users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().unwrap();
    assert_eq!(found.secret.as_deref(), Some("phc2"));
    let dialogue = stores.dialogues.default_dialogue(found.user, 9).await.unwrap().unwrap();
    assert_eq!(stores.turns.last(dialogue).await.unwrap().seq, 3);
    again.close().await;
}

/// All checks, in order.
async fn story(stores: &Stores, has_cache: bool) -> (UserId, UserId) {
    let (ann, bob) = users(stores).await;
    tokens::spent(stores, ann).await;
    tokens::guests(stores).await;
    google::story(stores).await;
    let dialogue = dialogues(stores, ann, bob).await;
    turns(stores, ann, dialogue).await;
    together::story(stores).await;
    history(stores, ann, bob, dialogue).await;
    passing::sessions(stores, ann).await;
    passing::limits(stores).await;
    if has_cache {
        passing::cache(stores, ann, dialogue).await;
    }
    passing::bus(stores).await;
    catalog::story(stores, ann).await;
    records::exported(stores, ann).await;
    dialogue_removal::story(stores).await;
    waiting::story(stores).await;
    reports::story(stores).await;
    records::removed(stores, bob).await;
    stores.ping().await.unwrap();
    (ann, bob)
}

async fn users(stores: &Stores) -> (UserId, UserId) {
    let users = &stores.users;
    assert!(users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().is_none());
    let ann = users.create_user(Provider::Password, "ann@mail.example", Some("phc"), 1).await.unwrap().unwrap();
    assert!(ann.0 > 1, "the bot is user 1");
    assert_eq!(users.create_user(Provider::Password, "ann@mail.example", Some("x"), 1).await.unwrap(), None);
    let bob = users.create_user(Provider::Channel, "ann@mail.example", None, 1).await.unwrap().unwrap();
    assert_ne!(ann, bob, "providers have separate subjects");
    users.set_secret("ann@mail.example", "another", "phc3").await.unwrap();
    users.set_secret("ann@mail.example", "phc", "phc2").await.unwrap();
    let found = users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().unwrap();
    assert_eq!((found.user, found.secret.as_deref()), (ann, Some("phc2")));
    (ann, bob)
}

async fn dialogues(stores: &Stores, ann: UserId, bob: UserId) -> DialogueId {
    let dialogue = stores.dialogues.default_dialogue(ann, 1).await.unwrap().unwrap();
    assert_eq!(
        stores.dialogues.default_dialogue(UserId(999), 1).await.unwrap(),
        None,
        "an unknown user has no dialogue"
    );
    assert_eq!(stores.dialogues.default_dialogue(ann, 2).await.unwrap(), Some(dialogue));
    assert_ne!(stores.dialogues.default_dialogue(bob, 2).await.unwrap(), Some(dialogue));
    assert_eq!(stores.dialogues.owner(dialogue).await.unwrap(), Some(ann));
    assert_eq!(stores.dialogues.owner(DialogueId(999)).await.unwrap(), None);
    dialogue
}

fn turn(user: UserId, dialogue: DialogueId, seq: i64, text: &str) -> NewTurn {
    let mut state = DialogueState::default();
    state.remember(text, "reply", None);
    NewTurn {
        id: format!("{seq:024x}"),
        dialogue,
        user,
        seq,
        created_at: 10 * DAY + seq,
        text: text.to_owned(),
        response: format!("re {text}"),
        classification: json!({ "type": "matched" }),
        outputs: json!([{ "type": "text", "text": text }]),
        state,
        idempotency: None,
        hand_off: HandOffChange::default(),
        kept: BTreeMap::new(),
    }
}

async fn turns(stores: &Stores, user: UserId, dialogue: DialogueId) {
    let turns = &stores.turns;
    assert_eq!(turns.last(dialogue).await.unwrap(), LastTurn::default());
    let store = async |turn: NewTurn| turns.submit(turn).await.unwrap().await.unwrap();

    let first = turn(user, dialogue, 1, "привет\u{0}");
    assert_eq!(store(first.clone()).await, Appended::Stored);
    assert_eq!(turns.last(dialogue).await.unwrap(), LastTurn { seq: 1, state: first.state.clone() });
    assert_eq!(store(NewTurn { id: "a".repeat(24), ..first }).await, Appended::Conflict, "its number is taken");
    assert_eq!(store(turn(user, dialogue, 3, "hole")).await, Appended::Conflict, "no gaps");

    let mut second = turn(user, dialogue, 2, "two");
    second.idempotency = Some(("key".to_owned(), [7; 32]));
    second.kept = BTreeMap::from([("n".to_owned(), json!({ "a": 1 }))]);
    assert_eq!(turns.kept(user, "n").await.unwrap(), None);
    assert_eq!(store(second.clone()).await, Appended::Stored);
    assert_eq!(turns.kept(user, "n").await.unwrap(), Some(json!({ "a": 1 })));
    assert_eq!(turns.kept(UserId(1), "n").await.unwrap(), None, "values of other users are not visible");

    let mut twin = turn(user, dialogue, 3, "three");
    twin.idempotency = second.idempotency.clone();
    twin.kept = BTreeMap::from([("n".to_owned(), json!(2))]);
    assert_eq!(store(twin.clone()).await, Appended::Duplicate);
    assert_eq!(
        turns.kept(user, "n").await.unwrap(),
        Some(json!({ "a": 1 })),
        "a turn that is not stored keeps no values"
    );
    let answer = turns.find_answer(user, "key", 0).await.unwrap().unwrap();
    assert_eq!((answer.request_hash, answer.response.as_str()), ([7; 32], "re two"));
    assert!(turns.find_answer(user, "key", 11 * DAY).await.unwrap().is_none(), "older than `since`");
    assert!(turns.find_answer(UserId(1), "key", 0).await.unwrap().is_none());
    twin.created_at += 2 * DAY;
    assert_eq!(store(twin).await, Appended::Stored, "after a day the key is free");

    // A turn that builds on a submitted turn may follow at once, and fails if that one fails.
    let one = turns.submit(turn(user, dialogue, 9, "from nowhere")).await.unwrap();
    let two = turns.submit(turn(user, dialogue, 10, "built on it")).await.unwrap();
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (Appended::Conflict, Appended::Conflict));
}

async fn history(stores: &Stores, ann: UserId, bob: UserId, dialogue: DialogueId) {
    let texts = async |user: UserId, query: HistoryQuery| -> Vec<String> {
        stores.turns.history(user, &query).await.unwrap().into_iter().map(|entry| entry.text).collect()
    };
    let all = HistoryQuery::default();
    assert_eq!(texts(ann, all.clone()).await, ["привет\u{0}", "two", "three"]);
    assert_eq!(texts(bob, all.clone()).await, Vec::<String>::new());
    assert_eq!(texts(ann, HistoryQuery { limit: Some(1), ..all.clone() }).await, ["three"]);
    let before = Some(format!("{:024x}", 3));
    assert_eq!(texts(ann, HistoryQuery { before: before.clone(), limit: Some(1), ..all.clone() }).await, ["two"]);
    assert_eq!(texts(bob, HistoryQuery { before, ..all.clone() }).await, Vec::<String>::new());
    assert_eq!(texts(ann, HistoryQuery { dialogue: Some(dialogue), ..all.clone() }).await.len(), 3);
    assert_eq!(texts(ann, HistoryQuery { dialogue: Some(DialogueId(99)), ..all.clone() }).await.len(), 0);
    let elsewhere = HistoryQuery { dialogue: Some(DialogueId(99)), before: Some(format!("{:024x}", 3)), ..all.clone() };
    assert_eq!(texts(ann, elsewhere).await.len(), 0, "a message of another dialogue");
    for dialogue in [None, Some(dialogue)] {
        let mut read = Vec::new();
        let mut after = None;
        loop {
            let query = HistoryQuery { dialogue, after, limit: after.map(|_| 1), ..all.clone() };
            let limited = if after.is_none() { HistoryQuery { limit: Some(2), ..query } } else { query };
            let page = stores.turns.history(ann, &limited).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place);
            read.extend(page.into_iter().map(|entry| entry.text));
        }
        assert_eq!(read, ["two", "three"], "the newest two, then nothing behind them");
        let first = HistoryQuery { dialogue, after: Some(0), limit: Some(2), ..all.clone() };
        assert_eq!(texts(ann, first).await, ["привет\u{0}", "two"], "the first two behind a place");
    }
}
