//! Plugins: `bench/plugins [--json] [--soak CALLS]`.
//!
//! - A warm call of a Rust plugin with a fresh instance, compared with the same logic in Rhai, in alternating blocks.
//! - The start with fifty precompiled plugins.
//! - A user's turns while others flood a plugin that never returns, compared with the same turns without the flood.
//! - The memory after many calls.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use banter_bench::{fail, http::Connection, memory::resident_kib, metrics::percentile, root, server::Server};
use banter_engine::{
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    handlers::{
        call::{CallInput, Library},
        context::Context,
        plugin::{Plugin, PluginCall, PluginRuntime, PluginSpec},
        script::{Script, Scripting},
    },
    host::{Host, NoHost},
    ids::IntentId,
    language::Language,
    random::Random,
    turn::Footprint,
};
use banter_sandbox::Sandbox;
use clap::Parser;
use serde_json::json;
use tokio::runtime::Runtime;

const BLOCK: usize = 2_000;
const BLOCKS: usize = 8;
const PLUGINS: usize = 50;
/// Turns per round without a flood, and as many during one.
const TURNS: usize = 300;
/// Rounds, each on a fresh server, whose plugin is not suspended yet.
const ROUNDS: usize = 5;
const FLOODERS: usize = 8;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Number of calls in the soak test.
    #[arg(long, default_value_t = 1_000_000)]
    soak: usize,
}

/// The logic of the demo bot's delivery plugin as a script.
const SCRIPT: &str = r#"
fn handle(ctx) {
    let now = now();
    let day = #{ year: now.year, month: now.month, day: now.day, weekday: now.weekday };
    if now.hour >= 16 { day = next(day); }
    day = working(day);
    for i in 0..3 { day = working(next(day)); }
    payload(#{ price: 350, working_days: 3, year: day.year, month: day.month, day: day.day })
}
fn working(day) {
    while !is_working(day) { day = next(day); }
    day
}
fn is_working(day) {
    let name = `${two(day.month)}-${two(day.day)}`;
    day.weekday <= 5 && !["01-01", "01-02", "01-03", "01-04", "01-05", "01-06", "01-07", "01-08", "02-23", "03-08"].contains(name)
}
fn two(number) { if number < 10 { `0${number}` } else { `${number}` } }
fn days_of(year, month) {
    if month == 2 { return if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 }; }
    if month in [4, 6, 9, 11] { 30 } else { 31 }
}
fn next(day) {
    let weekday = day.weekday % 7 + 1;
    if day.day < days_of(day.year, day.month) { return #{ year: day.year, month: day.month, day: day.day + 1, weekday: weekday }; }
    if day.month < 12 { return #{ year: day.year, month: day.month + 1, day: 1, weekday: weekday }; }
    #{ year: day.year + 1, month: 1, day: 1, weekday: weekday }
}
"#;

fn main() {
    let arguments = Arguments::parse();
    let runtime = Runtime::new().unwrap_or_else(|error| fail(&format!("cannot start the runtime: {error}")));
    let folder =
        tempfile::tempdir().unwrap_or_else(|error| fail(&format!("cannot create a temporary folder: {error}")));
    let delivery = built("delivery");
    let (plugin_us, script_us) = calls(&runtime, folder.path(), &delivery);
    let start_s = start_with_many(&runtime, folder.path(), &delivery);
    let (quiet_ms, flooded_ms, ratios) = neighbours(folder.path());
    let (early_kib, late_kib) = soak(&runtime, folder.path(), &delivery, arguments.soak);
    if arguments.json {
        println!(
            "{}",
            json!({
                "call_us": plugin_us, "script_us": script_us, "ratio_to_script": plugin_us / script_us, "start_with_50_s": start_s,
                "quiet_p99_ms": quiet_ms, "flooded_p99_ms": flooded_ms, "p99_ratio": flooded_ms / quiet_ms, "p99_ratios": ratios,
                "soak_calls": arguments.soak, "soak_growth": late_kib / early_kib,
            })
        );
        return;
    }
    println!("{:<52} {:>12} {:>14} {:>8}", "", "measured", "baseline", "ratio");
    let row = |name: &str, measured: String, baseline: String, ratio: f64| {
        println!("{name:<52} {measured:>12} {baseline:>14} {ratio:>8.2}");
    };
    row(
        "a Rust call, fresh instance (baseline: Rhai)",
        format!("{plugin_us:.1} µs"),
        format!("{script_us:.1} µs"),
        plugin_us / script_us,
    );
    row("start with 50 compiled plugins", format!("{start_s:.2} s"), "1 s".to_owned(), start_s);
    row(
        "p99 of a turn during a plugin flood (baseline: none)",
        format!("{flooded_ms:.1} ms"),
        format!("{quiet_ms:.1} ms"),
        flooded_ms / quiet_ms,
    );
    let single: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("    ratios of {ROUNDS} rounds: {}", single.join(", "));
    let name = format!("memory after {} calls (baseline: after a tenth)", arguments.soak);
    row(&name, format!("{late_kib:.0} KiB"), format!("{early_kib:.0} KiB"), late_kib / early_kib);
}

fn built(name: &str) -> Vec<u8> {
    let path = root().join(format!("plugins/{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| {
        fail(&format!("{}: {error}; build it with `banter plugin build {name}`", path.display()))
    })
}

/// The delivery plugin's settings in bot.yaml of the demo bot.
fn delivery_spec() -> PluginSpec {
    let mut diagnostics = Diagnostics::default();
    let bundle = Bundle::read(root(), &mut diagnostics).unwrap_or_else(|error| fail(&format!("the demo bot: {error}")));
    match loader::said_of("delivery", &bundle, &mut diagnostics) {
        loader::SaidOf::Known(spec) => *spec,
        other => fail(&format!("the demo bot's plugin `delivery`: {other:?}")),
    }
}

fn context() -> Context {
    Context {
        text: "how much is delivery to Kazan".to_owned(),
        language: Language::new("en").unwrap_or_else(|| fail("no English")),
        intent: IntentId::new("delivery_cost"),
        probability: 0.9,
        entities: Vec::new(),
        slots: BTreeMap::from([("city".to_owned(), json!("Kazan"))]),
        shown: BTreeMap::new(),
        contexts: BTreeMap::new(),
        frames: Vec::new(),
        user: 2,
        dialogue: 1,
        history: Vec::new(),
    }
}

fn noon() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_767_607_200).unwrap_or_else(|error| fail(&error.to_string()))
}

