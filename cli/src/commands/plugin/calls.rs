//! `banter plugin check` and `run`: call one plugin by hand.

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    catalogue::{
        bundle::Bundle,
        loader::{self, SaidOf},
    },
    diagnostic::Diagnostics,
    handlers::{
        Effect,
        context::Context,
        plugin::{FailureKind, Plugin, PluginCall, PluginFailure, PluginReply, PluginRuntime, PluginSpec},
    },
    host::Host,
    ids::IntentId,
    language::Language,
    random::Random,
};
use banter_sandbox::{MAX_COMPONENT, Note, Sandbox, VERSION};
use clap::Args;
use serde_json::{Value, json};

use super::kib;
use crate::{
    commands::{chat::ChatHost, colour, print, runtime},
    failure::{CHECK_FAILED, Failure, counted},
    progress::Spinner,
};
use banter_server::{assembly, config::Config};

/// The input of a plugin call.
#[derive(Clone, Debug, Args)]
pub struct CallArgs {
    /// The user's message.
    #[arg(long, default_value = "hello")]
    text: String,
    /// The language of the reply.
    #[arg(long, default_value = "en", value_name = "CODE")]
    language: String,
    /// The matched intent.
    #[arg(long, default_value = "test")]
    intent: String,
    /// The value of a slot, as JSON or plain text; repeatable.
    #[arg(long = "slot", value_name = "NAME=VALUE")]
    slots: Vec<String>,
    /// The arguments that a script would pass, as JSON.
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
}

/// A plugin: its entry in bot.yaml, if any, and its bytes.
struct CheckedCall {
    spec: PluginSpec,
    named: bool,
    component: Vec<u8>,
}

impl CheckedCall {
    fn find(config: &Config, name: &str) -> Result<Self, Failure> {
        let mut diagnostics = Diagnostics::default();
        let bundle = Bundle::read(&config.bot, &mut diagnostics).map_err(|error| {
            Failure::usage(
                format!("cannot read the bot's folder {}: {error}", config.bot.display()),
                "choose the bot's folder with --bot DIR",
            )
        })?;
        let said = loader::said_of(name, &bundle, &mut diagnostics);
        if diagnostics.has_errors() {
            eprint!("{}", diagnostics.render(colour()));
        }
        let (named, spec) = match said {
            SaidOf::Known(spec) => (true, *spec),
            SaidOf::Unnamed => (false, loader::ungranted_spec(name)),
            SaidOf::Unreadable => {
                let message = format!("the entry of `{name}` in bot.yaml is not valid");
                return Err(Failure::check(message, "fix the errors above"));
            }
        };
        let path = config.bot.join(&spec.file);
        let component = fs::read(&path).map_err(|error| {
            Failure::usage(
                format!("cannot read {}: {error}", path.display()),
                format!("build it with `banter plugin build {name}`, or correct `file` in bot.yaml"),
            )
        })?;
        Ok(Self { spec, named, component })
    }
}

/// The result of a call and its duration.
struct Called {
    result: Result<PluginReply, PluginFailure>,
    took: Duration,
}

