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

/// A canary gets a share of the users, always the same ones.
#[rocket::async_test]
async fn a_canary_is_for_some_until_it_is_for_all() {
    let admin = Admin::new().await;
    let mut tokens = Vec::new();
    for user in 0..30 {
        tokens.push(admin.server.log_in(&format!("user{user}@mail.example")).await.0);
    }
    let answer = admin.upload("?canary=50", &bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let hear_all = async || {
        let mut heard = Vec::new();
        for token in &tokens {
            heard.push(admin.hears(token).await);
        }
        heard
    };
    let heard = hear_all().await;
    let howdy = heard.iter().filter(|text| *text == "Howdy!").count();
    assert!((5..=25).contains(&howdy), "{howdy} of 30");
    assert_eq!(hear_all().await, heard, "each user keeps their version");
    let fleet = admin.get("/admin/fleet").await.body;
    let versions = fleet["activation"]["canary"].clone();
    assert_eq!((&versions["percent"], &versions["version"]), (&json!(50), &answer.body["version"]));
    // Publishing the same canary again changes nothing. The active version cannot be its own canary.
    let tar = bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))]);
    assert_eq!(admin.upload("?canary=50", &tar).await.body["activated"], json!(false));
    let own = admin.upload("?canary=50", &bot(&[])).await;
    assert_eq!((own.status, own.code()), (409, "nothing_to_do"), "{}", own.body);

    assert_eq!(admin.post("/admin/rollback", json!({})).await.status, 200);
    assert!(hear_all().await.iter().all(|text| text == "Hello!"), "the rollback ends the canary");
    let again = admin.post("/admin/canary", json!({ "version": answer.body["version"], "percent": 10 })).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let same = admin.post("/admin/promote", json!({})).await;
    assert_eq!((same.status, &same.body["version"]), (200, &answer.body["version"]));
    assert!(hear_all().await.iter().all(|text| text == "Howdy!"));
}

/// If a new version removes the intent of an active form, the user gets a message and nothing fails.
#[rocket::async_test]
async fn a_dialogue_outlives_its_intent() {
    let admin = Admin::new().await;
    let (token, _) = admin.server.log_in("ann@mail.example").await;
    assert_eq!(admin.server.send(&token, "where is my order").await.body["response"], "Which order?");
    let answer = admin.upload("", &bot(&[("intents/greet.yaml", Some(&greeting("Howdy!")))])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let asked = admin.server.send(&token, "A-1042").await.body["response"].as_str().unwrap().to_owned();
    assert!(asked.starts_with("A-1042 is fine"), "the form continues on the new version: {asked}");

    admin.server.send(&token, "where is my order").await;
    let other = "intent: bye\nexamples: { en: [good bye now, see you later], ru: [до свидания, пока пока] }\nhandler: { reply: Bye }";
    let changes = [("intents/status.yaml", Some(other)), ("scripts/status.rhai", None)];
    let answer = admin.upload("", &bot(&changes)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = admin.server.send(&token, "A-1042").await;
    assert_eq!(told.status, 200);
    assert_eq!(told.body["response"], "Sorry, this has just changed on our side. Please ask me once more.");
    assert_eq!(admin.hears(&token).await, "Hello!");
}

/// A server that cannot build a version keeps the old one and reports why.
#[rocket::async_test]
async fn a_server_that_cannot_follow_says_so() {
    let admin = Admin::new().await;
    let other = admin.server.with_the_same_stores().await;
    let (token, _) = other.log_in("ann@mail.example").await;
    let greets = async || other.send(&token, "hello there").await.body["response"].as_str().unwrap().to_owned();
    let follow = async || {
        let app: &std::sync::Arc<banter_server::web::app::App> = other.client.rocket().state().unwrap();
        app.follower.follow().await;
    };
    let health = async || {
        let answer = other.get("/health", &[("X-Health-Key", "health")]).await;
        (answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned())
    };
    let fixture = "conversation: greets\nlanguage: en\nturns:\n  - user: hello there\n    expect: { text: Howdy! }\n";
    let changes =
        [("intents/greet.yaml", Some(greeting("Howdy!"))), ("fixtures/greets.yaml", Some(fixture.to_owned()))];
    let changes: Vec<(&str, Option<&str>)> = changes.iter().map(|(path, text)| (*path, text.as_deref())).collect();
    let published = admin.upload("", &bot(&changes)).await;
    assert_eq!(published.status, 200, "{}", published.body);
    // Damage the stored files of the version.
    let damage = "UPDATE blob_pieces SET content = CAST('x' || content AS BLOB)";
    admin.server.sql(damage, "UPDATE blob_pieces SET content = '\\x78'::bytea || content").await;
    follow().await;
    assert_eq!(greets().await, "Hello!", "the old version stays");
    let (status, detail) = health().await;
    assert!(status == 503 && detail.contains("catalogue"), "{detail}");
    assert_eq!(other.get("/ready", &[]).await.status, 200);
    let fleet = other.get("/admin/fleet", &[("X-Admin-Key", &admin.key)]).await.body;
    let behind = fleet["servers"].as_array().unwrap().iter().find(|server| !server["problem"].is_null()).unwrap();
    assert!(behind["problem"].as_str().unwrap().contains("does not match its hash"), "{fleet}");
    assert_eq!((&fleet["converged"], &behind["generation"]), (&json!(false), &json!(1)));
    let metrics = other.get("/metrics", &[("X-Health-Key", "health")]).await;
    assert_eq!(metrics.status, 200);

    let mend = "UPDATE blob_pieces SET content = CAST(substr(content, 2) AS BLOB)";
    admin.server.sql(mend, "UPDATE blob_pieces SET content = substring(content FROM 2)").await;
    assert_eq!(admin.post("/admin/rollback", json!({})).await.status, 200);
    follow().await;
    assert_eq!(health().await.0, 200);
    assert_eq!(greets().await, "Hello!");
}

/// A bad version must be gone at once, also while another one goes through its checks.
#[rocket::async_test]
async fn a_roll_back_does_not_wait_for_a_publication() {
    let admin = Admin::new().await;
    assert_eq!(admin.upload("", &bot(&[("intents/greet.yaml", Some(&greeting("Bad!")))])).await.status, 200);
    let app = admin.server.client.rocket().state::<Arc<App>>().unwrap();
    let (actor, runtime) = (Actor { user: None, name: "test".to_owned() }, tokio::runtime::Handle::current());
    let rolled_back = Mutex::new(None);
    let progress = |_| {
        let mut rolled_back = rolled_back.lock().unwrap();
        if rolled_back.is_none() {
            *rolled_back =
                Some(runtime.block_on(app.releases.roll_back(None, None, &actor)).map_err(|e| e.to_string()));
        }
    };
    let mut third = Bundle::of(&BOT);
    third.files.insert("intents/greet.yaml".to_owned(), greeting("Third!").into_bytes());
    let id = third.manifest().id();
    let published =
        app.releases.publish(third, Diagnostics::default(), &Wish::default(), &actor, &progress).await.unwrap_err();
    assert_eq!(rolled_back.into_inner().unwrap().unwrap().unwrap().generation, 3);
    assert!(matches!(&published, ReleaseError::Overtaken(version) if *version == id), "{published}");
    let hello = json!({ "sender": "ann", "message": "hello there" }).to_string();
    let said = admin.server.post("/webhooks/rest/webhook", &[], hello).await;
    assert_eq!(said.body[0]["text"], "Hello!", "the first version is back");
    let activated = admin.post("/admin/activate", json!({ "version": id })).await;
    assert_eq!(activated.status, 200, "it is stored: {}", activated.body);
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
