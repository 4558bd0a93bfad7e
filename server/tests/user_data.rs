//! Exports, deletes, and imports a user's data on both backends, with interruptions.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    sync::Arc,
    time::Duration,
};

use banter_engine::state::DialogueState;
use banter_server::{
    assembly::open_backend,
    config::Config,
    user_data::{self, UserDataError},
};
use banter_stores::{
    HandOffChange, HistoryQuery, NewTurn, Provider, RefreshToken, Session, Stores, UserId,
    clock::{ManualClock, SystemClock},
};
use serde_json::json;
use tokio::time::timeout;

#[path = "../../stores/tests/services/mod.rs"]
mod services;

const TURNS: i64 = 1_200;

fn clock() -> ManualClock {
    ManualClock::at(1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    check(|_| {}).await;
}

#[tokio::test]
async fn external() {
    let stores = services::fresh().await;
    check(|config| config.stores = stores).await;
}

async fn check(change: impl FnOnce(&mut Config)) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    change(&mut config);
    let backend = open_backend(&config, Arc::new(SystemClock)).await.unwrap_or_else(|error| panic!("{error}"));
    let stores = backend.stores();
    let (ann, bob) = (talk(&stores, "ann@mail.example", TURNS).await, talk(&stores, "bob@mail.example", 3).await);
    let before = texts(&stores, ann).await;

    let file = export(&stores, ann).await;
    assert_eq!(user_data::check(&file[..]).unwrap(), TURNS as u64);
    let unknown = user_data::export(&stores, &clock(), UserId(999), &mut Vec::new(), &|_| {}).await;
    assert!(matches!(unknown, Err(UserDataError::Unknown(_))), "{unknown:?}");
    let taken = user_data::import(&stores, &clock(), &file[..], TURNS as u64, &|_| {}).await;
    assert!(matches!(taken, Err(UserDataError::Taken { .. })), "{taken:?}");

    delete_with_an_interruption(&stores, ann).await;
    assert_eq!(texts(&stores, bob).await.len(), 3, "turns of other users are kept");

    let imported = import_with_an_interruption(&stores, &file).await;
    assert_ne!(imported, ann);
    assert_eq!(texts(&stores, imported).await, before, "all turns, in their order");
    assert_eq!(stores.turns.all_kept(imported).await.unwrap(), BTreeMap::from([("n".to_owned(), json!(TURNS))]));
    let identity = stores.users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().unwrap();
    assert_eq!((identity.user, identity.secret.as_deref()), (imported, Some("phc")));
    let last = stores.dialogues.default_dialogue(imported, 1).await.unwrap().unwrap();
    assert_eq!(stores.turns.last(last).await.unwrap().seq, TURNS / 2, "the dialogue goes on where it was");
    // Exporting the imported user gives the same turns, apart from ids.
    let again = export(&stores, imported).await;
    let turns = |file: &[u8]| -> Vec<String> {
        let lines = std::str::from_utf8(file).unwrap().lines().filter(|line| line.contains(r#""kind":"turn""#));
        lines.map(|line| line.split_once(r#","seq""#).unwrap().1.to_owned()).collect()
    };
    assert_eq!(turns(&again), turns(&file));
    backend.close().await;
}

async fn export(stores: &Stores, user: UserId) -> Vec<u8> {
    let mut file = Vec::new();
    user_data::export(stores, &clock(), user, &mut file, &|_| {}).await.unwrap();
    file
}

async fn texts(stores: &Stores, user: UserId) -> Vec<String> {
    let mut query = Some(HistoryQuery::default());
    let mut texts = Vec::new();
    while let Some(part) = query.take() {
        let page = stores.turns.history(user, &part).await.unwrap();
        query = part.behind(&page);
        texts.extend(page.into_iter().map(|entry| entry.text));
    }
    texts
}

/// A user with turns that alternate between two dialogues.
async fn talk(stores: &Stores, email: &str, turns: i64) -> UserId {
    let user = stores.users.create_user(Provider::Password, email, Some("phc"), 1).await.unwrap().unwrap();
    let token = RefreshToken {
        hash: [user.0 as u8; 32],
        family: format!("family {}", user.0),
        user,
        life: Duration::from_secs(600),
    };
    stores.tokens.add_refresh_token(&token, None).await.unwrap();
    stores
        .sessions
        .put(email, Session { user, family: format!("family {}", user.0) }, Duration::from_secs(900))
        .await
        .unwrap();
    let first = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    let mut record = stores.dialogues.of_user(user).await.unwrap().remove(0);
    (record.is_default, record.name) = (false, "other".to_owned());
    let other = stores.dialogues.import_dialogue(user, &record).await.unwrap();
    for number in 0..turns {
        let (dialogue, seq) = (if number % 2 == 0 { first } else { other }, number / 2 + 1);
        let turn = NewTurn {
            id: format!("{:08x}{number:016x}", user.0),
            dialogue,
            user,
            seq,
            created_at: number,
            text: format!("text {number}"),
            response: format!("re {number}"),
            classification: json!({ "type": "matched", "confidence": 0.5, "entities": [{ "value": 7 }] }),
            outputs: json!([{ "type": "payload", "value": { "$odd": 18_446_744_073_709_551_615u64 } }]),
            state: DialogueState::default(),
            idempotency: Some((format!("k{number}"), [0; 32])),
            hand_off: HandOffChange::default(),
            kept: BTreeMap::from([("n".to_owned(), json!(number + 1))]),
        };
        let receipt = stores.turns.submit(turn).await.unwrap();
        receipt.await.unwrap();
    }
    user
}

async fn delete_with_an_interruption(stores: &Stores, user: UserId) {
    // Interrupt at many points: before the mark, between the stores, amid the turns, before the last step.
    for millis in [1, 5, 10, 20, 40, 80, 300, 13_100] {
        let interrupted = timeout(Duration::from_millis(millis), user_data::delete(stores, &clock(), user)).await;
        if interrupted.is_ok() {
            break;
        }
    }
    // A new run completes the deletion, however far the earlier ones came.
    let ended = user_data::delete(stores, &clock(), user).await;
    assert!(matches!(ended, Ok(()) | Err(UserDataError::Unknown(_))), "{ended:?}");
    assert!(stores.users.unfinished_deletions().await.unwrap().is_empty());
    assert!(matches!(user_data::delete(stores, &clock(), user).await, Err(UserDataError::Unknown(_))));
    assert_eq!(texts(stores, user).await, Vec::<String>::new());
    assert!(stores.turns.all_kept(user).await.unwrap().is_empty());
    assert!(stores.users.find_identity(Provider::Password, "ann@mail.example").await.unwrap().is_none());
    assert_eq!(stores.tokens.find_refresh_token(&[user.0 as u8; 32]).await.unwrap(), None);
    let session = Session { user, family: format!("family {}", user.0) };
    assert!(!stores.sessions.is_alive("ann@mail.example", &session).await.unwrap());
    assert!(stores.dialogues.of_user(user).await.unwrap().is_empty());
}

/// A file with a read error after its content.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() { Err(std::io::Error::other("gone")) } else { self.0.read(buffer) }
    }
}

async fn import_with_an_interruption(stores: &Stores, file: &[u8]) -> UserId {
    let part = BufReader::new(Broken(&file[..file.len() / 2]));
    let broken = user_data::import(stores, &clock(), part, TURNS as u64, &|_| {}).await;
    assert!(matches!(broken, Err(UserDataError::Line { .. } | UserDataError::Io(_))), "{broken:?}");
    let moved = user_data::import(stores, &clock(), file, TURNS as u64, &|_| {}).await.unwrap();
    assert_eq!(moved.turns, TURNS as u64);
    moved.user
}

/// What was said does not stay in free pages, in the log or elsewhere in the data folder.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_user_stays_on_the_disk() {
    const SAID: &str = "the number of my card is 4000-1234";
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    let backend = open_backend(&config, Arc::new(SystemClock)).await.unwrap_or_else(|error| panic!("{error}"));
    let stores = backend.stores();
    let user = talk(&stores, "ann@mail.example", 300).await;
    let dialogue = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    let mut turn = stores.turns.of_dialogue(dialogue, 149, 1).await.unwrap().remove(0);
    for seq in 151..400 {
        (turn.seq, turn.id) = (seq, format!("{seq:024x}"));
        turn.text = format!("{SAID} {}", "and so on ".repeat(seq as usize));
        stores.turns.submit(turn.clone()).await.unwrap().await.unwrap();
    }
    let found = |text: &str| -> Vec<String> {
        let files = walk(folder.path());
        let holds = |path: &std::path::Path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        files.into_iter().filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
    };
    assert!(!found(SAID).is_empty() && !found("ann@mail.example").is_empty());
    user_data::delete(&stores, &clock(), user).await.unwrap();
    assert_eq!((found(SAID), found("ann@mail.example")), (Vec::new(), Vec::new()));
    backend.close().await;
}

/// All files under a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
