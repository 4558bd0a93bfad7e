//! Versions: published, listed, compared, rolled back, and seen in the fleet and in the audit log.

use super::*;

#[rocket::async_test]
async fn a_dry_run_tells_and_changes_nothing() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    assert_eq!(admin.hears(&token).await, "Hello!");
    let changed = greeting("Howdy!").replace("hello there", "hello there, ahoy captain");
    let answer = admin.upload("?dry_run=true", &bot(&[("intents/greet.yaml", Some(&changed))])).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"1\""), "{}", answer.body);
    assert_eq!((&answer.body["activated"], &answer.body["generation"]), (&json!(false), &json!(1)));
    redacted!(answer.body["report"].clone(), @r#"
    {
      "version": "[id]",
      "passed": true,
      "faults": [],
      "differences": [],
      "fixtures": 0,
      "embedded": 1,
      "classifier": "trained",
      "took_ms": "[times]"
    }
    "#);
    redacted!(answer.body["diff"].clone(), @r#"
    {
      "files_added": [],
      "files_removed": [],
      "files_changed": [
        "intents/greet.yaml"
      ],
      "intents_added": {},
      "intents_removed": {},
      "intents_changed": [
        {
          "intent": "greet",
          "examples_added": [
            "ahoy captain"
          ],
          "examples_removed": [],
          "changes": []
        }
      ],
      "texts": [
        {
          "what": "greet: reply (en)",
          "from": "Hello!",
          "to": "Howdy!"
        }
      ],
      "thresholds": []
    }
    "#);
    assert_eq!(admin.hears(&token).await, "Hello!");
    assert_eq!(admin.get("/admin/versions").await.body["versions"].as_array().unwrap().len(), 1);
}

#[rocket::async_test]
async fn a_dry_run_forecasts_other_answers() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    assert_eq!(admin.hears(&token).await, "Hello!");
    let answer = admin.upload("?dry_run=true", &bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))])).await;
    redacted!(answer.body["forecast"].clone(), @r#"
    {
      "days": 7,
      "utterances": 1,
      "more": false,
      "changed": 1,
      "of_users": [
        {
          "text": "hello there",
          "place": null,
          "from": {
            "kind": "matched",
            "intent": "greet",
            "handler": "reply",
            "text": "Hello!",
            "probability": 1.0
          },
          "to": {
            "kind": "matched",
            "intent": "greet",
            "handler": "reply",
            "text": "Howdy!",
            "probability": 1.0
          }
        }
      ],
      "of_fixtures": []
    }
    "#);
}

#[rocket::async_test]
async fn a_published_version_is_in_use_and_in_the_list() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let answer = admin.upload("?message=a%20friendlier%20greeting", &tar).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""), "{}", answer.body);
    let version = answer.body["version"].as_str().unwrap().to_owned();
    assert_eq!(admin.hears(&token).await, "Howdy!");

    let again = admin.upload("", &tar).await;
    assert_eq!(
        (&again.body["activated"], &again.body["generation"]),
        (&json!(false), &json!(2)),
        "it is active already"
    );
    redacted!(admin.get("/admin/versions").await.body, @r#"
    {
      "versions": [
        {
          "id": "[id]",
          "catalogue": "[catalogue]",
          "parent": "[id]",
          "author": "key:local",
          "message": "a friendlier greeting",
          "created_at": "[time]",
          "files": 4,
          "active": true
        },
        {
          "id": "[id]",
          "catalogue": "[catalogue]",
          "parent": "[id]",
          "author": "start",
          "message": "",
          "created_at": "[time]",
          "files": 4,
          "active": false
        }
      ]
    }
    "#);
    let one = admin.get(&format!("/admin/versions/{}", &version[..8])).await;
    assert_eq!(one.body["manifest"].as_object().unwrap().len(), BOT.len());
    let answer = admin.server.client.get(format!("/admin/versions/{version}/bundle"));
    let bytes = answer.header(rocket::http::Header::new("X-Admin-Key", admin.key.clone())).dispatch().await;
    assert_eq!(bytes.into_bytes().await.unwrap(), tar, "the download equals the upload");
}

#[rocket::async_test]
async fn a_version_goes_and_comes_back() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let version = admin.upload("", &tar).await.body["version"].as_str().unwrap().to_owned();
    let back = admin.post("/admin/rollback", json!({})).await;
    assert_eq!((back.status, &back.body["reason"]), (200, &json!("rollback")), "{}", back.body);
    assert_eq!(admin.hears(&token).await, "Hello!");
    let forth = admin.post("/admin/activate", json!({ "version": version[..10] })).await;
    assert_eq!((forth.status, &forth.body["generation"]), (200, &json!(4)), "{}", forth.body);
    assert_eq!(admin.hears(&token).await, "Howdy!");
}

#[rocket::async_test]
async fn two_versions_are_compared() {
    let admin = Admin::new().await;
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let version = admin.upload("", &tar).await.body["version"].as_str().unwrap().to_owned();
    let list = admin.get("/admin/versions?limit=1").await.body;
    let before = admin.get(&format!("/admin/versions?before={}", list["versions"][0]["id"].as_str().unwrap())).await;
    let first = before.body["versions"][0]["id"].as_str().unwrap().to_owned();
    let diff = admin.get(&format!("/admin/diff?from={first}&to={version}")).await;
    insta::assert_json_snapshot!(diff.body["texts"], @r#"
    [
      {
        "what": "greet: reply (en)",
        "from": "Hello!",
        "to": "Howdy!"
      }
    ]
    "#);
}

#[rocket::async_test]
async fn the_fleet_shows_what_each_server_runs() {
    let admin = Admin::new().await;
    redacted!(admin.get("/admin/fleet").await.body, @r#"
    {
      "activation": {
        "generation": 1,
        "version": "[id]",
        "canary": null,
        "at": "[time]",
        "by": "start",
        "reason": "publish"
      },
      "servers": [
        {
          "id": "[id]",
          "name": "test",
          "seen_at": "[time]",
          "generation": 1,
          "version": "[id]",
          "canary": null,
          "problem": null,
          "counts": {
            "[version]": {
              "matched": 0,
              "ambiguous": 0,
              "unknown": 0,
              "form": 0,
              "failed": 0
            }
          },
          "current": true
        }
      ],
      "converged": true,
      "versions": {
        "[version]": {
          "matched": 0,
          "ambiguous": 0,
          "unknown": 0,
          "form": 0,
          "failed": 0,
          "match_rate": null
        }
      }
    }
    "#);
}

#[rocket::async_test]
async fn the_audit_log_names_who_did_what() {
    let admin = Admin::new().await;
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let version = admin.upload("", &tar).await.body["version"].as_str().unwrap().to_owned();
    admin.post("/admin/rollback", json!({})).await;
    admin.post("/admin/activate", json!({ "version": version[..10] })).await;
    redacted!(admin.get("/admin/audit?limit=2").await.body, @r#"
    {
      "lines": [
        {
          "id": "[id]",
          "at": "[time]",
          "actor": null,
          "action": "catalogue_activated",
          "subject": null,
          "detail": {
            "by": "key:local",
            "generation": 4,
            "version": "[id]",
            "canary": null,
            "reason": "activate",
            "before": "[id]"
          }
        },
        {
          "id": "[id]",
          "at": "[time]",
          "actor": null,
          "action": "catalogue_activated",
          "subject": null,
          "detail": {
            "by": "key:local",
            "generation": 3,
            "version": "[id]",
            "canary": null,
            "reason": "rollback",
            "before": "[id]"
          }
        }
      ]
    }
    "#);
}
