//! Dialogues that are handed off: the external AI, the flag, and what is said meanwhile.

use std::time::{Duration, Instant};

use banter_server::config::Rules;
use banter_stores::secret::Secret;
use futures::future::{join, join_all};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::{Answer, Server, server_with};

const KEY: &str = "the key of the external AI";
/// The bot hands this off.
const QUESTION: &str = "track order Z-0000";

async fn server() -> Server {
    server_with(Rules::Dev, |config| config.hand_off.key = Some(Secret::new(KEY.to_owned()).into())).await
}

/// A user with one dialogue, on one server.
struct Client<'s> {
    server: &'s Server,
    bearer: String,
    user: i64,
    dialog: i64,
}

impl<'s> Client<'s> {
    async fn log_in(server: &'s Server, email: &str) -> Self {
        let bearer = format!("Bearer {}", server.log_in(email).await.0);
        let headers = [("Authorization", bearer.as_str())];
        let created = server.post("/dialogs/create", &headers, json!({ "dialog_name": "orders" }).to_string()).await;
        let history = server.get("/session/history", &headers).await;
        let user = history.body["user_id"].as_str().unwrap().parse().unwrap();
        Self { server, user, dialog: created.body["dialog"].as_i64().unwrap(), bearer }
    }

    fn on<'o>(&self, server: &'o Server) -> Client<'o> {
        Client { server, bearer: self.bearer.clone(), ..*self }
    }

    async fn ask(&self, text: &str, key: &str) -> Answer {
        let headers = [("Authorization", self.bearer.as_str()), ("Idempotency-Key", key)];
        let body = json!({ "dialog_id": self.dialog, "text_user": text });
        self.server.post("/send/message/ai", &headers, body.to_string()).await
    }

    async fn say(&self, text: &str) -> String {
        let body = json!({ "dialog_id": self.dialog, "text": text });
        let answer = self.server.post("/messages/send", &[("Authorization", &self.bearer)], body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["response"].as_str().unwrap().to_owned()
    }

    async fn flag(&self) -> bool {
        let path = format!("/dialogs/flag/{}", self.dialog);
        let answer = self.server.get(&path, &[("Authorization", &self.bearer)]).await;
        assert_eq!((answer.status, &answer.body["server"]), (200, &json!("ok")));
        answer.body["content"].as_bool().unwrap()
    }

    async fn transcript(&self) -> Vec<String> {
        let path = format!("/dialogs/{}", self.dialog);
        let answer = self.server.get(&path, &[("Authorization", &self.bearer)]).await;
        let said = answer.body["dialogs"].as_array().unwrap();
        let line = |one: &Value| format!("{}: {}", one["role"].as_str().unwrap(), one["content"].as_str().unwrap());
        said.iter().map(line).collect()
    }

    /// The answer of the external AI, through `server`.
    async fn answered_on(&self, server: &Server, text: &str) -> Answer {
        let body = json!({ "user_id": self.user, "dialog_id": self.dialog, "text_user": text });
        server.post("/send/message/user", &[("X-Messages-Key", KEY)], body.to_string()).await
    }

    /// Asks what the bot hands off, and does `work` as soon as the flag is set.
    async fn ask_while<T>(&self, key: &str, work: impl Future<Output = T>) -> (Answer, T) {
        let rest = async {
            self.wait_for_flag().await;
            work.await
        };
        timeout(Duration::from_secs(20), join(self.ask(QUESTION, key), rest)).await.expect("the request is woken")
    }

    async fn wait_for_flag(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        while !self.flag().await {
            assert!(Instant::now() < end, "the flag is not set");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn waiting(server: &Server, query: &str) -> Vec<(i64, String)> {
    let answer = server.get(&format!("/messages{query}"), &[("X-Messages-Key", KEY)]).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{}", answer.body);
    let list = answer.body["service_message"].as_array().unwrap();
    let pair = |one: &Value| (one["dialog_id"].as_i64().unwrap(), one["content"].as_str().unwrap().to_owned());
    list.iter().map(pair).collect()
}

#[rocket::async_test]
async fn the_external_ai_answers_what_the_bot_hands_off() {
    let server = server().await;
    let other = server.with_the_same_stores().await;
    // The embedded store has one server.
    let two = if crate::EXTERNAL { &other } else { &server };
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let hello = ann.ask("hello there", "a").await;
    assert_eq!((hello.status, &hello.body), (200, &json!({ "server": "ok", "answer_ai": "Hello!" })));
    assert!(!ann.flag().await);

    let meanwhile = async {
        let busy = ann.on(two).ask("hello there", "c").await;
        assert_eq!((busy.status, busy.code()), (409, "handed_off"), "{}", busy.body);
        assert_eq!(waiting(two, "").await, [(ann.dialog, QUESTION.to_owned())]);
        let answered = ann.answered_on(two, "I am Olga.").await;
        assert_eq!((answered.status, &answered.body["service_message"]), (200, &json!("Сообщение записано")));
    };
    let (answer, ()) = ann.ask_while("b", meanwhile).await;
    assert_eq!((answer.status, &answer.body["answer_ai"]), (200, &json!("I am Olga.")), "{}", answer.body);
    assert!(!ann.flag().await && !ann.on(two).flag().await);
    assert_eq!(waiting(two, "").await, []);
    let late = ann.answered_on(two, "once more").await;
    assert_eq!((late.status, late.code()), (409, "nothing_waits"));
    let again = ann.on(two).ask(QUESTION, "b").await;
    assert_eq!((again.status, &again.body["answer_ai"]), (200, &json!("I am Olga.")), "a repeat gets the answer");
    let lines = ["user: hello there", "bot: Hello!", "user: track order Z-0000", "bot: Calling.", "bot: I am Olga."];
    assert_eq!(ann.transcript().await, lines);
    assert_eq!(ann.on(two).ask("hello there", "d").await.body["answer_ai"], json!("Hello!"), "the bot goes on");
}

#[rocket::async_test]
async fn whoever_answers_sees_what_the_bot_knows() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    ann.say("hello there").await;
    ann.say(QUESTION).await;
    let listed = server.get("/messages", &[("X-Messages-Key", KEY)]).await;
    let question = &listed.body["service_message"][0];
    assert_eq!(question["slots"], json!({ "order_id": "Z-0000" }));
    let history = json!([{ "user": "hello there", "bot": "Hello!" }, { "user": QUESTION, "bot": "Calling." }]);
    assert_eq!(question["history"], history);
}

#[rocket::async_test]
async fn what_is_said_meanwhile_is_kept_and_shown_to_whoever_answers() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    assert_eq!(ann.say(QUESTION).await, "Calling.");
    assert_eq!(ann.say("hello there").await, "", "the bot is silent");
    assert_eq!(ann.say("are you there?").await, "");
    let content = format!("{QUESTION}\nhello there\nare you there?");
    assert_eq!(waiting(&server, "").await, [(ann.dialog, content)]);
    assert_eq!(ann.answered_on(&server, "Yes.").await.status, 200);
    assert_eq!(ann.say("hello there").await, "Hello!");
    let history = server.get("/session/history", &[("Authorization", &ann.bearer)]).await;
    let last: Vec<&Value> = history.body["history"].as_array().unwrap().iter().rev().take(2).collect();
    assert_eq!((&last[1]["text"], &last[1]["response"]), (&json!(""), &json!("Yes.")), "{}", history.body);
}

#[rocket::async_test]
async fn a_request_that_waits_in_vain_is_repeated_and_gets_the_late_answer() {
    let server = server_with(Rules::Dev, |config| {
        config.hand_off.key = Some(Secret::new(KEY.to_owned()).into());
        config.hand_off.wait_seconds = 1;
    })
    .await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let first = ann.ask(QUESTION, "a").await;
    assert_eq!((first.status, first.code()), (504, "no_answer"), "{}", first.body);
    assert!(ann.flag().await, "the flag stays");
    assert_eq!(ann.answered_on(&server, "Late, but here.").await.status, 200);
    let again = ann.ask(QUESTION, "a").await;
    assert_eq!((again.status, &again.body["answer_ai"]), (200, &json!("Late, but here.")), "{}", again.body);
    assert_eq!(ann.transcript().await.last().unwrap(), "bot: Late, but here.");
    assert_eq!(ann.transcript().await.len(), 3, "nothing is stored twice");
}

#[rocket::async_test]
async fn after_the_authors_time_the_bot_speaks_again() {
    let server = server_with(Rules::Dev, |config| {
        config.hand_off.key = Some(Secret::new(KEY.to_owned()).into());
        config.auth.access_minutes = 60;
    })
    .await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    ann.say(QUESTION).await;
    server.clock.advance(10 * 60 * 1_000);
    assert!(!ann.flag().await);
    assert_eq!(waiting(&server, "").await, []);
    assert_eq!(ann.answered_on(&server, "Sorry, it took long.").await.status, 200, "nobody has spoken since");
    ann.say(QUESTION).await;
    server.clock.advance(10 * 60 * 1_000);
    assert_eq!(ann.say("hello there").await, "Hello!");
    assert_eq!(ann.answered_on(&server, "too late").await.code(), "nothing_waits");
}

#[rocket::async_test]
async fn an_admin_gives_a_dialogue_back() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let admin = std::fs::read_to_string(server.config.data_dir.join("admin.key")).unwrap();
    let give_back = async |dialog: i64| {
        server.post(&format!("/admin/dialogs/{dialog}/give-back"), &[("X-Admin-Key", &admin)], "").await
    };
    assert_eq!(give_back(ann.dialog).await.code(), "nothing_waits");
    assert_eq!(give_back(ann.dialog + 1_000).await.code(), "unknown_dialog");
    let (answer, given_back) = ann.ask_while("a", give_back(ann.dialog)).await;
    assert_eq!(given_back.status, 200);
    assert_eq!((answer.status, answer.code()), (504, "given_back"));
    assert_eq!(ann.say("hello there").await, "Hello!");
    let lines = ["user: track order Z-0000", "bot: Calling.", "user: hello there", "bot: Hello!"];
    assert_eq!(ann.transcript().await, lines);
}

