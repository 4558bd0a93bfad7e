//! Whatever is said, whatever handlers do and however long the user is silent: the bot answers, no form traps the user,
//! the state stays small, and a stored state goes on like the one in memory.

use banter_engine::{state::DialogueState, turn::TurnKind};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    repairs::TRIP,
    support::{BOT, GREET, STATUS, STOP, Talk},
};

/// Bytes of a state, at most. Handlers may keep more; this bot's do not.
const MAX_STATE: usize = 8_000;

/// A handler that does anything, by chance.
const WILD: &str = "
intent: wild
examples: { en: [do something wild, surprise me now], ru: [сделай что-нибудь дикое, удиви меня] }
slots:
  thing: { required: false, ask: { en: What thing?, ru: Что? } }
  orders: { entity: order_id, many: true, required: false, check: { script: wild.rhai, function: refuse } }
handler: { script: wild.rhai }
";

const SCRIPT: &str = r#"
fn handle(ctx) {
    switch random(12) {
        0 => say("a").set_context(`c${random(60)}`, random(5), #{ minutes: 1 + random(9), values: #{ n: random(9) } }),
        1 => say("b").set_slot("city", "moscow"),
        2 => say("c").set_slot("city", ()),
        3 => ask("thing"),
        4 => ask("thing", "Which?").set_slot(`s${random(300)}`, 1),
        5 => jump("trip"),
        6 => jump("wild"),
        7 => say("d").end(),
        8 => hand_off("e"),
        9 => say("f").set_language("ru"),
        10 => throw "g",
        _ => say(`${ctx.frames.len()} ${ctx.slots.orders}`),
    }
}
fn refuse(ctx) { if random(2) == 0 { "No." } }
"#;

const SAID: [&str; 25] = [
    "plan a trip",
    "where is my order",
    "A-1042",
    "Moscow",
    "no, London",
    "with",
    "alone",
    "yes",
    "no",
    "qwertz",
    "hello there",
    "go back",
    "skip",
    "start over",
    "help",
    "what",
    "never mind",
    "track order B-7000 and plan a trip",
    "change the destination",
    "not London",
    "ghbdtn",
    "the second",
    "do something wild",
    "surprise me now with A-1042 and B-7000",
    "",
];

#[derive(Clone, Copy, Debug)]
enum Happening {
    Said(usize),
    Silence,
    /// Seconds that pass.
    Wait(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => (0..SAID.len()).prop_map(Happening::Said),
        1 => Just(Happening::Silence),
        1 => (0..2_000_i64).prop_map(Happening::Wait),
    ]
}

fn talk() -> Talk {
    let bot = BOT.replace("  city:", "  guide: { values: { with: [with, с гидом], without: [alone, один] } }\n  city:");
    let (bot, greet) = (format!("{bot}session: {{ minutes: 30 }}\n"), format!("{GREET}small_talk: true\n"));
    Talk::with(&[
        ("bot.yaml", &bot),
        ("intents/greet.yaml", &greet),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", STOP),
        ("intents/trip.yaml", TRIP),
        ("intents/wild.yaml", WILD),
        ("scripts/wild.rhai", SCRIPT),
    ])
}

fn stored(state: &DialogueState) -> (String, DialogueState) {
    let text = serde_json::to_string(state).unwrap();
    let read = serde_json::from_str(&text).unwrap();
    (text, read)
}

#[test]
fn no_sequence_of_utterances_and_effects_breaks_the_dialogue() {
    let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
    let shared = std::cell::RefCell::new(talk());
    let run = runner.run(&prop::collection::vec(happening(), 1..30), |sequence| {
        let mut talk = shared.borrow_mut();
        talk.state = DialogueState::default();
        for happening in sequence {
            match happening {
                Happening::Wait(seconds) => talk.wait(seconds),
                Happening::Silence => {
                    talk.fall_silent();
                }
                Happening::Said(said) => {
                    let (_, before) = stored(&talk.state);
                    let turn = talk.say(SAID[said]);
                    let silent = turn.outputs.is_empty() && turn.kind != TurnKind::Waiting;
                    prop_assert!(!silent, "{}: nothing is said", SAID[said]);
                    let again = talk.again(&before, SAID[said]);
                    prop_assert_eq!((again.text(), again.state), (turn.text(), turn.state));
                }
            }
            let (text, read) = stored(&talk.state);
            prop_assert_eq!(&read, &talk.state);
            prop_assert!(text.len() < MAX_STATE, "the state grows: {text}");
            prop_assert!(read.suspended.len() <= 3 && read.contexts.len() <= 50);
        }
        talk.state.hand_off = None;
        // Every form is left by as many words as there are forms.
        for _ in 0..5 {
            talk.say("never mind");
        }
        prop_assert_eq!(&talk.state.form, &None);
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
