//! Fixture files, banter's own and those of other tools: errors are reported with their line.

use serde_json::Value;

use banter_engine::replay::rewrite::rewrite;

use super::{bench, differences};

/// The diagnostics of fixture files, rendered.
fn diagnostics(files: &[(&str, &str)]) -> String {
    bench().read(files).1.render(false)
}

#[test]
fn faults_of_fixtures() {
    let text = r#"
conversatoin: typo
now: tomorrow
time_zone: Mars
language: de
setup: [nobody.yaml]
stubs:
  http: [{ url: "/[/", body: x, fails: y }]
  plugins: { ghost: { say: x } }
state: { form: { intent: greet, slot: x } }
turns:
  - user: hello
    after: soon
    expect: { intent: greeet, text: { wrong: x }, entities: { town: x }, probability: { min: 2 } }
  - user: hello
    expect: { text: { variant_of: nothing }, not: { not: { intent: greet } }, typo: 1 }
"#;
    let shape = [("fixtures/shape.yaml", text)];
    // Once the keys are correct, their values are checked.
    let keys = text.replace("conversatoin", "conversation").replace("min: 2", "min: 1").replace(", typo: 1", "");
    let held = keys.replace("{ wrong: x }", "\"/[/\"");
    insta::assert_snapshot!([diagnostics(&shape), diagnostics(&[("fixtures/held.yaml", &held)])].concat());
}

#[test]
fn names_and_conditions_that_no_turn_can_meet() {
    let text = r#"
conversation: x
seed: -1
users: { ann: { id: 7 }, ben: { id: 7, state: { slots: { citi: Moscow } } } }
stubs:
  plugins: { weather: { say: x, fails: y }, pages: { say: x, user_text: y } }
turns:
  - user: ""
    as: ann
  - user: hello
    as: ben
    expect:
      intent: { one_of: [greet, greeet] }
      handler: replay
      text: "~"
      probability: {}
      type: matchd
      kept: { seen: { min: 3, max: 2 } }
      not:
        intent: { is: gret }
        probability: { min: 0.9, max: 0.1 }
        handler: plugin:weathr
        effects: ["...", { imge: "*" }, "..."]
      effects: [{ say: "*", sugest: null }]
      events: [script_faild]
"#;
    insta::assert_snapshot!(diagnostics(&[("fixtures/names.yaml", text)]));
}

#[test]
fn what_passes_whatever_is_said_is_told() {
    let none = "conversation: x\nturns: [{ user: hello, expect: {} }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", none)]).contains("`x` has no expectations"));
    let story = "stories:\n- story: 5\n  steps: [{ user: hello }, { user: /greet }]\n";
    let told = diagnostics(&[("fixtures/x.yaml", story)]);
    assert!(told.contains("`5` has no expectations") && told.contains("`/greet` names an intent"), "{told}");
    let empty = "stories:\n- story: x\n  steps: [{ user: hello }, { bot: '' }, { slot_was_set: [] }, {}]\n";
    let told = diagnostics(&[("fixtures/x.yaml", empty)]);
    for part in ["the text of `bot` is empty", "no slot is named", "a step must be a map"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let hidden = "conversation: never played\nturns: [{ user: hello, expect: { intent: stop } }]\n";
    assert!(diagnostics(&[("fixtures/shared/x.yaml", hidden)]).contains("is not played by itself"));
    let forbidden = "conversation: x\nturns: [{ user: hello, expect: { slots: { order_ib: { not: x } } } }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", forbidden)]).contains("did you mean `order_id`?"));
    let any = "conversation: x\nturns: [{ user: hello, expect: { text: { variant_of: any } } }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", any)]).contains("can produce any text"));
}

