//! The diagnostics that authors see: each has a file, a line, a marker and a hint.

use insta::assert_snapshot;

use crate::support::{BOT, GREET, STATUS, load};

/// Renders the diagnostics of the good bot with some files replaced or added. Each diagnostic must have a hint.
fn check(changes: &[(&str, &str)]) -> String {
    let rendered = render(changes);
    let count = |word: &str| rendered.lines().filter(|line| line.trim_start().starts_with(word)).count();
    assert_eq!(count("error: ") + count("warning: "), count("= hint: "), "a fault without a hint:\n{rendered}");
    rendered
}

fn render(changes: &[(&str, &str)]) -> String {
    let mut files = vec![("bot.yaml", BOT), ("intents/greet.yaml", GREET), ("intents/status.yaml", STATUS)];
    files.retain(|(path, _)| changes.iter().all(|(changed, _)| changed != path));
    files.extend(changes);
    load(&files).1
}

#[test]
fn a_good_bot_has_none() {
    assert_eq!(check(&[]), "");
}

/// Locations match the text that an editor shows.
#[test]
fn carets_stand_at_the_fault() {
    let texts = |content: &str| check(&[("texts/a.yaml", content)]);
    for (content, line, caret) in [
        ("\u{FEFF}x: 'при{вет'", 1, 8),
        ("x: '{{nam}} { nam }'\ny: {en: '{', ru: b}", 2, 10),
        ("z:\n  en: |\n    ab\n    cd{ef\n  ru: b", 4, 7),
    ] {
        let rendered = texts(content);
        assert!(rendered.contains(&format!("--> texts/a.yaml:{line}:{caret}\n")), "{content}: {rendered}");
    }
    let greet = GREET.replace("Hello!", "'{{nam}} and { nam }!'");
    let rendered = check(&[("intents/greet.yaml", &greet)]);
    assert!(rendered.contains("`{nam}` has no value") && rendered.contains("intents/greet.yaml:4:38\n"), "{rendered}");
}

#[test]
fn one_intent_alone_is_a_warning() {
    let (_, rendered) = load(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET)]);
    assert!(rendered.starts_with("warning: the bot has only one intent"), "{rendered}");
}

#[test]
fn unknown_keys() {
    assert_snapshot!(check(&[(
        "intents/greet.yaml",
        "intent: greet\nexmaples: { en: [a b, c d], ru: [а б, в г] }\nhandler: { reply: x, suggests: [] }"
    )]));
}

#[test]
fn wrong_types() {
    assert_snapshot!(check(&[(
        "intents/greet.yaml",
        "intent: Greet Me\nexamples: [hello]\nhandler: { reply: { en: 5, ru: [] } }\nthreshold: 7"
    )]));
}

#[test]
fn duplicate_intents_and_examples() {
    let twin = "intent: greet\nexamples: { en: [hello THERE, hi], ru: [хай, йо] }\nhandler: { reply: x }";
    let thief = "intent: thief\nexamples: { en: [Where is  my order, hm], ru: [хм, кхм] }\nhandler: { reply: x }";
    assert_snapshot!(check(&[("intents/a_twin.yaml", twin), ("intents/thief.yaml", thief)]));
}

#[test]
fn missing_scripts_texts_and_languages() {
    let intent = "intent: a\nexamples: { en: [one two, three], de: [eins] }\nhandler: { script: nowhere.rhai }";
    let other =
        "intent: b\nexamples: { en: [four, five], ru: [четыре, пять] }\nhandler: { reply: { en: only English } }";
    assert_snapshot!(check(&[("intents/a.yaml", intent), ("intents/b.yaml", other)]));
}

