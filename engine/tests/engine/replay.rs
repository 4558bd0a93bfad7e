//! Fixtures: reading, playing, comparing, rewriting, and mutation of bots.

mod files;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{bundle::Bundle, document::Document, loader},
    diagnostic::{Diagnostics, Severity},
    embedding::{AnyLanguage, hashed::HashedEmbedder},
    handlers::{plugin::NoPlugins, script::Scripting},
    host::NoHost,
    policy::Ceiling,
    replay::{
        Outcome,
        coverage::Coverage,
        fixture::Fixture,
        matcher::{Lists, Matcher},
        mutation, reader, replay,
        rewrite::{rewrite, write},
        skipped,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{BOT, GREET, STATUS, STOP};

const TALK: &str = "
intent: talk
examples: { en: [tell me things, say something nice], ru: [расскажи что-нибудь, скажи приятное] }
handler: { script: talk.rhai }
";
const SCRIPT: &str = r#"
fn handle(ctx) {
    let times = kv_get("times");
    if times == () { times = 0; }
    kv_set("times", times + 1);
    if times > 2 {
        return say(t("enough"));
    }
    let page = http_get("https://api.example/word");
    say(t("word", #{ word: page.json.word })).image("https://img.example/1.png").payload(#{ times: times, nested: #{ a: [1, 2] } })
        .set_context("talked", 3)
}
"#;
const TEXTS: &str = "
word: { en: ['The word is {word}.', 'It is {word}!'], ru: 'Слово: {word}.' }
enough: { en: Enough., ru: Хватит. }
any: { en: '{x}', ru: '{x}' }
";

fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("bot.yaml", BOT),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/stop.yaml", STOP),
        ("intents/talk.yaml", TALK),
        ("scripts/talk.rhai", SCRIPT),
        ("texts/all.yaml", TEXTS),
    ]
}

struct Bench {
    engine: Engine,
    snapshot: Snapshot,
}

/// Built once, because playing fixtures does not change it.
fn bench() -> &'static Bench {
    static BENCH: LazyLock<Bench> = LazyLock::new(|| build(&files()));
    &BENCH
}

fn build(files: &[(&str, &str)]) -> Bench {
    let scripting = Arc::new(Scripting::tracing());
    let mut diagnostics = Diagnostics::default();
    let catalogue = loader::load(&Bundle::of(files), &scripting, &NoPlugins, &Ceiling::unlimited(), &mut diagnostics);
    let catalogue = catalogue.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let embedder = Arc::new(HashedEmbedder::new(128));
    let (snapshot, _) = Snapshot::build(Arc::new(catalogue), &*embedder, None, &mut |_| {}).expect("one");
    let engine = Engine::new(Arc::new(AnyLanguage(embedder)), scripting, Arc::new(NoHost));
    Bench { engine, snapshot }
}

impl Bench {
    fn read(&self, files: &[(&str, &str)]) -> (Vec<Fixture>, Diagnostics) {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let mut diagnostics = Diagnostics::default();
        (reader::read(&files, &self.snapshot.catalogue, &mut diagnostics), diagnostics)
    }

    fn play(&self, files: &[(&str, &str)]) -> Vec<Outcome> {
        let (fixtures, diagnostics) = self.read(files);
        assert_eq!(diagnostics.count(Severity::Error), 0, "{}", diagnostics.render(false));
        fixtures.iter().map(|fixture| replay(&self.engine, &self.snapshot, fixture).expect("an outcome")).collect()
    }
}

