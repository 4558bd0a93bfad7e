//! Conversations: languages, forms, clarification, fallback.

use banter_engine::turn::{AnsweredBy, Timings, Turn, TurnKind};

use crate::support::{BOT, GREET, STATUS, STOP, Talk};

fn talk() -> Talk {
    Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", STOP),
    ])
}

#[test]
fn the_reply_is_in_the_language_of_the_message() {
    talk().check(&[("hello there", "Hello!"), ("привет тебе", "Привет!"), ("hello there", "Hello!")]);
}

#[test]
fn a_missing_slot_is_asked_for() {
    talk().check(&[("where is my order", "Which order?"), ("A-1042", "Order A-1042 is fine.")]);
    talk().check(&[("track order B-7000", "Order B-7000 is fine.")]);
    talk().check(&[("где мой заказ", "Какой заказ?"), ("A-1042", "Заказ A-1042 в порядке.")]);
}

#[test]
fn the_same_messages_give_the_same_turns() {
    let (mut first, mut second) = (talk(), talk());
    for text in ["привет тебе", "track order A-1042", "where is my order", "it is b-7000", "заказ А-1042", "qwertz"]
    {
        let turns = [first.say(text), second.say(text)];
        let [one, other] = turns.map(|turn| format!("{:?}", Turn { timings: Timings::default(), ..turn }));
        assert_eq!(one, other, "{text}");
    }
}

#[test]
fn an_answer_that_does_not_fit_is_asked_again_and_given_up_at_last() {
    talk().check(&[
        ("where is my order", "Which order?"),
        ("qwertz", "It looks like A-1042."),
        ("qwertz", "It looks like A-1042."),
        ("qwertz", "Pardon?"),
        ("A-1042", "Order A-1042 is fine."),
    ]);
}

#[test]
fn a_form_is_left_by_cancel_and_for_another_intent() {
    let mut talk = talk();
    talk.check(&[("where is my order", "Which order?"), ("never mind that", "Dropped.")]);
    assert_eq!(talk.state.form, None);
    talk.check(&[
        ("where is my order", "Which order?"),
        ("hello there", "Hello!\nBack to where we were: where is my order.\nWhich order?"),
        ("A-1042", "Order A-1042 is fine."),
    ]);
}

