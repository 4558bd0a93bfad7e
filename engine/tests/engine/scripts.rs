//! The script API and its limits.

use std::collections::BTreeMap;

use banter_engine::{host::HttpAnswer, turn::Turn};
use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{BOT, GREET, STATUS, Talk, TestHost};

const INTENT: &str = "
intent: script
title: run
examples: { en: [run the script now, start script], ru: [запусти скрипт, пусти скрипт] }
slots: { city: { entity: city, required: false, ask: { en: Where?, ru: Где? } } }
handler: { script: test.rhai }
";
const TEXTS: &str = "hello: { en: 'Hello {name}', ru: 'Привет, {name}' }\nplace: { en: 'In {city}', ru: 'В {city}' }";

fn talk(body: &str, host: TestHost) -> Talk {
    let script = format!("fn handle(ctx) {{\n{body}\n}}");
    let files = [
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/script.yaml", INTENT),
        ("texts/all.yaml", TEXTS),
        ("scripts/test.rhai", &script),
    ];
    Talk::with_host(&files, host)
}

fn run(body: &str) -> Turn {
    talk(body, TestHost::default()).say("run the script now")
}

/// Checks what a script says.
fn check(body: &str, expected: &str) {
    let turn = run(body);
    assert_eq!(turn.text(), expected, "{body}\n{:?}", turn.events);
}

/// Checks that a failing script says the fallback text, and that the event has line and reason.
fn check_failure(body: &str, line: usize, reason: &str) {
    let turn = run(body);
    assert_eq!(turn.text(), "Pardon?", "{body}");
    let events = json!(turn.events).to_string();
    assert!(events.contains(reason), "{reason} is not in {events}");
    assert!(events.contains(&format!("\"line\":{line}")), "line {line} is not in {events}");
    assert!(events.contains("scripts/test.rhai"), "{events}");
}

