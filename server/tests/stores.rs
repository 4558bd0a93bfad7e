//! One story for every backend of the stores: the same operations, the same answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use banter_engine::state::DialogueState;
use banter_server::{
    config::{SqliteConfig, Synchronous},
    stores::{
        Appended, DialogId, HistoryQuery, LastTurn, NewTurn, Provider, RefreshToken, Session, Spending, Stores, UserId,
        memory::{MemoryLimits, MemorySessions},
        sqlite::SqliteStore,
    },
};
use serde_json::json;

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig { synchronous: Synchronous::Normal, readers: 2 };
    let store = Arc::new(SqliteStore::open(&folder.path().join("banter.db"), &config).await.unwrap());
    let stores = Stores {
        users: store.clone(),
        dialogs: store.clone(),
        turns: store.clone(),
        sessions: Arc::new(MemorySessions::new(Duration::from_secs(60))),
        limits: Arc::new(MemoryLimits::default()),
    };
    story(&stores).await;
    store.close().await;
    // What was stored is there after a restart, and the migrations run twice.
    let again = SqliteStore::open(&folder.path().join("banter.db"), &config).await.unwrap();
    let stores =
        Stores { users: Arc::new(again.clone()), dialogs: Arc::new(again.clone()), turns: Arc::new(again), ..stores };
    let found = stores.users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().unwrap();
    assert_eq!(found.secret.as_deref(), Some("phc2"));
    let dialog = stores.dialogs.default_dialog(found.user, 9).await.unwrap();
    assert_eq!(stores.turns.last(dialog).await.unwrap().seq, 3);
}

/// The whole story.
async fn story(stores: &Stores) {
    let (ann, bob) = users(stores).await;
    tokens(stores, ann).await;
    let dialog = dialogs(stores, ann, bob).await;
    turns(stores, ann, dialog).await;
    history(stores, ann, bob, dialog).await;
    sessions(stores, ann).await;
    limits(stores).await;
    stores.turns.ping().await.unwrap();
}

async fn users(stores: &Stores) -> (UserId, UserId) {
    let users = &stores.users;
    assert!(users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().is_none());
    let ann = users.create_user(Provider::Password, "ann@mail.example", Some("phc"), 1).await.unwrap().unwrap();
    assert!(ann.0 > 1, "the bot is user 1");
    assert_eq!(users.create_user(Provider::Password, "ann@mail.example", Some("x"), 1).await.unwrap(), None);
    let bob = users.create_user(Provider::Channel, "ann@mail.example", None, 1).await.unwrap().unwrap();
    assert_ne!(ann, bob, "providers are apart");
    users.set_secret(Provider::Password, "ann@mail.example", "phc2").await.unwrap();
    let found = users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().unwrap();
    assert_eq!((found.user, found.secret.as_deref()), (ann, Some("phc2")));
    (ann, bob)
}

async fn tokens(stores: &Stores, user: UserId) {
    let users = &stores.users;
    let token = |n: u8, expires_at| RefreshToken { hash: [n; 32], family: "f".to_owned(), user, expires_at };
    users.add_refresh_token(&token(1, 100)).await.unwrap();
    assert_eq!(users.find_refresh_token(&[1; 32], 50).await.unwrap(), Some(user));
    assert_eq!(users.find_refresh_token(&[1; 32], 100).await.unwrap(), None, "expired");
    assert_eq!(users.spend_refresh_token(&[9; 32], &token(2, 100), 50).await.unwrap(), Spending::Unknown);
    assert_eq!(users.spend_refresh_token(&[1; 32], &token(2, 100), 50).await.unwrap(), Spending::Spent);
    assert_eq!(users.find_refresh_token(&[1; 32], 50).await.unwrap(), None, "spent");
    assert_eq!(users.find_refresh_token(&[2; 32], 50).await.unwrap(), Some(user));
    let reused = users.spend_refresh_token(&[1; 32], &token(3, 100), 50).await.unwrap();
    assert_eq!(reused, Spending::Reused { family: "f".to_owned() });
    for n in 1..=3 {
        assert_eq!(users.find_refresh_token(&[n; 32], 50).await.unwrap(), None, "the family is gone");
    }
}

async fn dialogs(stores: &Stores, ann: UserId, bob: UserId) -> DialogId {
    let dialog = stores.dialogs.default_dialog(ann, 1).await.unwrap();
    assert_eq!(stores.dialogs.default_dialog(ann, 2).await.unwrap(), dialog);
    assert_ne!(stores.dialogs.default_dialog(bob, 2).await.unwrap(), dialog);
    assert_eq!(stores.dialogs.owner(dialog).await.unwrap(), Some(ann));
    assert_eq!(stores.dialogs.owner(DialogId(999)).await.unwrap(), None);
    dialog
}

