//! Hostile components: each is stopped within its limits, and nothing affects others. docs/plugins.md has the table.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use banter_engine::handlers::plugin::{Grants, PluginLimits, PluginRuntime, PluginSpec};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::support::{SANDBOX, TestHost, call, call_as, load, spec};

/// A limit long enough to be measured on a busy machine.
const LIMIT: Duration = Duration::from_millis(1_000);

fn limited(name: &str, change: impl FnOnce(&mut PluginLimits)) -> PluginSpec {
    let mut spec = spec(name);
    spec.limits.time_ms = LIMIT.as_millis() as u64;
    change(&mut spec.limits);
    spec
}

/// Far more than a call may take, also on a busy machine: a test that waits longer hangs.
const FOREVER: Duration = Duration::from_secs(60);

/// Checks the result of a deed, and that it ends.
fn check(spec: PluginSpec, deed: &str, kind: &str, reason: &str) {
    let plugin = load(spec);
    call(&*plugin, "warm up");
    let begun = Instant::now();
    let told = call(&*plugin, deed);
    let took = begun.elapsed();
    let (found, message) = told.failure();
    assert!(found == kind && message.contains(reason), "{deed}: {found}: {message}");
    assert!(took < FOREVER, "{deed} was stopped after {took:?}");
    assert!(told.kept.is_empty(), "a call that fails keeps nothing");
    assert_eq!(call(&*plugin, "hello").text(), "hello of 7", "after {deed}");
}

#[test]
fn hostile_loops_are_stopped_by_time_and_by_fuel() {
    check(limited("loop", |limits| limits.fuel = u64::MAX / 2), "loop", "timed_out", "longer than 1000 ms");
    check(limited("loop-fuel", |limits| limits.fuel = 20_000_000), "loop", "out_of_fuel", "more fuel");
}

#[test]
fn hostile_recursion_is_stopped() {
    check(limited("recurse", |_| {}), "recurse", "trapped", "");
}

#[test]
fn hostile_memory_bombs_are_stopped() {
    check(limited("memory", |_| {}), "memory", "out_of_memory", "more memory");
}

/// A component that grows a table forever; written by hand, because no compiler would produce it.
#[test]
fn hostile_table_bombs_are_stopped() {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", include_str!("../contract/plugin-1.0.0.wit")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (table $t 1 funcref)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "handle") (param i32) (result i32)
                (loop $again
                    (br_if $again (i32.ge_s (table.grow $t (ref.null func) (i32.const 10000)) (i32.const 0))))
                unreachable))"#,
    )
    .unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let component = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    let plugin = SANDBOX.load(limited("table", |_| {}), &component).unwrap_or_else(|failure| panic!("{failure}"));
    let begun = Instant::now();
    let told = call(&*plugin, "go");
    assert!(begun.elapsed() < FOREVER);
    assert_eq!(told.failure(), ("out_of_memory", "it asked for more table elements than allowed"));
}

#[test]
fn hostile_replies_are_refused() {
    check(limited("huge", |_| {}), "huge 20000", "bad_reply", "`say` has 20000 bytes");
    check(limited("huger", |_| {}), "huge 100000000", "out_of_memory", "more memory");
    check(limited("many", |_| {}), "many", "bad_reply", "more than 32 effects");
    check(limited("no-json", |_| {}), "no-json", "bad_reply", "`value` is not valid JSON");
}

#[test]
fn hostile_texts_that_are_no_utf8_are_refused() {
    check(limited("invalid", |_| {}), "invalid", "trapped", "utf-8");
    check(limited("panic", |_| {}), "panic", "trapped", "");
}

/// There are no files, no environment and no sockets; the clock stays at the time of the turn.
#[test]
fn hostile_looks_at_the_outside_see_nothing() {
    let told = call(&*load(limited("outside", |_| {})), "outside");
    let expected = "env 0 args 0 files false write false passwd false socket Err(";
    assert!(told.text().starts_with(expected), "{}", told.text());
    assert!(told.text().ends_with("wall 1767607200 passed 0"), "{}", told.text());
}

