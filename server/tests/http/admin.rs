//! `/admin`: publishing, rollback, canaries, and permissions.

use std::sync::{Arc, Mutex};

use banter_engine::{catalogue::bundle::Bundle, diagnostic::Diagnostics};
use banter_server::{
    catalogs::{
        archive,
        terms::{Actor, ReleaseError, Wish},
    },
    config::{
        Rules,
        release::{AdminKey, Scope},
    },
    web::App,
};
use banter_stores::secret::Secret;
use serde_json::{Value, json};

use crate::support::{Answer, BOT, Server, server, server_with};

/// The test bot, with some files changed, added, or removed.
fn bot(changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut bundle = Bundle::of(&BOT);
    for (path, content) in changes {
        match content {
            Some(content) => drop(bundle.files.insert((*path).to_owned(), content.as_bytes().to_vec())),
            None => drop(bundle.files.remove(*path)),
        }
    }
    archive::write(&bundle).unwrap()
}

fn greeting(text: &str) -> String {
    let greet = BOT[1].1;
    greet.replace("en: Hello!", &format!("en: {text}"))
}

struct Admin {
    server: Server,
    key: String,
}

impl Admin {
    async fn new() -> Self {
        Self::of(server().await)
    }

    fn of(server: Server) -> Self {
        let key = std::fs::read_to_string(server.config.data_dir.join("admin.key")).unwrap();
        Self { server, key }
    }

    async fn upload(&self, query: &str, tar: &[u8]) -> Answer {
        self.upload_with(query, &[], tar).await
    }

