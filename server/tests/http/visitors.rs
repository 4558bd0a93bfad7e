//! The chat page's sessions, guests, and a dialogue's turns page by page.

use banter_server::{config::Rules, expiry::remove_expired_guests};
use banter_stores::clock::SharedClock;
use rocket::http::Header;
use serde_json::{Value, json};

use crate::support::{Answer, Server, server, server_with};

const SHOP: &str = "https://shop.example";

async fn with_guests_of_the_shop() -> Server {
    server_with(Rules::Release, |config| {
        config.guests.origins = vec![SHOP.to_owned()];
        config.guests.messages = 3;
        config.guests.per_address = 4;
    })
    .await
}

async fn widget_guest(server: &Server, origin: &str) -> Answer {
    server.post("/widget/guest", &[("Origin", origin)], "").await
}

async fn say(server: &Server, token: &str, origin: Option<&str>, text: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Authorization", bearer.as_str())];
    headers.extend(origin.map(|origin| ("Origin", origin)));
    server.post("/messages/send", &headers, json!({ "text": text }).to_string()).await
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split([';', '=']).nth(1).unwrap().to_owned()
}

#[rocket::async_test]
async fn the_settings_are_for_everybody() {
    let server = server_with(Rules::Dev, |config| config.google.client_id = Some("shop".to_owned())).await;
    let settings = server.get("/settings", &[]).await;
    let expected = json!({ "bot": "test", "languages": ["en", "ru"], "guests": true, "google_client_id": "shop" });
    assert_eq!((settings.status, settings.body), (200, expected));
    let other = with_guests_of_the_shop().await.get("/settings", &[]).await;
    let expected = json!({ "bot": "test", "languages": ["en", "ru"], "guests": false, "google_client_id": null });
    assert_eq!(other.body, expected);
}

#[rocket::async_test]
async fn a_password_opens_a_session_in_a_cookie() {
    let server = server().await;
    let body = json!({ "email": "ann@mail.example", "password": "tulip" });
    let foreign = [("Origin", "https://evil.example"), ("Host", "localhost")];
    let refused = server.post("/session/password", &foreign, body.to_string()).await;
    assert_eq!((refused.status, refused.code()), (403, "foreign_origin"));
    let opened = server.submit("/session/password", "", body).await;
    assert_eq!((opened.status, &opened.body), (200, &json!({ "guest": false })));
    let session = server.browse("/session", &cookie_of(&opened)).await;
    assert_eq!(
        (session.status, session.body["guest"].as_bool(), session.body["admin"].as_bool()),
        (200, Some(false), Some(false))
    );
    let dialogs = session.body["dialogs"].as_array().unwrap();
    assert_eq!((dialogs.len(), dialogs[0]["is_default"].as_bool()), (1, Some(true)), "the default dialogue is there");
    let wrong = json!({ "email": "ann@mail.example", "password": "rose" });
    assert_eq!(server.submit("/session/password", "", wrong).await.code(), "wrong_password");
}

/// The embedded store keeps no sessions on disk, but a log-in goes on until it ends.
#[rocket::async_test]
async fn a_session_survives_a_restart_and_ends_with_the_log_out() {
    let server = server().await;
    let opened = server.submit("/session/guest", "", json!({})).await;
    let cookie = cookie_of(&opened);
    let restarted = server.with_the_same_stores().await;
    assert_eq!(restarted.browse("/session", &cookie).await.status, 200);
    assert_eq!(restarted.submit("/logout", &cookie, json!({})).await.status, 200);
    assert_eq!(restarted.browse("/session", &cookie).await.status, 401);
    let again = server.with_the_same_stores().await;
    assert_eq!(again.browse("/session", &cookie).await.status, 401);
}

