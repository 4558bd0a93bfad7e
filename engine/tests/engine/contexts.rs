//! Contexts: how long they live, what is kept in them, and intents that live only in one.

use banter_engine::state::DialogueState;

use crate::support::{BOT, GREET, Talk};

const OFFER: &str = "
intent: offer
examples: { en: [what is on sale, show me the offers], ru: [что со скидкой, покажите предложения] }
handler: { script: offer.rhai }
";

const TAKE: &str = "
intent: take
only_in: [offer]
examples: { en: [yes I take it, add it to my basket], ru: [да беру, добавьте в корзину] }
handler: { script: offer.rhai, function: take }
";

const SCRIPT: &str = r#"
fn handle(ctx) { say("A kettle.").set_context("offer", 3, #{ minutes: 5, values: #{ item: "kettle", price: 20 } }) }
fn take(ctx) { `${ctx.context_values.offer.item} for ${ctx.context_values.offer.price}` }
"#;

fn talk() -> Talk {
    Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/offer.yaml", OFFER),
        ("intents/take.yaml", TAKE),
        ("scripts/offer.rhai", SCRIPT),
    ])
}

#[test]
fn an_intent_finds_what_is_kept_in_its_context() {
    talk().check(&[("what is on sale", "A kettle."), ("add it to my basket", "kettle for 20")]);
}

#[test]
fn a_context_ends_after_its_turns() {
    let mut talk = talk();
    talk.check(&[("what is on sale", "A kettle."), ("hello there", "Hello!"), ("hello there", "Hello!")]);
    assert!(talk.state.contexts.contains_key("offer"));
    talk.check(&[("hello there", "Hello!"), ("hello there", "Hello!")]);
    assert!(talk.state.contexts.is_empty());
}

#[test]
fn a_context_ends_after_its_minutes() {
    let mut talk = talk();
    talk.check(&[("what is on sale", "A kettle.")]);
    talk.wait(299);
    talk.check(&[("add it to my basket", "kettle for 20")]);
    talk.wait(1);
    talk.say("add it to my basket");
    assert!(talk.state.contexts.is_empty());
}

#[test]
fn options_that_a_context_does_not_have_fail() {
    let script = SCRIPT.replace("minutes: 5", "minuts: 5");
    let mut talk = Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/offer.yaml", OFFER),
        ("intents/take.yaml", TAKE),
        ("scripts/offer.rhai", &script),
    ]);
    let turn = talk.say("what is on sale");
    assert_eq!(turn.text(), "Pardon?");
    assert!(format!("{:?}", turn.events).contains("a context has no `minuts`"), "{:?}", turn.events);
}

#[test]
fn a_context_is_stored_as_what_it_has() {
    let check = |text: &str| {
        let state: DialogueState = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
    };
    check(r#"{"version":1,"contexts":{"mood":3},"misses":0}"#);
    check(
        r#"{"version":1,"contexts":{"offer":{"turns":3,"until":1767607200000,"values":{"item":"kettle"}}},"misses":0}"#,
    );
}
