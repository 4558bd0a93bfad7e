//! Repairs, confirmation, interruption, several wishes and other readings, with a small bot in memory.

use crate::support::{BOT, GREET, STATUS, STOP, Talk, load};
use banter_engine::{
    embedding::Urgency,
    pattern::Pattern,
    state::ActiveContext,
    turn::{AnsweredBy, TurnKind},
};

pub const TRIP: &str = "
intent: trip
title: { en: plan a trip, ru: спланировать поездку }
examples:
  en: [plan a trip, 'I need a ticket to [London](city)', book a journey]
  ru: [спланируй поездку, 'нужен билет в [Лондон](city)', закажи путешествие]
slots:
  city: { entity: city, title: { en: destination, ru: город }, ask: { en: Where to?, ru: Куда? }, help: { en: Moscow or London., ru: Москва или Лондон. } }
  guide: { entity: guide, ask: { en: With a guide?, ru: С гидом? } }
  tongue: { when: { guide: [with] }, ask: { en: In which language?, ru: На каком языке? } }
confirm: { en: 'To {city}, {guide} a guide?', ru: 'В {city}, {guide}?' }
handler: { reply: { en: 'Booked: {city}.', ru: 'Заказано: {city}.' } }
";

fn files() -> Vec<(&'static str, String)> {
    let bot = BOT.replace("  city:", "  guide: { values: { with: [with, с гидом], without: [alone, один] } }\n  city:");
    vec![
        ("bot.yaml", bot),
        ("intents/greet.yaml", format!("{GREET}small_talk: true\n")),
        ("intents/status.yaml", STATUS.to_owned()),
        ("intents/stop.yaml", STOP.to_owned()),
        ("intents/trip.yaml", TRIP.to_owned()),
    ]
}

fn talk() -> Talk {
    talk_with(&files())
}

fn talk_with(files: &[(&str, String)]) -> Talk {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files)
}

/// The model takes milliseconds for a text, and most readings of one that is not understood are gibberish.
#[test]
fn the_model_is_asked_about_no_reading_that_cannot_be_taken() {
    // Only the first text may be refused.
    let check = |message: &str, expected: &[&str]| {
        let urgency = |place: usize| if place == 0 { Urgency::New } else { Urgency::Begun };
        let expected = expected.iter().enumerate().map(|(place, text)| (urgency(place), (*text).to_owned()));
        assert_eq!(talk().asked_for(message), expected.collect::<Vec<_>>());
    };
    check("Quantum Chromodynamics", &["Quantum Chromodynamics"]);
    // The reading that is taken is then understood like any other text; a server remembers its vector.
    check("ult vjq pfrfp", &["ult vjq pfrfp", "где мой заказ", "где мой заказ"]);
    // What is clear as it was typed is not read as a typo.
    check("wher is my order", &["wher is my order"]);
    check("wher iss oder", &["wher iss oder", "where iss order", "where iss order"]);
}

/// Of overlapping values, those of the matched intent's slots come first.
#[test]
fn an_overlap_goes_first_to_the_slots_of_the_matched_intent() {
    let bot = BOT.replace(
        "entities:",
        "entities:\n  num: { pattern: '\\b\\d{2,6}\\b' }\n  ln: { pattern: '\\b\\d\\b' }\n  guests: { pattern: '\\d{1,2}' }",
    );
    let line = "intent: line\nexamples: { en: ['order [66](num) line [6](ln)', 'order number and line'], ru: ['заказ [66](num) строка [6](ln)', 'номер заказа и строка'] }\nslots: { num: { entity: num, ask: Order? }, ln: { entity: ln, ask: Line? } }\nhandler: { reply: '{num} and {ln}' }";
    let table = "intent: table\nexamples: { en: ['a table for [4](guests)', 'book a table'], ru: ['стол на [4](guests)', 'заказать стол'] }\nslots: { guests: { entity: guests, ask: Guests? } }\nhandler: { reply: '{guests} guests' }";
    let files = [("bot.yaml", bot.as_str()), ("intents/line.yaml", line), ("intents/table.yaml", table)];
    Talk::with(&files).check(&[("order 66 line 6", "66 and 6"), ("a table for 4", "4 guests")]);
}

