//! All data of one user: exported, imported, removed.

use banter_stores::RefreshToken;

use super::*;

pub async fn exported(stores: &Stores, user: UserId) {
    let (users, dialogues, turns) = (&stores.users, &stores.dialogues, &stores.turns);
    let record = users.user_record(user).await.unwrap().unwrap();
    let identity = |provider: &str, subject: &str, secret: Option<&str>| IdentityRecord {
        provider: provider.to_owned(),
        subject: subject.to_owned(),
        secret: secret.map(str::to_owned),
        verified: false,
        profile: None,
    };
    let ann = identity("password", "ann@mail.example", Some("phc2"));
    assert_eq!(record, UserRecord { created_at: 1, identities: vec![ann.clone()] });
    assert_eq!(users.user_record(UserId(999)).await.unwrap(), None);
    assert_eq!(users.import_user(&record, "export 1").await.unwrap(), Import::Taken(ann));

    let cid = UserRecord { created_at: 4, identities: vec![identity("channel", "cid", None)] };
    let Import::New(imported) = users.import_user(&cid, "export 1").await.unwrap() else { panic!("not new") };
    assert_eq!(users.import_user(&cid, "export 1").await.unwrap(), Import::Resumed(imported));
    let old = dialogues.of_user(user).await.unwrap();
    assert_eq!(old.len(), 1);
    let dialogue = dialogues.import_dialogue(imported, &old[0]).await.unwrap();
    assert_eq!(dialogues.import_dialogue(imported, &old[0]).await.unwrap(), dialogue);
    assert_eq!(dialogues.of_user(imported).await.unwrap(), [DialogueRecord { id: dialogue, ..old[0].clone() }]);
    assert_eq!(dialogues.default_dialogue(imported, 5).await.unwrap(), Some(dialogue));

    let mut exported = turns.page(user, None, 2).await.unwrap();
    exported.extend(turns.page(user, Some(&exported[1].id), 2).await.unwrap());
    let texts: Vec<&str> = exported.iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(texts, ["привет\u{0}", "two", "three"]);
    assert_eq!(exported[0], NewTurn { idempotency: None, ..turn(user, old[0].id, 1, "привет\u{0}") });
    assert!(turns.page(user, Some(&exported[2].id), 2).await.unwrap().is_empty());
    let gone = turns.page(user, Some("0123456789abcdef01234567"), 2).await;
    assert!(gone.is_err(), "an export must not end early when a turn is deleted meanwhile");
    assert_eq!(turns.all_kept(user).await.unwrap(), BTreeMap::from([("n".to_owned(), json!(2))]));
    let entry = AuditEntry { at: 1, actor: None, action: "tested", subject: Some(user), detail: json!({}) };
    users.audit(&entry).await.unwrap();
}

pub async fn removed(stores: &Stores, user: UserId) {
    let dialogue = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    let mut first = turn(user, dialogue, 1, "soon gone");
    first.id = "b".repeat(24);
    first.kept = BTreeMap::from([("n".to_owned(), json!(1))]);
    assert_eq!(stores.turns.submit(first).await.unwrap().await.unwrap(), Appended::Stored);
    let token = RefreshToken { hash: [50; 32], family: "h".to_owned(), user, life: Duration::from_secs(600) };
    assert!(stores.tokens.add_refresh_token(&token, None).await.unwrap());
    assert!(stores.users.exists(user).await.unwrap());

    assert_eq!(stores.users.begin_deletion(UserId(999), 5).await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(stores.users.begin_deletion(user, 5).await.unwrap(), Some(vec!["h".to_owned()]));
    }
    assert_eq!(stores.users.unfinished_deletions().await.unwrap(), [user]);
    assert_eq!(stores.users.user_record(user).await.unwrap(), None);
    assert!(!stores.users.exists(user).await.unwrap());
    let late = RefreshToken { hash: [51; 32], ..token };
    assert!(!stores.tokens.add_refresh_token(&late, None).await.unwrap(), "the user can no longer log in");
    assert!(stores.users.find_identity(Provider::Channel, "ann@mail.example").await.unwrap().is_none());
    assert_eq!(stores.tokens.find_refresh_token(&[50; 32]).await.unwrap(), None);
    while stores.turns.remove_some(user).await.unwrap() {}
    assert!(stores.turns.page(user, None, 9).await.unwrap().is_empty());
    assert!(stores.turns.all_kept(user).await.unwrap().is_empty());
    let entry = AuditEntry { at: 1, actor: None, action: "tested", subject: Some(user), detail: json!({}) };
    for _ in 0..2 {
        stores.users.finish_deletion(user, &entry).await.unwrap();
    }
    assert!(stores.users.unfinished_deletions().await.unwrap().is_empty());
    assert_eq!(stores.dialogues.owner(dialogue).await.unwrap(), None);
}