#[test]
fn scripts() {
    let intent = "intent: a\nexamples: { en: [four, five], ru: [четыре, пять] }\nhandler: { script: a.rhai }";
    let broken = "fn handle(ctx) {\n    let x = ;\n}";
    let typo = "fn handle(ctx) {\n    sya(\"hello\")\n}";
    let undefined = "fn handle(ctx) {\n    say(nmae)\n}";
    let names =
        "fn hndle(ctx) {\n    // t(\"in a comment\")\n    jump(\"gret\") + ask(\"order\") + say(t(\"no_text\"))\n}";
    assert_snapshot!("script_syntax", check(&[("intents/a.yaml", intent), ("scripts/a.rhai", broken)]));
    assert_snapshot!("script_function", check(&[("intents/a.yaml", intent), ("scripts/a.rhai", typo)]));
    assert_snapshot!("script_variable", check(&[("intents/a.yaml", intent), ("scripts/a.rhai", undefined)]));
    assert_snapshot!("script_names", check(&[("intents/a.yaml", intent), ("scripts/a.rhai", names)]));
}

#[test]
fn jumps_in_a_circle() {
    let a = "intent: a\nexamples: { en: [one two, three], ru: [один, два] }\nhandler: { jump: b }";
    let b = "intent: b\nexamples: { en: [four, five], ru: [четыре, пять] }\nhandler: { jump: a }";
    assert_snapshot!(check(&[("intents/a.yaml", a), ("intents/b.yaml", b)]));
}

#[test]
fn templates_and_marks() {
    let a = "intent: a\nexamples: { en: ['go to [Paris](city)', 'take [B-1](ordr_id)', 'open [x](city'], ru: [один, два] }\nhandler: { reply: 'to {cty} {' }";
    let b = "intent: b\nexamples: { en: [four, five], ru: [четыре, пять] }\nslots: { order_id: { entity: order_id } }\nhandler: { reply: 'your {order}' }";
    assert_snapshot!(check(&[("intents/a.yaml", a), ("intents/b.yaml", b)]));
}

#[test]
fn an_empty_intent_and_two_handlers() {
    assert_snapshot!(check(&[(
        "intents/a.yaml",
        "intent: a\nexamples: { en: [], ru: [] }\nhandler: { reply: x, jump: greet }"
    )]));
}

#[test]
fn broken_yaml() {
    assert_snapshot!(
        "yaml_quote",
        check(&[("intents/a.yaml", "intent: a\nexamples:\n  en:\n    - [order](order_id) now\n")])
    );
    assert_snapshot!("yaml_twice", check(&[("intents/a.yaml", "intent: a\nintent: b\n")]));
    assert_snapshot!("yaml_empty", check(&[("intents/a.yaml", "")]));
    let (_, rendered) = load(&[]);
    assert_snapshot!("no_bot", rendered);
}

#[test]
fn a_broken_bot_file_hides_nothing_else() {
    let rendered = check(&[("bot.yaml", "name: ["), ("intents/greet.yaml", "intent: greet\nexamples: 5\nhandler: {}")]);
    assert!(rendered.contains("bot.yaml:1") && rendered.contains("intents/greet.yaml:2"), "{rendered}");
}

