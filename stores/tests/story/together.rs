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
    let [hole, twins, key, same_key, good @ ..] = dialogues else { panic!("too few dialogues") };

    // The one without a turn before it comes first, so that what is inserted has other places than what is submitted.
    let odd = [at(*hole, 2), at(*twins, 1), at(*twins, 1), keyed(*key), keyed(*same_key)];
    let odd_ids = odd.clone().map(|turn| turn.id);
    let found = fates(stores, odd.into_iter().chain(good.iter().map(|dialogue| at(*dialogue, 1)))).await;
    let (of_odd, of_good) = found.split_at(odd_ids.len());
    assert!(of_good.iter().all(|fate| *fate == Appended::Stored), "{of_good:?}");
    assert_eq!(of_odd[0], Appended::Conflict, "the turn before is missing");
    for (pair, other) in [(1..3, Appended::Conflict), (3..5, Appended::Duplicate)] {
        let stored = pair.clone().find(|number| of_odd[*number] == Appended::Stored).expect("one of the two is stored");
        let refused = pair.start + pair.end - 1 - stored;
        assert_eq!(of_odd[refused], other, "{of_odd:?}");
        let mut there = Vec::new();
        for dialogue in [*twins, *key, *same_key] {
            there.extend(stores.turns.of_dialogue(dialogue, 0, 9).await.unwrap().into_iter().map(|turn| turn.id));
        }
        assert!(there.contains(&odd_ids[stored]) && !there.contains(&odd_ids[refused]), "{there:?} of {odd_ids:?}");
    }

    let second = fates(stores, good.iter().map(|dialogue| at(*dialogue, 2))).await;
    assert!(second.iter().all(|fate| *fate == Appended::Stored), "{second:?}");
    assert_eq!(stores.turns.last(good[0]).await.unwrap().seq, 2);
}
