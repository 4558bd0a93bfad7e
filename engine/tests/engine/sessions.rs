//! Sessions, silence, and the reasons for which nothing is understood.

use banter_engine::turn::TurnKind;

use crate::support::{BOT, GREET, STATUS, STOP, Talk};

const HOUR: i64 = 3_600;

/// A bot with these lines in bot.yaml.
fn talk(lines: &str) -> Talk {
    let bot = format!("{BOT}{lines}");
    Talk::with(&[
        ("bot.yaml", &bot),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", STOP),
    ])
}

#[test]
fn a_form_waits_for_ever_if_sessions_do_not_end() {
    let mut talk = talk("");
    talk.check(&[("where is my order", "Which order?")]);
    talk.wait(1_000 * HOUR);
    talk.check(&[("A-1042", "Order A-1042 is fine.")]);
    assert_eq!(talk.state.heard, None);
}

#[test]
fn a_session_ends_after_the_authors_time() {
    let mut talk = talk(
        "session: { minutes: 60 }\npatterns: { session_started: { en: Welcome., ru: Здравствуйте. }, session_ended: { en: That was long ago., ru: Это было давно. } }\n",
    );
    talk.check(&[("where is my order", "Welcome.\nWhich order?")]);
    talk.wait(HOUR - 1);
    talk.check(&[("", "It looks like A-1042.")]);
    talk.wait(HOUR);
    talk.check(&[("hello there", "That was long ago.\nWelcome.\nHello!")]);
    talk.wait(HOUR);
    talk.check(&[("hello there", "Welcome.\nHello!"), ("hello there", "Hello!")]);
}

#[test]
fn the_bot_breaks_a_silence_once_and_asks_again() {
    let mut talk = talk("");
    talk.check(&[("hello there", "Hello!")]);
    assert!(talk.fall_silent().is_none(), "nothing was asked");
    talk.check(&[("where is my order", "Which order?")]);
    let turn = talk.fall_silent().unwrap();
    assert_eq!((turn.text().as_str(), turn.kind), ("Are you still there?\nWhich order?", TurnKind::Silence));
    assert!(talk.fall_silent().is_none(), "once is enough");
    talk.check(&[("A-1042", "Order A-1042 is fine."), ("where is my order", "Which order?")]);
    assert!(talk.fall_silent().is_some());
}

#[test]
fn an_intent_may_break_the_silence() {
    let mut talk = talk("patterns: { idle: { jump: greet } }\n");
    talk.check(&[("где мой заказ", "Какой заказ?")]);
    assert_eq!(talk.fall_silent().unwrap().text(), "Привет!");
}

#[test]
fn a_dialogue_that_is_handed_off_stays_silent() {
    let mut talk = talk("");
    talk.check(&[("where is my order", "Which order?")]);
    talk.state.hand_off = Some(banter_engine::state::HandOff { until: i64::MAX });
    assert!(talk.fall_silent().is_none());
}

#[test]
fn what_is_too_long_is_not_read_and_the_question_stays() {
    let long = "where is my order ".repeat(200);
    let mut talk = talk("");
    talk.check(&[
        (&long, "That is too long for me. Please say it in fewer words."),
        ("where is my order", "Which order?"),
        (&long, "That is too long for me. Please say it in fewer words.\nWhich order?"),
        ("A-1042", "Order A-1042 is fine."),
    ]);
}

#[test]
fn letters_of_another_language_are_told() {
    talk("").check(&[("我的订单在哪里", "I speak: English, Русский.")]);
    let mut talk = talk("patterns: { other_language: { en: 'Only {languages}.', ru: 'Только {languages}.' } }\n");
    talk.check(&[("привет тебе", "Привет!"), ("我的订单在哪里", "Только English, Русский.")]);
    talk.check(&[("我的订单在哪里", "Зову человека.")]);
}

#[test]
fn a_message_without_words_has_words_of_its_own() {
    talk("").check(&[("???", "Pardon?")]);
    talk("patterns: { no_words: { en: In words please., ru: Словами. } }\n").check(&[("?!?", "In words please.")]);
}

#[test]
fn an_intent_of_another_context_is_not_now() {
    let bot = format!("{BOT}patterns: {{ not_now: {{ en: 'Not now: {{title}}.', ru: 'Не сейчас: {{title}}.' }} }}\n");
    let stop = STOP.replace("role: cancel", "only_in: [shop]\ntitle: { en: drop it, ru: оставить }");
    let mut talk = Talk::with(&[
        ("bot.yaml", &bot),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", &stop),
    ]);
    talk.check(&[("forget about it", "Not now: drop it.")]);
}