#[rocket::async_test]
async fn the_page_has_guests_in_dev_only() {
    let server = server().await;
    let opened = server.submit("/session/guest", "", json!({})).await;
    assert_eq!((opened.status, &opened.body), (200, &json!({ "guest": true })));
    let cookie = cookie_of(&opened);
    assert_eq!(server.browse("/session", &cookie).await.body["guest"], json!(true));
    let answer = server.submit("/messages/send", &cookie, json!({ "text": "hello there" })).await;
    assert_eq!(answer.body["response"], json!("Hello!"));
    let release = with_guests_of_the_shop().await;
    assert_eq!(release.submit("/session/guest", "", json!({})).await.code(), "foreign_origin");
}

#[rocket::async_test]
async fn a_guest_of_a_site_is_good_for_that_site_alone() {
    let server = with_guests_of_the_shop().await;
    for origin in ["https://evil.example", "https://shop.example.evil.example", "null", ""] {
        let refused = widget_guest(&server, origin).await;
        assert_eq!((refused.status, refused.code()), (403, "foreign_origin"), "{origin}");
    }
    let guest = widget_guest(&server, SHOP).await;
    assert_eq!(guest.status, 200, "{}", guest.body);
    let token = guest.body["access_token"].as_str().unwrap();
    assert_eq!(say(&server, token, Some(SHOP), "hello there").await.body["response"], json!("Hello!"));
    for origin in [None, Some("https://evil.example")] {
        let refused = say(&server, token, origin, "hello there").await;
        assert_eq!((refused.status, refused.code()), (403, "foreign_origin"), "{origin:?}");
    }
    // A page reads from its own server without an origin.
    let bearer = format!("Bearer {token}");
    for (host, expected) in [("shop.example", 200), ("other.example", 403)] {
        let session = server.changed(|config| config.auth.secure_cookies = true).await;
        let session = session.get("/session", &[("Authorization", &bearer), ("Host", host)]).await;
        assert_eq!(session.status, expected, "{host}");
    }
    let refresh = guest.body["refresh_token"].as_str().unwrap();
    let body = json!({ "refresh_token": refresh }).to_string();
    assert_eq!(server.post("/auth/refresh", &[], &body).await.code(), "foreign_origin");
    let renewed = server.post("/auth/refresh", &[("Origin", SHOP)], &body).await;
    let token = renewed.body["access_token"].as_str().unwrap();
    assert_eq!(say(&server, token, None, "hello there").await.code(), "foreign_origin");
    assert_eq!(say(&server, token, Some(SHOP), "hello there").await.status, 200);
    // The admin takes the site off the list.
    let without = server.changed(|config| config.guests.origins.clear()).await;
    let body = json!({ "refresh_token": renewed.body["refresh_token"] }).to_string();
    assert_eq!(without.post("/auth/refresh", &[("Origin", SHOP)], body).await.code(), "foreign_origin");
}

#[rocket::async_test]
async fn guests_have_limits_of_their_own() {
    let server = with_guests_of_the_shop().await;
    let guest = widget_guest(&server, SHOP).await;
    let token = guest.body["access_token"].as_str().unwrap();
    for expected in [200, 200, 200, 429] {
        let answer = say(&server, token, Some(SHOP), "hello there").await;
        assert_eq!(answer.status, expected, "{}", answer.body);
        assert_eq!(answer.header("retry-after").is_empty(), expected == 200);
    }
    let (user, _) = server.log_in("ann@mail.example").await;
    for _ in 0..5 {
        assert_eq!(server.send(&user, "hello there").await.status, 200, "an account has no such limit");
    }
    for expected in [200, 200, 200, 429] {
        assert_eq!(widget_guest(&server, SHOP).await.status, expected);
    }
}

#[rocket::async_test]
async fn sites_of_the_widget_get_no_credentials() {
    let server = with_guests_of_the_shop().await;
    let preflight = server
        .client
        .options("/messages/send")
        .header(Header::new("Origin", SHOP))
        .header(Header::new("Access-Control-Request-Method", "POST"))
        .dispatch()
        .await;
    let header = |name| preflight.headers().get_one(name);
    assert_eq!(preflight.status().code, 204);
    assert_eq!(header("Access-Control-Allow-Origin"), Some(SHOP));
    assert_eq!(header("Access-Control-Allow-Credentials"), None);
    assert!(header("Access-Control-Allow-Headers").unwrap().contains("Last-Event-ID"));
}

