//! Twenty users wait for answers from outside while something breaks. Each gets the answer to the own question, once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ureq::Agent;

use crate::{
    fleet::{ANSWERER_KEY, Fleet, Setup},
    services::script,
};

const USERS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(90);
/// The demo bot hands this off.
const QUESTION: &str = "I want to talk to a human";

struct User {
    token: String,
    dialog: i64,
}

/// Requests without headers that say who asks.
fn agent(patience: Duration) -> Agent {
    Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false).proxy(None).build().into()
}

/// Status and JSON; `None` if the request failed.
fn post(agent: &Agent, url: &str, headers: &[(&str, &str)], body: &Value) -> Option<(u16, Value)> {
    let request = agent.post(url).header("Content-Type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let mut response = request.send(body.to_string()).ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}

fn get(agent: &Agent, url: &str, header: (&str, &str)) -> Option<Value> {
    let mut response = agent.get(url).header(header.0, header.1).call().ok()?;
    serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
}

fn answer_for(dialog: i64) -> String {
    format!("the answer for dialogue {dialog}")
}

impl User {
    fn create(fleet: &Fleet, number: usize) -> Self {
        let agent = agent(Duration::from_secs(10));
        let (address, login) =
            (fleet.address(number % 2), json!({ "email": format!("waits{number}@mail.example"), "password": "tulip" }));
        let (_, tokens) = post(&agent, &format!("{address}/auth/login"), &[], &login).unwrap();
        // A refresh token is proven by PostgreSQL, so that an outage of Redis does not end the log-in.
        let token = format!("Bearer {}", tokens["refresh_token"].as_str().unwrap());
        let headers = [("Authorization", token.as_str())];
        let body = json!({ "dialog_name": "orders" });
        let (_, created) = post(&agent, &format!("{address}/dialogs/create"), &headers, &body).unwrap();
        Self { dialog: created["dialog"].as_i64().unwrap(), token }
    }

    /// Asks until there is an answer, now here, now there.
    fn ask(&self, fleet: &Fleet, number: usize) -> String {
        let (agent, body) =
            (agent(Duration::from_secs(20)), json!({ "dialog_id": self.dialog, "text_user": QUESTION }));
        let headers = [("Authorization", self.token.as_str()), ("Idempotency-Key", "question")];
        let end = Instant::now() + DEADLINE;
        for attempt in number.. {
            assert!(Instant::now() < end, "user {number} has no answer");
            let url = format!("{}/send/message/ai", fleet.address(attempt % 2));
            match post(&agent, &url, &headers, &body) {
                Some((200, answer)) => return answer["answer_ai"].as_str().unwrap().to_owned(),
                Some((503 | 504, _)) | None => thread::sleep(Duration::from_millis(100)),
                Some((status, answer)) => panic!("{status} {answer}"),
            }
        }
        unreachable!("attempts do not end")
    }

    /// What was said in the dialogue, as a server tells it.
    fn transcript(&self, fleet: &Fleet, server: usize) -> Vec<String> {
        let (agent, end) = (agent(Duration::from_secs(10)), Instant::now() + DEADLINE);
        let url = || format!("{}/dialogs/{}", fleet.address(server), self.dialog);
        loop {
            let told = get(&agent, &url(), ("Authorization", &self.token));
            if let Some(said) = told.as_ref().and_then(|told| told["dialogs"].as_array()) {
                return said.iter().map(|one| one["content"].as_str().unwrap().to_owned()).collect();
            }
            assert!(Instant::now() < end, "server {server} does not recover: {told:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What waits, as the first server that responds tells it.
fn waiting(fleet: &Fleet, query: &str) -> Vec<Value> {
    let agent = agent(Duration::from_secs(5));
    let told = (0..2).find_map(|server| {
        let url = format!("{}/messages{query}", fleet.address(server));
        get(&agent, &url, ("X-Messages-Key", ANSWERER_KEY))?["service_message"].as_array().cloned()
    });
    told.unwrap_or_default()
}

/// Answers what waits until `done`, through both servers.
fn work(fleet: &Fleet, done: &AtomicBool) {
    let agent = agent(Duration::from_secs(5));
    for turn in 0.. {
        if done.load(Ordering::SeqCst) {
            return;
        }
        for one in waiting(fleet, "?claim=2") {
            let dialog = one["dialog_id"].as_i64().unwrap();
            let body = json!({ "user_id": one["user_id"], "dialog_id": dialog, "text_user": answer_for(dialog) });
            let url = format!("{}/send/message/user", fleet.address(turn % 2));
            match post(&agent, &url, &[("X-Messages-Key", ANSWERER_KEY)], &body) {
                // 409: an answer was stored, and its response was lost.
                Some((200 | 409 | 503, _)) | None => {}
                Some((status, answer)) => panic!("{status} {answer}"),
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Lets all users wait, causes and repairs a fault, answers while it is repaired, and checks what each was told.
fn survive(name: &str, fault: impl FnOnce(&Fleet) + Send) {
    let fleet = Fleet::start(&Setup::default());
    let users: Vec<User> = (0..USERS).map(|number| User::create(&fleet, number)).collect();
    let done = AtomicBool::new(false);
    let answers: Vec<String> = thread::scope(|scope| {
        let asking: Vec<_> = users
            .iter()
            .enumerate()
            .map(|(number, user)| {
                let fleet = &fleet;
                scope.spawn(move || user.ask(fleet, number))
            })
            .collect();
        let end = Instant::now() + DEADLINE;
        while waiting(&fleet, "").len() < USERS {
            assert!(Instant::now() < end, "{name}: not all users wait");
            thread::sleep(Duration::from_millis(50));
        }
        // Half of the answers come before the fault is repaired, if they can.
        let worker = scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            work(&fleet, &done);
        });
        fault(&fleet);
        let answers = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        worker.join().unwrap();
        answers
    });
    for (number, (user, answer)) in users.iter().zip(&answers).enumerate() {
        assert_eq!(*answer, answer_for(user.dialog), "{name}: user {number}");
        for server in 0..2 {
            let said = user.transcript(&fleet, server);
            assert_eq!(said.len(), 3, "{name}: the question, that it is passed on, and one answer: {said:?}");
            assert_eq!((said[0].as_str(), said[2].as_str()), (QUESTION, answer.as_str()), "{name}");
        }
    }
    assert_eq!(waiting(&fleet, "").len(), 0, "{name}: nothing waits any longer");
    println!("{name:<24} {USERS} users waited, and each got one answer");
}

fn killed(store: &str) {
    survive(&format!("waiting, {store} killed"), |_| {
        script(&format!("kill {store}"));
        thread::sleep(Duration::from_secs(2));
        script(&format!("up {store}"));
    });
}

#[test]
fn the_first_server_is_killed_while_users_wait() {
    survive("waiting, server 0 killed", |fleet| fleet.replace(0));
}

#[test]
fn the_second_server_is_killed_while_users_wait() {
    survive("waiting, server 1 killed", |fleet| fleet.replace(1));
}

#[test]
fn redis_is_killed_while_users_wait() {
    killed("redis");
}

#[test]
fn postgres_is_killed_while_users_wait() {
    killed("postgres");
}

#[test]
fn mongod_is_killed_while_users_wait() {
    killed("mongo");
}
