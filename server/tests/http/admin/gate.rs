//! Versions that do not pass the gate.

use super::*;

#[rocket::async_test]
async fn broken_files_are_refused_and_each_error_is_told() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    let broken = bot(&[
        (
            "intents/greet.yaml",
            Some("intent: greet\nexamples: { en: [hello there] }\nhandler: { script: nowhere.rhai }"),
        ),
        ("scripts/status.rhai", Some("fn handle(ctx) { say( }")),
    ]);
    let answer = admin.upload("", &broken).await;
    assert_eq!((answer.status, answer.code()), (422, "version_refused"));
    let detail = "The version did not pass its checks; `report` says why. Nothing was changed.";
    assert_eq!(
        (&answer.body["detail"], answer.body["type"].as_str()),
        (&json!(detail), Some("urn:banter:problem:version_refused"))
    );
    assert_eq!((&answer.body["report"]["passed"], &answer.body["report"]["fixtures"]), (&json!(false), &json!(0)));
    redacted!(answer.body["report"]["faults"].clone(), @r#"
    [
      {
        "severity": "warning",
        "file": "intents/greet.yaml",
        "line": 1,
        "column": 9,
        "message": "the intent `greet` has 0 examples in `ru`",
        "hint": "write 5 to 20 varied examples"
      },
      {
        "severity": "warning",
        "file": "intents/greet.yaml",
        "line": 1,
        "column": 9,
        "message": "the intent `greet` has 1 examples in `en`",
        "hint": "write 5 to 20 varied examples"
      },
      {
        "severity": "error",
        "file": "intents/greet.yaml",
        "line": 3,
        "column": 20,
        "message": "there is no script `nowhere.rhai`",
        "hint": "create scripts/nowhere.rhai"
      },
      {
        "severity": "error",
        "file": "scripts/status.rhai",
        "line": 1,
        "column": 23,
        "message": "the script does not compile: Unexpected '}'",
        "hint": "look for a missing `;`, quote or bracket here or before"
      }
    ]
    "#);
    assert_eq!(admin.hears(&token).await, "Hello!");
}

#[rocket::async_test]
async fn a_failed_fixture_refuses_the_version() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    let fixture =
        "conversation: greets\nlanguage: en\nturns:\n  - user: hello there\n    expect: { text: Good day! }\n";
    let answer = admin.upload("", &bot(&[("fixtures/greets.yaml", Some(fixture))])).await;
    assert_eq!((answer.status, answer.code()), (422, "version_refused"));
    redacted!(answer.body["report"]["differences"].clone(), @r#"
    [
      {
        "file": "fixtures/greets.yaml",
        "line": 5,
        "user": "hello there",
        "field": "text",
        "expected": "Good day!",
        "actual": "Hello!"
      }
    ]
    "#);
    assert_eq!(admin.hears(&token).await, "Hello!");
    assert_eq!(admin.get("/admin/fleet").await.body["activation"]["generation"], 1);
    let good = fixture.replace("Good day!", "Hello!");
    let answer = admin.upload("", &bot(&[("fixtures/greets.yaml", Some(&good))])).await;
    assert_eq!((answer.status, &answer.body["report"]["fixtures"]), (200, &json!(1)), "{}", answer.body);
}
