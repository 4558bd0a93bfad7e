//! Replays fixtures on a bot over all cores, and reports the results as data. The engine's [`banter_engine::replay`]
//! does the playing.

pub mod files;
pub mod junit;
pub mod mutants;
pub mod page;
pub mod remote;
pub mod report;
pub mod show;
pub mod update;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::{DiagnosticReport, Diagnostics, Severity},
    handlers::{plugin::PluginRuntime, script::Scripting},
    host::NoHost,
    random::Random,
    replay::{self, Outcome, fixture::Fixture, pinned::Pinned, reader},
};
use tokio::runtime::Handle;

use banter_server::{
    assembly,
    catalogs::{self, BotError},
    config::{Config, cores},
};

use crate::{
    failure::{Failure, WRONG_USE, counted},
    progress::{BuildBar, CountBar, Spinner},
};

/// Which fixtures to play, and how.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Files and folders; if empty, the bot's own fixtures.
    pub paths: Vec<PathBuf>,
    /// Text that the name or the path of a fixture must contain.
    pub filter: Option<String>,
    /// Tags; a fixture must have at least one of them.
    pub tags: Vec<String>,
    /// Threads; 0 means one per core.
    pub jobs: usize,
    /// Whether to stop at the first fixture that differs.
    pub fail_fast: bool,
    /// The seed of a random order.
    pub shuffle: Option<u64>,
}

/// A bot and its fixtures, ready to be played.
pub struct Rig {
    /// Its host is [`NoHost`]: each fixture brings its own stubs.
    pub engine: Engine,
    pub snapshot: Snapshot,
    /// In the order of their files.
    pub fixtures: Vec<Fixture>,
    /// The bot's files, for mutations.
    pub bundle: Bundle,
    /// The contents of the fixture files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The rendered warnings about files of the bot's folder that are not read.
    pub unread: String,
    /// Diagnostics of the fixtures that do not prevent playing.
    pub warnings: Diagnostics,
    pub plugins: Arc<dyn PluginRuntime>,
    pub scripting: Arc<Scripting>,
}

/// The result of one fixture.
pub struct PlayedFixture {
    /// The index in [`Rig::fixtures`].
    pub index: usize,
    pub outcome: Outcome,
    pub took: Duration,
}

impl Rig {
    /// Loads a bot and the chosen fixtures. `broken` receives the diagnostics that prevent playing.
    ///
    /// # Errors
    /// The bot or the fixtures are broken or missing. All diagnostics are printed to standard error.
    pub fn open(
        config: &Config,
        runtime: &Handle,
        choice: &Choice,
        colour: bool,
        broken: &dyn Fn(Vec<DiagnosticReport>) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let scripting = Arc::new(Scripting::tracing());
        let plugins = Arc::new(assembly::observing_sandbox(config, runtime.clone()));
        let mut diagnostics = Diagnostics::default();
        let bundle = catalogs::read(&config.bot, &mut diagnostics)?;
        // Only warnings about ignored files are shown; `banter check` shows the bot's other diagnostics.
        let unread = if diagnostics.has_errors() { String::new() } else { diagnostics.render(colour) };
        let spinner = Spinner::new("loading the bot".to_owned());
        let catalogue = loader::load(&bundle, &scripting, &*plugins, &config.outside, &mut diagnostics);
        drop(spinner);
        let Some(catalogue) = catalogue else {
            let own = |diagnostic: DiagnosticReport| DiagnosticReport {
                file: files::label(&config.bot.join(&diagnostic.file)),
                ..diagnostic
            };
            broken(diagnostics.reports().into_iter().map(own).collect())?;
            let failure = Failure::from(BotError::Refused { folder: config.bot.clone(), diagnostics });
            return Err(Failure { code: WRONG_USE, ..failure });
        };
        let mut warnings = Diagnostics::default();
        let files = files::collect(config, &bundle, &choice.paths, &mut warnings)
            .map_err(|failure| failure.with_report(format!("{unread}{}", warnings.render(colour))))?;
        let mut fixtures = reader::read(&files, &catalogue, &mut warnings);
        if warnings.has_errors() {
            broken(warnings.reports())?;
            let errors = counted(warnings.count(Severity::Error), "error");
            let failure = Failure::usage(format!("the fixtures have {errors}"), "fix the errors above and try again");
            return Err(failure.with_report(format!("{unread}{}", warnings.render(colour))));
        }
        let all = fixtures.len();
        fixtures.retain(|fixture| choice.takes(fixture));
        if fixtures.is_empty() {
            let failure = match all {
                0 => Failure::usage(
                    "no fixtures were found",
                    "add one to the bot's fixtures/, or record one with `banter record`",
                ),
                _ => Failure::usage(
                    format!("no fixture matched the filter ({} found)", counted(all, "fixture")),
                    "`--filter` takes part of a name or a path, and `--tag` takes one of the fixtures' `tags`",
                ),
            };
            return Err(failure.with_report(unread));
        }
        let encoders = Arc::new(assembly::encoders(&config.embedding, &config.data_dir));
        // Kept apart from the server's folder, whose embeddings were computed in batches.
        let folder = config.data_dir.join("replay");
        let bar = CountBar::new("embedding messages", None);
        let mut show = |done, _| bar.show(done as u64);
        let pinned = Pinned::new(encoders, &catalogue.languages, &fixtures, Some(&folder), &mut show);
        drop(bar);
        let pinned = pinned.map_err(|error| Failure::usage(error.to_string(), error.hint()))?;
        let engine = Engine::new(Arc::new(pinned), Arc::clone(&scripting), Arc::new(NoHost));
        let bar = BuildBar::default();
        let (snapshot, _) = catalogs::build(catalogue, &engine, Some(&folder), &mut |stage| bar.show(stage))?;
        drop(bar);
        Ok(Self { engine, snapshot, fixtures, bundle, files, unread, warnings, plugins, scripting })
    }