/// Whatever key the plugin asks for, it reaches only its own keys of the current user.
#[test]
fn hostile_keys_reach_nobody_else() {
    let (plugin, host) = (load(limited("thief", |_| {})), Arc::new(TestHost::default()));
    host.kept.lock().unwrap().insert((7, "plugin:victim:x".to_owned()), "secret".into());
    host.kept.lock().unwrap().insert((8, "plugin:thief:x".to_owned()), "secret".into());
    host.kept.lock().unwrap().insert((7, "x".to_owned()), "a script's secret".into());
    for key in ["x", "../victim:x", "plugin:victim:x", "\0x", "8:x", "*"] {
        assert_eq!(call_as(&*plugin, &host, 7, &format!("get {key}")).text(), "Ok(None)", "{key}");
    }
    let asked = host.gets.lock().unwrap();
    assert!(asked.iter().all(|(user, key)| *user == 7 && key.starts_with("plugin:thief:")), "{asked:?}");
    let told = call(&*plugin, "set ../victim:x 1");
    assert_eq!(told.kept.keys().collect::<Vec<_>>(), ["plugin:thief:../victim:x"]);
}

#[test]
fn hostile_calls_of_the_host_are_counted() {
    let (plugin, host) = (load(limited("greedy", |_| {})), Arc::new(TestHost::default()));
    assert_eq!(call_as(&*plugin, &host, 7, "gets").text(), "936");
    assert_eq!(host.gets.lock().unwrap().len(), 64);
    let told = call_as(&*plugin, &host, 7, "sets");
    assert_eq!((told.text(), told.kept.len()), ("968", 32));
    assert_eq!(call_as(&*plugin, &host, 7, "fetches https://api.example/").text(), "96");
    assert_eq!(host.fetched.lock().unwrap().len(), 4);
    assert_eq!(call_as(&*plugin, &host, 7, "log").text(), "logged");
    let lines = host.lines.lock().unwrap();
    assert!(lines.len() == 32 && lines.iter().all(|line| line.len() < 600), "{} lines", lines.len());
    check(limited("endless", |limits| limits.fuel = u64::MAX / 2), "get-for-ever", "timed_out", "longer than");
}

/// Functions that bot.yaml does not grant are unavailable.
#[test]
fn hostile_use_without_a_grant_is_refused() {
    let bare = |name: &str| PluginSpec { grants: Grants::default(), ..limited(name, |_| {}) };
    for (deed, what) in [("log", "log"), ("clock", "clock"), ("chance", "random")] {
        let told = call(&*load(bare("bare")), deed);
        assert_eq!(told.failure(), ("not_granted", format!("bot.yaml does not grant it `{what}`").as_str()));
    }
    let host = Arc::new(TestHost::default());
    let plugin = load(bare("bare-too"));
    for deed in ["get x", "set x 1", "fetch https://api.example/"] {
        assert!(call_as(&*plugin, &host, 7, deed).text().contains("does not grant"), "{deed}");
    }
    assert!(host.gets.lock().unwrap().is_empty() && host.fetched.lock().unwrap().is_empty());
    let told = call(&*plugin, "outside");
    assert!(told.text().ends_with("wall 0 passed 0"), "the language's own clock tells nothing: {}", told.text());
}

#[test]
fn each_call_has_an_instance_of_its_own() {
    let plugin = load(limited("counter", |_| {}));
    assert_eq!((call(&*plugin, "count").text(), call(&*plugin, "count").text()), ("1", "1"));
}

/// A thousand calls at once: each ends within its limit, and another plugin still answers meanwhile.
#[test]
fn hostile_floods_leave_room_for_others() {
    let spec = limited("flood", |limits| (limits.fuel, limits.parallel) = (u64::MAX / 2, 4));
    let (flood, other) = (load(spec), load(limited("bystander", |_| {})));
    call(&*flood, "warm up");
    call(&*other, "warm up");
    thread::scope(|scope| {
        let begun = Instant::now();
        let calls: Vec<_> = (0..1_000)
            .map(|_| {
                let flood = flood.clone();
                scope.spawn(move || (call(&*flood, "loop").failure().0, begun.elapsed()))
            })
            .collect();
        for number in 0..20 {
            assert_eq!(call(&*other, &format!("hello {number}")).text(), format!("hello {number} of 7"));
        }
        let mut kinds = std::collections::BTreeMap::new();
        for (kind, took) in calls.into_iter().map(|call| call.join().unwrap()) {
            *kinds.entry(kind).or_insert(0) += 1;
            assert!(took < FOREVER, "{kind} after {took:?}");
        }
        // On a slow machine, some calls arrive after the first ones have ended.
        let timed_out = kinds.remove("timed_out").unwrap_or(0);
        assert!((4..500).contains(&timed_out), "{timed_out} calls ran");
        assert_eq!(kinds, [("busy", 1_000 - timed_out)].into(), "all others are refused");
    });
}
