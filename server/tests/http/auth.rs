//! `/auth/login` and `/auth/refresh`.

use banter_server::config::{Config, Rules};
use banter_stores::secret::Secrets;
use rocket::http::{ContentType, Header};
use serde_json::json;

use crate::support::{Server, server, server_with};

async fn log_in(server: &Server, email: &str, password: &str) -> (u16, String) {
    let answer = server.post("/auth/login", &[], json!({ "email": email, "password": password }).to_string()).await;
    (answer.status, answer.code().to_owned())
}

/// Longer than `auth.refresh_leeway`.
const LEEWAY: i64 = 10_000;

/// Sets the clock forward. A database has a clock of its own, so there the tokens are made older.
async fn after_the_leeway(server: &Server) {
    server.clock.advance(LEEWAY);
    server.sql("SELECT 1", "UPDATE refresh_tokens SET spent_at = spent_at - 10000").await;
}

async fn refresh(server: &Server, token: &str) -> (u16, String) {
    let answer = server.post("/auth/refresh", &[], json!({ "refresh_token": token }).to_string()).await;
    let detail = answer.body["refresh_token"].as_str().unwrap_or(answer.code()).to_owned();
    (answer.status, detail)
}

#[rocket::async_test]
async fn an_unknown_address_is_a_new_user_and_case_does_not_matter() {
    let server = server().await;
    let answer = server.post("/auth/login", &[], r#"{"email":"Ann@Mail.Example","password":"tulip","extra":1}"#).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, { ".access_token" => "[token]", ".refresh_token" => "[token]" }, @r#"
    {
      "access_token": "[token]",
      "refresh_token": "[token]"
    }
    "#);
    assert_eq!(log_in(&server, "ann@mail.example", "tulip").await.0, 200);
    assert_eq!(log_in(&server, "ann@mail.example", "rose").await, (401, "wrong_password".to_owned()));
}

#[rocket::async_test]
async fn two_first_log_ins_at_once_make_one_user() {
    let server = server().await;
    let ((one, _), (two, _)) =
        rocket::futures::join!(server.log_in("twin@mail.example"), server.log_in("twin@mail.example"));
    assert_eq!(server.send(&one, "hello there").await.status, 200);
    let history = server.get("/session/history", &[("Authorization", &format!("Bearer {two}"))]).await;
    assert_eq!(history.body["history"][0]["text"], "hello there", "both are the same user");
}

#[rocket::async_test]
async fn bounds() {
    let server = server().await;
    for (email, password, code) in [
        ("no address", "x", "invalid_email"),
        ("a@", "x", "invalid_email"),
        ("Ann <ann@mail.example>", "x", "invalid_email"),
        ("a@b.example", "", "invalid_password"),
        ("a@b.example", &"x".repeat(1_025), "invalid_password"),
    ] {
        assert_eq!(log_in(&server, email, password).await, (422, code.to_owned()), "{email}");
    }
    assert_eq!(log_in(&server, "a@b.example", &"x".repeat(1_024)).await.0, 200);
}

/// A log-in from a network address.
async fn log_in_from(server: &Server, address: &str, password: &str) -> u16 {
    let body = json!({ "email": "ann@mail.example", "password": password }).to_string();
    let request = server.client.post("/auth/login").header(ContentType::JSON).body(body);
    request.remote(format!("{address}:4000").parse().unwrap()).dispatch().await.status().code
}

#[rocket::async_test]
async fn wrong_passwords_are_limited() {
    let server = server().await;
    for _ in 0..10 {
        assert_eq!(log_in(&server, "ann@mail.example", "tulip").await.0, 200, "what is right does not count");
    }
    for _ in 0..6 {
        assert_eq!(log_in(&server, "ann@mail.example", "rose").await.0, 401);
    }
    let answer = server.post("/auth/login", &[], r#"{"email":"ANN@mail.example","password":"tulip"}"#).await;
    assert_eq!((answer.status, answer.code()), (429, "too_many_requests"));
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(log_in(&server, "bob@mail.example", "tulip").await.0, 200, "other users are not affected");
    assert_eq!(log_in_from(&server, "198.51.100.1", "tulip").await, 200, "nobody can lock out somebody elsewhere");
}

/// Whoever logged in from an address before does not wait there, however many try elsewhere.
#[rocket::async_test]
async fn an_attack_from_everywhere_slows_only_strangers() {
    let server = server_with(Rules::Dev, |config| config.auth.slow_seconds = 0).await;
    assert_eq!(log_in_from(&server, "198.51.100.1", "tulip").await, 200);
    for attacker in 1..=4 {
        for _ in 0..6 {
            assert_eq!(log_in_from(&server, &format!("203.0.113.{attacker}"), "rose").await, 401);
        }
    }
    assert_eq!(log_in_from(&server, "192.0.2.7", "tulip").await, 200, "a stranger is slow, not refused");
    if !crate::EXTERNAL {
        // The embedded store's counters belong to a server, so this one would wait for a minute if it had to.
        return;
    }
    let slow = server.changed(|config| config.auth.slow_seconds = 60).await;
    let known = tokio::time::timeout(std::time::Duration::from_secs(30), log_in_from(&slow, "198.51.100.1", "tulip"));
    assert_eq!(known.await.expect("a known address does not wait"), 200);
}

#[rocket::async_test]
async fn refreshes_are_limited_by_log_in_and_by_address() {
    let server = server_with(Rules::Dev, |config| {
        config.auth.refreshes_per_log_in = 2;
        config.auth.refreshes_per_address = 5;
    })
    .await;
    let (_, mut ann) = server.log_in("ann@mail.example").await;
    let (_, bob) = server.log_in("bob@mail.example").await;
    for _ in 0..2 {
        let (status, next) = refresh(&server, &ann).await;
        assert_eq!(status, 200);
        ann = next;
    }
    let body = json!({ "refresh_token": ann }).to_string();
    let refused = server.post("/auth/refresh", &[], &body).await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_requests"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(refresh(&server, &bob).await.0, 200, "each log-in counts by itself");
    assert_eq!(refresh(&server, "no token").await.0, 401);
    assert_eq!(refresh(&server, "no token").await.0, 429, "the address has tried enough");
}

#[rocket::async_test]
async fn a_refresh_token_is_spent_once_and_its_reuse_ends_the_family() {
    let server = server().await;
    let (access, first) = server.log_in("ann@mail.example").await;
    let (status, second) = refresh(&server, &first).await;
    assert_eq!(status, 200);
    assert_ne!(first, second);
    assert_eq!(server.send(&access, "hello there").await.status, 200);
    after_the_leeway(&server).await;
    assert_eq!(refresh(&server, &first).await, (401, "invalid_refresh_token".to_owned()), "spent");
    assert_eq!(refresh(&server, &second).await, (401, "invalid_refresh_token".to_owned()), "its family is revoked");
    assert_eq!(server.send(&access, "hello there").await.status, 401, "its access tokens are revoked too");
}

/// Tabs of one browser share their tokens, and wake up together.
#[rocket::async_test]
async fn four_parallel_refreshes_on_two_servers_stay_logged_in() {
    let one = server().await;
    let other = one.with_the_same_stores().await;
    // The embedded store has one server.
    let two = if crate::EXTERNAL { &other } else { &one };
    let (_, token) = one.log_in("ann@mail.example").await;
    let body = json!({ "refresh_token": token }).to_string();
    let answers =
        futures::future::join_all([&one, two, &one, two].map(|server| server.post("/auth/refresh", &[], &body)));
    let answers = answers.await;
    let mut refresh_tokens = std::collections::BTreeSet::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        refresh_tokens.insert(answer.body["refresh_token"].as_str().unwrap().to_owned());
    }
    assert_eq!(refresh_tokens.len(), 4, "each has a pair of its own");
    let access = |index: usize| answers[index].body["access_token"].as_str().unwrap().to_owned();
    for index in 0..4 {
        assert_eq!(one.send(&access(index), "hello there").await.status, 200, "{index}");
    }
    after_the_leeway(&one).await;
    assert_eq!(refresh(two, &token).await.0, 401, "after the leeway it is reuse");
    for index in 0..4 {
        assert_eq!(one.send(&access(index), "hello there").await.status, 401, "{index}: the family is revoked");
    }
    for token in &refresh_tokens {
        assert_eq!(refresh(&one, token).await.0, 401, "the family is revoked");
    }
}

fn secrets(list: &[&str]) -> Secrets {
    serde_json::from_value(json!(list)).unwrap()
}

/// The steps of docs/operations.md, on two servers that are restarted one by one. Refresh tokens prove their users
/// here, because the embedded store's sessions end with a server.
#[rocket::async_test]
async fn keys_are_replaced_without_a_log_out() {
    let with = |list: &'static [&'static str]| {
        move |config: &mut Config| {
            config.auth.logins_per_email = 1_000;
            config.auth.secret = Some(secrets(list));
            config.health.key = Some(secrets(list));
            config.hand_off.key = Some(secrets(list));
            config.channel.key = Some(secrets(list));
        }
    };
    let mut servers = [server_with(Rules::Dev, with(&["old"])).await, server_with(Rules::Dev, with(&["old"])).await];
    servers[1] = servers[0].with_the_same_stores().await;
    let (_, ann) = servers[0].log_in("ann@mail.example").await;
    let (_, mut active) = servers[0].log_in("active@mail.example").await;
    let steps: [&'static [&'static str]; 3] = [&["old", "new"], &["new", "old"], &["new"]];
    for (step, list) in steps.into_iter().enumerate() {
        for restarted in 0..2 {
            servers[restarted] = servers[restarted].changed(with(list)).await;
            for server in &servers {
                let (_, token) = server.log_in("bob@mail.example").await;
                for other in &servers {
                    assert_eq!(other.send(&token, "hello there").await.status, 200, "step {step}, {restarted}");
                }
                active = refresh(server, &active).await.1;
                server.clock.advance(60_000);
            }
            for (index, server) in servers.iter().enumerate() {
                let last = step == 2 && index <= restarted;
                assert_eq!(
                    server.send(&ann, "hello there").await.status,
                    if last { 401 } else { 200 },
                    "{step} {index}"
                );
                let health = async |key: &str| server.get("/health", &[("X-Health-Key", key)]).await.status;
                let known = (step > 0 || index <= restarted, !last);
                assert_eq!((health("new").await == 200, health("old").await == 200), known, "step {step}, {index}");
                let answerer = async |key: &str| server.get("/messages", &[("X-Messages-Key", key)]).await.status;
                assert_eq!((answerer("new").await == 200, answerer("old").await == 200), known, "step {step}, {index}");
                let channel = async |key: &str| server.get(&format!("/webhooks/rest?token={key}"), &[]).await.status;
                assert_eq!((channel("new").await == 200, channel("old").await == 200), known, "step {step}, {index}");
            }
        }
    }
}