/// Plays one fixture; returns its differences, one per line.
fn differences(text: &str) -> String {
    let outcomes = bench().play(&[("fixtures/a.yaml", text)]);
    let lines = outcomes.iter().flat_map(|outcome| &outcome.turns).flat_map(|turn| &turn.differences).map(|found| {
        format!(
            "{}:{} {}: {} | {}",
            found.location.file, found.location.line, found.field, found.expected, found.actual
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

const GOOD: &str = r#"
conversation: all that can be expected
language: en
now: 2026-01-05T10:00:00Z
seed: 4
stubs:
  kv: {}
  http:
    - { url: https://api.example/word, json: { word: tea } }
expect: { catalogue_version: "*" }
turns:
  - user: hello there
    expect:
      intent: greet
      handler: reply
      type: matched
      language: en
      text: { one_of: [Hello!, { variant_of: "reply:greet" }], not: /hello/ }
      suggestions: [track order]
      probability: { min: 0.2, max: 1 }
      hand_off: false
      not: { intent: status, text: ~"order", slots: { order_id: "*" } }
  - user: say something nice
    after: 2h
    expect:
      handler: talk.rhai
      text: [~"tea", { like: "*tea*" }]
      contexts: { talked: 3 }
      kept: { times: 1 }
      effects: [{ say: { variant_of: word } }, { image: /png$/ }, { payload: { times: 0, nested: { a: [1, "..."] } } }]
  - user: track order A-1042
    expect:
      entities: { order_id: A-1042, city: null }
      slots: { order_id: { contains: "1042" } }
      contexts: { talked: 2, other: null }
      effects: ["..."]
"#;

#[test]
fn all_expectations_can_be_met() {
    assert_eq!(differences(GOOD), "");
}

#[test]
fn each_difference_names_its_line() {
    let wrong = GOOD
        .replace("handler: reply", "handler: form")
        .replace("max: 1 }", "max: 0.2 }")
        .replace("{ times: 1 }", "{ times: 2 }")
        .replace("a: [1, \"...\"]", "a: [2]")
        .replace("city: null", "city: \"*\"")
        .replace("not: { intent: status,", "not: { intent: greet,");
    insta::assert_snapshot!(differences(&wrong));
}

#[test]
fn a_call_without_a_stub_is_a_difference() {
    let bare = "conversation: no stubs\nturns: [{ user: say something nice }]\n";
    insta::assert_snapshot!(differences(bare));
    let http = "conversation: no page\nstubs: { kv: {} }\nturns: [{ user: say something nice }]\n";
    insta::assert_snapshot!(differences(http));
}

#[test]
fn a_failure_that_nobody_expects_is_a_difference() {
    let broken = "conversation: broken\nstubs: { kv: { times: [] } }\nturns: [{ user: say something nice }]\n";
    assert!(differences(broken).contains("script_failed"), "{}", differences(broken));
    let expected = broken.replace("nice }", "nice, expect: { events: [script_failed] } }");
    assert_eq!(differences(&expected), "");
    let other = broken.replace("nice }", "nice, expect: { events: [jump_failed] } }");
    assert!(differences(&other).contains("a.yaml:3 events: [jump_failed]"), "{}", differences(&other));
}

#[test]
fn users_have_their_own_dialogues_and_states() {
    let text = r#"
conversation: two users
users:
  ann: { id: 7, kv: { times: 9 }, state: { slots: { order_id: Z-1 } } }
  bob: { language: ru }
stubs: { http: [{ url: "*", body: '{"word": "x"}' }] }
turns:
  - { user: say something nice, as: ann, expect: { text: Enough., slots: { order_id: Z-1 } } }
  - { user: где мой заказ, as: bob, expect: { handler: form, slots: { order_id: null } } }
  - { user: A-1042, as: ann, expect: { not: { handler: form } } }
  - { user: A-1042, as: bob, expect: { text: Заказ A-1042 в порядке. } }
"#;
    assert_eq!(differences(text), "");
}

#[test]
fn a_form_may_be_in_the_middle() {
    let text = "conversation: later\nstate: { form: { intent: status, slot: order_id } }\nturns: [{ user: A-1042, expect: { type: form, text: Order A-1042 is fine. } }]\n";
    assert_eq!(differences(text), "");
}

#[test]
fn setups_come_first_and_independent_messages_begin_anew() {
    let shared = "stubs: { kv: {} }\nturns: [{ user: where is my order, expect: { handler: form } }]\n";
    let one = "conversation: goes on\nsetup: [begun.yaml]\nturns: [{ user: A-1042, expect: { type: form } }]\n";
    let two = "conversation: alone\nindependent: true\nexpect: { handler: form }\nturns: [{ user: where is my order }, { user: where is my order }]\n";
    let outcomes =
        bench().play(&[("fixtures/shared/begun.yaml", shared), ("fixtures/one.yaml", one), ("fixtures/two.yaml", two)]);
    assert_eq!(
        outcomes.iter().map(|outcome| (outcome.passed(), outcome.turns.len())).collect::<Vec<_>>(),
        [(true, 2); 2]
    );
}

#[test]
fn one_fixture_one_outcome() {
    let bench = bench();
    let play = || {
        let outcomes = bench.play(&[("fixtures/a.yaml", GOOD)]);
        outcomes[0].turns.iter().map(|turn| (turn.turn.text(), turn.turn.state.clone())).collect::<Vec<_>>()
    };
    assert_eq!(play(), play());
}

#[test]
fn coverage_tells_what_is_missed() {
    let bench = bench();
    let outcomes = bench.play(&[("fixtures/a.yaml", GOOD)]);
    insta::assert_yaml_snapshot!(Coverage::of(&bench.snapshot.catalogue, &outcomes));
}

#[test]
fn mutations_are_chosen_by_the_seed_and_change_the_bot() {
    let bundle = Bundle::of(&files());
    let chosen = mutation::choose(&bundle, 40, 7);
    assert_eq!(chosen, mutation::choose(&bundle, 40, 7));
    assert_ne!(chosen, mutation::choose(&bundle, 40, 8));
    for mutation in &chosen {
        assert_ne!(mutation.apply(&bundle), bundle, "{mutation:?}");
    }
    let lines: Vec<String> = chosen.iter().map(|m| format!("{:?} {}:{} {}", m.kind, m.file, m.line, m.what)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Any JSON value of moderate size.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~а-я\n\"]{0,12}".prop_map(Value::from),
        prop_oneof!["~.{0,3}", "=.{0,3}", "/a/", Just("*".to_owned()), Just("...".to_owned())].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}|not|is|min", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_means_itself(value in values()) {
        let written = write(&value);
        let document = Document::parse("f.yaml", format!("a: {written}\n").as_bytes());
        let document = document.unwrap_or_else(|diagnostic| panic!("{}: {written}", diagnostic.message));
        let matcher = Matcher::parse(&document.value["a"], Lists::Items).unwrap_or_else(|error| panic!("{error}: {written}"));
        let catalogue = &bench().snapshot.catalogue;
        prop_assert!(matcher.holds(&value, catalogue), "{}", written);
        prop_assert!(value == json!("other") || !matcher.holds(&json!("other"), catalogue), "{}", written);
    }

    #[test]
    fn a_rewritten_file_passes(seed in any::<u64>()) {
        let fixture = GOOD.replace("seed: 4", &format!("seed: {}", seed >> 1)).replace("text: [~\"tea\",", "text: [~\"coffee\",");
        let bench = bench();
        let outcomes = bench.play(&[("fixtures/a.yaml", &fixture)]);
        let changes: Vec<(String, Value)> = outcomes[0].turns.iter().flat_map(|turn| &turn.differences)
            .flat_map(|found| found.replacements.clone()).collect();
        prop_assert_eq!(changes.len(), 1);
        let rewritten = rewrite("fixtures/a.yaml", &fixture, &changes).expect("a file");
        prop_assert!(bench.play(&[("fixtures/a.yaml", &rewritten)])[0].passed(), "{}", rewritten);
        let same = fixture.lines().zip(rewritten.lines()).filter(|(old, new)| old == new).count();
        prop_assert_eq!(same + 1, fixture.lines().count());
    }
}

#[test]
fn what_a_setup_says_is_kept_unless_the_fixture_says_otherwise() {
    let shared = "stubs: { kv: { times: 9 } }\nstate: { slots: { order_id: A-1 } }\n";
    let own = "conversation: on\nsetup: [known.yaml]\nlanguage: ru\nturns: [{ user: скажи приятное, expect: { text: Хватит., slots: { order_id: A-1 } } }]\n";
    let outcomes =
        bench().play(&[("x/shared/fixtures/shared/known.yaml", shared), ("x/shared/fixtures/own.yaml", own)]);
    assert!(outcomes.len() == 1 && outcomes[0].passed(), "{:?}", outcomes[0].turns[0].differences);
}

#[test]
fn of_several_entities_none_may_be_what_must_not_be() {
    let fixture = |expect: &str| {
        differences(&format!(
            "conversation: x\nturns: [{{ user: track order A-1042 or B-2000, expect: {{ {expect} }} }}]\n"
        ))
    };
    assert_eq!(fixture("entities: { order_id: B-2000 }"), "", "one of them must do");
    assert_eq!(fixture("not: { entities: { order_id: C-3000 } }"), "");
    for wrong in ["not: { entities: { order_id: A-1042 } }", "entities: { order_id: { not: B-2000 } }"] {
        assert!(fixture(wrong).contains("entities.order_id"), "{wrong}");
    }
}

#[test]
fn what_needs_a_plugin_that_is_not_built_is_not_compared() {
    let bot = format!("{BOT}plugins: {{ parcel: {{ file: plugins/parcel.wasm, optional: true }} }}\n");
    let parcel =
        "intent: parcel\nexamples: { en: [where is my parcel], ru: [где моя посылка] }\nhandler: { plugin: parcel }\n";
    let bench = build(&[("bot.yaml", &bot), ("intents/parcel.yaml", parcel), ("intents/greet.yaml", GREET)]);
    let ask = "conversation: ask\nturns:\n  - { user: hello, expect: { text: never said } }\n  - { user: where is my parcel, expect: { text: On its way. } }\n";
    let stubbed = "stubs: { plugins: { parcel: { say: On its way. } } }\n";
    let play = |fixture: &str| bench.play(&[("fixtures/a.yaml", fixture)]);
    let absent = play(ask);
    assert!(absent[0].passed());
    assert_eq!(skipped(&absent), BTreeMap::from([("parcel".to_owned(), 1)]));
    let stubbed = play(&format!("{stubbed}{ask}"));
    let differing = |outcome: &Outcome| outcome.turns.iter().map(|turn| turn.differences.len()).collect::<Vec<_>>();
    assert_eq!(differing(&stubbed[0]), [1, 0], "a stub takes the place of the plugin");
    assert!(skipped(&stubbed).is_empty());
}
