//! The cost of a turn in store commands and round trips; never in time, which varies by machine.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use banter_server::config::Rules;
use banter_stores::secret::Secret;
use futures::TryStreamExt;
use mongodb::{
    Client, Database,
    bson::{Document, Timestamp, doc},
};
use serde_json::json;

use crate::{
    services,
    support::{Server, server_with},
};

/// A proxy that counts round trips: a request after an answer starts a new one.
struct Counter {
    address: SocketAddr,
    trips: Arc<AtomicUsize>,
}

impl Counter {
    fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, trips) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (target, total) = (target.to_owned(), trips.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&target).unwrap());
                let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (total, answered) = (total.clone(), Arc::new(AtomicBool::new(true)));
                let told = answered.clone();
                thread::spawn(move || count_requests(client, server, &answered, &total));
                thread::spawn(move || pass_answers(from_server, to_client, &told));
            }
        });
        Self { address, trips }
    }

    fn trips(&self) -> usize {
        self.trips.load(Ordering::SeqCst)
    }
}

fn count_requests(mut client: TcpStream, mut server: TcpStream, answered: &AtomicBool, total: &AtomicUsize) {
    let mut buffer = [0; 65_536];
    let mut listens = false;
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        // Don't count the connection of the bus, which has a heartbeat.
        listens |= buffer[..length].windows(9).any(|window| window == b"SUBSCRIBE");
        if answered.swap(false, Ordering::SeqCst) && !listens {
            total.fetch_add(1, Ordering::SeqCst);
        }
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn pass_answers(mut server: TcpStream, mut client: TcpStream, answered: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        answered.store(true, Ordering::SeqCst);
        if client.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// Writes in MongoDB's profile so far: inserts, and all others.
async fn writes(database: &Database) -> (u64, u64) {
    let profile = database.collection::<Document>("system.profile");
    let inserts = profile.count_documents(doc! { "op": "insert" }).await.unwrap();
    let all = doc! { "op": { "$in": ["insert", "update", "remove"] } };
    let others = doc! { "command.findAndModify": { "$exists": true } };
    let all = profile.count_documents(all).await.unwrap() + profile.count_documents(others).await.unwrap();
    (inserts, all - inserts)
}

async fn database_of(server: &Server) -> (Client, Database) {
    let url = server.config.stores.mongo.as_ref().unwrap();
    let client = Client::with_uri_str(url.text()).await.unwrap();
    let database = client.default_database().unwrap();
    (client, database)
}

#[rocket::async_test]
async fn a_turn_is_one_write_to_mongodb_and_few_round_trips_to_redis() {
    const TURNS: usize = 10;
    let target = services::SERVERS.redis.trim_start_matches("redis://").to_owned();
    let counter = Counter::before(&target);
    let address = counter.address;
    let server = server_with(Rules::Dev, |config| {
        config.stores.redis = Some(Secret::new(format!("redis://{address}")));
    })
    .await;
    let (token, refresh) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&token, "hello there").await.status, 200);
    let (client, database) = database_of(&server).await;
    database.run_command(doc! { "profile": 2 }).await.unwrap();

    // The turn looks its dialogue up and leaves its end; before, an access token is looked up, and messages and new
    // senders are counted.
    let proofs = [(Some(token), 4 * TURNS), (Some(refresh), 3 * TURNS), (None, 3 * TURNS + 1)];
    for (proof, expected) in proofs {
        let (trips, before) = (counter.trips(), writes(&database).await);
        for number in 0..TURNS {
            let key = format!("{number}-{}", proof.as_ref().map_or(0, String::len));
            let answer = match &proof {
                Some(token) => {
                    let bearer = format!("Bearer {token}");
                    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key.as_str())];
                    server.post("/messages/send", &headers, json!({ "text": "hello there" }).to_string()).await
                }
                None => {
                    let body = json!({ "sender": "cid", "message": "hello there" }).to_string();
                    server.post("/webhooks/rest/webhook", &[("Idempotency-Key", key.as_str())], body).await
                }
            };
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let after = writes(&database).await;
        assert_eq!((after.0 - before.0, after.1 - before.1), (TURNS as u64, 0), "one insert per turn, no other writes");
        let trips = counter.trips() - trips;
        assert_eq!(trips, expected, "round trips for {TURNS} turns");
    }
    // Another server reads the dialogue's last turn from Redis, not from MongoDB.
    let other = server.with_the_same_stores().await;
    let ends = async || {
        let profile = database.collection::<Document>("system.profile");
        profile.count_documents(doc! { "op": "query", "command.sort.seq": -1 }).await.unwrap()
    };
    let before = ends().await;
    let (fresh, _) = other.log_in("ann@mail.example").await;
    assert_eq!(other.send(&fresh, "hello there").await.status, 200);
    assert_eq!(ends().await, before, "the last turn was read from MongoDB");
    client.shutdown().await;
}

