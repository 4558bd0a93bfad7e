//! How a version reaches visitors: canaries, followers, dialogues in progress, and roll-backs.

use super::*;

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