/// Two slots of one entity are told apart by the words before them.
#[test]
fn roles_are_learnt_from_the_examples() {
    let ride = "intent: ride\nexamples: { en: ['a ride from [London](city:from) to [Moscow](city:to)', 'drive me to [Moscow](city:to)'], ru: ['поездка из [Лондон](city:from) в [Москва](city:to)', 'довези меня в [Москва](city:to)'] }\nslots: { from: { entity: city, role: from, ask: From? }, to: { entity: city, role: to, ask: To? } }\nhandler: { reply: '{from} to {to}' }";
    let files = [("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/ride.yaml", ride)];
    Talk::with(&files).check(&[
        ("a ride to Moscow from London", "london to moscow"),
        ("drive me to London", "From?"),
        ("Moscow", "moscow to london"),
        ("no, from London to Moscow", "london to moscow"),
    ]);
    let wrong = ride.replace("[Москва](city:to)'] }", "[Москва](city:via)'] }").replace("role: from,", "role: start,");
    let (_, told) = load(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/ride.yaml", &wrong)]);
    insta::assert_snapshot!(told);
}

#[test]
fn a_form_is_repaired() {
    talk().check(&[
        ("plan a trip", "Where to?"),
        ("what should I say", "Moscow or London.\nWhere to?"),
        ("skip", "I need an answer to go on.\nWhere to?"),
        ("say that again", "Where to?"),
        ("Moscow", "With a guide?"),
        ("no, London", "With a guide?"),
        ("alone", "To london, without a guide?"),
        ("go back", "With a guide?"),
        ("with", "In which language?"),
        ("start over", "All right, let us start over.\nWhere to?"),
        ("Moscow, alone", "To moscow, without a guide?"),
        ("yes, but London", "To london, without a guide?"),
        ("no", "What shall I change?"),
        ("the destination", "Where to?"),
        ("Moscow", "To moscow, without a guide?"),
        ("👍", "Booked: moscow."),
    ]);
}

#[test]
fn an_answer_is_corrected_and_asked_again_for_another_value() {
    talk().check(&[
        ("track order A-1042", "Order A-1042 is fine."),
        ("no, B-7000", "Order B-7000 is fine."),
        ("and C-3000?", "Order C-3000 is fine."),
        ("not C-3000", "Which order?"),
        ("A-1042", "Order A-1042 is fine."),
    ]);
}

/// A form inside a form keeps the values of the outer one, even if they share slots.
#[test]
fn an_interrupted_form_keeps_its_values() {
    let mut files = files();
    let moved = "intent: moved\nexamples: { en: [redirect the parcel elsewhere, send the parcel elsewhere], ru: [перенаправь посылку, отправь посылку иначе] }\nslots: { order_id: { entity: order_id, ask: Which parcel? }, city: { entity: city, ask: To which city? } }\nhandler: { reply: '{order_id} goes to {city}' }";
    files.push(("intents/moved.yaml", moved.to_owned()));
    talk_with(&files).check(&[
        ("redirect the parcel elsewhere", "Which parcel?"),
        ("A-1042", "To which city?"),
        (
            "track order B-7000",
            "Order B-7000 is fine.\nBack to where we were: redirect the parcel elsewhere.\nTo which city?",
        ),
        ("Moscow", "A-1042 goes to moscow"),
    ]);
}

#[test]
fn an_author_decides_how_an_interrupted_form_goes_on() {
    let with = |resume: &str| {
        let mut files = files();
        files[2].1 = format!("{STATUS}resume: {resume}\n");
        talk_with(&files)
    };
    let lines = [("plan a trip", "Where to?"), ("track order A-1042", "Order A-1042 is fine.")];
    with("never").check(&[lines[0], lines[1], ("track order B-7000", "Order B-7000 is fine.")]);
    let asked = "Order A-1042 is fine.\nShall we go on: plan a trip?";
    let mut talk = with("ask");
    talk.check(&[
        lines[0],
        (lines[1].0, asked),
        ("sure", "Where to?"),
        ("track order A-1042", asked),
        ("no", "Dropped."),
    ]);
    assert_eq!((talk.state.form.clone(), talk.state.suspended.len()), (None, 0));
}

#[test]
fn what_is_not_wanted_is_not_done() {
    let turn = talk().say("I don't need to track my order");
    assert_eq!((turn.kind, turn.handler), (TurnKind::Matched, AnsweredBy::Pattern(Pattern::Negated)));
    let mut files = files();
    files[2].1 = format!("{STATUS}negated: stop\n");
    talk_with(&files).check(&[("I don't need to track my order", "Dropped.")]);
}

#[test]
fn an_author_may_answer_at_a_pattern() {
    let mut files = files();
    files[0].1.push_str("patterns: { restarted: { en: Anew., ru: Заново. }, nothing_to_repeat: { jump: greet } }\n");
    let mut talk = talk_with(&files);
    talk.check(&[("repeat", "Hello!"), ("plan a trip", "Where to?"), ("restart", "Anew.\nWhere to?")]);
    let (_, wrong) = load(&[
        (
            "bot.yaml",
            &format!("{BOT}patterns: {{ resumed: {{ en: 'Back to {{titel}}', ru: Назад }}, restartd: Anew. }}\n"),
        ),
        ("intents/greet.yaml", GREET),
    ]);
    insta::assert_snapshot!(wrong);
}

/// Said once, and only when the form's own intent has answered.
#[test]
fn a_form_is_completed_once() {
    let mut files = files();
    files[0].1.push_str("patterns: { completed: { en: Anything else?, ru: Что-нибудь ещё? } }\n");
    talk_with(&files).check(&[
        ("where is my order", "Which order?"),
        ("A-1042", "Order A-1042 is fine.\nAnything else?"),
        ("where is my order", "Which order?"),
        ("never mind", "Dropped."),
    ]);
    files[0].1 = files[0].1.replace("completed: {", "form_help: { jump: greet }, completed: {");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert!(load(&files).1.contains("no intent can be started at `form_help`"));
}

/// A value may begin inside a word, and one value fills one slot.
#[test]
fn values_inside_words_break_nothing() {
    let bot = BOT.replace("entities:", "entities:\n  guests: { pattern: '\\d{1,2}' }");
    let table = "intent: table\nexamples: { en: ['a table for [4](guests)', 'book a table'], ru: ['стол на [4](guests)', 'заказать стол'] }\nslots: { guests: { entity: guests, ask: Guests? }, children: { entity: guests, ask: Children? } }\nhandler: { reply: '{guests} and {children}' }";
    let files = [("bot.yaml", bot.as_str()), ("intents/table.yaml", table), ("intents/status.yaml", STATUS)];
    Talk::with(&files).check(&[
        ("book a table", "Guests?"),
        ("120", "12 and 0"),
        ("book a table", "Guests?"),
        ("4", "Children?"),
        ("not 120", "Children?"),
        ("2", "4 and 2"),
    ]);
}

/// Another wish that is refused during a form is not carried out, and the form goes on.
#[test]
fn a_refusal_during_a_form_starts_nothing() {
    talk().check(&[
        ("plan a trip", "Where to?"),
        ("I don't need to track my order", "All right, I will not do that. What would you like instead?\nWhere to?"),
        ("Moscow", "With a guide?"),
    ]);
}

/// A new version may ask for no confirmation any more: a no is still a no.
#[test]
fn a_no_without_a_summary_does_nothing() {
    let mut first = talk();
    first.check(&[("plan a trip", "Where to?"), ("Moscow, alone", "To moscow, without a guide?")]);
    let mut files = files();
    files[4].1 = TRIP.lines().filter(|line| !line.starts_with("confirm")).collect::<Vec<_>>().join("\n");
    for (said, expected) in [("no", "Dropped."), ("never mind", "Dropped."), ("yes", "Booked: moscow.")] {
        let mut second = talk_with(&files);
        second.state = first.state.clone();
        second.check(&[(said, expected)]);
    }
}

/// An intent that lives in a context is only found there.
#[test]
fn an_intent_lives_in_its_context() {
    let ahoy = "intent: ahoy\nonly_in: [at_sea]\nexamples: { en: [ahoy captain, ahoy sailor], ru: [эй капитан, эй моряк] }\nhandler: { reply: Aye! }";
    let mut files = files();
    files.push(("intents/ahoy.yaml", ahoy.to_owned()));
    let mut talk = talk_with(&files);
    assert_ne!(talk.say("ahoy captain").text(), "Aye!");
    talk.state.contexts.insert("at_sea".to_owned(), ActiveContext { turns: 2, ..ActiveContext::default() });
    talk.check(&[("ahoy captain", "Aye!")]);
}

/// An answer that is changed may make a later one meaningless.
#[test]
fn a_value_whose_condition_no_longer_holds_is_forgotten() {
    let mut talk = talk();
    talk.check(&[
        ("plan a trip", "Where to?"),
        ("London", "With a guide?"),
        ("with", "In which language?"),
        ("Russian", "To london, with a guide?"),
        ("no, alone", "To london, without a guide?"),
    ]);
    assert!(!talk.state.slots.contains_key("tongue"));
    talk.check(&[("yes", "Booked: london.")]);
}

#[test]
fn a_word_of_any_language_changes_none() {
    let mut talk = talk();
    talk.check(&[("спланируй поездку", "Куда?"), ("Лондон", "С гидом?"), ("один", "В london, without?")]);
    talk.check(&[("ok", "Заказано: london.")]);
}

/// A slot that is asked for only sometimes may be empty in the summary.
#[test]
fn an_empty_slot_is_a_dash() {
    let mut files = files();
    files[4].1 = TRIP.replace("To {city}, {guide} a guide?", "To {city}, {guide} a guide, {tongue}?");
    talk_with(&files).check(&[
        ("plan a trip", "Where to?"),
        ("London", "With a guide?"),
        ("alone", "To london, without a guide, –?"),
    ]);
}

#[test]
fn a_wish_beside_a_yes_is_answered_after_it() {
    let mut talk = talk();
    talk.check(&[
        ("plan a trip", "Where to?"),
        ("London", "With a guide?"),
        ("alone", "To london, without a guide?"),
        ("yes, and where is my order", "Booked: london.\nWhich order?"),
    ]);
}
