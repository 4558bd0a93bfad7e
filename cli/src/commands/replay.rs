//! `banter replay`: tests for bots, as `cargo test` is for code. Exit codes: 0 all fixtures pass, 1 some differ,
//! 2 wrong use or broken files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use banter_engine::diagnostic::{DiagnosticReport, Severity};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use tokio::task::block_in_place;

use tokio::runtime::Handle;

use super::{block_on, colour, colours, print, runtime};
use crate::{
    failure::{CHECK_FAILED, Failure, counted},
    key_file,
    replays::{
        Choice, PlayedFixture, Rig, junit, mutants,
        mutants::Mutants,
        page,
        remote::{Remote, RemoteChannel},
        report::{FixtureVerdict, Report},
        show::{self, Paint},
        update,
    },
};
use banter_server::{catalogs::watch::Watch, config::Config};
use banter_stores::secret::Secret;

#[derive(Args, Debug)]
pub struct ReplayOptions {
    /// Fixture files or folders; the default is the bot's own fixtures.
    paths: Vec<PathBuf>,
    /// Play only fixtures whose name or path contains this text.
    #[arg(long, value_name = "PART")]
    filter: Option<String>,
    /// Play only fixtures with this tag; repeatable.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Stop at the first fixture that differs.
    #[arg(long)]
    fail_fast: bool,
    /// Play the fixtures in a random order with this seed.
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// The number of fixtures to play at the same time; the default is one per core.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Overwrite differing expectations with the actual values; comments and order are kept.
    #[arg(long, conflicts_with_all = ["url", "mutate", "watch"])]
    update: bool,
    /// Replay again whenever a file of the bot or a fixture changes.
    #[arg(long, conflicts_with_all = ["url", "mutate"])]
    watch: bool,
    /// List everything that no fixture reaches, not only the first few.
    #[arg(long)]
    coverage: bool,
    /// The output format of differences.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Write a JSON report; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a JUnit XML report; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write an HTML report in one file; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replay against a running server; repeat it to alternate between servers.
    #[arg(long, value_name = "URL", conflicts_with = "mutate")]
    url: Vec<String>,
    /// The interface to use.
    #[arg(long, value_enum, default_value_t = RemoteChannel::Native, requires = "url")]
    channel: RemoteChannel,
    /// A file with the key of the Rasa channel, or `-` for standard input.
    /// The default is channel.key (BANTER_CHANNEL__KEY).
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    /// The maximum number of messages per second that are sent to servers.
    #[arg(long, value_name = "N", requires = "url", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Break the bot on purpose this many times, and list the mutations that no fixture notices.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    mutate: Option<u32>,
    /// The seed for the choice of mutations.
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "mutate")]
    seed: u64,
    /// Fail if less than this percentage of mutations is noticed.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, hide_default_value = true, requires = "mutate",
          value_parser = clap::value_parser!(u32).range(0..=100))]
    at_least: u32,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) { Ok(rate) } else { Err("it must be from 0.001 to 1000000".to_owned()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Human-readable text.
    Human,
    /// Annotations for GitHub workflows.
    Github,
}

pub fn run(config: &Config, options: &ReplayOptions) -> Result<u8, Failure> {
    let choice = Choice {
        paths: options.paths.clone(),
        filter: options.filter.clone(),
        tags: options.tags.clone(),
        jobs: options.jobs,
        fail_fast: options.fail_fast,
        shuffle: options.shuffle,
    };
    if options.watch { watch(config, options, &choice) } else { once(config, options, &choice) }
}

fn once(config: &Config, options: &ReplayOptions, choice: &Choice) -> Result<u8, Failure> {
    let to_output = [&options.json, &options.junit, &options.html].into_iter().flatten().filter(|path| is_output(path));
    let quiet = match to_output.count() {
        0 => false,
        1 => true,
        _ => return Err(Failure::usage("two reports cannot both go to standard output", "write the others to files")),
    };
    let runtime = runtime(0)?;
    let handle = runtime.handle();
    let rig = Rig::open(config, handle, choice, colour(), &|diagnostics| tell_broken(options, &diagnostics, quiet))?;
    eprint!("{}", rig.unread);
    if rig.warnings.count(Severity::Warning) > 0 {
        eprint!("{}", rig.warnings.render(colour()));
    }
    let paint = Paint(colours(&io::stdout()));
    let start = Instant::now();
    let bar = indicatif::ProgressBar::new(rig.fixtures.len() as u64);
    let show = |one: &PlayedFixture, verdict: FixtureVerdict| {
        bar.inc(1);
        if !quiet {
            let (file, name) = (&one.outcome.file, &one.outcome.name);
            bar.suspend(|| print(show::line(paint, verdict, file, name, one.outcome.turns.len())));
        }
    };
    let (ran, report) = play(config, &rig, options, choice, &show)?;
    bar.finish_and_clear();
    if !quiet {
        match options.format {
            Format::Human => report.fixtures.iter().for_each(|fixture| {
                let told = show::failures(paint, fixture);
                if !told.is_empty() {
                    print(told.trim_end());
                }
            }),
            Format::Github => print(show::github(&report).trim_end()),
        }
        let idle = show::idle_stubs(paint, &report);
        if options.format == Format::Human && !idle.is_empty() {
            print(idle.trim_end());
        }
        print(show::summary(paint, &report, start.elapsed().as_secs_f64(), options.coverage).trim_end());
    }
    // The differences have been printed already, even if the files cannot be written.
    write_reports(options, &report, &ran)?;
    if report.skipped > 0 && report.passed + report.failed == 0 {
        return Err(nothing_compared(&report));
    }
    if options.update && report.failed > 0 {
        return tell_update(config, handle, choice, &rig, &ran);
    }
    if report.failed > 0 {
        if options.mutate.is_some() {
            eprintln!("no mutations were tried: all fixtures must pass first");
        }
        return Ok(CHECK_FAILED);
    }
    match options.mutate {
        Some(count) => mutate(&rig, &ran, options, count as usize),
        None => Ok(0),
    }
}

/// A run that proves nothing must not look like one that passed.
fn nothing_compared(report: &Report) -> Failure {
    match report.absent_plugins.keys().next() {
        Some(plugin) => Failure::usage(
            "nothing was compared: these fixtures need a plugin that is not built",
            format!("build it with `banter plugin build {plugin}`, or choose other fixtures"),
        ),
        None => Failure::usage(
            "nothing was compared: a client cannot see anything that these fixtures expect",
            "choose fixtures that expect texts and have no initial state; `--json` lists why each was not compared",
        ),
    }
}

/// The key of the channel, if there is one.
fn channel_key(config: &Config, options: &ReplayOptions) -> Result<Option<Secret>, Failure> {
    let configured = config.channel.key.as_ref().map(|keys| keys.first().clone());
    options.key_file.as_deref().map(key_file::read).transpose().map(|read| read.or(configured))
}

fn play(
    config: &Config,
    rig: &Rig,
    options: &ReplayOptions,
    choice: &Choice,
    show: &(dyn Fn(&PlayedFixture, FixtureVerdict) + Sync),
) -> Result<(Vec<PlayedFixture>, Report), Failure> {
    let catalogue = &rig.snapshot.catalogue;
    if options.url.is_empty() {
        let ran = rig.run(choice, &|one| show(one, FixtureVerdict::of(&one.outcome, None)))?;
        let report = Report::of(catalogue, &rig.fixtures, &ran, &rig.warnings, None);
        return Ok((ran, report));
    }
    let key = channel_key(config, options)?;
    let remote = Remote::new(options.url.clone(), options.channel, key, options.rate, |text| eprintln!("{text}"))?;
    let seen = |fixture: usize, turn: usize| remote.seen(fixture, turn);
    let show = |one: &PlayedFixture| show(one, FixtureVerdict::of(&one.outcome, Some(&|turn| seen(one.index, turn))));
    let ran = rig.run_with(choice, &show, &|index| remote.play(rig, index))?;
    let report = Report::of(catalogue, &rig.fixtures, &ran, &rig.warnings, Some(&seen));
    Ok((ran, report))
}

/// Writes diagnostics of broken files where CI looks for differences.
fn tell_broken(options: &ReplayOptions, diagnostics: &[DiagnosticReport], quiet: bool) -> Result<(), Failure> {
    if options.format == Format::Github && !quiet {
        print(show::github_diagnostics(diagnostics).trim_end());
    }
    if let Some(path) = &options.json {
        write_json(path, &json!({ "faults": diagnostics }))?;
    }
    if let Some(path) = &options.junit {
        write(path, &junit::diagnostics(diagnostics)?)?;
    }
    Ok(())
}

fn write_reports(options: &ReplayOptions, report: &Report, ran: &[PlayedFixture]) -> Result<(), Failure> {
    // With --mutate, the JSON report holds the mutations instead, unless none can be tried.
    if let Some(path) = options.json.as_ref().filter(|_| options.mutate.is_none() || report.failed > 0) {
        write_json(path, report)?;
    }
    if let Some(path) = &options.junit {
        write(path, &junit::xml(report, ran)?)?;
    }
    if let Some(path) = &options.html {
        write(path, &page::html(report)?)?;
    }
    Ok(())
}

fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    write(path, &format!("{:#}\n", json!(value)))
}