/// One mistake gives one diagnostic: follow-on errors are suppressed, but no other error is.
#[test]
fn one_slip_is_one_fault() {
    const TEXTS: &str = "hello: { en: 'Hello {name}', ru: 'Привет {name}' }";
    const SCRIPT: &str = "fn handle(ctx) {\n    set_slot(\"order_id\", t(\"hello\"));\n    jump(\"status\")\n}";
    const OTHER: &str =
        "intent: other\nexamples: { en: [the other, another], ru: [другое, иное] }\nhandler: { script: a.rhai }";
    let errors = |path: &str, content: &str, greet: &str| {
        let mut changes = vec![
            ("scripts/a.rhai", SCRIPT),
            ("intents/other.yaml", OTHER),
            ("intents/greet.yaml", greet),
            ("texts/a.yaml", TEXTS),
        ];
        changes.retain(|(known, _)| *known != path);
        changes.push((path, content));
        let rendered = check(&changes);
        (rendered.lines().filter(|line| line.starts_with("error: ")).count(), rendered)
    };
    let greet = GREET.replace("Hello!", "\"Hello {nmae}!\"");
    let slips = [
        ("bot.yaml", "fallback:", "fallbak:"),
        ("bot.yaml", "fallback:", "else:"),
        ("bot.yaml", "languages:", "langages:"),
        ("bot.yaml", "languages: [en, ru]", "languages: en"),
        ("bot.yaml", "languages: [en, ru]", "languages: [en, rru]"),
        ("bot.yaml", "[A-Z]-", "([A-Z]-"),
        ("bot.yaml", "pattern:", "pattern: 5 #"),
        ("bot.yaml", "entities:", "entities: []\nhttp2:"),
        ("bot.yaml", "name: test", "name: [test"),
        ("intents/status.yaml", "intent: status", "intent: Status !"),
        ("intents/status.yaml", "intent: status", ""),
        ("intents/status.yaml", "examples:", "exmaples:"),
        ("intents/status.yaml", "examples:", "examples: 5 #"),
        ("intents/status.yaml", "slots:", "slots: [] #"),
        ("intents/status.yaml", "slots:", "slts:"),
        ("intents/status.yaml", "ask:", "aks:"),
        ("intents/status.yaml", "ask: { en: Which order?", "ask: { en: 5"),
        ("intents/status.yaml", "handler: {", "handler: { reply: [1] } #"),
        ("intents/status.yaml", "handler: {", "handler: {{"),
        ("texts/a.yaml", "hello: {", "hello: [{"),
    ];
    for (path, from, to) in slips {
        let whole = [("bot.yaml", BOT), ("intents/status.yaml", STATUS), ("texts/a.yaml", TEXTS)];
        let content = whole.iter().find(|(known, _)| *known == path).unwrap().1;
        let broken = content.replacen(from, to, 1);
        assert_ne!(content, broken, "{from}");
        let (alone, rendered) = errors(path, &broken, GREET);
        // An unrelated key is unknown, and the key that it replaced is missing: two errors.
        let expected = if ["else:", "entities: []\nhttp2:"].contains(&to) { 2 } else { 1 };
        assert_eq!(alone, expected, "{path}: {to}:\n{rendered}");
        let (both, rendered) = errors(path, &broken, &greet);
        assert_eq!(both, expected + 1, "{path}: {to}:\n{rendered}");
    }
}

/// One mistake hides no other, in the same file or elsewhere.
#[test]
fn all_faults_are_told_at_once() {
    let bot = format!("{BOT}\ncolour: red\nfallback: {{ text: twice }}\nentities_: {{}}\n");
    let intent = "intent: a\nextra: 1\nexamples: { en: ['go to [x](nowhere)', two], ru: [один, два] }\nhandler: { script: a.rhai }";
    let script = "fn handle(ctx) {\n    sya(\"x\");\n    aks(\"y\")\n}";
    let rendered = check(&[("bot.yaml", &bot), ("intents/a.yaml", intent), ("scripts/a.rhai", script)]);
    for expected in [
        "unknown key `colour`",
        "the key `fallback` appears twice",
        "unknown key `entities_`",
        "unknown key `extra`",
        "unknown entity `nowhere`",
        "no function `sya`",
        "no function `aks`",
    ] {
        assert!(rendered.contains(expected), "{expected} is not in {rendered}");
    }
}

#[test]
fn entities_that_cannot_be_found() {
    let bot = BOT.replace(
        "entities:",
        "entities:\n  sign: { values: { dot: ['...'], plus: ['C++', c] }, fuzzy: true }\n  both: { pattern: '(', fuzzy: true }\n  twin: { values: { ok: [fine], fine: [good] } }",
    );
    assert_snapshot!(check(&[("bot.yaml", &bot)]));
}

#[test]
fn scripts_with_comments_in_comments_and_raw_texts_are_good() {
    let intent = "intent: a\nexamples: { en: [four, five], ru: [четыре, пять] }\nhandler: { script: a.rhai }";
    let script = "/* outer /* inner() */ still_a_comment() */\nfn handle(ctx) {\n    let x = loop { break (1); };\n    say(#\"a \"quoted(text)\" here\"#)\n}";
    assert_eq!(check(&[("intents/a.yaml", intent), ("scripts/a.rhai", script)]), "");
}

