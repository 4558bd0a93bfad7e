//! Stored states stay readable: there is one state of every version ever written.

use banter_engine::state::DialogueState;

/// Version 1, as the first release wrote it. Never change this text; add the next version below it.
const V1: &str = r#"{"version":1,"language":"ru","language_pinned":true,"form":{"intent":"order_status","slot":"order_id","filled":["city"],"misses":1},"slots":{"city":"moscow","n":2},"contexts":{"mood":3},"misses":1,"clarify":{"first":"a","second":"b","text":"hm"},"recent":[{"user":"hi","bot":"hello","intent":"greet"}]}"#;

#[test]
fn version_1_is_read_and_written_alike() {
    let state: DialogueState = serde_json::from_str(V1).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), V1);
}

#[test]
fn what_is_absent_has_its_default() {
    assert_eq!(serde_json::from_str::<DialogueState>("{}").unwrap(), DialogueState::default());
}
