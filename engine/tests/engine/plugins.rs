//! Plugins as the engine sees them: effects, failures, and scripts that call them. No runtime is involved.

use std::sync::Arc;

use banter_engine::{
    catalogue::{
        bundle::Bundle,
        loader::{SaidOf, said_of},
    },
    diagnostic::Diagnostics,
    handlers::{
        Effect,
        plugin::{FailureKind, LoadFailure, Plugin, PluginCall, PluginFailure, PluginReply, PluginRuntime, PluginSpec},
    },
    turn::{AnsweredBy, Event, Turn},
};
use serde_json::json;

use crate::support::{BOT, GREET, Talk, TestHost, load_with};

/// A stub that does what the last word of the message says.
struct Stub(PluginSpec);

impl Plugin for Stub {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn reads_clock(&self) -> bool {
        false
    }

    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        let say = |text: &str| Effect::Say { text: text.to_owned(), suggestions: Vec::new() };
        let effects = match call.context.text.split(' ').next_back().unwrap_or_default() {
            "trap" => return Err(PluginFailure::new(FailureKind::Trapped, "unreachable")),
            "refuse" => {
                let told = PluginFailure::new(FailureKind::Refused, "no stock");
                return Err(PluginFailure { user_text: Some("We have none.".to_owned()), ..told });
            }
            "jump" => vec![Effect::Jump("nowhere".to_owned())],
            "ask" => vec![say("well"), Effect::Ask { slot: "nothing".to_owned(), text: None }],
            "language" => vec![say("well"), Effect::SetLanguage("tlh".to_owned())],
            _ => vec![say("plugged"), Effect::SetSlot("seen".to_owned(), json!(true))],
        };
        let value = call.arguments.map(|given| json!({ "given": given, "settings": self.0.settings }));
        call.kept.insert("plugin:stub:n".to_owned(), json!(1));
        Ok(PluginReply { effects, value, fuel: 7 })
    }
}

struct Stubs;

