//! Turns of many dialogues that are submitted at the same time, which a store may write together.

use banter_stores::{Appended, DialogueId, NewTurn, Provider, Stores, UserId};

use super::turn;

const DIALOGUES: u32 = 40;

pub async fn story(stores: &Stores) {
    let user = stores.users.create_user(Provider::Channel, "of many dialogues", None, 1).await.unwrap().unwrap();
    let mut dialogues = Vec::new();
    for number in 0..DIALOGUES {
        let made = stores.dialogues.create_dialogue(user, &format!("number {number}"), DIALOGUES, 1).await;
        dialogues.push(made.unwrap().unwrap());
    }
    each_has_its_own_fate(stores, user, &dialogues).await;
    while stores.turns.remove_some(user).await.unwrap() {}
}

/// Stores turns at the same time; returns what came of each.
async fn fates(stores: &Stores, turns: impl IntoIterator<Item = NewTurn>) -> Vec<Appended> {
    let store = async |turn| stores.turns.submit(turn).await.unwrap().await.unwrap();
    futures::future::join_all(turns.into_iter().map(store)).await
}

async fn each_has_its_own_fate(stores: &Stores, user: UserId, dialogues: &[DialogueId]) {
    let ids = std::cell::Cell::new(0xf0_0000);
    let at = |dialogue: DialogueId, seq: i64| {
        ids.set(ids.get() + 1);
        NewTurn { id: format!("{:024x}", ids.get()), ..turn(user, dialogue, seq, "together") }
    };
    let keyed = |dialogue| NewTurn { idempotency: Some(("one".to_owned(), [7; 32])), ..at(dialogue, 1) };
    let [holes, twins, keys, good @ ..] = dialogues else { panic!("too few dialogues") };

    let some = [at(*holes, 2), at(*twins, 1), at(*twins, 1), keyed(*keys), keyed(*keys)];
    let found = fates(stores, good.iter().map(|dialogue| at(*dialogue, 1)).chain(some)).await;
    let (of_good, of_some) = found.split_at(good.len());
    assert!(of_good.iter().all(|fate| *fate == Appended::Stored), "{of_good:?}");
    assert_eq!(of_some[0], Appended::Conflict, "the turn before is missing");
    let stored = |fates: &[Appended]| fates.iter().filter(|fate| **fate == Appended::Stored).count();
    assert_eq!(stored(&of_some[1..3]), 1, "one of two turns with one number: {of_some:?}");
    assert_eq!(stored(&of_some[3..5]), 1, "one of two turns with one key: {of_some:?}");

    let second = fates(stores, good.iter().map(|dialogue| at(*dialogue, 2))).await;
    assert!(second.iter().all(|fate| *fate == Appended::Stored), "{second:?}");
    assert_eq!(stores.turns.last(good[0]).await.unwrap().seq, 2);
}