#[rocket::async_test]
async fn no_query_grows_with_the_history() {
    const TURNS: i64 = 100_000;
    let server = server_with(Rules::Dev, |config| {
        // The production limit: no query may take longer, whatever the length of the history.
        config.stores.timeout_ms = banter_server::config::Config::default().stores.timeout_ms;
    })
    .await;
    let (token, _) = server.log_in("ann@mail.example").await;
    assert_eq!(server.send(&token, "hello there").await.status, 200);
    let (client, database) = database_of(&server).await;
    let turns = database.collection::<Document>("turns");
    let first = turns.find_one(doc! {}).await.unwrap().unwrap();
    let (dialogue, user) = (first.get_i64("dialog_id").unwrap(), first.get_i64("user_id").unwrap());
    for start in (2..=TURNS).step_by(10_000) {
        let copy = |seq: i64| {
            let mut turn = first.clone();
            turn.remove("_id");
            turn.insert("seq", seq);
            turn.insert("at", Timestamp { time: 0, increment: 0 });
            turn
        };
        turns.insert_many((start..(start + 10_000).min(TURNS + 1)).map(copy)).await.unwrap();
    }
    // A new server has no cached state, so it reads the dialogue's last turn from the store.
    let fresh = server.with_the_same_stores().await;
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    let bearer = format!("Bearer {token}");
    let history = fresh.get("/session/history?limit=50", &[("Authorization", &bearer)]).await;
    assert_eq!(history.body["history"].as_array().unwrap().len(), 50);
    let before = history.body["history"][0]["id"].as_str().unwrap();
    for path in [
        format!("/session/history?limit=50&dialog_id={dialogue}"),
        format!("/session/history?limit=50&before={before}"),
        format!("/session/history?limit=50&before={before}&dialog_id={dialogue}"),
    ] {
        let history = fresh.get(&path, &[("Authorization", &bearer)]).await;
        assert_eq!(history.body["history"].as_array().unwrap().len(), 50, "{path}");
    }
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "k")];
    let body = json!({ "text": "where is my order" }).to_string();
    assert_eq!(fresh.post("/messages/send", &headers, &body).await.status, 200);
    assert_eq!(fresh.send(&token, "A-1042").await.status, 200, "a script that reads and keeps values");
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    let whole = fresh.get("/session/history", &[("Authorization", &bearer)]).await;
    assert_eq!(
        whole.body["history"].as_array().unwrap().len() as i64,
        TURNS + 2,
        "the whole history, in many short queries"
    );
    assert_eq!(turns.count_documents(doc! { "user_id": user }).await.unwrap(), TURNS as u64 + 2);

    let namespace = format!("{}.turns", database.name());
    let profile = database.collection::<Document>("system.profile");
    let queries: Vec<Document> =
        profile.find(doc! { "ns": namespace, "op": "query" }).await.unwrap().try_collect().await.unwrap();
    assert!(queries.len() >= 8, "only {} queries were profiled", queries.len());
    for query in &queries {
        let number = |name: &str| query.get_i64(name).or_else(|_| query.get_i32(name).map(i64::from)).unwrap_or(0);
        assert!(number("docsExamined") <= 50 && number("keysExamined") <= 51, "{query}");
        assert!(!query.contains_key("hasSortStage"), "{query}");
        assert!(query.get_str("planSummary").unwrap().starts_with("IX"), "{query}");
    }
    client.shutdown().await;
}
