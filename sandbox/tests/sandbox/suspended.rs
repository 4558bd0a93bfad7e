//! A plugin that keeps failing is suspended for a growing time, and the suspension is visible.

use banter_engine::handlers::plugin::PluginRuntime;

use banter_sandbox::Sandbox;

use crate::support::{GUEST, RUNTIME, call, replayed, sandbox, shared_folder, spec};

#[test]
fn failures_in_a_row_suspend_a_plugin_and_a_reply_forgives_them() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox(Some(folder.path()));
    let plugin = sandbox.load(spec("shaky"), &GUEST).unwrap();
    for _ in 0..4 {
        assert_eq!(call(&*plugin, "panic").failure().0, "trapped");
    }
    assert_eq!(call(&*plugin, "hello").text(), "hello of 7", "four are forgiven");
    for _ in 0..9 {
        assert_eq!(call(&*plugin, "refuse").failure().0, "refused", "what a plugin refuses is no fault of its code");
    }
    for _ in 0..5 {
        assert_eq!(call(&*plugin, "panic").failure().0, "trapped");
    }
    let told = call(&*plugin, "hello");
    assert!(told.failure().1.contains("is suspended for"), "{:?}", told.failure());
    let failure = told.result.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("suspended", true));

    let state = sandbox.states().remove(0);
    assert!(state.suspended_for.is_some());
    let count = |kind: &str| state.failed.iter().find(|(known, _)| known.as_str() == kind).unwrap().1;
    assert_eq!((state.answered, count("trapped"), count("refused"), count("suspended")), (1, 9, 9, 1));
    assert!(
        state
            .note
            .unwrap()
            .to_string()
            .contains("failed 5 times in a row, the last time with `trapped`, and is suspended")
    );

    // Another process with the same folder, such as `banter check`, sees the note; a new build of the plugin starts
    // without one.
    let other = Sandbox::observing(RUNTIME.handle().clone(), Some(folder.path().to_owned()));
    let seen = other.load(spec("shaky"), &GUEST).unwrap();
    assert!(other.states()[0].note.is_some());
    assert_eq!(call(&*seen, "hello").text(), "hello of 7", "it may call it");
    assert!(other.states()[0].note.is_some(), "which forgives nothing");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(call(&*plugin, "hello").text(), "hello of 7", "after the pause it is tried again");
    assert!(sandbox.states()[0].note.is_none() && other.states()[0].note.is_none(), "and forgiven");
}

/// Reloading the same component keeps its record; another component starts a new one.
#[test]
fn a_reload_of_the_same_component_changes_nothing() {
    let sandbox = sandbox(Some(&shared_folder()));
    let plugin = sandbox.load(spec("again"), &GUEST).unwrap();
    (0..5).for_each(|_| drop(call(&*plugin, "panic")));
    let again = sandbox.load(spec("again"), &GUEST).unwrap();
    assert_eq!(call(&*again, "hello").failure().0, "suspended");
    // A custom section at the end makes a different file with the same code.
    let mended = [GUEST.as_slice(), b"\0\x05\x04note"].concat();
    let fresh = sandbox.load(spec("again"), &mended).unwrap();
    assert_eq!(call(&*fresh, "hello").text(), "hello of 7");
}

#[test]
fn a_replay_suspends_nobody_and_waits_for_the_fuel() {
    let sandbox = sandbox(Some(&shared_folder()));
    let mut little = spec("repeats");
    little.limits.fuel = 50_000_000;
    little.limits.time_ms = 100;
    let plugin = sandbox.load(little, &GUEST).unwrap();
    for _ in 0..8 {
        assert_eq!(replayed(&*plugin, "panic").failure().0, "trapped");
    }
    let ended = replayed(&*plugin, "loop");
    assert_eq!(ended.failure().0, "out_of_fuel", "what ends it does not depend on how busy the machine is");
}
