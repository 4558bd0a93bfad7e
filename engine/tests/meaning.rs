//! The real model and the demo bot. Needs `make setup`.

#[path = "support/demo.rs"]
mod demo;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use banter_engine::{
    Request, Snapshot,
    embedding::{Urgency, Vector},
    state::DialogueState,
    turn::{Message, Turn},
};
use demo::BOT;
use rayon::prelude::*;

fn say(state: &mut DialogueState, text: &str) -> Turn {
    let message = Message { text, user: 2, dialogue: 1, seed: 1 };
    let now = jiff::Timestamp::from_second(1_767_607_200).unwrap();
    let turn = BOT.0.reply(&BOT.1, Request::new(&BOT.1, message, state, now)).unwrap();
    *state = turn.state.clone();
    turn
}

/// The intent of a single message; `-` if it matches none.
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let turn = say(&mut DialogueState::default(), text);
        let intent = turn.intent.as_ref().map_or("-", |intent| intent.as_str());
        assert_eq!(intent, *expected, "{text}: {:#?}", turn.explain);
    }
}

#[test]
fn both_languages_are_understood() {
    check(&[
        ("Привет, как дела?", "how_are_you"),
        ("where is my order", "order_status"),
        ("wher is my oder", "order_status"),
        ("can I get my cash back", "refund"),
        ("посылка до сих пор не доехала", "order_status"),
        ("сколко стоит доставка в питер", "delivery_cost"),
        ("whats the wether in london", "weather"),
        ("соедините меня с живым оператором", "human"),
        ("я забыл свой пароль", "account_password"),
        ("do you take visa cards", "payment_methods"),
        ("how many inches is 30 cm", "convert_units"),
        ("проверь номер заказа на опечатки", "check_order_number"),
    ]);
}

#[test]
fn what_the_bot_knows_nothing_of_is_out_of_scope() {
    check(&[
        ("как приготовить борщ", "-"),
        ("sdfgh", "-"),
        ("what is the capital of France", "-"),
        ("кто написал Войну и мир", "-"),
        ("solve x squared minus four", "-"),
    ]);
}

#[test]
fn a_greeting_is_greeted_back_in_russian() {
    let turn = say(&mut DialogueState::default(), "Привет, как дела?");
    assert_eq!(turn.language.code(), "ru");
    assert!(turn.text().starts_with("Привет!") || turn.text().starts_with("Здравствуйте!"), "{}", turn.text());
}

#[test]
fn the_weather_comes_from_the_allowed_host() {
    let mut state = DialogueState::default();
    assert_eq!(say(&mut state, "what is the weather like").text(), "In which city?");
    assert_eq!(say(&mut state, "London").text(), "London: 7.5 °C, wind 14.0 km/h.");
    assert_eq!(say(&mut DialogueState::default(), "погода в Берлине").text(), "Не могу сейчас узнать погоду: Берлин.");
}

#[test]
fn a_language_is_kept_over_an_order_number() {
    let mut state = DialogueState::default();
    assert_eq!(say(&mut state, "где мой заказ").text(), "Назовите номер заказа.");
    assert!(say(&mut state, "A-1042").text().contains("завтра"));
}

#[test]
fn a_text_has_one_vector_whatever_its_batch() {
    let texts: Vec<String> =
        ["hi", "где мой заказ", "a far longer text than both of the others are"].map(str::to_owned).to_vec();
    let embedder = BOT.0.embedder(&BOT.1.catalogue).unwrap();
    let together = embedder.embed(&texts, Urgency::Patient).unwrap();
    for (text, vector) in texts.iter().zip(together) {
        let alone = &embedder.embed(std::slice::from_ref(text), Urgency::Patient).unwrap()[0];
        let distance = vector.iter().zip(alone.iter()).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(distance < 1e-5, "{text}: {distance}");
    }
}

#[test]
fn threads_of_a_pool_that_embed_do_not_wait_for_each_other() {
    let embedder = BOT.0.embedder(&BOT.1.catalogue).unwrap();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let texts = (0..64).into_par_iter().map(|number| format!("text number {number}"));
        let vectors: Result<Vec<_>, _> = texts.map(|text| embedder.embed(&[text], Urgency::Patient)).collect();
        ended.send(vectors.map(|vectors| vectors.len())).unwrap();
    });
    let count = end.recv_timeout(Duration::from_secs(60)).expect("the threads wait for each other");
    assert_eq!(count.unwrap(), 64);
}

#[test]
fn an_example_in_the_wrong_intent_is_told() {
    let misplaced = |snapshot: &Snapshot| {
        let told = snapshot.misplaced().into_iter().map(|one| (one.text, one.other.to_string()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(misplaced(&BOT.1), []);
    let changed = demo::catalogue(&BOT.0, |bundle| {
        let file = bundle.files.get_mut("intents/refund.yaml").unwrap();
        let text = String::from_utf8(file.clone()).unwrap();
        let text = text.replacen("  en:\n", "  en:\n    - how cold is it outside today\n", 1);
        *file = text.replacen("  ru:\n", "  ru:\n    - какая сегодня температура на улице\n", 1).into_bytes();
    });
    let embedder = BOT.0.embedder(&changed).unwrap();
    let found = misplaced(&BOT.1.rebuild(Arc::new(changed), &*embedder).unwrap());
    let weather = |text: &str| (text.to_owned(), "weather".to_owned());
    assert_eq!(found, [weather("how cold is it outside today"), weather("какая сегодня температура на улице")]);
}

#[test]
fn each_language_has_its_encoders_and_one_is_shared() {
    let embedder = BOT.0.embedder(&BOT.1.catalogue).unwrap();
    // In the order of their names: e5, minilm, use.
    assert_eq!(embedder.blocks(), [384, 384, 512]);
    let texts = ["where is my order", "где мой заказ", "сколько весит слон", "123", "👍"].map(str::to_owned);
    let vectors = embedder.embed(&texts, Urgency::Patient).unwrap();
    let parts = |vector: &Vector| {
        let (first, rest) = vector.split_at(384);
        let (second, third) = rest.split_at(384);
        [first, second, third].map(<[f32]>::to_vec)
    };
    let served = |vector: &Vector| parts(vector).map(|part| part.iter().any(|component| *component != 0.0));
    assert_eq!(served(&vectors[0]), [false, true, true], "English");
    assert_eq!(served(&vectors[1]), [true, false, true], "Russian");
    assert_eq!(served(&vectors[3]), [true, true, true], "a number is one of each language");
    assert_eq!(served(&vectors[4]), [true, false, false], "only e5 knows emoji");
    let similarity = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    for vector in &vectors {
        assert!((similarity(vector, vector) - 1.0).abs() < 1e-5);
    }
    let shared = vectors.iter().map(|vector| parts(vector)[2].clone()).collect::<Vec<_>>();
    let (same, other) = (similarity(&shared[0], &shared[1]), similarity(&shared[0], &shared[2]));
    assert!(same > 0.35 && other < 0.1, "half of the similarity at most: {same}, {other}");
}