#[test]
fn parts_of_a_list_alone_are_mended() {
    let text = "conversation: x\nturns:\n  - user: say something nice\n    expect:\n      effects:\n        - say: ~word # any of them\n        # a picture\n        - image: y\n        - payload: { times: 0, nested: '*' }\nstubs: { kv: { times: 1 }, http: [{ url: '*', json: { word: tea } }] }\n";
    let outcome = &bench().play(&[("fixtures/a.yaml", text)])[0];
    let values: Vec<(String, Value)> =
        outcome.turns[0].differences.iter().flat_map(|found| found.replacements.clone()).collect();
    let mended = rewrite("a.yaml", text, &values).expect("a file");
    assert!(
        mended.contains("- say: ~word # any of them\n        # a picture\n        - image: \"https://img"),
        "{mended}"
    );
    assert!(bench().play(&[("fixtures/a.yaml", &mended)])[0].passed());
}

#[test]
fn a_stub_that_nothing_asks_for_is_idle() {
    let text =
        "conversation: x\nstubs:\n  http:\n    - { url: https://pages.example/a, body: x }\nturns: [{ user: hello }]\n";
    let files = [("fixtures/idle.yaml", text)];
    let (fixtures, _) = bench().read(&files);
    let idle = bench().play(&files)[0].idle_stubs(&fixtures[0]);
    assert_eq!(idle.iter().map(|place| place.line).collect::<Vec<_>>(), [4]);
}

#[test]
fn files_that_are_no_fixtures() {
    let bomb = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "x, ".repeat(900), "*a, ".repeat(900), "*b, ".repeat(900));
    let many = format!("conversation: x\nturns:\n{}", "  - user: hello\n".repeat(1_001));
    let huge = format!("conversation: x\nturns:\n{}", "  - user: hello\n".repeat(100_000));
    let told: Vec<String> = [
        ("fixtures/bomb.yaml", bomb.as_str()),
        ("fixtures/empty.yaml", ""),
        ("fixtures/huge.yaml", huge.as_str()),
        ("fixtures/late.yaml", "conversation: x\nnow: 9999-12-30T00:00:00Z\nturns: [{ user: hi, after: 99 days }]\n"),
        ("fixtures/list.yaml", "- a\n"),
        ("fixtures/many.yaml", many.as_str()),
        ("fixtures/none.yaml", "conversation: x\n"),
        ("fixtures/quote.yaml", "conversation: \"x\n"),
        ("fixtures/types.yaml", "conversation: 1\nturns: { user: x }\n"),
    ]
    .map(|file| {
        let (fixtures, diagnostics) = bench().read(&[file]);
        assert!(fixtures.is_empty() && diagnostics.has_errors(), "{}", file.0);
        let reports = serde_json::to_value(diagnostics.reports()).expect("JSON");
        let line = |report: &Value| format!("{}:{} {}", file.0, report["line"], report["message"]);
        reports.as_array().expect("a list").iter().map(line).collect::<Vec<_>>().join("\n")
    })
    .to_vec();
    insta::assert_snapshot!(told.join("\n"));
}

const RASA: &str = r#"
version: "3.1"
stories:
- story: asks for an order
  steps:
  - user: |
      hello there
    intent: greet
  - action: utter_greet
  - user: track order [A-1042](order_id)
    intent: status
  - slot_was_set:
    - order_id: A-1042
  - action: action_nothing
  - checkpoint: end
test_cases:
- test_case: says hello
  fixtures: [premium]
  steps:
  - user: hello there
  - bot: Hello!
  - user: say something nice
  - slot_was_not_set: [order_id]
"#;

const BOTIUM: &str = "asks for an order\n\n#begin\nsomething\n\n#me\nhello there\n\n#bot\nhello!\nINTENT greet\nBUTTONS track order\n\n#me\ntrack order A-1042\n\n#bot\n!pardon\nENTITIES order_id\nMEDIA x.png\n";

