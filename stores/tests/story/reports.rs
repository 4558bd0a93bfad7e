//! What consoles read of all turns.

use std::collections::BTreeMap;

use banter_stores::{
    Appended, DialogueId, FoundTurns, Millis, NewTurn, Period, Provider, Stores, Tallies, Tally, TurnFilter, UserId,
};
use serde_json::{Value, json};

use super::turn;

/// Far from the times of the other stories.
const BEGIN: Millis = 1_000_000_000_000;

pub async fn story(stores: &Stores) {
    let user = stores.users.create_user(Provider::Channel, "of reports", None, 1).await.unwrap().unwrap();
    let dialogue = stores.dialogues.default_dialogue(user, 1).await.unwrap().unwrap();
    fill(stores, user, dialogue).await;
    found_by_what_is_known(stores).await;
    found_in_pages(stores).await;
    counted(stores).await;
}

fn classification(intent: Option<&str>, outcome: &str, language: &str, latency: f64, events: &Value) -> Value {
    json!({
        "intent": intent, "type": outcome, "language": language, "latency_ms": latency, "events": events,
        "catalogue_version": if latency < 10.0 { "old" } else { "new" }, "hand_off": outcome == "unknown",
    })
}

async fn fill(stores: &Stores, user: UserId, dialogue: DialogueId) {
    let failed = json!([{ "type": "plugin_failed", "plugin": "tax", "kind": "trap", "message": "m" }]);
    let turns = [
        ("hello", "Hello!", classification(Some("greet"), "matched", "en", 0.4, &json!([]))),
        ("Где мой Заказ?", "Какой?", classification(Some("status"), "matched", "ru", 9.0, &json!([]))),
        ("(a+b)?", "Pardon?", classification(None, "unknown", "en", 40.0, &json!([]))),
        ("tax of 7", "Pardon?", classification(Some("tax"), "matched", "en", 600.0, &failed)),
    ];
    for (index, (text, response, classification)) in turns.into_iter().enumerate() {
        let seq = index as i64 + 1;
        let created_at = BEGIN + 1_000 * seq;
        let id = format!("{:08x}{seq:016x}", created_at / 1_000);
        let (text, response) = (text.to_owned(), response.to_owned());
        let of_story = turn(user, dialogue, seq, "");
        let turn = NewTurn { id, created_at, text, response, classification, idempotency: None, ..of_story };
        assert_eq!(stores.turns.submit(turn).await.unwrap().await.unwrap(), Appended::Stored);
    }
}

fn filter() -> TurnFilter {
    TurnFilter { since: Some(BEGIN), until: Some(BEGIN + 60_000), ..TurnFilter::default() }
}

fn seqs(found: &FoundTurns) -> Vec<i64> {
    found.turns.iter().map(|turn| turn.seq).collect()
}

async fn found_by_what_is_known(stores: &Stores) {
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (filter(), vec![4, 3, 2, 1]),
        (TurnFilter { intent: text("status"), ..filter() }, vec![2]),
        (TurnFilter { outcome: text("matched"), ..filter() }, vec![4, 2, 1]),
        (TurnFilter { outcome: text("matched"), language: text("ru"), ..filter() }, vec![2]),
        (TurnFilter { version: text("old"), ..filter() }, vec![2, 1]),
        (TurnFilter { version: text("old"), intent: text("tax"), ..filter() }, vec![]),
        (TurnFilter { text: text("мой заказ"), ..filter() }, vec![2]),
        (TurnFilter { text: text("PARDON"), ..filter() }, vec![4, 3]),
        (TurnFilter { text: text("(a+b)?"), ..filter() }, vec![3]),
        (TurnFilter { text: text(".*"), ..filter() }, vec![]),
        (TurnFilter { since: Some(BEGIN + 3_000), ..filter() }, vec![4, 3]),
        (TurnFilter { until: Some(BEGIN + 3_000), ..filter() }, vec![2, 1]),
        (TurnFilter { intent: text("nothing"), ..filter() }, vec![]),
    ] {
        let found = stores.reports.search(&filter, None, 10).await.unwrap();
        assert_eq!((seqs(&found), &found.next), (expected, &None), "{filter:?}");
    }
}

async fn found_in_pages(stores: &Stores) {
    let first = stores.reports.search(&filter(), None, 3).await.unwrap();
    assert_eq!(seqs(&first), [4, 3, 2]);
    let rest = stores.reports.search(&filter(), first.next.as_deref(), 3).await.unwrap();
    assert_eq!((seqs(&rest), rest.next), (vec![1], None));
    let whole = &first.turns[0];
    assert_eq!((whole.text.as_str(), &whole.classification["intent"]), ("tax of 7", &json!("tax")));
}

async fn counted(stores: &Stores) {
    let period = Period { since: BEGIN, until: BEGIN + 60_000, step: 3_000 };
    let one = |step, outcome: &str, hand_off, latency, turns| Tally {
        step,
        outcome: outcome.to_owned(),
        hand_off,
        latency,
        turns,
    };
    let mut counted = stores.reports.tally(period).await.unwrap();
    counted.turns.sort();
    let expected = Tallies {
        turns: vec![
            one(0, "matched", false, 0, 1),
            one(0, "matched", false, 5, 1),
            one(1, "matched", false, 13, 1),
            one(1, "unknown", true, 8, 1),
        ],
        intents: BTreeMap::from([("greet".to_owned(), 1), ("status".to_owned(), 1), ("tax".to_owned(), 1)]),
        failures: BTreeMap::from([(("plugin_failed".to_owned(), Some("tax".to_owned())), 1)]),
    };
    assert_eq!(counted, expected);
    let nothing = Period { since: BEGIN + 60_000, until: BEGIN + 120_000, step: 1_000 };
    assert_eq!(stores.reports.tally(nothing).await.unwrap(), Tallies::default());
}