#[rocket::async_test]
async fn turns_come_in_pages() {
    let server = server().await;
    let (token, _) = server.log_in("ann@mail.example").await;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    for text in ["hello there", "where is my order", "A-1042"] {
        assert_eq!(server.send(&token, text).await.status, 200);
    }
    let dialogue = server.get("/session", &headers).await.body["dialogs"][0]["dialog_id"].clone();
    let page = async |query: &str| server.get(&format!("/dialogs/{dialogue}/turns{query}"), &headers).await;
    let numbers = |answer: &Answer| -> Vec<i64> {
        let turns = answer.body["turns"].as_array().unwrap();
        turns.iter().map(|turn| turn["seq"].as_i64().unwrap()).collect()
    };
    let all = page("").await;
    assert_eq!(numbers(&all), [1, 2, 3]);
    let expected: Value = json!([{ "type": "text", "text": "Hello!", "suggestions": ["track order"] }]);
    assert_eq!((&all.body["turns"][0]["outputs"], &all.body["waiting"]), (&expected, &json!(false)));
    for (query, expected) in [
        ("?limit=2", vec![2, 3]),
        ("?limit=2&before=3", vec![1, 2]),
        ("?before=2", vec![1]),
        ("?before=1", vec![]),
        ("?before=99", vec![1, 2, 3]),
        ("?before=9223372036854775807&limit=1", vec![3]),
    ] {
        assert_eq!(numbers(&page(query).await), expected, "{query}");
    }
    for query in ["?limit=0", "?limit=101", "?limit=x", "?before=0", "?before=-1"] {
        assert_eq!(page(query).await.code(), "invalid_parameter", "{query}");
    }
}

/// With and without the built files: the tests run where npm is missing, too.
#[rocket::async_test]
async fn the_pages_have_a_strict_policy() {
    let server = server_with(Rules::Dev, |config| config.frame_ancestors = vec![SHOP.to_owned()]).await;
    for path in ["/", "/console"] {
        let page = server.browse_page(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.as_str().unwrap().contains("<title>banter"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        let ancestors = if path == "/" { SHOP } else { "'none'" };
        assert!(policy.ends_with(&format!("frame-ancestors {ancestors}")), "the console is never framed: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("google"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "", "it would forbid what the policy allows");
    }
    for path in ["/assets/nothing.js", "/assets/..%2Findex.html"] {
        let answer = server.get(path, &[]).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{path}");
    }
    let answer = server.browse_page("/console/").await;
    assert_eq!((answer.status, answer.header("location")), (308, "../console"));
    let google = server.changed(|config| config.google.client_id = Some("shop".to_owned())).await;
    let policy = google.browse_page("/").await.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self' https://accounts.google.com/gsi/client;"), "{policy}");
}

#[rocket::async_test]
async fn a_guest_whose_log_in_has_ended_goes_with_their_messages() {
    let server = with_guests_of_the_shop().await;
    let (old, new) = (widget_guest(&server, SHOP).await, widget_guest(&server, SHOP).await);
    let token = |guest: &Answer| guest.body["access_token"].as_str().unwrap().to_owned();
    let (ann, _) = server.log_in("ann@mail.example").await;
    say(&server, &token(&old), Some(SHOP), "hello there").await;
    server.send(&ann, "hello there").await;
    let end = "UPDATE users SET created_at = 0; DELETE FROM refresh_tokens WHERE user_id = (SELECT MIN(user_id) FROM refresh_tokens)";
    server.sql(end, end).await;
    let (stores, clock): (_, SharedClock) = (server.backend.stores(), server.clock.clone());
    assert_eq!(remove_expired_guests(&stores, &clock).await.unwrap(), 1);
    assert_eq!(remove_expired_guests(&stores, &clock).await.unwrap(), 0);
    for (token, expected) in [(token(&old), 401), (token(&new), 200), (ann, 200)] {
        assert_eq!(say(&server, &token, Some(SHOP), "hello there").await.status, expected);
    }
}