fn turn(user: UserId, dialog: DialogId, seq: i64, text: &str) -> NewTurn {
    let mut state = DialogueState::default();
    state.remember(text, "reply", None);
    NewTurn {
        id: format!("{seq:024x}"),
        dialog,
        user,
        seq,
        created_at: 10 * DAY + seq,
        text: text.to_owned(),
        response: format!("re {text}"),
        classification: json!({ "type": "matched" }),
        outputs: json!([{ "type": "text", "text": text }]),
        state,
        idempotency: None,
        kept: BTreeMap::new(),
    }
}

async fn turns(stores: &Stores, user: UserId, dialog: DialogId) {
    let turns = &stores.turns;
    assert_eq!(turns.last(dialog).await.unwrap(), LastTurn::default());
    let store = async |turn: NewTurn| turns.submit(turn).await.unwrap().await.unwrap();

    let first = turn(user, dialog, 1, "привет\u{0}");
    assert_eq!(store(first.clone()).await, Appended::Stored);
    assert_eq!(turns.last(dialog).await.unwrap(), LastTurn { seq: 1, state: first.state.clone() });
    assert_eq!(store(NewTurn { id: "a".repeat(24), ..first }).await, Appended::Conflict, "its place is taken");
    assert_eq!(store(turn(user, dialog, 3, "hole")).await, Appended::Conflict, "no holes");

    let mut second = turn(user, dialog, 2, "two");
    second.idempotency = Some(("key".to_owned(), [7; 32]));
    second.kept = BTreeMap::from([("n".to_owned(), json!({ "a": 1 }))]);
    assert_eq!(turns.kept(user, "n").await.unwrap(), None);
    assert_eq!(store(second.clone()).await, Appended::Stored);
    assert_eq!(turns.kept(user, "n").await.unwrap(), Some(json!({ "a": 1 })));
    assert_eq!(turns.kept(UserId(1), "n").await.unwrap(), None, "nobody else's");

    let mut twin = turn(user, dialog, 3, "three");
    twin.idempotency = second.idempotency.clone();
    twin.kept = BTreeMap::from([("n".to_owned(), json!(2))]);
    assert_eq!(store(twin.clone()).await, Appended::Duplicate);
    assert_eq!(turns.kept(user, "n").await.unwrap(), Some(json!({ "a": 1 })), "what is not stored keeps nothing");
    let answer = turns.find_answer(user, "key", 0).await.unwrap().unwrap();
    assert_eq!((answer.request_hash, answer.response.as_str()), ([7; 32], "re two"));
    assert!(turns.find_answer(user, "key", 11 * DAY).await.unwrap().is_none(), "older than asked for");
    assert!(turns.find_answer(UserId(1), "key", 0).await.unwrap().is_none());
    twin.created_at += 2 * DAY;
    assert_eq!(store(twin).await, Appended::Stored, "after a day the key is free");

    // What builds on a submitted turn may follow at once, and fails with it.
    let one = turns.submit(turn(user, dialog, 9, "from nowhere")).await.unwrap();
    let two = turns.submit(turn(user, dialog, 10, "built on it")).await.unwrap();
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (Appended::Conflict, Appended::Conflict));
}

async fn history(stores: &Stores, ann: UserId, bob: UserId, dialog: DialogId) {
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
    assert_eq!(texts(ann, HistoryQuery { dialog: Some(dialog), ..all.clone() }).await.len(), 3);
    assert_eq!(texts(ann, HistoryQuery { dialog: Some(DialogId(99)), ..all }).await.len(), 0);
}

async fn sessions(stores: &Stores, user: UserId) {
    let sessions = &stores.sessions;
    let session = |family: &str| Session { user, family: family.to_owned() };
    for (token, family) in [("a", "f"), ("b", "f"), ("c", "g")] {
        sessions.put(token, session(family)).await.unwrap();
    }
    assert_eq!(sessions.get("a").await.unwrap(), Some(session("f")));
    assert_eq!(sessions.get("z").await.unwrap(), None);
    sessions.revoke_family("f").await.unwrap();
    assert_eq!(sessions.get("a").await.unwrap(), None);
    assert_eq!(sessions.get("b").await.unwrap(), None);
    assert_eq!(sessions.get("c").await.unwrap(), Some(session("g")));
}

async fn limits(stores: &Stores) {
    for _ in 0..3 {
        assert_eq!(stores.limits.hit("k", 3).await.unwrap(), None);
    }
    assert!(stores.limits.hit("k", 3).await.unwrap().is_some_and(|seconds| (1..=61).contains(&seconds)));
    assert_eq!(stores.limits.hit("other", 3).await.unwrap(), None);
}
