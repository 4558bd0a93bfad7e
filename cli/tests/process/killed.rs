//! `kill -9` under load loses no acknowledged message.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    support::Running,
};

const CLIENTS: usize = 8;
/// Acknowledged messages before the server is killed.
const PER_ROUND: usize = 100;

#[test]
fn no_acknowledged_message_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged: Vec<Mutex<Vec<String>>> = (0..CLIENTS).map(|_| Mutex::default()).collect();
    for round in 0..2 {
        let mut server = Running::start(folder.path(), &[]);
        let address = server.address.clone();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for (client, told) in acknowledged.iter().enumerate() {
                let (address, stop) = (&address, &stop);
                scope.spawn(move || {
                    let Some(token) = log_in(address, &format!("c{client}@mail.example")) else { return };
                    for number in 0.. {
                        let text = format!("hello number {number} of round {round}");
                        let answer = post(address, "/messages/send", &token, &json!({ "text": text }));
                        if answer.is_none_or(|answer| answer["response"].is_null()) || stop.load(Ordering::Relaxed) {
                            return;
                        }
                        told.lock().unwrap().push(text);
                    }
                });
            }
            let told = || acknowledged.iter().map(|told| told.lock().unwrap().len()).sum::<usize>();
            let wanted = told() + PER_ROUND;
            let end = Instant::now() + Duration::from_secs(60);
            while told() < wanted && Instant::now() < end {
                thread::sleep(Duration::from_millis(10));
            }
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = Running::start(folder.path(), &[]);
    let mut total = 0;
    for (client, told) in acknowledged.iter().enumerate() {
        let token = log_in(&server.address, &format!("c{client}@mail.example")).unwrap();
        let mut response = ureq::get(format!("{}/session/history", server.address))
            .header("Authorization", format!("Bearer {token}"))
            .call()
            .unwrap();
        let history: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let stored: Vec<&str> =
            history["history"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
        let distinct: HashSet<&&str> = stored.iter().collect();
        assert_eq!(distinct.len(), stored.len(), "nothing is stored twice");
        let told = told.lock().unwrap();
        let kept: Vec<&str> = stored.iter().copied().filter(|text| told.iter().any(|t| t == text)).collect();
        assert_eq!(kept, *told, "all that was acknowledged, in its order");
        total += told.len();
    }
    assert!(total >= 2 * PER_ROUND, "only {total} messages were acknowledged");
}
