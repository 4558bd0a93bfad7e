//! Replays a thousand fixtures of eight turns: `bench/replay [--json]`.
//!
//! The fixtures consist of the demo bot's phrases. `banter replay` runs them with a cold vector cache, with a warm one,
//! and with a warm one on one thread, which is a baseline of the warm run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use banter_bench::{fail, root};
use banter_engine::random::Random;
use clap::Parser;
use serde_json::{Value, json};

const FIXTURES: usize = 1_000;
const TURNS: usize = 8;
/// The time limit of the warm run on two cores, in seconds.
const LIMIT_S: f64 = 10.0;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder =
        tempfile::tempdir().unwrap_or_else(|error| fail(&format!("cannot create a temporary folder: {error}")));
    let fixtures = write_fixtures(folder.path());
    let data = folder.path().join("data");
    let cold_s = replay(&fixtures, &data, &[]);
    let warm_s = replay(&fixtures, &data, &[]);
    let alone_s = replay(&fixtures, &data, &["--jobs", "1"]);
    let turns = (FIXTURES * TURNS) as f64;
    if arguments.json {
        let report = json!({
            "fixtures": FIXTURES, "turns": FIXTURES * TURNS, "cold_s": cold_s, "warm_s": warm_s, "one_thread_s": alone_s,
            "turns_per_s": turns / warm_s, "ratio_to_10_s": warm_s / LIMIT_S, "ratio_to_one_thread": warm_s / alone_s,
        });
        println!("{report}");
        return;
    }
    println!("{:<44} {:>10} {:>12} {:>8}", "", "measured", "baseline", "ratio");
    let row = |name: &str, measured: f64, baseline: f64| {
        let ratio = measured / baseline;
        println!("{name:<44} {measured:>8.2} s {:>12} {ratio:>8.2}", format!("{baseline:.2} s"));
    };
    row("1,000 fixtures of 8 turns, warm", warm_s, LIMIT_S);
    row("  (baseline: one thread)", warm_s, alone_s);
    row("  the first time, embedding (baseline: warm)", cold_s, warm_s);
    println!("{:<44} {:>8.0}/s", "turns", turns / warm_s);
}

/// Writes conversations of the demo bot's phrases, drawn with a fixed seed; returns their folder.
fn write_fixtures(folder: &Path) -> PathBuf {
    let phrases = phrases();
    let mut random = Random::new(1);
    let fixtures = folder.join("fixtures");
    let made = fs::create_dir_all(&fixtures);
    made.unwrap_or_else(|error| fail(&format!("{}: {error}", fixtures.display())));
    for number in 0..FIXTURES {
        let turns: Vec<Value> = (0..TURNS)
            .map(|_| json!({ "user": phrases[random.below(phrases.len())], "expect": { "text": "*" } }))
            .collect();
        let fixture = json!({
            "conversation": format!("conversation {number}"), "seed": number, "turns": turns,
            "stubs": { "kv": {}, "http": [{ "url": "*", "fails": "there is no network" }] },
        });
        let path = fixtures.join(format!("{number:04}.yaml"));
        // JSON is YAML.
        fs::write(&path, fixture.to_string()).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
    }
    fixtures
}

fn phrases() -> Vec<String> {
    let folder = root().join("fixtures/phrases");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let texts = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
    let phrases: BTreeSet<String> = texts
        .flat_map(|text| {
            let lines = text.lines().filter_map(|line| line.strip_prefix("  - user: "));
            lines.map(|phrase| phrase.trim_matches('"').to_owned()).collect::<Vec<_>>()
        })
        .collect();
    phrases.into_iter().collect()
}

/// Runs the command; returns its time in seconds.
fn replay(fixtures: &Path, data: &Path, words: &[&str]) -> f64 {
    let binary = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("banter")));
    let binary = binary.filter(|path| path.exists()).unwrap_or_else(|| fail("build the server first: make run"));
    let start = Instant::now();
    let ended = Command::new(binary)
        .current_dir(root())
        .arg("replay")
        .arg(fixtures)
        .arg("--data-dir")
        .arg(data)
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status();
    match ended {
        Ok(status) if status.success() => start.elapsed().as_secs_f64(),
        other => fail(&format!("the replay failed: {other:?}")),
    }
}