fn call(plugin: &dyn Plugin, host: &Arc<dyn Host>, context: &Context) {
    let call = PluginCall {
        context,
        arguments: Some(json!({ "city": "Kazan" })),
        host,
        now: noon().to_zoned(jiff::tz::TimeZone::UTC),
        random: &mut Random::new(1),
        kept: &mut BTreeMap::new(),
        replayed: false,
    };
    let reply = plugin.call(call).unwrap_or_else(|failure| fail(&failure.to_string()));
    assert!(reply.value.is_some_and(|value| value["price"] == 350), "the plugin gave a wrong reply");
}

fn script() -> (Scripting, Script) {
    let scripting = Scripting::new();
    let script =
        scripting.compile("scripts/delivery.rhai", SCRIPT).unwrap_or_else(|diagnostics| fail(&diagnostics[0].message));
    (scripting, script)
}

/// The time of a call of the plugin, and of the script, in microseconds: the median over blocks of the mean of a block.
fn calls(runtime: &Runtime, folder: &Path, component: &[u8]) -> (f64, f64) {
    let sandbox = Sandbox::new(runtime.handle().clone(), Some(folder.join("calls")));
    let plugin = sandbox.load(delivery_spec(), component).unwrap_or_else(|failure| fail(&failure.to_string()));
    let (scripting, script) = script();
    let (host, context): (Arc<dyn Host>, _) = (Arc::new(NoHost), context());
    let (mut plugin_us, mut script_us) = (Vec::new(), Vec::new());
    let mean = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..BLOCK).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / BLOCK as f64
    };
    for _ in 0..=BLOCKS {
        plugin_us.push(mean(&mut || call(&*plugin, &host, &context)));
        script_us.push(mean(&mut || {
            let (random, kept, events) = (&mut Random::new(1), &mut BTreeMap::new(), &mut Vec::new());
            let input = CallInput {
                library: Library::default(),
                host: &host,
                context: context.clone(),
                now: noon().to_zoned(jiff::tz::TimeZone::UTC),
                random,
                kept,
                events,
                footprint: &mut Footprint::default(),
            };
            if let Err(error) = scripting.call(&script, "handle", input) {
                fail(&format!("line {}: {}", error.line, error.message));
            }
        }));
    }
    // The first block warms up.
    (percentile(&mut plugin_us[1..].to_vec(), 0.5), percentile(&mut script_us[1..].to_vec(), 0.5))
}

/// Seconds to load fifty plugins whose compiled code is on disk.
fn start_with_many(runtime: &Runtime, folder: &Path, component: &[u8]) -> f64 {
    let many: Vec<Vec<u8>> = (0..PLUGINS)
        // A custom section makes each component distinct, with the same code.
        .map(|number| [component, b"\0\x05\x04", format!("{number:04}").as_bytes()].concat())
        .collect();
    let spec = delivery_spec();
    let load_all = || {
        let sandbox = Sandbox::new(runtime.handle().clone(), Some(folder.join("many")));
        let start = Instant::now();
        for (number, component) in many.iter().enumerate() {
            let spec = PluginSpec { name: format!("plugin{number}"), ..spec.clone() };
            if let Err(failure) = sandbox.load(spec, component) {
                fail(&failure.to_string());
            }
        }
        start.elapsed().as_secs_f64()
    };
    load_all();
    load_all()
}