fn call_plugin(plugin: &dyn Plugin, arguments: &CallArgs) -> Result<Called, Failure> {
    let wrong = |message: String, hint: &str| Failure::usage(message, hint);
    let language = Language::new(&arguments.language).ok_or_else(|| {
        wrong(format!("`{}` is not a language code", arguments.language), "use a code such as en or ru")
    })?;
    let mut slots = BTreeMap::new();
    for slot in &arguments.slots {
        let (name, value) = slot
            .split_once('=')
            .ok_or_else(|| wrong(format!("--slot \"{slot}\" has no `=`"), "write --slot NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        slots.insert(name.to_owned(), value);
    }
    let given = match &arguments.arguments {
        None => None,
        Some(text) => Some(serde_json::from_str::<Value>(text).map_err(|error| {
            wrong(format!("--arguments is not JSON: {error}"), "write an object such as '{\"price\": 100}'")
        })?),
    };
    let context = Context {
        text: banter_engine::text::normalize(&arguments.text),
        language,
        intent: IntentId::new(&arguments.intent),
        probability: 1.0,
        entities: Vec::new(),
        slots,
        shown: BTreeMap::new(),
        contexts: BTreeMap::new(),
        frames: Vec::new(),
        user: 2,
        dialogue: 1,
        history: Vec::new(),
    };
    let host: Arc<dyn Host> = Arc::new(ChatHost::default());
    let (mut random, mut kept) = (Random::new(1), BTreeMap::new());
    let call = PluginCall {
        context: &context,
        arguments: given,
        host: &host,
        now: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC),
        random: &mut random,
        kept: &mut kept,
        replayed: false,
    };
    let begun = Instant::now();
    let result = plugin.call(call);
    Ok(Called { result, took: begun.elapsed() })
}

/// Calls a plugin and prints its reply.
pub(super) fn call_once(config: &Config, name: &str, arguments: &CallArgs, as_json: bool) -> Result<u8, Failure> {
    let subject = CheckedCall::find(config, name)?;
    let runtime = runtime(0)?;
    let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
    let spinner = Spinner::new(format!("compiling {name}"));
    let plugin = load(&sandbox, &subject)?;
    drop(spinner);
    let called = call_plugin(&*plugin, arguments)?;
    if as_json {
        print(format!("{:#}", told(&called)));
        return Ok(if called.result.is_ok() { 0 } else { CHECK_FAILED });
    }
    match called.result {
        Ok(reply) => {
            reply.effects.iter().for_each(|effect| print(shown(effect)));
            if let Some(value) = reply.value {
                print(format!("value: {value}"));
            }
            Ok(0)
        }
        Err(failure) => {
            let hint = failure.user_text.map_or_else(String::new, |text| format!("the user sees: {text}"));
            Err(Failure::check(format!("{name} gave no reply ({}): {}", failure.kind.as_str(), failure.message), hint))
        }
    }
}

fn load(sandbox: &Sandbox, subject: &CheckedCall) -> Result<Arc<dyn Plugin>, Failure> {
    sandbox
        .load(subject.spec.clone(), &subject.component)
        .map_err(|failure| Failure::check(format!("{}: {}", subject.spec.file, failure.message), failure.hint))
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Say { text, suggestions } if suggestions.is_empty() => text.clone(),
        Effect::Say { text, suggestions } => format!("{text}\n  [{}]", suggestions.join("] [")),
        other => format!("{other:?}"),
    }
}

fn told(called: &Called) -> Value {
    let took_us = called.took.as_micros() as u64;
    match &called.result {
        Ok(reply) => json!({
            "took_us": took_us, "fuel": reply.fuel, "value": reply.value,
            "effects": reply.effects.iter().map(shown).collect::<Vec<_>>(),
        }),
        Err(failure) => json!({
            "took_us": took_us, "failure": failure.kind.as_str(), "message": failure.message, "user_text": failure.user_text,
            "retryable": failure.retryable,
        }),
    }
}

/// The contract's interfaces that a component imports, each with whether bot.yaml grants it.
fn grants_of(spec: &PluginSpec, imports: &[String]) -> Vec<(String, bool)> {
    let grants = &spec.grants;
    let known = [
        ("log", grants.log),
        ("kv", grants.kv),
        ("http", !grants.http.allow.is_empty()),
        ("clock", grants.clock),
        ("random", grants.random),
    ];
    let imported = |name: &str| imports.iter().any(|import| import.split('@').next() == Some(name));
    known.into_iter().filter(|(name, _)| imported(name)).map(|(name, granted)| (name.to_owned(), granted)).collect()
}

/// A component that was checked, and a call of it.
struct Checked {
    subject: CheckedCall,
    /// The contract's interfaces that the component imports, each with whether bot.yaml grants it.
    granted: Vec<(String, bool)>,
    compiled: Duration,
    note: Option<Note>,
    called: Called,
    good: bool,
}

