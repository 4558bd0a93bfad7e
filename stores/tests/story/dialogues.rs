//! Dialogues that users create and delete.

use std::collections::BTreeMap;

use banter_stores::{Appended, DialogueId, HistoryQuery, Provider, Stores, UserId};
use serde_json::json;

use super::turn;

pub async fn story(stores: &Stores) {
    let user = stores.users.create_user(Provider::Channel, "of dialogues", None, 1).await.unwrap().unwrap();
    let first = limited(stores, user).await;
    deleted(stores, user, first).await;
    let dialogues = &stores.dialogues;
    assert_eq!(dialogues.create_dialogue(UserId(999_999), "orders", 5, 1).await.unwrap(), None, "nobody");
}

/// Creates as many as are allowed; returns the first.
async fn limited(stores: &Stores, user: UserId) -> DialogueId {
    let dialogues = &stores.dialogues;
    let default = dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    let made = futures::future::join_all((0..8).map(|_| dialogues.create_dialogue(user, "orders", 3, 2))).await;
    let made: Vec<DialogueId> = made.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(made.len(), 3, "whatever races");
    let first = *made.iter().min_by_key(|dialogue| dialogue.0).unwrap();
    assert!(dialogues.rename_dialogue(user, first, "returns").await.unwrap());
    assert!(!dialogues.rename_dialogue(user, default, "returns").await.unwrap(), "the default one has no name");
    assert!(!dialogues.rename_dialogue(UserId(1), first, "stolen").await.unwrap());
    let mut listed = dialogues.of_user(user).await.unwrap();
    assert!(listed.is_sorted_by_key(|dialogue| dialogue.id.0));
    listed.retain(|dialogue| dialogue.name == "returns");
    assert_eq!((listed.len(), listed[0].id, listed[0].is_default), (1, first, false));
    first
}

async fn deleted(stores: &Stores, user: UserId, dialogue: DialogueId) {
    let (dialogues, turns) = (&stores.dialogues, &stores.turns);
    let submit = async |turn| turns.submit(turn).await.unwrap().await.unwrap();
    for seq in 1..=3 {
        let mut one = turn(user, dialogue, seq, "soon gone");
        one.id = format!("{:024x}", 0xd0_0000 + seq);
        one.idempotency = (seq == 2).then(|| ("key".to_owned(), [7; 32]));
        one.kept = if seq == 1 { BTreeMap::from([("n".to_owned(), json!(seq))]) } else { BTreeMap::new() };
        assert_eq!(submit(one).await, Appended::Stored);
    }
    assert!(!dialogues.begin_removal(UserId(1), dialogue, 3).await.unwrap(), "not this user's");
    let default = dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    assert!(!dialogues.begin_removal(user, default, 3).await.unwrap(), "the default one stays");
    for _ in 0..2 {
        assert!(dialogues.begin_removal(user, dialogue, 3).await.unwrap());
    }
    assert_eq!(dialogues.unfinished_removals().await.unwrap(), [(user, dialogue)]);
    assert_eq!(dialogues.owner(dialogue).await.unwrap(), None);
    assert!(dialogues.of_user(user).await.unwrap().iter().all(|one| one.id != dialogue));
    assert!(dialogues.create_dialogue(user, "orders", 3, 4).await.unwrap().is_some(), "its place is free");

    assert_eq!(turns.remove_some_of(dialogue).await.unwrap(), Some(vec!["key".to_owned()]));
    assert_eq!(turns.remove_some_of(dialogue).await.unwrap(), None);
    assert!(turns.history(user, &HistoryQuery::default()).await.unwrap().is_empty());
    assert!(turns.page(user, None, 9).await.unwrap().is_empty());
    assert_eq!(turns.find_answer(user, "key", 0).await.unwrap(), None);
    assert!(!turns.utterances(0, 100).await.unwrap().texts.contains(&"soon gone".to_owned()));
    assert_eq!(turns.kept(user, "n").await.unwrap(), Some(json!(1)), "what handlers keep is the user's");
    for _ in 0..2 {
        dialogues.finish_removal(dialogue).await.unwrap();
    }
    assert!(dialogues.unfinished_removals().await.unwrap().is_empty());
    while turns.remove_some(user).await.unwrap() {}
    assert!(turns.all_kept(user).await.unwrap().is_empty(), "it goes with the user");
}