/// Writes a file; `-` is standard output.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if is_output(path) {
        print(text.trim_end());
        return Ok(());
    }
    fs::write(path, text)
        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display()), "choose another file"))
}

/// Updates expectations, replays, and returns the exit code of that second replay.
fn tell_update(
    config: &Config,
    runtime: &Handle,
    choice: &Choice,
    rig: &Rig,
    ran: &[PlayedFixture],
) -> Result<u8, Failure> {
    let outcomes: Vec<_> = ran.iter().map(|one| &one.outcome).collect();
    let updated = update::update(rig, &outcomes)?;
    match updated.written {
        0 => eprintln!("no expectations were updated"),
        1 => eprintln!("1 expectation was updated; review it before you commit"),
        more => eprintln!("{more} expectations were updated; review them before you commit"),
    }
    for left in &updated.left {
        eprintln!("not updated: {left}");
    }
    // Only a replay shows whether all fixtures pass now: an expectation that several fixtures share may fit only one.
    let again = Rig::open(config, runtime, choice, colour(), &|_| Ok(()))?;
    let differing = again.run(choice, &|_| {})?.iter().filter(|one| !one.outcome.passed()).count();
    if differing > 0 {
        eprintln!("{} still {}", counted(differing, "fixture"), if differing == 1 { "differs" } else { "differ" });
    }
    Ok(if differing == 0 { 0 } else { CHECK_FAILED })
}

