//! Stored states stay readable: there is one state of every version ever written.

use banter_engine::state::DialogueState;

/// Version 1, as the first release wrote it. Never change this text; add the next version below it.
const V1: &str = r#"{"version":1,"language":"ru","language_pinned":true,"form":{"intent":"order_status","slot":"order_id","filled":["city"],"misses":1},"slots":{"city":"moscow","n":2},"contexts":{"mood":3},"misses":1,"clarify":{"first":"a","second":"b","text":"hm"},"recent":[{"user":"hi","bot":"hello","intent":"greet"}]}"#;

#[test]
fn version_1_is_read_and_written_alike() {
    let state: DialogueState = serde_json::from_str(V1).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), V1);
}

/// A dialogue that is handed off, as the first release with hand-offs wrote it.
const HANDED_OFF: &str = r#"{"version":1,"language":"en","misses":0,"hand_off":{"until":1767607800000}}"#;

#[test]
fn a_hand_off_is_read_and_written_alike() {
    let state: DialogueState = serde_json::from_str(HANDED_OFF).unwrap();
    assert!(state.waits(1_767_607_799_999) && !state.waits(1_767_607_800_000));
    assert_eq!(serde_json::to_string(&state).unwrap(), HANDED_OFF);
}

#[test]
fn what_is_absent_has_its_default() {
    assert_eq!(serde_json::from_str::<DialogueState>("{}").unwrap(), DialogueState::default());
}

/// A dialogue with an interrupted form, a wish that waits and a summary, as the first release with them wrote it.
const INTERRUPTED: &str = r#"{"version":1,"language":"en","form":{"intent":"cancel_order","slot":"","filled":["order_id"],"misses":1,"stage":"confirm"},"suspended":[{"intent":"trip","slot":"guide","filled":["city"],"misses":0,"values":{"city":"london"},"resume":"quiet"}],"wishes":[{"intent":"delivery_cost","slots":{"city":"Moscow"}}],"last":{"intent":"order_status","turns":2},"denied":{"times":1,"intents":["a","b"]},"slots":{"order_id":"B-2210"},"misses":0,"clarify":{"first":"a","second":"b","others":["c"],"text":"hm"}}"#;

#[test]
fn an_interrupted_form_is_read_and_written_alike() {
    let state: DialogueState = serde_json::from_str(INTERRUPTED).unwrap();
    assert_eq!(state.suspended[0].values["city"], "london");
    assert_eq!(serde_json::to_string(&state).unwrap(), INTERRUPTED);
}
