//! Turns that wait for an answer from outside.

use banter_engine::state::Exchange;
use banter_stores::{
    Appended, DialogueId, HandOffChange, HistoryQuery, Listed, Millis, NewTurn, Place, Provider, Stores, UserId,
    WaitingDialogue,
};
use mongodb::bson::{Document, doc};
use serde_json::json;

use super::{external_options, open, turn};

pub async fn story(stores: &Stores) {
    let user = stores.users.create_user(Provider::Channel, "of hand-offs", None, 1).await.unwrap().unwrap();
    let first = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    let second = stores.dialogues.create_dialogue(user, "second", 5, 1).await.unwrap().unwrap();
    listed_and_leased(stores, user, first, second).await;
    answered(stores, user, first).await;
}

/// A turn with a change of who is to answer.
fn changing(user: UserId, dialogue: DialogueId, seq: i64, text: &str, hand_off: HandOffChange) -> NewTurn {
    // Ids are unique over all dialogues.
    let id = format!("{:012x}{seq:012x}", dialogue.0 + 1_000);
    let classification = json!({ "type": "matched", "hand_off": hand_off.waits_until.is_some() });
    let mut turn = turn(user, dialogue, seq, text);
    turn.state.slots.insert("of".to_owned(), json!(text));
    NewTurn { id, classification, hand_off, idempotency: None, ..turn }
}

async fn store(stores: &Stores, turn: NewTurn) {
    assert_eq!(stores.turns.submit(turn).await.unwrap().await.unwrap(), Appended::Stored);
}

fn waits(until: Millis) -> HandOffChange {
    HandOffChange { waits_until: Some(until), ends_earlier: false }
}

const UNCHANGED: HandOffChange = HandOffChange { waits_until: None, ends_earlier: false };
const ENDS: HandOffChange = HandOffChange { waits_until: None, ends_earlier: true };

async fn listed_and_leased(stores: &Stores, user: UserId, first: DialogueId, second: DialogueId) {
    use Listed::Free;
    let list = async |now, listed| stores.waiting.waiting(now, listed).await.unwrap();
    let one = |dialogue, until, texts: &[&str]| WaitingDialogue {
        user,
        dialogue,
        until,
        leased_until: 0,
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        slots: [("of".to_owned(), json!(texts[0]))].into(),
        history: vec![Exchange { user: texts[0].to_owned(), bot: "reply".to_owned(), intent: None }],
    };
    assert_eq!(list(0, Free).await, []);
    store(stores, changing(user, second, 1, "help", waits(1_000))).await;
    let mut keyed = changing(user, first, 1, "a person", waits(2_000));
    keyed.idempotency = Some(("waits".to_owned(), [9; 32]));
    store(stores, keyed).await;
    store(stores, changing(user, second, 2, "are you there", UNCHANGED)).await;
    let both = [one(second, 1_000, &["help", "are you there"]), one(first, 2_000, &["a person"])];
    assert_eq!(list(999, Free).await, both, "the oldest first, with what was said since");
    assert_eq!(list(1_000, Free).await, both[1..], "the first one's time is over");
    assert_eq!(list(2_000, Free).await, []);

    let lease = Listed::Leased { until: 50 };
    let leased = futures::future::join_all((0..6).map(|_| list(20, lease))).await;
    let mut leased: Vec<WaitingDialogue> = leased.into_iter().flatten().collect();
    leased.sort_by_key(|waiting| waiting.dialogue != second);
    assert_eq!(leased, both, "each is leased once, whatever races");
    assert_eq!(list(49, Free).await, []);
    let after = both.map(|waiting| WaitingDialogue { leased_until: 50, ..waiting });
    assert_eq!(list(49, Listed::All).await, after, "they are there for whoever asks for all");
    assert_eq!(list(50, Free).await, after, "the lease is over");

    let leases = futures::future::join_all((0..6).map(|_| stores.waiting.lease(second, 60, 90))).await;
    assert_eq!(leases.into_iter().filter(|leased| *leased.as_ref().unwrap()).count(), 1, "one gets it");
    assert_eq!(list(60, Free).await, after[1..]);
    stores.waiting.end_lease(second).await.unwrap();
    assert_eq!(list(60, Free).await.len(), 2);
    assert!(!stores.waiting.lease(second, 1_000, 2_000).await.unwrap(), "it waits no longer");
}

