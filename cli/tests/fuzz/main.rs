//! Feeds damaged inputs to everything that parses what others wrote. Nothing may panic or hang; what comes of it does
//! not matter. The inputs are mutations of seeds, which are committed: files of this project, and `tests/fuzz/seeds`.
//!
//! In the usual tests, each target gets a fixed number of inputs that are always the same. `make fuzz` gives each a
//! minute of others. Guided fuzzers need a nightly compiler; mutations of good seeds go deeper than random bytes.

mod mutator;
mod targets;

use std::{
    env, fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant},
};

use banter_engine::random::Random;

use mutator::Mutator;
use targets::TARGETS;

/// Inputs of a target in the usual tests.
const INPUTS: u64 = 120;
/// An input that takes longer hangs. The machine may be busy, and the build without optimisation.
const HANGS: Duration = Duration::from_secs(20);
/// Seeds are cut to this length, so that one input takes little time.
const MAX_SEED: usize = 20_000;

/// The committed seeds of a target.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(name: &str, target: fn(&[u8]), minutes: Option<Duration>) -> u64 {
    let mut seeds = seeds(name);
    seeds.iter_mut().for_each(|seed| seed.truncate(MAX_SEED));
    let start = minutes.map_or(7, |_| Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()));
    let mut mutator = Mutator::new(Random::new(start), seeds.clone());
    let (begun, mut inputs) = (Instant::now(), 0);
    loop {
        // The seeds themselves come first.
        let input = seeds.get(inputs as usize).cloned().unwrap_or_else(|| mutator.next());
        let at = Instant::now();
        let ended = catch_unwind(|| target(&input));
        let failed = if ended.is_err() { Some("panics") } else { (at.elapsed() > HANGS).then_some("hangs") };
        if let Some(how) = failed {
            let file = env::temp_dir().join(format!("banter-fuzz-{name}-{inputs}"));
            fs::write(&file, &input).unwrap();
            panic!("the target {name} {how}; its input is in {}: copy it to the seeds", file.display());
        }
        inputs += 1;
        if minutes.map_or(inputs >= INPUTS, |minutes| begun.elapsed() >= minutes) {
            return inputs;
        }
    }
}

#[test]
fn damaged_inputs_break_nothing() {
    let seconds = env::var("FUZZ_SECONDS").ok().map(|seconds| seconds.parse().expect("FUZZ_SECONDS is a number"));
    let only = env::var("FUZZ_TARGET").ok();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let inputs = run(name, *target, seconds.map(Duration::from_secs));
        println!("{name:<12} {inputs:>9} inputs");
    }
}