fn mutate(rig: &Rig, ran: &[PlayedFixture], options: &ReplayOptions, count: usize) -> Result<u8, Failure> {
    let mutants = mutants::run(rig, ran, count, options.seed)?;
    match &options.json {
        Some(path) => write_json(path, &mutants)?,
        None => tell_mutants(&mutants, count),
    }
    Ok(if mutants.percent() < options.at_least as usize { CHECK_FAILED } else { 0 })
}

fn tell_mutants(mutants: &Mutants, wanted: usize) {
    let unnoticed: Vec<_> = mutants.fates.iter().filter(|fate| fate.noticed_by.is_none()).collect();
    if !unnoticed.is_empty() {
        print("\nnot noticed by any fixture:");
    }
    for fate in unnoticed {
        let mutation = &fate.mutation;
        print(format!("  {}:{}  {}", mutation.file, mutation.line, mutation.what));
        print(format!("      {}", fate.reason.as_deref().unwrap_or_default()));
    }
    print(format!("\n{} of {} mutations noticed ({}%)", mutants.noticed, mutants.total, mutants.percent()));
    if mutants.total < wanted {
        print(format!("the bot has only {} possible mutations", mutants.total));
    }
    for (kind, [noticed, total]) in &mutants.by_kind {
        print(format!("  {:<10} {noticed:>3} of {total}", json!(kind).as_str().unwrap_or_default()));
    }
}

/// Replays at each change until it is interrupted. Load errors are printed, and the next change is awaited.
fn watch(config: &Config, options: &ReplayOptions, choice: &Choice) -> Result<u8, Failure> {
    block_on(async {
        let failed =
            |reason: String| Failure::usage(format!("cannot watch the folders: {reason}"), "replay without --watch");
        let mut watch = Watch::begin(&config.bot, &choice.paths).map_err(|error| failed(error.to_string()))?;
        loop {
            if let Err(failure) = block_in_place(|| once(config, options, choice)) {
                eprintln!("{failure}");
            }
            print("waiting for a change; stop with Ctrl-C");
            watch.change().await.ok_or_else(|| failed("the watch has ended".to_owned()))?;
        }
    })
}