#[test]
fn files_of_others_run_and_what_is_not_mapped_is_told() {
    let bench = bench();
    let files = [("fixtures/rasa.yaml", RASA), ("fixtures/order.convo.txt", BOTIUM)];
    let (_, diagnostics) = bench.read(&files);
    insta::assert_snapshot!(diagnostics.render(false));
    let outcomes = bench.play(&files);
    let told: Vec<String> = outcomes
        .iter()
        .map(|outcome| {
            let fields: Vec<&str> =
                outcome.turns.iter().flat_map(|turn| &turn.differences).map(|found| found.field.as_str()).collect();
            format!("{}: {} turns, {fields:?}", outcome.name, outcome.turns.len())
        })
        .collect();
    // The response that the last story needs has no stub.
    assert_eq!(
        told,
        ["asks for an order: 2 turns, []", "asks for an order: 2 turns, []", "says hello: 2 turns, [\"stubs\"]"]
    );
}

#[test]
fn too_many_messages_by_whatever_way() {
    let shared = format!("turns:\n{}", "  - user: hi\n".repeat(600));
    let own = "conversation: x\nsetup: [a.yaml, a.yaml]\nturns: [{ user: hi }]\n";
    let told = diagnostics(&[("fixtures/shared/a.yaml", &shared), ("fixtures/x.yaml", own)]);
    assert!(told.contains("the conversation has 1201 messages, more than 1000"), "{told}");
    let botium = format!("many\n\n{}", "#me\nhi\n".repeat(1_001));
    assert!(diagnostics(&[("fixtures/x.convo.txt", &botium)]).contains("1001 messages"));
}

#[test]
fn typos_that_would_hide_a_difference() {
    let speaker = "conversation: x\nusers: { ann: {} }\nturns: [{ user: hi, as: anm }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", speaker)]).contains("did you mean `ann`?"));
    let empty = "conversation: x\nturns: [{ user: hi, expect: { text: [] } }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", empty)]).contains("checks nothing"));
    assert!(diagnostics(&[("fixtures/x.convo.txt", "x\n\n#me\n\n#bot\nhi\n")]).contains("`#me` has no text"));
    let between =
        "conversation: x\nturns: [{ user: hello there, expect: { not: { probability: { min: 0, max: 0.1 } } } }]\n";
    assert_eq!(differences(between), "");
}

#[test]
fn what_must_be_absent_is_looked_for_under_its_right_name() {
    let absent = "conversation: x\nturns: [{ user: hello there, expect: { slots: { order_ib: null }, contexts: { talkd: null }, not: { kept: { time: 1 } } } }]\n";
    let told = diagnostics(&[("fixtures/x.yaml", absent)]);
    for meant in ["order_id", "talked", "times"] {
        assert!(told.contains(&format!("did you mean `{meant}`?")), "{meant}: {told}");
    }
    let right = "conversation: x\nturns: [{ user: hello there, expect: { slots: { order_id: null }, contexts: { talked: null, another: null }, language: ru } }]\n";
    assert_eq!(diagnostics(&[("fixtures/x.yaml", right)]), "");
    let language = "conversation: x\nturns: [{ user: hello there, expect: { language: rus } }]\n";
    assert!(diagnostics(&[("fixtures/x.yaml", language)]).contains("did you mean `ru`?"));
}