#[test]
fn the_whole_api() {
    let turn = run(r#"
        log("a line");
        kv_set("seen", [1, 2]);
        say("one").suggest(["a", "b"]).say("two").image("https://x.example/i.png").payload(#{ a: 1 })
            .set_slot("city", "london").set_context("mood", 2)"#);
    assert_json_snapshot!(json!({
        "outputs": turn.outputs, "slots": turn.state.slots, "contexts": turn.state.contexts, "kept": turn.kept, "events": turn.events,
    }));
}

#[test]
fn ctx() {
    check(
        "ctx.text + '|' + ctx.language + '|' + ctx.intent + '|' + ctx.user_id + '|' + ctx.dialog_id",
        "run the script now|en|script|7|3",
    );
    check("if ctx.slots.city == () { \"none\" } else { ctx.slots.city }", "none");
    check("`${ctx.probability > 0.4} ${ctx.history.len()} ${ctx.entities.len()} ${ctx.contexts.len()}`", "true 0 0 0");
    check_failure("ctx.slots.town", 2, "town");
    check_failure("ctx.nothing", 2, "nothing");
    check_failure("ctx.text = \"x\"; \"y\"", 2, "text");
}

#[test]
fn texts_and_chance() {
    check("t(\"hello\", #{ name: \"Ann\" })", "Hello Ann");
    check_failure("t(\"hello\")", 2, "needs a value for {name}");
    check("let n = now(); `${n.year}-${n.month}-${n.day} ${n.hour} ${n.weekday}`", "2026-1-5 10 1");
    assert_eq!(run("`${random()} ${random(1000)}`").text(), run("`${random()} ${random(1000)}`").text());
    check_failure("random(0)", 2, "above 0");
}

#[test]
fn slots_contexts_jumps_and_ends() {
    check("jump(\"greet\")", "Hello!");
    check("say(\"first\") + jump(\"greet\")", "first\nHello!");
    check("say(\"first\").ask(\"city\", \"And where?\")", "first\nAnd where?");
    let turn = run("hand_off(\"A person comes.\")");
    assert!(turn.hand_off);
    assert_eq!(turn.text(), "A person comes.");
    let turn = run("ask(\"city\").hand_off(\"A person comes.\")");
    assert_eq!((turn.text().as_str(), turn.state.form), ("Where?\nA person comes.", None), "no form goes on");
    let mut talk =
        talk("if ctx.slots.city == () { ask(\"city\") } else { say(t(\"place\")).end() }", TestHost::default());
    talk.check(&[("run the script now", "Where?"), ("Лондон", "In london")]);
    assert!(talk.state.slots.is_empty(), "end() forgets");
}

#[test]
fn a_language_is_set_for_good() {
    let mut talk = talk("set_language(\"ru\").say(\"да\")", TestHost::default());
    talk.check(&[("run the script now", "да"), ("hello there", "Привет!")]);
}

#[test]
fn contexts_live_for_their_turns() {
    let mut talk = talk(
        "if ctx.contexts.contains(\"c\") { \"again\" } else { say(\"first\").set_context(\"c\", 1) }",
        TestHost::default(),
    );
    talk.check(&[("run the script now", "first"), ("run the script now", "again"), ("run the script now", "first")]);
}

#[test]
fn values_are_kept_with_the_turn() {
    let mut talk = talk(
        "let n = kv_get(\"n\"); if n == () { n = 0; } kv_set(\"n\", n + 1); `${kv_get(\"n\")}`",
        TestHost::default(),
    );
    talk.check(&[("run the script now", "1"), ("run the script now", "2")]);
    assert_eq!(talk.say("run the script now").kept, BTreeMap::from([("n".to_owned(), json!(3))]));
}

#[test]
fn pages_are_fetched_through_the_host() {
    let answer = HttpAnswer { status: 200, body: "{\"t\": 21.5}".to_owned() };
    let host = TestHost {
        pages: BTreeMap::from([("https://api.example/t?q=a%20b".to_owned(), answer)]),
        ..TestHost::default()
    };
    let mut talk =
        talk("let a = http_get(\"https://api.example/t?q=\" + url_encode(\"a b\")); `${a.status} ${a.json.t}`", host);
    talk.check(&[("run the script now", "200 21.5")]);
    check(
        "try { http_get(\"https://api.example/none\"); } catch (e) { return \"caught: \" + e; }",
        "caught: no page https://api.example/none",
    );
}

#[test]
fn failures_are_events() {
    check_failure("\n\nthrow \"broken\";", 4, "broken");
    check_failure("let a = [1]; a[5]", 2, "5");
    check_failure("()", 1, "an empty reply");
    check_failure("42", 1, "instead of a reply");
    check_failure("kv_set(\"\", 1); \"x\"", 2, "1 to 128 bytes");
}

#[test]
fn hostile_scripts_are_stopped() {
    check_failure("loop { let a = 1; }", 1, "operations");
    check_failure("fn_again(1)\n}\nfn fn_again(n) {\n fn_again(n + 1)", 1, "");
    check_failure("let s = \"x\"; loop { s += s; }", 1, "too large");
    check_failure("let a = []; loop { a.push(1); }", 1, "too large");
    check_failure("sleep(10)", 2, "cannot sleep");
    check_failure(
        "for i in 0..9 { try { http_get(\"https://api.example/none\"); } catch (e) { if e.contains(\"too often\") { throw e; } } }",
        2,
        "too often",
    );
    check_failure("for i in 0..99 { kv_get(\"x\"); }", 2, "too often");
    check_failure("let s = say(\"a\"); for i in 0..100 { s = s.say(\"a\"); } s", 2, "at most 32 effects");
    check_failure("let s = say(\"a\"); loop { s = s + s; }", 2, "at most 32 effects");
    check_failure("let s = \"x\"; while s.len() < 20_000 { s += s; } set_slot(\"x\", s)", 2, "at most 16384 bytes");
    check_failure("let s = \"x\"; while s.len() < 20_000 { s += s; } payload(#{ s: s })", 2, "at most 16384 bytes");
    check_failure("loop { let a = []; for i in 0..900 { a.push(i); } a.sort(); }", 1, "");
    let mut talk = talk("for i in 0..100 { log(`line ${i}`); } \"done\"", TestHost::default());
    talk.check(&[("run the script now", "done")]);
    assert_eq!(talk.host.logged.lock().unwrap().len(), 32, "lines of one turn");
}

/// The state is stored with each turn, so its size is limited.
#[test]
fn slots_do_not_grow_for_ever() {
    let body = "let r = say(\"ok\"); for i in 0..30 { r = r.set_slot(`s${random(1_000_000)}`, 1); } r";
    let mut talk = talk(body, TestHost::default());
    let told: Vec<Turn> = (0..9).map(|_| talk.say("run the script now")).collect();
    assert_eq!(talk.state.slots.len(), 200);
    assert!(told[0].events.is_empty() && json!(told[8].events).to_string().contains("at most 200 slots"));
}

/// If a store is unavailable, there is no turn: it could not be stored, and the client tries again.
#[test]
fn a_store_that_is_away_ends_the_turn() {
    let mut talk = talk("let n = (); try { n = kv_get(\"n\"); } catch { n = 0; } `${n == ()}`", TestHost::default());
    talk.host.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = talk.try_to_say("run the script now").unwrap_err();
    assert_eq!(error.to_string(), "the store is away");
    talk.host.away.store(false, std::sync::atomic::Ordering::Relaxed);
    talk.check(&[("run the script now", "true")]);
}

/// An empty text is an error of the script, and the user gets the fallback text.
#[test]
fn an_empty_text_is_a_failure() {
    for body in ["say(\" \")", "\"\""] {
        let turn = run(body);
        assert_eq!((turn.text().as_str(), turn.events.len()), ("Pardon?", 1), "{body}: {:?}", turn.events);
    }
}

#[test]
fn what_would_leave_the_sandbox_does_not_compile() {
    for body in ["eval(\"1\")", "import \"x\" as y; \"\"", "timestamp()"] {
        let script = format!("fn handle(ctx) {{ {body} }}");
        let files = [
            ("bot.yaml", BOT),
            ("intents/script.yaml", INTENT),
            ("texts/all.yaml", TEXTS),
            ("scripts/test.rhai", script.as_str()),
        ];
        let refused = crate::support::load(&files).0.is_none();
        let stopped = || run(body).text() == "Pardon?";
        assert!(refused || stopped(), "{body}");
    }
}

#[test]
fn a_handler_sees_roles_and_the_forms_that_wait() {
    let fly = "
intent: fly
examples: { en: ['fly from [London](city:from) to [Moscow](city:to)', 'a flight from [Moscow](city:from) to [London](city:to)'], ru: ['полёт из [Москвы](city:from) в [Лондон](city:to)', 'лечу из [Лондона](city:from) в [Москву](city:to)'] }
slots: { from: { entity: city, role: from, required: false }, to: { entity: city, role: to, required: false } }
handler: { script: fly.rhai }
";
    let script = "fn handle(ctx) {
        let roles = ctx.entities.map(|entity| entity.role);
        let frame = ctx.frames[0];
        `${roles} ${frame.intent} ${frame.slot} ${frame.stage} ${ctx.frames.len()}`
    }";
    let mut talk = Talk::with(&[
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/fly.yaml", fly),
        ("scripts/fly.rhai", script),
    ]);
    talk.check(&[
        ("where is my order", "Which order?"),
        (
            "fly from London to Moscow",
            "[\"from\", \"to\"] status order_id slot 1\nBack to where we were: where is my order.\nWhich order?",
        ),
    ]);
}

#[test]
fn a_text_is_replaced_within_bounds() {
    check("let s = \"a-b-c\"; s.replace(\"-\", \", \"); s", "a, b, c");
    check("let s = \"a-b-c\"; s.replace('-', '+'); s", "a+b+c");
    check("let s = \"\"; s.pad(100, 'x'); s.replace(\"x\", \"\"); s + \"end\"", "end");
    check_failure("let s = \"\";\ns.pad(100000, 'x');\ns.replace(\"x\", s); \"end\"", 4, "more than 100000 bytes");
}