impl Checked {
    fn json(&self, name: &str) -> Value {
        let Self { subject, granted, compiled, note, called, good } = self;
        let limits = subject.spec.limits;
        let imports: Vec<Value> =
            granted.iter().map(|(name, granted)| json!({ "name": name, "granted": granted })).collect();
        let suspended = note.as_ref();
        json!({
            "good": good, "name": name, "file": subject.spec.file, "named_in_bot": subject.named,
            "bytes": subject.component.len(), "contract": VERSION, "compile_ms": compiled.as_millis() as u64,
            "imports": imports,
            "limits": {
                "memory_bytes": limits.memory_bytes, "time_ms": limits.time_ms,
                "fuel": limits.fuel, "parallel": limits.parallel,
            },
            "suspended": suspended.map(|note| json!({
                "kind": note.kind, "failures": note.failures, "until_ms": note.until_ms,
            })),
            "call": told(called),
        })
    }

    fn print(&self, name: &str) {
        let Self { subject, granted, compiled, note, called, .. } = self;
        let (file, limits) = (&subject.spec.file, subject.spec.limits);
        let row = |head: &str, text: String| print(format!("{head:<10} {text}"));
        let size = kib(subject.component.len() as u64);
        row("component", format!("{file} ({size} of {})", kib(MAX_COMPONENT as u64)));
        if !subject.named {
            row("bot.yaml", format!("has no entry for it; add  plugins: {{ {name}: {{ file: {file} }} }}"));
        }
        row("contract", format!("banter:plugin@{VERSION}"));
        let word =
            |(name, granted): &(String, bool)| format!("{name} ({})", if *granted { "granted" } else { "not granted" });
        let words: Vec<String> = granted.iter().map(word).collect();
        row("imports", if words.is_empty() { "nothing".to_owned() } else { words.join(", ") });
        let (memory, fuel) = (limits.memory_bytes >> 20, limits.fuel / 1_000_000);
        let (time, parallel) = (limits.time_ms, limits.parallel);
        row("limits", format!("{memory} MiB, {time} ms, {fuel} million units of fuel, {parallel} at a time"));
        row("compiled", format!("in {} ms, cached for next time", compiled.as_millis()));
        if let Some(note) = note {
            row("suspended", note.to_string());
        }
        let call = match &called.result {
            Ok(reply) => {
                let (effects, took) = (counted(reply.effects.len(), "effect"), called.took.as_micros());
                format!("{effects} in {took} µs, {} units of fuel", reply.fuel)
            }
            Err(failure) => format!("{}: {}", failure.kind.as_str(), failure.message),
        };
        row("call", call);
    }
}

/// Checks a component, and times a call.
pub(super) fn check(config: &Config, name: &str, arguments: &CallArgs, as_json: bool) -> Result<u8, Failure> {
    let subject = CheckedCall::find(config, name)?;
    let runtime = runtime(0)?;
    let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
    let failed = |failure: banter_engine::handlers::plugin::LoadFailure| Failure::check(failure.message, failure.hint);
    let spinner = Spinner::new(format!("compiling {name}"));
    let begun = Instant::now();
    let imports = sandbox.imports(&subject.spec.name, &subject.component).map_err(failed)?;
    let compiled = begun.elapsed();
    let plugin = load(&sandbox, &subject)?;
    drop(spinner);
    let note = sandbox.states().into_iter().find_map(|state| state.note);
    // The first call in a process is slower because it warms up memory; the second is what users experience.
    let first = call_plugin(&*plugin, arguments)?;
    let called = if first.result.is_ok() { call_plugin(&*plugin, arguments)? } else { first };
    let good = called.result.as_ref().err().is_none_or(|failure| failure.kind == FailureKind::Refused);
    let granted = grants_of(&subject.spec, &imports);
    let checked = Checked { subject, granted, compiled, note, called, good };
    if as_json {
        print(format!("{:#}", checked.json(name)));
        return Ok(if good { 0 } else { CHECK_FAILED });
    }
    checked.print(name);
    if good {
        return Ok(0);
    }
    Err(Failure::check(
        format!("{name} failed the test call"),
        "see `call` above; set its input with --text, --slot and --arguments",
    ))
}