#[test]
fn a_wrong_type_hides_no_other_fault() {
    let text = "conversation: x\nturns:\n  - user: hello\n    expect: { slots: 5, intent: greeet }\n  - user: hello\n    expect: { hand_off: maybe, entities: { town: x } }\n";
    let told = diagnostics(&[("fixtures/x.yaml", text)]);
    for part in ["expected a map of keys", "no intent `greeet`", "expected true or false", "no entity `town`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn shared_files_are_looked_at_once_and_wherever_they_lie() {
    let wrong = "turns: [{ user: hello, expect: { intent: greeet } }]\n";
    let uses = "conversation: x\nsetup: [a.yaml]\nturns: [{ user: hello }]\n";
    let told = diagnostics(&[("fixtures/shared/a.yaml", wrong), ("fixtures/x.yaml", uses), ("fixtures/y.yaml", uses)]);
    assert_eq!(told.matches("no intent `greeet`").count(), 1, "{told}");
    assert!(diagnostics(&[("fixtures/shared/unused.yaml", wrong)]).contains("no intent `greeet`"));
    // The nearest file is used.
    let files = [("elsewhere/shared/a.yaml", "turns: [{ user: stop }]\n"), ("elsewhere/x.yaml", uses)];
    let steps = |files: &[(&str, &str)]| bench().read(files).0[0].steps.len();
    assert_eq!(steps(&files), 2);
    let speaker = "users: { ann: {}, bob: {} }\nturns: [{ user: hello, as: annn }]\n";
    assert!(diagnostics(&[("fixtures/shared/a.yaml", speaker)]).contains("did you mean `ann`?"));
    assert_eq!(steps(&[&files[..], &[("fixtures/shared/a.yaml", wrong)]].concat()), 2);
    assert!(diagnostics(&[&files[..], &[("fixtures/shared/b.yaml", "turns: 1")]].concat()).contains("shared/b.yaml"));
}

#[test]
fn utterances_variables_and_wildcards_of_botium() {
    let greetings = ("fixtures/a.utterances.txt", "UTT_HELLO\nhello there\ngood morning\n");
    let replies = ("fixtures/b.utterances.txt", "UTT_REPLY\nno such thing\nhel*o\n");
    let convo = "says hello\n\n#me\nUTT_HELLO\n\n#bot\nUTT_REPLY\nh*!\nENTITIES town\n\n#me\ntrack $order\n\n#bot\n$status is it\n\n#me\nit was $5\n";
    let files = [greetings, replies, ("fixtures/x.convo.txt", convo)];
    insta::assert_snapshot!(diagnostics(&files));
    let outcomes = bench().play(&files);
    let said: Vec<&str> = outcomes[0].turns.iter().map(|turn| turn.user.as_str()).collect();
    assert_eq!(said, ["hello there", "it was $5"]);
    assert!(outcomes[0].passed());
    let empty = diagnostics(&[("fixtures/a.utterances.txt", "UTT_HELLO\n")]);
    assert!(empty.contains("no utterances"), "{empty}");
}

#[test]
fn half_said_asserters_and_marks_are_told() {
    let convo = "x\na description\n\n#me hello\nhello there\n\n#bot\nBUTTONS\nENTITIES\nTEXT_REGEXP\nTEXT_CONTAINS_ALL\nTEXT_IC HELLO!\nTEXT_CONTAINS_ANY hello|HELL\n";
    let rasa = r#"
stories:
- story: marks
  steps:
  - user: 'track [A-1](order_id:A-1042) [b]{"entity": "order_id", "role": "from"} [c]{order_id} [d]{"value": "x"}'
  - slot_was_not_set: [order_ib]
"#;
    let files = [("fixtures/x.convo.txt", convo), ("fixtures/y.yaml", rasa)];
    insta::assert_snapshot!(diagnostics(&files));
    // Case matters where the asserter says so.
    let outcomes = bench().play(&[files[0]]);
    let fields: Vec<usize> = outcomes[0].turns[0].differences.iter().map(|found| found.location.line).collect();
    assert_eq!(fields, [13]);
    let (more, others) = ("fixtures/a.utterances.txt", "fixtures/b.utterances.txt");
    let lists = [
        (more, "UTT\nno\n"),
        (others, "UTT\nhello\n"),
        ("fixtures/x.convo.txt", "x\n\n#me\nhello there\n\n#bot\nUTT\n"),
    ];
    assert!(bench().play(&lists)[0].passed());
    // A list of entities is complete, unless it allows others; buttons have no order.
    let entities = |names: &str| {
        let convo = format!("x\n\n#me\ntrack order A-1042 to Moscow\n\n#bot\nENTITIES {names}\n");
        bench().play(&[("fixtures/x.convo.txt", &convo)])[0].passed()
    };
    assert_eq!(["order_id", "order_id|...", "city|order_id"].map(entities), [false, true, true]);
    assert!(diagnostics(&[("fixtures/x.convo.txt", "x\n\n#me\nhello\n\n#bot\n?maybe\n")]).contains("an optional text"));
}
