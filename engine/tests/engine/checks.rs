//! What a slot admits beside its entity: a list, and what a script says. And what is said at each further try.

use crate::support::{BOT, GREET, Talk, load};

const TRIP: &str = "
intent: trip
examples: { en: [book a trip, 'a trip to [London](city)'], ru: [заказать поездку, 'поездка в [Москву](city)'] }
slots:
  city:
    entity: city
    one_of: [moscow]
    ask: { en: To which city?, ru: В какой город? }
    retry: [{ en: 'A city, please.', ru: 'Назовите город.' }, { en: 'Moscow, for example.', ru: 'Например, Москва.' }]
  order:
    entity: order_id
    check: { script: trip.rhai, function: is_free }
    ask: { en: Which ticket?, ru: Какой билет? }
handler: { reply: { en: 'To {city} with {order}.', ru: 'В {city} с {order}.' } }
";

const SCRIPT: &str = r#"
fn is_free(ctx) {
    if ctx.slots.order == "A-0000" { return say("A-0000 is taken.").suggest(["A-0001"]); }
    if ctx.slots.order == "A-9999" { throw "the list of tickets is lost"; }
}
"#;

fn talk() -> Talk {
    let bot = BOT.replace("tries: 2", "tries: 3");
    Talk::with(&[
        ("bot.yaml", &bot),
        ("intents/greet.yaml", GREET),
        ("intents/trip.yaml", TRIP),
        ("scripts/trip.rhai", SCRIPT),
    ])
}

#[test]
fn values_beside_the_list_are_refused() {
    talk().check(&[
        ("a trip to London", "“London” does not fit. It must be moscow.\nTo which city?"),
        ("London", "“London” does not fit. It must be moscow.\nTo which city?"),
        ("Moscow", "Which ticket?"),
        ("A-1042", "To moscow with A-1042."),
    ]);
}

#[test]
fn each_further_try_has_its_own_words() {
    talk().check(&[
        ("book a trip", "To which city?"),
        ("", "A city, please."),
        ("", "Moscow, for example."),
        ("", "Moscow, for example."),
        ("", "Pardon?"),
    ]);
}

#[test]
fn a_script_refuses_a_value_and_it_is_asked_again() {
    let mut talk = talk();
    talk.check(&[("a trip to Moscow", "Which ticket?"), ("A-0000", "A-0000 is taken.\nWhich ticket?")]);
    assert!(!talk.state.slots.contains_key("order"));
    talk.check(&[("A-0001", "To moscow with A-0001."), ("no, A-0000", "A-0000 is taken.\nWhich ticket?")]);
}

#[test]
fn a_script_that_always_refuses_traps_nobody() {
    talk().check(&[
        ("a trip to Moscow", "Which ticket?"),
        ("A-0000", "A-0000 is taken.\nWhich ticket?"),
        ("A-0000", "A-0000 is taken.\nWhich ticket?"),
        ("A-0000", "A-0000 is taken.\nWhich ticket?"),
        ("A-0000", "A-0000 is taken.\nPardon?"),
    ]);
}

#[test]
fn a_check_that_fails_refuses() {
    let mut talk = talk();
    talk.check(&[("a trip to Moscow", "Which ticket?"), ("A-9999", "Pardon?\nWhich ticket?")]);
    assert!(!talk.state.slots.contains_key("order"));
}

/// A value from earlier in the dialogue may have another slot's range, and a check may tell something else by now.
#[test]
fn a_remembered_value_is_looked_at_again() {
    let trip = TRIP
        .replace("one_of", "remember: true\n    one_of")
        .replace("check: { script: trip.rhai, function: is_free }", "check: { script: trip.rhai }\n    remember: true");
    let script = r#"fn check(ctx) { if kv_get("seen") == ctx.slots.order { return "Once is enough."; } kv_set("seen", ctx.slots.order); }"#;
    let mut talk = Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/trip.yaml", &trip),
        ("scripts/trip.rhai", script),
    ]);
    talk.state.slots.insert("city".to_owned(), "london".into());
    talk.check(&[
        ("book a trip", "To which city?"),
        ("Moscow", "Which ticket?"),
        ("A-0001", "To moscow with A-0001."),
        ("book a trip", "Once is enough.\nWhich ticket?"),
        ("A-0002", "To moscow with A-0002."),
    ]);
}

/// A check may compare slots, so it runs when any of them changes.
#[test]
fn a_check_runs_when_another_slot_changes() {
    let script =
        r#"fn is_free(ctx) { if ctx.slots.city == "moscow" && ctx.slots.order == "A-0007" { "Not to Moscow." } }"#;
    let trip = TRIP.replace("one_of: [moscow]", "help: No matter.");
    let mut talk = Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/trip.yaml", &trip),
        ("scripts/trip.rhai", script),
    ]);
    talk.check(&[
        ("a trip to London", "Which ticket?"),
        ("A-0007", "To london with A-0007."),
        ("no, to Moscow", "Not to Moscow.\nWhich ticket?"),
    ]);
}

#[test]
fn mistakes_in_what_is_admitted_are_told() {
    let trip = TRIP.replace("one_of: [moscow]", "one_of: [mosow]").replace("is_free", "is_fre");
    let (_, diagnostics) = load(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/trip.yaml", &trip),
        ("scripts/trip.rhai", SCRIPT),
    ]);
    insta::assert_snapshot!(diagnostics);
}

/// Each of these would load and misbehave.
#[test]
fn what_can_never_happen_is_told() {
    let bot = BOT.replace(
        "  city:",
        "  day: { kind: date }\n  word: { values: { a: [aa], b: [bb] }, optional: [day] }\n  pair: { parts: [day, day, word] }\n  city:",
    );
    let bot = format!("{bot}session: {{ minutes: 2 }}\npatterns: {{ no_words: {{ jump: trip }} }}\n");
    let trip = "
intent: trip
only_in: [shop]
examples: { en: [book a trip, plan a trip], ru: [заказать поездку, план поездки] }
slots:
  text: { one_of: [a], ask: { en: a, ru: a } }
  none: { entity: word, one_of: [], ask: { en: a, ru: a } }
  whole: { entity: pair, one_of: [a], ask: { en: a, ru: a } }
  day: { entity: day, one_of: [today, 2026-12-31], ask: { en: a, ru: a } }
  back: { entity: day, range: { least: today, most: today-3 }, invalid: { en: 'Not {said}, but {range}.', ru: '{said}' }, ask: { en: a, ru: a } }
  word: { entity: word, one_of: [a], prefer: past, invalid: { en: a, ru: a }, ask: { en: a, ru: a } }
  when: { when: { word: b }, retry: [{ en: a, ru: a }, { en: b, ru: b }, { en: c, ru: c }], ask: { en: a, ru: a } }
  never: { entity: city, invalid: { en: a, ru: a }, retry: ['a', { en: a, ru: a }], when: { never: any }, ask: { en: a, ru: a } }
handler: { reply: { en: '{text}', ru: '{text}' } }
";
    let (_, diagnostics) = load(&[("bot.yaml", &bot), ("intents/greet.yaml", GREET), ("intents/trip.yaml", trip)]);
    insta::assert_snapshot!(diagnostics);
}