async fn answered(stores: &Stores, user: UserId, dialogue: DialogueId) {
    let place = Place { dialogue, seq: 1 };
    let found = stores.turns.find_answer(user, "waits", 0).await.unwrap().unwrap();
    assert_eq!(found.handed_off, Some(place), "a repeat finds where its answer will be");
    assert_eq!(stores.waiting.ending_after(dialogue, 1).await.unwrap(), None);
    let answer =
        NewTurn { text: String::new(), response: "I am Olga".to_owned(), ..changing(user, dialogue, 2, "", ENDS) };
    store(stores, answer).await;
    store(stores, changing(user, dialogue, 3, "again", waits(5_000))).await;
    let ending = stores.waiting.ending_after(dialogue, 1).await.unwrap().unwrap();
    assert_eq!((ending.text.as_str(), ending.response.as_str()), ("", "I am Olga"));
    let waiting = stores.waiting.waiting(60, Listed::Free).await.unwrap();
    let of_dialogue: Vec<_> = waiting.iter().filter(|waiting| waiting.dialogue == dialogue).collect();
    assert_eq!(of_dialogue.len(), 1, "the answered turn waits no longer");
    assert_eq!(of_dialogue[0].texts, ["again"]);

    let later = stores.turns.of_dialogue(dialogue, 1, 1).await.unwrap();
    let later: Vec<_> = later.iter().map(|turn| (turn.seq, turn.user, turn.response.as_str())).collect();
    assert_eq!(later, [(2, user, "I am Olga")]);
    let rest = stores.turns.of_dialogue(dialogue, 2, 9).await.unwrap();
    assert_eq!(rest.iter().map(|turn| turn.seq).collect::<Vec<_>>(), [3]);

    // A turn that only gives the dialogue back says nothing, so no history shows it.
    let given_back = NewTurn { response: String::new(), ..changing(user, dialogue, 4, "", ENDS) };
    store(stores, given_back).await;
    let query = HistoryQuery { dialogue: Some(dialogue), ..HistoryQuery::default() };
    let history = stores.turns.history(user, &query).await.unwrap();
    let told: Vec<(String, String)> = history.into_iter().map(|entry| (entry.text, entry.response)).collect();
    let pair = |text: &str, response: &str| (text.to_owned(), response.to_owned());
    assert_eq!(told, [pair("a person", "re a person"), pair("", "I am Olga"), pair("again", "re again")]);
}

/// The second write of an answer is lost: whoever lists what waits finds the answer and removes the mark.
#[tokio::test]
async fn a_mark_that_is_left_behind_is_removed() {
    let config = external_options().await;
    let backend = open(&config).await;
    let stores = backend.stores();
    let client = mongodb::Client::with_uri_str(config.stores.mongo.as_ref().unwrap().text()).await.unwrap();
    let turns = client.default_database().unwrap().collection::<Document>("turns");
    let store = async |seq, hand_off| {
        let turn = NewTurn { hand_off, ..turn(UserId(2), DialogueId(7), seq, "hello") };
        assert_eq!(stores.turns.submit(turn).await.unwrap().await.unwrap(), Appended::Stored);
    };
    store(1, HandOffChange { waits_until: Some(100), ends_earlier: false }).await;
    store(2, HandOffChange { waits_until: None, ends_earlier: true }).await;
    turns
        .update_one(doc! { "seq": 1_i64 }, doc! { "$set": { "waits": { "until": 100_i64, "leased_until": 0_i64 } } })
        .await
        .unwrap();
    assert_eq!(stores.waiting.waiting(5, Listed::Free).await.unwrap(), []);
    assert_eq!(turns.count_documents(doc! { "waits": { "$exists": true } }).await.unwrap(), 0);
    backend.close().await;
}