#[rocket::async_test]
async fn two_workers_do_not_get_the_same_question() {
    let server = server().await;
    let (ann, bob) =
        (Client::log_in(&server, "ann@mail.example").await, Client::log_in(&server, "bob@mail.example").await);
    ann.say(QUESTION).await;
    bob.say(QUESTION).await;
    let mut leased: Vec<i64> = join_all((0..4).map(|_| waiting(&server, "?claim=30")))
        .await
        .into_iter()
        .flatten()
        .map(|(dialog, _)| dialog)
        .collect();
    leased.sort_unstable();
    assert_eq!(leased, [ann.dialog, bob.dialog]);
    assert_eq!(waiting(&server, "").await, []);
    server.clock.advance(30_000);
    assert_eq!(waiting(&server, "").await.len(), 2);
    for claim in ["0", "3601", "x", "-1", ""] {
        let answer = server.get(&format!("/messages?claim={claim}"), &[("X-Messages-Key", KEY)]).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid_parameter"), "{claim}");
    }
    // Both workers answer all the same: one answer counts, and a repeat of it is harmless.
    let body = json!({ "user_id": ann.user, "dialog_id": ann.dialog, "text_user": "One." }).to_string();
    let answer = async |key: &str| {
        server.post("/send/message/user", &[("X-Messages-Key", KEY), ("Idempotency-Key", key)], &body).await.status
    };
    let mut both = join_all([answer("a"), answer("b")]).await;
    both.sort_unstable();
    assert_eq!(both, [200, 409]);
    let repeated = join_all([answer("a"), answer("b")]).await;
    assert!(repeated.contains(&200), "{repeated:?}");
    assert_eq!(ann.transcript().await.iter().filter(|line| *line == "bot: One.").count(), 1);
}