    async fn upload_with(&self, query: &str, headers: &[(&'static str, &str)], tar: &[u8]) -> Answer {
        let headers = [&[("X-Admin-Key", self.key.as_str())], headers].concat();
        self.server.post_as("application/x-tar", &format!("/admin/versions{query}"), &headers, tar).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.server.post(path, &[("X-Admin-Key", &self.key)], body.to_string()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.get(path, &[("X-Admin-Key", &self.key)]).await
    }

    /// The bot's answer to a greeting.
    async fn hears(&self, token: &str) -> String {
        self.server.send(token, "hello there").await.body["response"].as_str().unwrap().to_owned()
    }
}

/// Versions as keys. Each change of the format of a bot's files changes their hashes.
fn without_hashes(mut value: Value) -> Value {
    let is_hash = |key: &str| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    match &mut value {
        Value::Object(fields) => {
            let named = |key: String| if is_hash(&key) { "[version]".to_owned() } else { key };
            *fields =
                std::mem::take(fields).into_iter().map(|(key, inner)| (named(key), without_hashes(inner))).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_hashes(item.take())),
        _ => {}
    }
    value
}

/// A snapshot with times and hashes redacted, because they vary.
macro_rules! redacted {
    ($value:expr, @$snapshot:literal) => {
        insta::assert_json_snapshot!(without_hashes($value), {
            ".**.catalogue" => "[catalogue]", ".**.took_ms" => "[times]", ".**.at" => "[time]", ".**.created_at" => "[time]", ".**.seen_at" => "[time]",
            ".**.id" => "[id]", ".**.version" => "[id]", ".**.parent" => "[id]", ".**.before" => "[id]", ".**.hash" => "[hash]",
        }, @$snapshot)
    };
}

mod gate;
mod rollout;
mod versions;

#[rocket::async_test]
async fn two_admins_at_once_get_a_clear_conflict() {
    let admin = Admin::new().await;
    let (one, two) = (
        bot(&[("intents/greet.yaml", Some(&greeting("One!")))]),
        bot(&[("intents/greet.yaml", Some(&greeting("Two!")))]),
    );
    let tag = admin.get("/admin/fleet").await.header("etag").to_owned();
    let first = admin.upload_with("", &[("If-Match", &tag)], &one).await;
    let second = admin.upload_with("", &[("If-Match", &tag)], &two).await;
    assert_eq!((first.status, second.status, second.code()), (200, 412, "precondition_failed"));
    let moved = admin.server.post("/admin/rollback", &[("X-Admin-Key", &admin.key), ("If-Match", &tag)], "{}").await;
    assert_eq!(moved.status, 412);
    let nonsense = admin.upload_with("", &[("If-Match", "nonsense")], &one).await;
    assert_eq!((nonsense.status, nonsense.code()), (422, "invalid_parameter"));
}

#[rocket::async_test]
async fn errors_have_their_codes() {
    let admin = Admin::new().await;
    for (path, body, status, code) in [
        ("/admin/activate", json!({ "version": "00000000" }), 404, "unknown_version"),
        ("/admin/activate", json!({ "version": "x' OR 1=1" }), 404, "unknown_version"),
        ("/admin/activate", json!({}), 422, "missing_field"),
        ("/admin/rollback", json!({ "versoin": "0d81" }), 422, "invalid_field"),
        ("/admin/rollback", json!({}), 409, "nothing_to_do"),
        ("/admin/promote", json!({}), 409, "nothing_to_do"),
        ("/admin/canary", json!({ "version": "00000000", "percent": 0 }), 422, "out_of_bounds"),
        ("/admin/canary", json!({ "version": "00000000", "percent": 300 }), 422, "invalid_field"),
    ] {
        let answer = admin.post(path, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}: {}", answer.body);
    }
    for (path, status, code) in [
        ("/admin/versions/00000000", 404, "unknown_version"),
        ("/admin/versions/00000000/bundle", 404, "unknown_version"),
        ("/admin/versions?before=00000000", 404, "unknown_version"),
        ("/admin/versions?limit=0", 422, "invalid_parameter"),
        ("/admin/diff?from=00000000", 422, "invalid_parameter"),
        ("/admin/audit?before=x", 422, "invalid_parameter"),
        ("/admin/nothing", 404, "not_found"),
        ("/admin/promote", 405, "method_not_allowed"),
    ] {
        let answer = admin.get(path).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}: {}", answer.body);
    }
    let long = format!("?message={}", "x".repeat(501));
    for (query, status, code) in [
        ("?dry_run=perhaps", 422, "invalid_parameter"),
        ("?canary=many", 422, "invalid_parameter"),
        ("?canary=100", 422, "out_of_bounds"),
        // If ignored, this typo of `dry_run` would publish the version.
        ("?dry-run=true", 422, "invalid_parameter"),
        ("?message=two%0Alines", 422, "out_of_bounds"),
        (long.as_str(), 422, "out_of_bounds"),
    ] {
        let answer = admin.upload(query, &bot(&[])).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}: {}", answer.body);
    }
    let russian = [("X-Admin-Key", admin.key.as_str()), ("Accept-Language", "ru")];
    let answer = admin.server.post("/admin/rollback", &russian, "{}").await;
    assert_eq!(answer.body["detail"], "Это невозможно: раньше не было другой версии.");
}

#[rocket::async_test]
async fn uploads_that_are_no_bot_are_refused() {
    let admin = Admin::new().await;
    let key = [("X-Admin-Key", admin.key.as_str())];
    for (kind, body, status, code) in [
        ("application/x-tar", &b"no archive at all"[..], 422, "invalid_bundle"),
        ("application/x-tar", b"", 422, "missing_body"),
        ("application/gzip", b"\x1f\x8b\x08\x00\x00", 422, "invalid_bundle"),
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "missing_field"),
    ] {
        let answer = admin.server.post_as(kind, "/admin/versions", &key, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{kind}: {}", answer.body);
    }
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Form!")))]);
    let head = "--x\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nby a form\r\n--x\r\n\
        Content-Disposition: form-data; name=\"bundle\"; filename=\"bot.tar\"\r\nContent-Type: application/x-tar\r\n\r\n";
    let form = [head.as_bytes(), &tar, b"\r\n--x--\r\n"].concat();
    let answer = admin.server.post_as("multipart/form-data; boundary=x", "/admin/versions", &key, &form).await;
    assert_eq!((answer.status, &answer.body["activated"]), (200, &json!(true)), "{}", answer.body);
    assert_eq!(admin.get("/admin/versions").await.body["versions"][0]["message"], "by a form");
    let other = String::from_utf8_lossy(&form).replacen("name=\"message\"", "name=\"dry_run\"", 1);
    let answer =
        admin.server.post_as("multipart/form-data; boundary=x", "/admin/versions", &key, other.as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (422, "invalid_bundle"), "{}", answer.body);
}

/// Concurrent uploads are bounded, so that memory is too.
#[rocket::async_test]
async fn few_uploads_are_taken_at_a_time() {
    let admin = Admin::new().await;
    let tars: Vec<Vec<u8>> =
        (0..12).map(|n| bot(&[("intents/greet.yaml", Some(&greeting(&format!("Hello {n}!"))))])).collect();
    let answers = futures::future::join_all(tars.iter().map(|tar| admin.upload("?dry_run=true", tar))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let busy = answers.iter().filter(|answer| (answer.status, answer.code()) == (503, "busy")).count();
    assert!(good > 0 && busy > 0 && good + busy == answers.len(), "{good} good, {busy} busy");
    assert_eq!(admin.upload("?dry_run=true", &tars[0]).await.status, 200, "the slots are free again");
}

#[rocket::async_test]
async fn only_administrators_and_each_for_what_they_may() {
    let key = |name: &str, scopes: &[Scope]| AdminKey {
        name: name.to_owned(),
        key: Secret::new(format!("the key of {name}")),
        scopes: scopes.to_vec(),
    };
    let admin = Admin::of(
        server_with(Rules::Dev, |config| {
            config.admin.keys = vec![key("reader", &[Scope::Read]), key("publisher", &[Scope::Publish])];
        })
        .await,
    );
    let ask = async |headers: &[(&'static str, &str)]| {
        let answer = admin.server.get("/admin/fleet", headers).await;
        (answer.status, answer.code().to_owned())
    };
    assert_eq!(ask(&[]).await, (401, "unauthorized".to_owned()));
    assert_eq!(ask(&[("X-Admin-Key", "wrong")]).await, (403, "wrong_key".to_owned()));
    assert_eq!(ask(&[("X-Admin-Key", "the key of reader")]).await.0, 200);
    assert_eq!(ask(&[("X-Admin-Key", "the key of publisher")]).await, (403, "not_allowed".to_owned()));
    let reader = [("X-Admin-Key", "the key of reader")];
    for path in ["/admin/rollback", "/admin/promote"] {
        assert_eq!(admin.server.post(path, &reader, "{}").await.code(), "not_allowed");
    }
    assert_eq!(admin.server.get("/admin/audit", &reader).await.code(), "not_allowed");
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let refused = admin.server.post_as("application/x-tar", "/admin/versions", &reader, &tar).await;
    assert_eq!(refused.code(), "not_allowed");

    // Only administrators with the scope for utterances see texts of users.
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    admin.hears(&token).await;
    let publisher = [("X-Admin-Key", "the key of publisher")];
    let looked = admin.server.post_as("application/x-tar", "/admin/versions?dry_run=true", &publisher, &tar).await;
    assert_eq!((&looked.body["forecast"]["changed"], &looked.body["forecast"]["of_users"]), (&json!(1), &json!([])));

    let bearer = format!("Bearer {token}");
    assert_eq!(ask(&[("Authorization", &bearer)]).await, (403, "not_allowed".to_owned()));
    let sql = "UPDATE users SET is_admin = true WHERE id = 2";
    admin.server.sql(sql, sql).await;
    assert_eq!(ask(&[("Authorization", &bearer)]).await.0, 200);
    let by_user =
        admin.server.post_as("application/x-tar", "/admin/versions", &[("Authorization", &bearer)], &tar).await;
    assert_eq!(by_user.status, 200, "{}", by_user.body);
    let log = admin.get("/admin/audit?limit=1").await.body;
    assert_eq!((&log["lines"][0]["actor"], &log["lines"][0]["detail"]["by"]), (&json!(2), &json!("user:2")));
}

#[rocket::async_test]
async fn progress_is_told_as_it_happens() {
    let admin = Admin::new().await;
    let events = [("Accept", "text/event-stream")];
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    let answer = admin.upload_with("", &events, &tar).await;
    let text = answer.body.as_str().unwrap();
    assert!(answer.header("content-type").starts_with("text/event-stream"), "{text}");
    assert!(text.starts_with("event:progress\ndata:{\"stage\":\"load\""), "{text}");
    assert!(text.trim_end().ends_with('}') && text.contains("event:result\n"), "{text}");
    let whole =
        |event: &str| event.starts_with("event:") && event.lines().nth(1).is_some_and(|l| l.starts_with("data:"));
    assert!(text.trim_end().split("\n\n").all(whole), "every event is complete: {text}");
    let answer = admin.upload_with("", &events, &bot(&[("bot.yaml", None)])).await;
    let text = answer.body.as_str().unwrap();
    assert!(text.contains("event:problem\n") && text.contains("\"code\":\"version_refused\""), "{text}");
}

#[rocket::async_test]
async fn no_bundle_exceeds_the_servers_ceiling() {
    let admin = Admin::new().await;
    let file = format!("{}\nhttp: {{ allow: [inner.example], private: true }}", BOT[0].1);
    let refused = admin.upload("", &bot(&[("bot.yaml", Some(&file))])).await;
    assert_eq!((refused.status, refused.code()), (422, "version_refused"), "{}", refused.body);
    let fault = &refused.body["report"]["faults"][0];
    assert_eq!(fault["message"], "this server lets no bot fetch from private addresses");
    assert_eq!((&fault["file"], &fault["line"]), (&json!("bot.yaml"), &json!(6)), "{fault}");
    let open = Admin::of(server_with(Rules::Dev, |config| config.outside.private = true).await);
    assert_eq!(open.upload("", &bot(&[("bot.yaml", Some(&file))])).await.status, 200);
}