#[rocket::async_test]
async fn both_tokens_prove_a_user_and_others_do_not() {
    let server = server().await;
    let (access, refresh_token) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&access, "hello there").await.status, 200);
    assert_eq!(server.send(&refresh_token, "hello there").await.status, 200);
    assert_eq!(refresh(&server, &access).await.0, 401, "an access token is not a refresh token");
    refresh(&server, &refresh_token).await;
    assert_eq!(server.send(&refresh_token, "hello there").await.status, 401, "spent");
    let mut forged = access.clone();
    forged.replace_range(access.len() - 4.., "AAAA");
    for header in
        [format!("Bearer {forged}"), "Bearer".to_owned(), format!("Basic {access}"), access, "Bearer x.y.z".to_owned()]
    {
        let answer = server.post("/messages/send", &[("Authorization", &header)], r#"{"text":"hello there"}"#).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{header}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[rocket::async_test]
async fn a_cookie_proves_a_user_and_posts_need_the_own_origin() {
    let server = server_with(Rules::Dev, |config| {
        config.front = Some("https://shop.example".to_owned());
    })
    .await;
    let (access, _) = server.log_in("ann@mail.example").await;
    let body = r#"{"text":"hello there"}"#;
    let history = server.client.get("/session/history").cookie(("access_token", access.clone()));
    assert_eq!(history.dispatch().await.status().code, 200);
    for (origin, status) in [
        (Some("https://shop.example"), 200),
        (Some("http://localhost"), 200),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
        (None, 403),
    ] {
        let request = server.client.post("/messages/send").cookie(("access_token", access.clone()));
        let mut request = request.header(ContentType::JSON).header(Header::new("Host", "localhost")).body(body);
        if let Some(origin) = origin {
            request.add_header(Header::new("Origin", origin));
        }
        assert_eq!(request.dispatch().await.status().code, status, "{origin:?}");
    }
}

/// A revoked family stays revoked, whichever of its tokens is used.
#[rocket::async_test]
async fn a_revoked_family_does_not_come_back() {
    let server = server().await;
    let (access, first) = server.log_in("ann@mail.example").await;
    let (_, second) = refresh(&server, &first).await;
    after_the_leeway(&server).await;
    assert_eq!(refresh(&server, &first).await.0, 401);
    for token in [&first, &second, &first] {
        assert_eq!(refresh(&server, token).await.0, 401);
        assert_eq!(server.send(&access, "hello there").await.status, 401, "no session is reopened");
    }
}

#[rocket::async_test]
async fn a_user_that_cannot_be_stored_is_told() {
    let server = server().await;
    server.log_in("ann@mail.example").await;
    server
        .sql(
            "CREATE TABLE once (a UNIQUE); INSERT INTO once VALUES (1);
             CREATE TRIGGER nobody AFTER INSERT ON users BEGIN INSERT INTO once VALUES (1); END",
            "ALTER TABLE users ADD CONSTRAINT nobody CHECK (created_at < 0) NOT VALID",
        )
        .await;
    let answer = server.post("/auth/login", &[], r#"{"email":"bob@mail.example","password":"tulip"}"#).await;
    assert_eq!((answer.status, answer.code()), (500, "user_not_created"), "{}", answer.body);
    assert!(!answer.body.to_string().contains("nobody") && !answer.body.to_string().contains("UNIQUE"));
    assert_eq!(log_in(&server, "ann@mail.example", "tulip").await.0, 200, "existing users can log in");
}

#[rocket::async_test]
async fn hashes_queue_within_bounds() {
    let server = server_with(Rules::Dev, |config| {
        (config.auth.parallel_hashes, config.auth.waiting_hashes) = (1, 0);
    })
    .await;
    let emails: Vec<String> = (0..6).map(|i| format!("u{i}@mail.example")).collect();
    let told = rocket::futures::future::join_all(emails.iter().map(|email| log_in(&server, email, "tulip"))).await;
    let count = |status: u16| told.iter().filter(|(got, _)| *got == status).count();
    assert!(count(200) >= 1 && count(503) >= 1 && count(200) + count(503) == 6, "{told:?}");
    assert_eq!(log_in(&server, &emails[0], "tulip").await.0, 200, "the slots are free again");
}

/// Attempts are limited by client address. Only known proxies may forward another address than their own.
#[rocket::async_test]
async fn tries_are_limited_by_address() {
    let server = server_with(Rules::Dev, |config| {
        config.auth.logins_per_address = 3;
        config.proxies = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut users = 0;
    let mut try_from = async |peer: &str, forwarded: &'static str| {
        users += 1;
        let body = json!({ "email": format!("u{users}@mail.example"), "password": "tulip" }).to_string();
        let request = server.client.post("/auth/login").header(ContentType::JSON).body(body);
        let request = request.header(Header::new("X-Forwarded-For", forwarded));
        request.remote(format!("{peer}:4000").parse().unwrap()).dispatch().await.status().code
    };
    for _ in 0..3 {
        assert_eq!(try_from("10.0.0.2", "198.51.100.1").await, 200);
    }
    assert_eq!(try_from("10.0.0.2", "198.51.100.1").await, 429);
    assert_eq!(try_from("10.0.0.3", "198.51.100.1").await, 429, "the same client through another proxy");
    assert_eq!(try_from("10.0.0.2", "198.51.100.2").await, 200, "another client");
    for number in 0..4 {
        let told = try_from("203.0.113.9", ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"][number]).await;
        assert_eq!(told, if number < 3 { 200 } else { 429 }, "addresses from an unknown proxy are ignored");
    }
}