#[test]
fn slots_do_not_outlive_their_form_unless_they_remember() {
    talk().check(&[("track order A-1042", "Order A-1042 is fine."), ("where is my order", "Which order?")]);
    let remembering = STATUS.replace("entity: order_id,", "entity: order_id, remember: true,");
    let mut talk =
        Talk::with(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/status.yaml", &remembering)]);
    talk.check(&[("track order A-1042", "Order A-1042 is fine."), ("where is my order", "Order A-1042 is fine.")]);
}

#[test]
fn misses_lead_to_a_person() {
    let strict = format!("{BOT}\nmatching: {{ threshold: 0.95, margin: 0.0 }}\n");
    let mut talk = Talk::with(&[("bot.yaml", &strict), ("intents/greet.yaml", GREET), ("intents/stop.yaml", STOP)]);
    talk.check(&[("qwertz", "Pardon?")]);
    let turn = talk.say("qwertz");
    assert_eq!((turn.text().as_str(), turn.hand_off, turn.kind), ("Calling somebody.", true, TurnKind::Unknown));
}

/// A dialogue that was just handed off, with a bot that has this `waiting`.
fn handed_off(waiting: &str) -> Talk {
    let person = "intent: person\nexamples: { en: [call a person, I want a human], ru: [позовите человека, нужен оператор] }\nhandler: { handoff: { en: Calling., ru: Зову. } }";
    let bot = format!("{BOT}\nwaiting: {waiting}\n");
    let mut talk = Talk::with(&[("bot.yaml", &bot), ("intents/greet.yaml", GREET), ("intents/person.yaml", person)]);
    assert!(talk.say("call a person").hand_off);
    talk
}

#[test]
fn the_bot_is_silent_while_somebody_else_is_to_answer() {
    let mut talk = handed_off("{}");
    let turn = talk.say("hello there");
    assert_eq!((turn.text().as_str(), turn.kind, turn.hand_off), ("", TurnKind::Waiting, false));
    let mut talk = handed_off("{ text: { en: Soon., ru: Скоро. } }");
    talk.check(&[("hello there", "Soon."), ("привет тебе", "Скоро.")]);
    talk.state.end_hand_off("I am Olga.");
    assert_eq!(talk.state.recent.back().unwrap().bot, "I am Olga.");
    talk.check(&[("привет тебе", "Привет!")]);
}

#[test]
fn after_the_authors_time_the_bot_speaks_again() {
    let mut talk = handed_off("{ minutes: 2 }");
    talk.wait(119);
    talk.check(&[("hello there", "")]);
    talk.wait(1);
    talk.check(&[("hello there", "Hello!")]);
    assert_eq!(talk.state.hand_off, None);
}

#[test]
fn two_near_intents_are_asked_about() {
    let one = "intent: one\ntitle: the first\nexamples: { en: [open my account page, show account], ru: [счёт один, показать счёт] }\nhandler: { reply: One. }";
    let two = "intent: two\ntitle: the second\nexamples: { en: [open my account book, show book], ru: [книга один, показать книгу] }\nhandler: { reply: Two. }";
    let unsure = format!("{BOT}\nmatching: {{ margin: 0.6 }}\n");
    let files = [
        ("bot.yaml", unsure.as_str()),
        ("intents/one.yaml", one),
        ("intents/two.yaml", two),
        ("intents/greet.yaml", GREET),
    ];
    let mut talk = Talk::with(&files);
    let turn = talk.say("open my account");
    assert_eq!(turn.kind, TurnKind::Ambiguous, "{:#?}", turn.explain);
    talk.check(&[("the second", "Two.")]);
    talk.say("open my account");
    let first = talk.state.clarify.clone().unwrap().first;
    let expected = if first.as_str() == "one" { "One." } else { "Two." };
    talk.check(&[("1", expected)]);
}

#[test]
fn equal_inputs_give_equal_turns() {
    let render = || {
        let mut talk = talk();
        let turns: Vec<String> = ["hello there", "where is my order", "qwertz", "A-1042"]
            .map(|text| {
                let turn = talk.say(text);
                format!("{:?}", (turn.kind, turn.outputs, turn.state, turn.explain, turn.events))
            })
            .to_vec();
        turns
    };
    assert_eq!(render(), render());
}

#[test]
fn a_state_of_a_catalogue_that_is_gone_is_dropped() {
    let mut first = talk();
    first.say("where is my order");
    let mut second = Talk::with(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/stop.yaml", STOP)]);
    second.state = first.state.clone();
    let turn = second.say("hello there");
    assert_eq!(turn.text(), "Sorry, this has just changed on our side. Please ask me once more.\nHello!");
    insta::assert_json_snapshot!(turn.events, @r#"
    [
      {
        "type": "state_dropped",
        "name": "status.order_id"
      }
    ]
    "#);
}

/// The intent of the form no longer exists: the bot says the author's text for that, not the fallback.
#[test]
fn a_form_without_its_intent_is_told_in_the_authors_words() {
    let mut first = talk();
    first.say("where is my order");
    let bot = format!("{BOT}dropped: {{ en: It has changed., ru: Изменилось. }}\n");
    let mut second = Talk::with(&[("bot.yaml", &bot), ("intents/greet.yaml", GREET), ("intents/stop.yaml", STOP)]);
    second.state = first.state.clone();
    let turn = second.say("A-1042");
    assert_eq!((turn.text().as_str(), turn.handler), ("It has changed.", AnsweredBy::Dropped));
    assert_eq!((second.state.form.clone(), second.state.fallbacks), (None, 0));
}

/// The intent exists, but not the slot that was asked for: the form goes on with the other slots.
#[test]
fn a_form_without_its_slot_goes_on() {
    let mut first = talk();
    first.say("where is my order");
    let files = [("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/status.yaml", STATUS)];
    let mut second = Talk::with(&files);
    second.state = first.state.clone();
    second.state.form.as_mut().unwrap().slot = "gone".to_owned();
    let turn = second.say("A-1042");
    assert_eq!(turn.text(), "Order A-1042 is fine.");
    assert_eq!(turn.events.len(), 1, "{:?}", turn.events);
}

#[test]
fn jumps_are_followed() {
    let jump = "intent: hi\nexamples: { en: [ahoy captain, ahoy sailor], ru: [эй капитан, эй моряк] }\nhandler: { jump: greet }";
    let mut talk = Talk::with(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/hi.yaml", jump)]);
    talk.check(&[("ahoy captain", "Hello!")]);
}

#[test]
fn empty_texts_are_not_understood() {
    talk().check(&[("\u{200B} \u{0}", "Pardon?")]);
}

/// A user can leave a form even if the bot has no intent for that.
#[test]
fn a_form_is_left_at_a_plain_word() {
    let cancelled = format!("{BOT}cancelled: {{ en: Left it., ru: Оставим это. }}\n");
    let files = [("bot.yaml", cancelled.as_str()), ("intents/greet.yaml", GREET), ("intents/status.yaml", STATUS)];
    let mut talk = Talk::with(&files);
    talk.check(&[("where is my order", "Which order?"), ("Never mind!", "Left it."), ("hello there", "Hello!")]);
    talk.check(&[("где мой заказ", "Какой заказ?"), ("отмена", "Оставим это.")]);
    assert_eq!(talk.state.form, None);
}

/// The bot's own intent also answers the plain cancel word, even if another intent is nearer to it; a value of the slot
/// still counts as an answer.
#[test]
fn a_plain_word_leaves_a_form_whatever_it_is_near_to() {
    let near = "intent: order_cancel\nexamples: { en: [cancel, cancel my order], ru: [отмена, отмени заказ] }\nhandler: { reply: Cancelled. }";
    let mut files = vec![
        ("bot.yaml", BOT),
        ("intents/near.yaml", near),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", STOP),
    ];
    let mut talk = Talk::with(&files);
    talk.check(&[("cancel", "Cancelled."), ("where is my order", "Which order?"), ("cancel", "Dropped.")]);
    assert_eq!(talk.state.form, None);

    let answers =
        BOT.replace("order_id: { pattern: '[A-Z]-\\d{4}' }", "order_id: { values: { exit: [exit], stay: [stay] } }");
    files[0].1 = &answers;
    Talk::with(&files).check(&[("where is my order", "Which order?"), ("exit", "Order exit is fine.")]);
}

/// A slot without an entity accepts any message, except one that is certainly another request.
#[test]
fn a_question_is_no_free_text() {
    let note = "intent: note\nexamples: { en: [leave a note, write a note down], ru: [оставь записку, запиши заметку] }\nslots: { note: { ask: { en: Which?, ru: Какую? } } }\nhandler: { reply: '[{note}]' }";
    let files = [
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/note.yaml", note),
    ];
    Talk::with(&files).check(&[
        ("leave a note", "Which?"),
        ("the order of things", "[the order of things]"),
        ("leave a note", "Which?"),
        ("where is my order", "Which order?"),
    ]);
}

/// The target of a jump asks for its required slots before its handler runs.
#[test]
fn a_jump_asks_for_slots() {
    let jump = "intent: other\nexamples: { en: [the other thing please, something else], ru: [другое пожалуйста, что-то ещё] }\nhandler: { jump: status }";
    let files = [
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/other.yaml", jump),
    ];
    Talk::with(&files).check(&[("the other thing please", "Which order?"), ("A-1042", "Order A-1042 is fine.")]);
}

#[test]
fn values_with_signs_are_found() {
    let bot = BOT.replace("city: { values: {", "city: { values: { 'St. Petersburg': [Питер],");
    let files = [("bot.yaml", bot.as_str()), ("intents/greet.yaml", GREET), ("intents/status.yaml", STATUS)];
    let mut talk = Talk::with(&files);
    let found = |talk: &mut Talk, text: &str| talk.say(text).entities.first().map(|entity| entity.value.clone());
    assert_eq!(found(&mut talk, "hello there St. Petersburg").as_deref(), Some("St. Petersburg"));
    assert_eq!(found(&mut talk, "hello there st petersburg").as_deref(), Some("St. Petersburg"));
}

/// What the user chooses of "did you mean" is kept for whoever reviews the first message.
#[test]
fn the_choice_is_explained() {
    let mut talk = Talk::with(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/status.yaml", STATUS)]);
    talk.check(&[("good is my", "Did you mean: hello there, or where is my order?")]);
    let turn = talk.say("the second");
    assert_eq!((turn.text().as_str(), turn.explain.chosen.unwrap().as_str()), ("Which order?", "status"));
    assert_eq!(talk.say("A-1042").explain.chosen, None);
}
