//! `/create/users`, `/me` and `/logout`: sign-in by Google and cookie sessions.

mod publisher;

use std::sync::LazyLock;

use banter_server::config::{Config, Rules};
use banter_stores::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Answer, Server, server_with};
use publisher::{CLIENT_ID, FIRST, KeyPair, Publisher};

static SECOND: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::make("second"));

fn google(publisher: &Publisher) -> impl FnOnce(&mut Config) + use<> {
    let url = publisher.url.clone();
    move |config| {
        config.google.client_id = Some(CLIENT_ID.to_owned());
        config.google.keys_url = url;
        config.auth.logins_per_email = 1_000;
    }
}

async fn google_server() -> (Server, Publisher) {
    let publisher = Publisher::start();
    (server_with(Rules::Dev, google(&publisher)).await, publisher)
}

async fn sign_in(server: &Server, token: &str) -> Answer {
    server.post("/create/users", &[], json!({ "token": token }).to_string()).await
}

/// The session cookie of a good sign-in.
async fn session(server: &Server, claims: Value) -> String {
    let answer = sign_in(server, &FIRST.token(server.clock.now(), claims)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    cookie_of(&answer)
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap().strip_prefix("access_token=").unwrap().to_owned()
}

/// What the user of a session has said.
async fn said(server: &Server, cookie: &str) -> Vec<String> {
    let answer = server.browse("/session/history", cookie).await;
    let entries = answer.body["history"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
}

async fn say(server: &Server, cookie: &str, text: &str) {
    assert_eq!(server.submit("/messages/send", cookie, json!({ "text": text })).await.status, 200);
}

#[rocket::async_test]
async fn google_opens_a_session_of_a_day() {
    let (server, _publisher) = google_server().await;
    let answer = sign_in(&server, &FIRST.token(server.clock.now(), json!({}))).await;
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "status": "successful",
      "email": "ann@mail.example",
      "given_name": "Ann",
      "family_name": "Lee",
      "picture": "https://pictures.example/ann.png"
    }
    "#);
    let cookie = cookie_of(&answer);
    let attributes = answer.header("set-cookie").replace(&cookie, "…");
    assert_eq!(attributes, "access_token=…; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400");
    insta::assert_json_snapshot!(server.browse("/me", &cookie).await.body, @r#"
    {
      "server": "ok",
      "content": [
        {
          "given_name": "Ann",
          "family_name": "Lee",
          "picture": "https://pictures.example/ann.png"
        }
      ]
    }
    "#);
    say(&server, &cookie, "hello there").await;
    let again = session(&server, json!({ "picture": "https://pictures.example/new.png" })).await;
    assert_eq!(said(&server, &again).await, ["hello there"], "the same user");
    assert_eq!(server.browse("/me", &again).await.body["content"][0]["picture"], "https://pictures.example/new.png");
    let (access, _) = server.log_in("bob@mail.example").await;
    let me = server.get("/me", &[("Authorization", &format!("Bearer {access}"))]).await;
    assert_eq!(me.body["content"][0]["given_name"], "", "no Google account, no name");
    server.clock.advance(86_400_000);
    assert_eq!(server.browse("/me", &cookie).await.status, 401, "the session is over");
}

#[rocket::async_test]
async fn secure_cookies_are_for_https() {
    let publisher = Publisher::start();
    let server = server_with(Rules::Dev, |config| {
        google(&publisher)(config);
        config.auth.secure_cookies = true;
    })
    .await;
    let answer = sign_in(&server, &FIRST.token(server.clock.now(), json!({}))).await;
    assert!(answer.header("set-cookie").contains("; Secure;"), "{}", answer.header("set-cookie"));
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}

#[rocket::async_test]
async fn tokens_that_are_not_googles_for_us_are_refused() {
    let (server, _publisher) = google_server().await;
    let now = server.clock.now();
    let seconds = now / 1_000;
    let bad = |claims: Value| FIRST.token(now, claims);
    let good = bad(json!({}));
    let claims = FIRST.claims(now, json!({}));
    let forged = |algorithm, key: EncodingKey| {
        encode(&Header { kid: Some("first".to_owned()), ..Header::new(algorithm) }, &claims, &key).unwrap()
    };
    let (head, signature) = good.rsplit_once('.').unwrap();
    for (name, token) in [
        ("for another client", bad(json!({ "aud": "other" }))),
        ("of another issuer", bad(json!({ "iss": "https://evil.example" }))),
        ("without an issuer", bad(json!({ "iss": null }))),
        ("without an audience", bad(json!({ "aud": null }))),
        ("expired", bad(json!({ "exp": seconds - 61 }))),
        ("without an end", bad(json!({ "exp": null }))),
        ("not valid yet", bad(json!({ "nbf": seconds + 120 }))),
        ("without a subject", bad(json!({ "sub": "" }))),
        ("signed with the public key", forged(Algorithm::HS256, EncodingKey::from_secret(FIRST.modulus.as_bytes()))),
        ("of an unknown key", SECOND.token(now, json!({}))),
        ("cut", head.to_owned()),
        ("with another signature", format!("{head}.{}", signature.chars().rev().collect::<String>())),
        ("no JWT", "x.y.z".to_owned()),
        ("too long", "x".repeat(9_000)),
    ] {
        let answer = sign_in(&server, &token).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_google_token"), "{name}: {}", answer.body);
        assert_eq!(answer.header("set-cookie"), "", "{name}");
    }
    for body in [json!({}), json!({ "token": null }), json!({ "token": " " })] {
        let answer = server.post("/create/users", &[], body.to_string()).await;
        assert_eq!((answer.status, answer.code()), (400, "missing_token"), "{body}");
    }
    let seconds = server.clock.now() / 1_000;
    let answer = sign_in(&server, &bad(json!({ "exp": seconds - 50, "nbf": seconds + 50 }))).await;
    assert_eq!(answer.status, 200, "clocks may be a minute apart: {}", answer.body);
}

#[rocket::async_test]
async fn keys_are_fetched_when_they_are_needed() {
    let (server, publisher) = google_server().await;
    session(&server, json!({})).await;
    session(&server, json!({})).await;
    assert_eq!(publisher.fetches(), 1, "they are kept");
    let token =
        async |key: &publisher::KeyPair| sign_in(&server, &key.token(server.clock.now(), json!({}))).await.status;
    assert_eq!((token(&SECOND).await, token(&SECOND).await), (401, 401));
    assert_eq!(publisher.fetches(), 2, "an unknown key is looked for once");
    publisher.publish(&[&FIRST, &SECOND]);
    assert_eq!(token(&SECOND).await, 401, "at most once a minute");
    server.clock.advance(60_000);
    assert_eq!((token(&SECOND).await, publisher.fetches()), (200, 3));
    server.clock.advance(600_000);
    publisher.publish(&[&SECOND]);
    assert_eq!((token(&FIRST).await, publisher.fetches()), (401, 5), "max-age is over; then the unknown key");
}

#[rocket::async_test]
async fn without_googles_keys_nobody_is_signed_in() {
    let server = server_with(Rules::Dev, |config| {
        config.google.client_id = Some(CLIENT_ID.to_owned());
        config.google.keys_url = "http://127.0.0.1:9/certs".to_owned();
    })
    .await;
    for _ in 0..2 {
        let answer = sign_in(&server, &FIRST.token(server.clock.now(), json!({}))).await;
        assert_eq!((answer.status, answer.code()), (503, "unavailable"), "{}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap().contains("google"), "{}", answer.body);
    }
    let off = crate::support::server().await;
    let answer = sign_in(&off, &FIRST.token(off.clock.now(), json!({}))).await;
    assert_eq!((answer.status, answer.code()), (404, "not_found"), "without a client id");
}

/// Anyone can log in with a password and any address. The owner of the address gets the account, and whoever took it
/// gets nothing more.
#[rocket::async_test]
async fn an_address_goes_to_its_owner() {
    let (server, _publisher) = google_server().await;
    let (access, refresh) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&access, "hello there").await.status, 200);
    let cookie = session(&server, json!({})).await;
    say(&server, &cookie, "good morning friend").await;
    assert_eq!(said(&server, &cookie).await, ["hello there", "good morning friend"]);
    for token in [&access, &refresh] {
        let bearer = format!("Bearer {token}");
        let answer = server.get("/session/history", &[("Authorization", &bearer)]).await;
        assert_eq!(answer.status, 401, "who came first reads nothing: {}", answer.body);
    }
    let body = json!({ "refresh_token": refresh }).to_string();
    assert_eq!(server.post("/auth/refresh", &[], body).await.status, 401);
    let body = json!({ "email": "ann@mail.example", "password": "tulip" }).to_string();
    let answer = server.post("/auth/login", &[], body).await;
    assert_eq!((answer.status, answer.code()), (401, "wrong_password"));
    assert_eq!(said(&server, &cookie).await.len(), 2, "the owner stays");
}

#[rocket::async_test]
async fn a_verified_address_joins_both_accounts() {
    let (server, _publisher) = google_server().await;
    let (access, _) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&access, "hello there").await.status, 200);
    assert!(server.backend.stores().users.verify_email("ann@mail.example").await.unwrap());
    let cookie = session(&server, json!({ "email": "Ann@Mail.example" })).await;
    say(&server, &cookie, "good morning friend").await;
    let (again, _) = server.log_in("ann@mail.example").await;
    let answer = server.get("/session/history", &[("Authorization", &format!("Bearer {again}"))]).await;
    assert_eq!(answer.body["history"].as_array().unwrap().len(), 2, "one user, both ways in: {}", answer.body);
    assert_eq!(server.send(&access, "hello there").await.status, 200, "the first session goes on");
}