    /// Plays all fixtures, and calls `show` as each ends. The results are in the order of the fixtures, not of playing.
    ///
    /// # Errors
    /// The model fails.
    pub fn run(&self, choice: &Choice, show: &(dyn Fn(&PlayedFixture) + Sync)) -> Result<Vec<PlayedFixture>, Failure> {
        self.run_with(choice, show, &|index| {
            replay::replay(&self.engine, &self.snapshot, &self.fixtures[index]).map_err(|error| {
                Failure::usage(error.to_string(), "see the log; `make setup` downloads the model again")
            })
        })
    }

    /// [`Rig::run`] with another `play` function.
    ///
    /// # Errors
    /// The first error of `play`.
    pub fn run_with(
        &self,
        choice: &Choice,
        show: &(dyn Fn(&PlayedFixture) + Sync),
        play: &(dyn Fn(usize) -> Result<Outcome, Failure> + Sync),
    ) -> Result<Vec<PlayedFixture>, Failure> {
        let mut order: Vec<usize> = (0..self.fixtures.len()).collect();
        if let Some(seed) = choice.shuffle {
            Random::new(seed).shuffle(&mut order);
        }
        // Fixtures start in order, and all before the first one that ends the run are played. So the reported set does
        // not depend on the number of threads.
        let (next, last) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let work = |_: rayon::BroadcastContext<'_>| -> Result<Vec<(usize, PlayedFixture)>, Failure> {
            let mut played = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&index) = order.get(at).filter(|_| at <= last.load(Ordering::Relaxed)) else {
                    return Ok(played);
                };
                let start = Instant::now();
                let end = || last.fetch_min(at, Ordering::Relaxed);
                let outcome = match play(index) {
                    Ok(outcome) => outcome,
                    Err(failure) => {
                        end();
                        return Err(failure);
                    }
                };
                let ran = PlayedFixture { index, outcome, took: start.elapsed() };
                if choice.fail_fast && !ran.outcome.passed() {
                    end();
                }
                show(&ran);
                played.push((at, ran));
            }
        };
        let jobs = if choice.jobs == 0 { cores() } else { choice.jobs };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(256)).build();
        let pool = pool.map_err(|error| {
            Failure::usage(format!("cannot start threads: {error}"), "check the process limits with `ulimit -a`")
        })?;
        let ran: Vec<Vec<(usize, PlayedFixture)>> = pool.broadcast(work).into_iter().collect::<Result<_, _>>()?;
        let end = last.into_inner();
        let mut all: Vec<PlayedFixture> =
            ran.into_iter().flatten().filter(|(at, _)| *at <= end).map(|(_, ran)| ran).collect();
        all.sort_by_key(|ran| ran.index);
        Ok(all)
    }
}

impl Choice {
    fn takes(&self, fixture: &Fixture) -> bool {
        let named = |part: &String| {
            let part = part.to_lowercase();
            fixture.name.to_lowercase().contains(&part) || fixture.location.file.to_lowercase().contains(&part)
        };
        self.filter.as_ref().is_none_or(named)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| fixture.tags.contains(tag)))
    }
}
