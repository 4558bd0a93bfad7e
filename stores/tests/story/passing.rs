//! What need not survive a restart: sessions, limits, the cache and the bus.

use super::*;

pub async fn sessions(stores: &Stores, user: UserId) {
    let sessions = &stores.sessions;
    let session = |family: &str| Session { user, family: family.to_owned() };
    for (token, family) in [("a", "f"), ("b", "f"), ("c", "g")] {
        sessions.put(token, session(family), Duration::from_secs(900)).await.unwrap();
    }
    let alive = async |token: &str, family: &str| sessions.is_alive(token, &session(family)).await.unwrap();
    assert!(alive("a", "f").await && alive("b", "f").await && alive("c", "g").await);
    assert!(!alive("z", "f").await && !alive("a", "g").await);
    let other = Session { user: UserId(1), family: "g".to_owned() };
    assert!(!sessions.is_alive("c", &other).await.unwrap(), "of another user");
    sessions.revoke_family("f").await.unwrap();
    assert!(!alive("a", "f").await && !alive("b", "f").await);
    assert!(alive("c", "g").await);
}

pub async fn limits(stores: &Stores) {
    let limits = &stores.limits;
    let counters = [Counter::per_minute("k", 3), Counter::per_day("long", 4)];
    let hit = async |counters: &[Counter]| limits.hit(counters).await.unwrap();
    for _ in 0..3 {
        assert_eq!(hit(&counters).await, None);
    }
    for _ in 0..2 {
        assert!(hit(&counters).await.is_some_and(|seconds| (1..=60).contains(&seconds)), "over the limit of a minute");
    }
    assert_eq!(hit(&counters[1..]).await, None, "what was refused before is not counted");
    assert!(hit(&counters[1..]).await.is_some_and(|seconds| seconds > 86_000), "over the limit of a day");
    assert_eq!(hit(&[Counter::per_minute("other", 3)]).await, None);
    for _ in 0..2 {
        limits.take_back("k").await.unwrap();
    }
    assert_eq!(hit(&counters[..1]).await.map(|_| ()), Some(()), "5 events, 2 taken back, 1 more: 4 of 3");
    limits.take_back("other").await.unwrap();
    limits.take_back("other").await.unwrap();
    assert!(!limits.has_event("other").await.unwrap() && !limits.has_event("never").await.unwrap());
    assert!(limits.has_event("k").await.unwrap());
}

pub async fn cache(stores: &Stores, user: UserId, dialogue: DialogueId) {
    let last = LastTurn { seq: 7, state: DialogueState::default() };
    let answer =
        StoredAnswer { request_hash: [3; 32], response: "re".to_owned(), outputs: json!([]), handed_off: None };
    let turn = Remembered { user, dialogue, last: &last, answer: Some(("k", answer.clone())) };
    stores.cache.remember(turn).await;
    let whole = Recalled { last: Some((dialogue, last.clone())), answer: Some(answer) };
    assert_eq!(stores.cache.recall(user, Some("k")).await, whole);
    assert_eq!(stores.cache.recall(user, None).await, Recalled { answer: None, ..whole.clone() });
    assert_eq!(
        stores.cache.recall(UserId(1), Some("k")).await,
        Recalled::default(),
        "the cache of other users is not visible"
    );
    stores.cache.forget(user).await.unwrap();
    assert_eq!(stores.cache.recall(user, Some("k")).await, Recalled::default());
}

pub async fn bus(stores: &Stores) {
    let mut events = stores.bus.subscribe(Topic::Turns);
    let news = News::TurnStored { dialogue: DialogueId(3), seq: 7 };
    // A new listener may miss the first messages.
    for _ in 0..100 {
        stores.bus.publish(News::DialogueGone(DialogueId(3))).await.unwrap();
        stores.bus.publish(news).await.unwrap();
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(100), events.recv()).await {
            assert_eq!(event.unwrap(), BusEvent::News(news));
            return;
        }
    }
    panic!("no message arrived over the bus");
}