#[rocket::async_test]
async fn accounts_that_share_only_an_address_stay_apart() {
    let (server, _publisher) = google_server().await;
    let ann = session(&server, json!({})).await;
    say(&server, &ann, "hello there").await;
    let other = session(&server, json!({ "sub": "1002" })).await;
    assert_eq!(said(&server, &other).await, [""; 0], "an address may be given to somebody else");
    let unverified =
        session(&server, json!({ "sub": "1003", "email": "bob@mail.example", "email_verified": false })).await;
    say(&server, &unverified, "hello there").await;
    let (access, _) = server.log_in("bob@mail.example").await;
    let answer = server.get("/session/history", &[("Authorization", &format!("Bearer {access}"))]).await;
    assert_eq!(answer.body["history"], json!([]), "Google has not verified this address");
    let body = json!({ "email": "ann@mail.example", "password": "tulip" }).to_string();
    assert_eq!(server.post("/auth/login", &[], body).await.status, 401, "an owned address takes no password");
}

#[rocket::async_test]
async fn a_log_out_ends_the_session_on_every_server() {
    let (server, _publisher) = google_server().await;
    let (ann, tab) = (session(&server, json!({})).await, session(&server, json!({})).await);
    let other = server.with_the_same_stores().await;
    // The embedded store has one server.
    let elsewhere = if crate::EXTERNAL { &other } else { &server };
    assert_eq!(elsewhere.browse("/me", &ann).await.status, 200);
    let answer = server.submit("/logout", &ann, json!({})).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({ "server": "ok" })));
    assert!(answer.header("set-cookie").starts_with("access_token=; "), "{}", answer.header("set-cookie"));
    assert!(answer.header("set-cookie").contains("Max-Age=0"), "{}", answer.header("set-cookie"));
    for place in [&server, elsewhere] {
        assert_eq!(place.browse("/me", &ann).await.status, 401);
        assert_eq!(place.browse("/me", &tab).await.status, 200, "another log-in goes on");
    }
    assert_eq!(server.submit("/logout", &ann, json!({})).await.status, 401, "nobody is logged in");
    let foreign = server.client.post("/logout").cookie(("access_token", tab.clone()));
    assert_eq!(foreign.dispatch().await.status().code, 403, "no page elsewhere logs users out");
    let (access, refresh) = server.log_in("bob@mail.example").await;
    let bearer = format!("Bearer {access}");
    assert_eq!(server.post("/logout", &[("Authorization", &bearer)], "{}").await.status, 200);
    assert_eq!(server.send(&access, "hello there").await.status, 401);
    let body = json!({ "refresh_token": refresh }).to_string();
    assert_eq!(server.post("/auth/refresh", &[], body).await.status, 401, "the family has ended");
}