#[test]
fn aliases_that_explode() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let rendered = check(&[("texts/bomb.yaml", &bomb)]);
    assert!(rendered.contains("expands to more than 200000 values"), "{rendered}");
    let text = "x".repeat(100_000);
    let long = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 100_000].join(", "));
    let rendered = check(&[("texts/long.yaml", &long)]);
    assert!(rendered.contains("expands to more than 200000 values"), "{}", &rendered[..500.min(rendered.len())]);
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(check(&[("texts/deep.yaml", &deep)]).contains("is nested more than 32 levels deep"));
}

#[test]
fn bytes_that_are_no_text() {
    use banter_engine::{
        catalogue::{bundle::Bundle, loader},
        diagnostic::Diagnostics,
        handlers::{plugin::NoPlugins, script::Scripting},
        policy::Ceiling,
    };
    let mut bundle = Bundle::of(&[("bot.yaml", BOT), ("intents/greet.yaml", GREET)]);
    bundle.files.insert("texts/a.yaml".to_owned(), b"a: ok\nb: \xFF\xFE\n".to_vec());
    let mut diagnostics = Diagnostics::default();
    assert!(loader::load(&bundle, &Scripting::new(), &NoPlugins, &Ceiling::unlimited(), &mut diagnostics).is_none());
    assert!(diagnostics.render(false).contains("line 2 is not UTF-8"), "{}", diagnostics.render(false));
}

#[test]
fn folders_are_bounded() {
    use banter_engine::{
        catalogue::bundle::{Bundle, MAX_FILE_BYTES},
        diagnostic::Diagnostics,
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("texts")).unwrap();
    std::fs::write(folder.path().join("texts/big.yaml"), vec![b'#'; MAX_FILE_BYTES as usize + 1]).unwrap();
    std::fs::write(folder.path().join("texts/.swap.yaml"), "x").unwrap();
    std::fs::write(folder.path().join("texts/other.yml"), "x").unwrap();
    std::fs::create_dir_all(folder.path().join("texts/1/2/3/4/5/6")).unwrap();
    let mut diagnostics = Diagnostics::default();
    let bundle = Bundle::read(folder.path(), &mut diagnostics).unwrap();
    assert!(bundle.files.is_empty());
    for expected in ["more than 2097152", "it ends in .yml", "texts/1/2/3/4/5", "it is nested too deeply"] {
        assert!(diagnostics.render(false).contains(expected), "{expected}: {}", diagnostics.render(false));
    }
}

mod any_bytes {
    use banter_engine::catalogue::document::Document;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::parse("x.yaml", &bytes);
        }

        #[test]
        fn never_panic_on_yaml_like_text(text in "[a-z&*:\\[\\]{},'\"\\n #|>-]{0,80}") {
            let _ = Document::parse("x.yaml", text.as_bytes());
        }
    }
}

/// What no conversation can reach.
#[test]
fn what_is_never_reached_is_told() {
    let says = |rendered: String, text: &str| assert!(rendered.contains(text), "{rendered}");
    let greet = format!("{GREET}only_in: [shopping]\n");
    says(check(&[("intents/greet.yaml", &greet)]), "`greet` is never found, because no script sets `shopping`");
    let script = "fn handle(ctx) { say(\"ok\").set_context(\"shopping\", 3) }";
    let sets = STATUS.replace(
        "{ reply: { en: 'Order {order_id} is fine.', ru: 'Заказ {order_id} в порядке.' } }",
        "{ script: a.rhai }",
    );
    let files = [("intents/greet.yaml", greet.as_str()), ("intents/status.yaml", &sets), ("scripts/a.rhai", script)];
    assert_eq!(check(&files), "");
    let optional = STATUS.replace("entity: order_id, ask:", "entity: order_id, required: false, ask:");
    says(check(&[("intents/status.yaml", &optional)]), "the slot `order_id` of `status` is never asked for");
    let condition = STATUS.replace(
        "slots: {",
        "slots: { city: { entity: city, ask: Where? }, pace: { when: { city: [lodnon] }, ask: How? },",
    );
    says(
        check(&[("intents/status.yaml", &condition)]),
        "the slot `pace` is asked for if `city` is `lodnon`, which it never is",
    );
}