impl PluginRuntime for Stubs {
    fn load(&self, spec: PluginSpec, component: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure> {
        match component {
            b"good" => Ok(Arc::new(Stub(spec))),
            _ => Err(LoadFailure { message: "this is not a component".to_owned(), hint: "build it".to_owned() }),
        }
    }
}

const PLUGINS: &str = "plugins: { stub: { file: plugins/stub.wasm, settings: { a: 1 } }, gone: { file: plugins/gone.wasm, optional: true } }\n";
const INTENT: &str = "
intent: plugged
examples: { en: [use the plugin now, start the plugin], ru: [запусти плагин, пусти плагин] }
handler: { plugin: stub }
";

fn talk(handler: &str, script: &str) -> Talk {
    let bot = format!("{BOT}{PLUGINS}");
    let intent = INTENT.replace("{ plugin: stub }", handler);
    let files = [
        ("bot.yaml", bot.as_str()),
        ("plugins/stub.wasm", "good"),
        ("intents/greet.yaml", GREET),
        ("intents/plugged.yaml", &intent),
        ("scripts/test.rhai", script),
    ];
    Talk::with_plugins(&files, TestHost::default(), &Stubs)
}

/// What a turn says, and its events as plugin and kind.
fn told(turn: &Turn) -> (String, Vec<String>) {
    let event = |event: &Event| match event {
        Event::PluginFailed { plugin, kind, .. } => format!("{plugin}: {kind}"),
        other => other.kind().to_owned(),
    };
    (turn.text(), turn.events.iter().map(event).collect())
}

fn check(talk: &mut Talk, text: &str, expected: &str, events: &[&str]) {
    let turn = talk.say(text);
    let (said, happened) = told(&turn);
    assert_eq!((said.as_str(), happened), (expected, events.iter().map(|e| (*e).to_owned()).collect()), "{text}");
}

#[test]
fn an_intents_plugin_answers() {
    let mut talk = talk("{ plugin: stub }", "");
    let turn = talk.say("use the plugin now");
    assert_eq!((turn.text().as_str(), turn.handler), ("plugged", AnsweredBy::Plugin("stub".to_owned())));
    assert_eq!((&turn.state.slots["seen"], turn.explain.fuel, turn.kept.len()), (&json!(true), 7, 1));
}

#[test]
fn failures_and_bad_effects_are_events_with_the_plugins_name() {
    let mut talk = talk("{ plugin: stub }", "");
    check(&mut talk, "use the plugin now trap", "Pardon?", &["stub: trapped"]);
    check(&mut talk, "use the plugin now refuse", "We have none.", &["stub: refused"]);
    check(&mut talk, "use the plugin now ask", "well\nPardon?", &["stub: bad_reply"]);
    check(&mut talk, "use the plugin now language", "well", &["stub: bad_reply"]);
    check(&mut talk, "use the plugin now jump", "Pardon?", &["stub: bad_reply"]);
    check(&mut talk, "use the plugin now", "plugged", &[]);
}

#[test]
fn scripts_call_plugins() {
    let value = "fn handle(ctx) { let told = plugin(\"stub\", #{ b: 2 }); `${told.given.b} ${told.settings.a}` }";
    check(&mut talk("{ script: test.rhai }", value), "use the plugin now", "2 1", &[]);
    let reply = "fn handle(ctx) { say(\"first\") + plugin(\"stub\") }";
    check(&mut talk("{ script: test.rhai }", reply), "use the plugin now", "first\nplugged", &[]);
    let failing = "fn handle(ctx) { plugin(\"stub\") }";
    let events = ["stub: trapped", "script_failed"];
    check(&mut talk("{ script: test.rhai }", failing), "use the plugin now trap", "Pardon?", &events);
    let caught = "fn handle(ctx) { try { plugin(\"stub\"); } catch (e) { return \"caught: \" + e; } }";
    let said = "caught: the plugin `stub` failed (trapped): unreachable";
    check(&mut talk("{ script: test.rhai }", caught), "use the plugin now trap", said, &["stub: trapped"]);
    let often = "fn handle(ctx) { for i in 0..5 { plugin(\"stub\"); } \"done\" }";
    check(&mut talk("{ script: test.rhai }", often), "use the plugin now", "Pardon?", &["script_failed"]);
}

#[test]
fn a_file_that_is_not_there_is_forgiven_where_the_bot_says_so() {
    check(&mut talk("{ plugin: gone }", ""), "use the plugin now", "Pardon?", &["gone: missing"]);
    let bot = format!("{BOT}{}", PLUGINS.replace(", optional: true", ""));
    let files = [("bot.yaml", bot.as_str()), ("plugins/stub.wasm", "junk"), ("intents/greet.yaml", GREET)];
    let (catalogue, diagnostics) = load_with(&files, &Stubs);
    assert!(catalogue.is_none());
    for expected in [
        "this is not a component",
        "the file plugins/gone.wasm of the plugin `gone` does not exist",
        "banter plugin build",
    ] {
        assert!(diagnostics.contains(expected), "{expected} is not in {diagnostics}");
    }
}

#[test]
fn grants_are_read_whatever_is_wrong_elsewhere() {
    let said = |plugins: &str| {
        let yaml = format!("nmae: test\nlanguages: [tlh, 5]\nhttp: {{ max_bytes: many }}\nplugins: {plugins}\n");
        let mut diagnostics = Diagnostics::default();
        let said = said_of("tax", &Bundle::of(&[("bot.yaml", yaml.as_str())]), &mut diagnostics);
        assert!(diagnostics.has_errors());
        said
    };
    let known = said("{ tax: { file: plugins/tax.wasm, allow: { clock: true } }, other: { file: 7 } }");
    let SaidOf::Known(spec) = known else { panic!("{known:?}") };
    assert!(spec.grants.clock && !spec.grants.kv);
    assert!(matches!(said("{ other: { file: 7 } }"), SaidOf::Unnamed));
    assert!(matches!(said("{ tax: { file: 7 } }"), SaidOf::Unreadable), "what is granted is not known");
    let fetching = "{ tax: { file: plugins/tax.wasm, allow: { http: [api.example] } } }";
    assert!(matches!(said(fetching), SaidOf::Unreadable), "how much it may fetch is not known");
}
