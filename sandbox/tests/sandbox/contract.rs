//! The contract: inputs, outputs, and which components are accepted.

use std::{path::Path, sync::Arc};

use banter_engine::handlers::{Effect, plugin::PluginRuntime};
use banter_sandbox::VERSION;
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::support::{SANDBOX, TestHost, VIEWER, call, call_as, load, spec};

const FROZEN: &str = include_str!("../contract/plugin-1.1.0.wit");

/// A component with the shape of a world, which does nothing.
fn component_of(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

fn refusal(component: &[u8]) -> String {
    let refused = SANDBOX.load(spec("other"), component).expect_err("it is taken");
    format!("{} / {}", refused.message, refused.hint)
}

/// Released versions never change: the guest of these tests is built for 1.0.0 and still runs.
#[test]
fn the_contract_of_a_released_version_is_not_changed() {
    let current =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/wit/plugin.wit")).unwrap();
    assert!(current.contains(&format!("package banter:plugin@{VERSION};")), "VERSION and plugin.wit differ");
    if VERSION == "1.1.0" {
        assert_eq!(current, FROZEN, "what is released is never changed: give the contract a new version");
    }
    assert_eq!(call(&*load(spec("guest")), "hello").text(), "hello of 7");
}

#[test]
fn what_goes_in_comes_out() {
    let told = call(&*load(spec("echo")), "echo");
    let reply = told.result.unwrap();
    let say = Effect::Say { text: r#"{"a":1}"#.to_owned(), suggestions: vec!["en".to_owned()] };
    assert_eq!(reply.effects, [say, Effect::SetSlot("seen".to_owned(), json!(7))]);
    assert_eq!(reply.value, Some(json!({ "b": 2 })));
    assert!(reply.fuel > 1_000, "{} units of fuel", reply.fuel);
}

#[test]
fn a_plugin_sees_forms_roles_and_contexts() {
    let plugin = SANDBOX.load(spec("viewer"), &VIEWER).unwrap_or_else(|failure| panic!("{failure}"));
    let seen: Value = serde_json::from_str(call(&*plugin, "view").text()).unwrap();
    let expected = json!({
        "entities": [
            { "entity": "city", "value": "London", "role": "from", "text": "london", "start": 0, "end": 6 },
        ],
        "frames": [{ "intent": "order", "slot": "city", "stage": "slot", "slots": { "guests": 2 } }],
        "contexts": { "offer": { "turns": 2, "values": {} } },
    });
    assert_eq!(seen, expected);
}

#[test]
fn a_refusal_of_the_plugin_is_told_in_its_words() {
    let told = call(&*load(spec("refusing")), "refuse");
    let failure = told.result.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("refused", "no"));
    assert_eq!((failure.user_text.as_deref(), failure.retryable), (Some("Not today."), true));
}

#[test]
fn values_are_kept_for_the_user_and_read_again() {
    let (plugin, host) = (load(spec("keeper")), Arc::new(TestHost::default()));
    assert_eq!(call_as(&*plugin, &host, 7, "get x").text(), "Ok(None)");
    let told = call_as(&*plugin, &host, 7, "set x [1]");
    assert_eq!((told.text(), &told.kept["plugin:keeper:x"]), ("Ok(())", &json!([1])));
    host.kept.lock().unwrap().extend(told.kept.into_iter().map(|(key, value)| ((7, key), value)));
    assert_eq!(call_as(&*plugin, &host, 7, "get x").text(), "Ok(Some(\"[1]\"))");
    assert_eq!(call_as(&*plugin, &host, 8, "get x").text(), "Ok(None)", "another user's");
    assert_eq!(
        call(&*plugin, "set x {").text(),
        "Err(\"the value is not valid JSON: EOF while parsing an object at line 1 column 1\")"
    );
}

/// A replay draws the same random numbers and reads the same clock.
#[test]
fn clock_and_chance_are_the_turns() {
    let plugin = load(spec("dice"));
    assert_eq!(call(&*plugin, "clock").text(), "2026-1-5 10 1");
    let first = call(&*plugin, "chance");
    assert_eq!(first.text(), call(&*plugin, "chance").text());
}

#[test]
fn other_worlds_and_versions_are_refused_with_both_named() {
    let newer = component_of(&FROZEN.replace("banter:plugin@1.1.0", "banter:plugin@1.7.0"));
    let told = refusal(&newer);
    assert!(told.contains("banter:plugin@1.7.0") && told.contains(&format!("banter:plugin@{VERSION}")), "{told}");
    let next = component_of(&FROZEN.replace("banter:plugin@1.1.0", "banter:plugin@2.0.0"));
    assert!(refusal(&next).contains("banter:plugin@2.0.0"));
    let other =
        component_of("package a:b@0.3.0; interface i { f: func(); } world w { import i; export run: func() -> u32; }");
    let told = refusal(&other);
    assert!(
        told.contains("a:b/i@0.3.0") && told.contains(VERSION) && told.contains("plugins/wit/plugin.wit"),
        "{told}"
    );
    let export = component_of("package a:b; world w { export run: func() -> u32; }");
    assert!(refusal(&export).contains("export run"), "{}", refusal(&export));
}

#[test]
fn what_is_no_component_is_refused() {
    for junk in [&b""[..], b"hello", b"\0asm\x01\0\0\0", &[0xFF; 4096]] {
        assert!(refusal(junk).contains("not a component"), "{}", refusal(junk));
    }
}

/// Lists the imports of a component, for `banter plugin check`.
#[test]
fn imports_are_told() {
    let mut imports = SANDBOX.imports("guest", &crate::support::GUEST).unwrap();
    imports.sort();
    let names: Vec<&str> = imports.iter().filter_map(|import| import.strip_suffix("@1.0.0")).collect();
    assert_eq!(names, ["clock", "http", "kv", "log", "random", "types"]);
}