#[rocket::async_test]
async fn the_same_request_twice_at_once_gets_one_answer() {
    let server = server().await;
    let other = server.with_the_same_stores().await;
    let two = if crate::EXTERNAL { &other } else { &server };
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let meanwhile = async {
        let twin = ann.on(two);
        let answers = async {
            sleep(Duration::from_millis(50)).await;
            let body = json!({ "user_id": ann.user, "dialog_id": ann.dialog, "text_user": "Once." }).to_string();
            let headers = [("X-Messages-Key", KEY), ("Idempotency-Key", "answer")];
            join(server.post("/send/message/user", &headers, &body), two.post("/send/message/user", &headers, &body))
                .await
        };
        join(twin.ask(QUESTION, "a"), answers).await
    };
    let (first, (second, (one, another))) = ann.ask_while("a", meanwhile).await;
    assert_eq!((one.status, another.status), (200, 200), "{} {}", one.body, another.body);
    for answer in [first, second] {
        assert_eq!((answer.status, &answer.body["answer_ai"]), (200, &json!("Once.")), "{}", answer.body);
    }
    assert_eq!(ann.transcript().await.len(), 3, "nothing is stored twice");
}

#[rocket::async_test]
async fn an_answer_that_meets_a_message_is_stored_once() {
    let server = server().await;
    let other = server.with_the_same_stores().await;
    let two = if crate::EXTERNAL { &other } else { &server };
    let ann = Client::log_in(&server, "ann@mail.example").await;
    for round in 0..8 {
        ann.say(QUESTION).await;
        let text = format!("answer {round}");
        let (_, answered) = join(ann.say("hello there"), ann.answered_on(two, &text)).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
    }
    let said = ann.transcript().await;
    for round in 0..8 {
        let line = format!("bot: answer {round}");
        assert_eq!(said.iter().filter(|said| **said == line).count(), 1, "{line}: {said:?}");
    }
    assert_eq!(said.iter().filter(|line| *line == "user: hello there").count(), 8);
}