/// The 99th percentile of a user's turns in milliseconds, without a flood and while others flood a plugin that never
/// returns; and the ratios of the single rounds, ascending.
fn neighbours(folder: &Path) -> (f64, f64, Vec<f64>) {
    let bot = hostile_bot(folder);
    let (mut quiet, mut flooded, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (mut still, mut loud) = neighbours_once(&bot, &folder.join(format!("data{round}")));
        ratios.push(percentile(&mut loud, 0.99) / percentile(&mut still, 0.99));
        quiet.append(&mut still);
        flooded.append(&mut loud);
    }
    ratios.sort_by(f64::total_cmp);
    (percentile(&mut quiet, 0.99), percentile(&mut flooded, 0.99), ratios)
}

fn neighbours_once(bot: &Path, data: &Path) -> (Vec<f64>, Vec<f64>) {
    let environment = [("BANTER_BOT".to_owned(), bot.display().to_string())];
    let mut server = Server::start_with(data, &environment);
    let mut connection = server.wait();
    let token = log_in(&server, "quiet");
    turns(&mut connection, &token);
    let quiet = turns(&mut connection, &token);
    let stop = AtomicBool::new(false);
    let flooded = thread::scope(|scope| {
        for number in 0..FLOODERS {
            let (token, port, stop) = (log_in(&server, &format!("flood{number}")), server.port, &stop);
            scope.spawn(move || {
                let mut connection = Connection::open(port).unwrap_or_else(|error| fail(&error.to_string()));
                while !stop.load(Ordering::Relaxed) {
                    send(&mut connection, &token, "loop for ever and ever");
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let flooded = turns(&mut connection, &token);
        stop.store(true, Ordering::Relaxed);
        flooded
    });
    (quiet, flooded)
}

fn log_in(server: &Server, name: &str) -> String {
    server.log_in(name).unwrap_or_else(|error| fail(&error.to_string()))
}

fn send(connection: &mut Connection, token: &str, text: &str) -> f64 {
    let start = Instant::now();
    match connection.post("/messages/send", token, &json!({ "text": text })) {
        Ok((200, _)) => start.elapsed().as_secs_f64() * 1e3,
        other => fail(&format!("a message failed: {other:?}")),
    }
}

fn turns(connection: &mut Connection, token: &str) -> Vec<f64> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    (0..TURNS)
        .map(|_| {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            send(connection, token, &format!("good morning to you my friend {number}"))
        })
        .collect()
}

/// A bot whose only plugin does what the message says; `loop` never returns.
fn hostile_bot(folder: &Path) -> PathBuf {
    let bot = folder.join("bot");
    let target = folder.join("guest");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(root().join("sandbox/tests/guest"))
        .status();
    if !built.is_ok_and(|status| status.success()) {
        fail("cannot build the hostile plugin; `banter plugin build` fetches the toolchain");
    }
    let files = [
        (
            "bot.yaml",
            "name: bench\nlanguages: [en]\nfallback: { text: Pardon? }\nplugins: { hostile: { file: plugins/hostile.wasm } }\n",
        ),
        (
            "intents/greet.yaml",
            "intent: greet\nexamples: { en: [good morning, good morning to you, hello my friend] }\nhandler: { reply: Hello! }\n",
        ),
        (
            "intents/loop.yaml",
            "intent: loop\nexamples: { en: [loop for ever, loop for ever and ever, loop endlessly] }\nhandler: { plugin: hostile }\n",
        ),
    ];
    let write = || {
        fs::create_dir_all(bot.join("intents"))?;
        fs::create_dir_all(bot.join("plugins"))?;
        for (path, text) in files {
            fs::write(bot.join(path), text)?;
        }
        fs::copy(target.join("wasm32-wasip2/release/guest.wasm"), bot.join("plugins/hostile.wasm")).map(drop)
    };
    write().unwrap_or_else(|error: std::io::Error| fail(&format!("{}: {error}", bot.display())));
    bot
}

/// Resident memory of this process in KiB after a tenth of the calls, and after all of them.
fn soak(runtime: &Runtime, folder: &Path, component: &[u8], total: usize) -> (f64, f64) {
    let sandbox = Sandbox::new(runtime.handle().clone(), Some(folder.join("calls")));
    let plugin = sandbox.load(delivery_spec(), component).unwrap_or_else(|failure| fail(&failure.to_string()));
    let (host, context): (Arc<dyn Host>, _) = (Arc::new(NoHost), context());
    let bar = indicatif::ProgressBar::new(total as u64).with_message("soak");
    let mut early = 0.0;
    for number in 0..total {
        call(&*plugin, &host, &context);
        if number == total / 10 {
            early = resident_kib(std::process::id()) as f64;
        }
        if number % 1_000 == 0 {
            bar.set_position(number as u64);
        }
    }
    bar.finish_and_clear();
    (early, resident_kib(std::process::id()) as f64)
}
