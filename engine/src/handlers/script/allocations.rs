//! No function of scripts may ask for much memory at once: a failed allocation ends the whole process. Each function is
//! called with large arguments in a process of its own, which may have little more memory than it has already.

use std::{
    env, fs,
    process::Command,
    time::{Duration, Instant},
};

use rhai::{Dynamic, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;

/// What a call may allocate at most, in bytes. A script's own values have at most some megabytes.
const ROOM: u64 = 64 << 20;
/// Comes before the name of the function that a child process tries, among its arguments.
const TRIED: &str = "tried:";

/// Large values of each type, as a script makes them.
const LARGE: &str = r#"
    let s = ""; s.pad(100000, 'x');
    let w = ""; w.pad(100000, "x ");
    let a = []; a.pad(1000, 1);
    let p = ""; p.pad(90, 'x'); let q = []; q.pad(1000, p);
    let m = #{}; let i = 0; while i < 250 { m[`k${i}`] = p; i += 1; }
"#;

/// Expressions for a parameter of this type.
fn values(kind: &str) -> &'static [&'static str] {
    let kind = kind.trim().trim_start_matches("&mut ");
    if kind.contains("String") || kind.contains("str") {
        return &["s", "\"x\"", "w"];
    }
    match kind {
        "Array" | "Vec<Dynamic>" => &["a", "q"],
        "Map" | "BTreeMap<SmartString, Dynamic>" => &["m"],
        "char" => &["'x'"],
        "INT" | "i64" => &["1000000000", "1000", "-1"],
        "FnPtr" | "Fn" => &["|x| q", "|x, y| s"],
        "bool" => &["true"],
        "()" => &["()"],
        kind if kind.contains("Range") => &["0..1000000000", "0..=1000"],
        _ => &["q", "s", "1000000000"],
    }
}

/// The calls of one function with all combinations of large arguments.
fn calls(signature: &str) -> Vec<String> {
    let Some((name, rest)) = signature.split_once('(') else { return Vec::new() };
    let name = name.rsplit(' ').next().unwrap_or(name);
    let inner =
        rest.rsplit_once(')').map_or(rest, |(inner, _)| inner.rsplit_once(") ->").map_or(inner, |(inner, _)| inner));
    let kinds: Vec<&str> = inner.split(',').map(|part| part.rsplit_once(':').map_or(part, |(_, kind)| kind)).collect();
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| !kind.trim().is_empty()).collect();
    let mut lists: Vec<Vec<&str>> = vec![Vec::new()];
    for kind in &kinds {
        lists = lists
            .into_iter()
            .flat_map(|list| values(kind).iter().map(move |value| [&list[..], &[*value]].concat()))
            .collect();
    }
    lists.iter().take(60).filter_map(|list| call(name, list)).collect()
}

fn call(name: &str, arguments: &[&str]) -> Option<String> {
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match (plain, arguments) {
        (true, _) => Some(format!("{name}({})", arguments.join(", "))),
        (false, [left, right]) if name.ends_with('=') && !["==", "!=", ">=", "<="].contains(&name) => {
            Some(format!("let z = {left}; z {name} {right}"))
        }
        (false, [left, right]) => Some(format!("{left} {name} {right}")),
        _ => None,
    }
}

/// Runs a script over the large values; whatever comes of it, it ends.
fn run(scripting: &Scripting, large: &Scope<'_>, body: &str) {
    let ast = scripting.engine.compile_with_scope(large, body).unwrap_or_else(|error| panic!("{error}: {body}"));
    begin_deadline(Instant::now() + Duration::from_millis(20));
    // An error is what a script gets for too large a value.
    let _ = scripting.engine.eval_ast_with_scope::<Dynamic>(&mut large.clone(), &ast);
    end_deadline();
}

/// The variables of [`LARGE`].
fn large_values(scripting: &Scripting) -> Scope<'static> {
    let mut scope = Scope::new();
    begin_deadline(Instant::now() + Duration::from_secs(60));
    scripting.engine.run_with_scope(&mut scope, LARGE).unwrap();
    end_deadline();
    scope
}

/// Lets this process have only so much more memory.
fn limit_memory() {
    let pages: u64 = fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    let most = Some(pages * 4096 + ROOM);
    setrlimit(Resource::As, Rlimit { current: most, maximum: most }).unwrap();
}

/// In a child process: tries the function that its arguments name. The test runner takes it for another filter.
#[test]
fn child() {
    let Some(name) = env::args().find_map(|word| word.strip_prefix(TRIED).map(str::to_owned)) else { return };
    let scripting = Scripting::new();
    let signatures = scripting.engine.gen_fn_signatures(true);
    let own = signatures.iter().filter(|signature| function(signature) == name);
    let calls: Vec<String> = own.flat_map(|signature| calls(signature)).collect();
    let large = large_values(&scripting);
    limit_memory();
    for call in calls {
        eprintln!("{call}");
        run(&scripting, &large, &call);
    }
}

fn function(signature: &str) -> &str {
    signature.split_once('(').map_or("", |(head, _)| head).rsplit(' ').next().unwrap_or_default()
}

#[test]
fn no_function_asks_for_much_memory_at_once() {
    let signatures = Scripting::new().engine.gen_fn_signatures(true);
    // Names with a `$` belong to Rhai itself; scripts cannot write them.
    let names = signatures.iter().map(|signature| function(signature)).filter(|name| !name.contains('$'));
    let names: BTreeSet<&str> = names.collect();
    let mut failed = Vec::new();
    for name in names {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "handlers::script::allocations::child", "--nocapture", "--test-threads", "1"])
            .arg(format!("{TRIED}{name}"))
            .output()
            .unwrap();
        if !child.status.success() {
            let told = String::from_utf8_lossy(&child.stderr).into_owned();
            let last: Vec<&str> = told.lines().rev().take(3).collect();
            failed.push(format!("{name}: {last:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