#[rocket::async_test]
async fn an_answer_goes_to_its_own_question() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let admin = std::fs::read_to_string(server.config.data_dir.join("admin.key")).unwrap();
    let asked = async || {
        ann.say(QUESTION).await;
        let listed = server.get("/messages", &[("X-Messages-Key", KEY)]).await;
        listed.body["service_message"][0]["waits_until"].as_i64().unwrap()
    };
    let first = asked().await;
    let path = format!("/admin/dialogs/{}/give-back", ann.dialog);
    assert_eq!(server.post(&path, &[("X-Admin-Key", &admin)], "").await.status, 200);
    server.clock.advance(1_000);
    let second = asked().await;
    for (until, status) in [(first, 409), (second, 200)] {
        let body = json!({ "user_id": ann.user, "dialog_id": ann.dialog, "text_user": "Yes.", "waits_until": until });
        let answer = server.post("/send/message/user", &[("X-Messages-Key", KEY)], body.to_string()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[rocket::async_test]
async fn senders_of_the_rest_channel_wait_too() {
    let server = server().await;
    let send = async |text: &str| {
        let body = json!({ "sender": "cid", "message": text }).to_string();
        let answer = server.post("/webhooks/rest/webhook", &[], body).await;
        answer.body.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(send(QUESTION).await, ["Calling."]);
    assert_eq!(send("hello there").await, [""; 0], "the bot is silent");
    let listed = waiting(&server, "").await;
    assert_eq!(listed[0].1, format!("{QUESTION}\nhello there"));
}

#[rocket::async_test]
async fn a_deleted_dialogue_ends_the_wait() {
    let server = server().await;
    let ann = Client::log_in(&server, "ann@mail.example").await;
    let body = json!({ "dialog_id": ann.dialog }).to_string();
    let headers = [("Authorization", ann.bearer.as_str())];
    let (answer, deleted) = ann.ask_while("a", server.post("/dialogs/delete", &headers, body)).await;
    assert_eq!(deleted.status, 200);
    assert_eq!((answer.status, answer.code()), (403, "foreign_dialog"), "{}", answer.body);
    assert_eq!(waiting(&server, "").await, []);
    assert_eq!(ann.answered_on(&server, "hello?").await.status, 404);
}

#[rocket::async_test]
async fn wrong_requests_are_refused() {
    let server = server().await;
    let (ann, bob) =
        (Client::log_in(&server, "ann@mail.example").await, Client::log_in(&server, "bob@mail.example").await);
    assert_eq!(Client { dialog: bob.dialog, ..ann.on(&server) }.ask("hello there", "a").await.code(), "foreign_dialog");
    let foreign = server.get(&format!("/dialogs/flag/{}", bob.dialog), &[("Authorization", &ann.bearer)]).await;
    assert_eq!((foreign.status, foreign.code()), (404, "unknown_dialog"));
    for key in ["", "another key"] {
        assert_eq!(server.get("/messages", &[("X-Messages-Key", key)]).await.code(), "wrong_key");
        let posted = server.post("/send/message/user", &[("X-Messages-Key", key)], "{}").await;
        assert_eq!((posted.status, posted.code()), (403, "wrong_key"));
    }
    let closed = crate::support::server().await;
    assert_eq!(closed.get("/messages", &[("X-Messages-Key", "")]).await.status, 403, "without a key it is closed");
    for (user, dialog, text, status, code) in [
        (ann.user, bob.dialog, "hi", 404, "unknown_dialog"),
        (ann.user, ann.dialog, "hi", 409, "nothing_waits"),
        (ann.user, ann.dialog, " ", 422, "invalid_text"),
        (0, ann.dialog, "hi", 422, "invalid_field"),
        (ann.user, 0, "hi", 422, "invalid_field"),
    ] {
        let body = json!({ "user_id": user, "dialog_id": dialog, "text_user": text }).to_string();
        let answer = server.post("/send/message/user", &[("X-Messages-Key", KEY)], body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
    }
}
