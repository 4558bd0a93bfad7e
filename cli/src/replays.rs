//! Replaying fixtures: which files, on which bot, over all cores; and what comes of it as data. The engine's
//! [`banter_engine::replay`] does the playing.

pub mod files;
pub mod junit;
pub mod masks;
pub mod mutants;
mod names;
pub mod page;
pub mod record;
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
    catalogue::{
        bundle::Bundle,
        fault::{FaultReport, Faults, Severity},
        loader,
    },
    handlers::{plugin::PluginRuntime, script::Scripting},
    host::NoHost,
    random::Random,
    replay::{self, Outcome, fixture::Fixture, pinned::PinnedEmbedder, reader},
};
use tokio::runtime::Handle;

use banter_server::{
    assembly, catalogs,
    config::{Config, cores},
};

use crate::{
    failure::{Failure, counted},
    progress::{BuildBar, CountBar},
};

/// Which fixtures, and how they are run.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Files and folders; the bot's own fixtures without any.
    pub paths: Vec<PathBuf>,
    /// Part of a name or a path.
    pub filter: Option<String>,
    /// Tags, of which a fixture has at least one.
    pub tags: Vec<String>,
    /// Threads; 0 is one a core.
    pub jobs: usize,
    /// Whether the first difference ends the run.
    pub fail_fast: bool,
    /// Where the order in which fixtures are played comes from.
    pub shuffle: Option<u64>,
}

/// A bot and its fixtures, ready to be played.
pub struct Rig {
    /// With the outside of nobody: each fixture brings its own.
    pub engine: Engine,
    /// The bot.
    pub snapshot: Snapshot,
    /// In the order of their files.
    pub fixtures: Vec<Fixture>,
    /// The bot's files, for those who change them.
    pub bundle: Bundle,
    /// What the fixtures' files hold.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What of the bot's folder is not read, rendered.
    pub unread: String,
    /// What was wrong with them without keeping any from being played.
    pub warnings: Faults,
    /// Where plugins are loaded.
    pub plugins: Arc<dyn PluginRuntime>,
    /// The script engine.
    pub scripting: Arc<Scripting>,
}

/// A fixture that was played, and how long it took.
pub struct Ran {
    /// Its place in [`Rig::fixtures`].
    pub index: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl Rig {
    /// Loads a bot and the fixtures that are chosen; its plugins run in `runtime`. `broken` gets the faults that keep these from being
    /// played.
    ///
    /// # Errors
    /// Wrong use, with all faults of the bot or of the fixtures in the failure's report.
    pub fn open(
        config: &Config,
        runtime: &Handle,
        choice: &Choice,
        colour: bool,
        broken: &dyn Fn(Vec<FaultReport>) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let scripting = Arc::new(Scripting::tracing());
        let plugins = Arc::new(assembly::observing_sandbox(config, runtime.clone()));
        let mut faults = Faults::default();
        let bundle = catalogs::read(&config.bot, &mut faults)?;
        // Only what of the folder is not read at all; `banter check` lists what else is wrong with the bot.
        let unread = if faults.has_errors() { String::new() } else { faults.render(colour) };
        let catalogue = loader::load(&bundle, &scripting, &*plugins, &mut faults);
        let Some(catalogue) = catalogue else {
            let own = |fault: FaultReport| FaultReport { file: files::label(&config.bot.join(&fault.file)), ..fault };
            broken(faults.reports().into_iter().map(own).collect())?;
            let errors = counted(faults.count(Severity::Error), "error");
            let failure =
                Failure::usage(format!("the bot in {} has {errors}", config.bot.display()), "fix the errors above");
            return Err(failure.with_report(faults.render(colour)));
        };
        let mut warnings = Faults::default();
        let files = files::collect(config, &bundle, &choice.paths, &mut warnings)
            .map_err(|failure| failure.with_report(format!("{unread}{}", warnings.render(colour))))?;
        let mut fixtures = reader::read(&files, &catalogue, &mut warnings);
        if warnings.has_errors() {
            broken(warnings.reports())?;
            let errors = counted(warnings.count(Severity::Error), "error");
            let failure = Failure::usage(format!("the fixtures have {errors}"), "fix the errors above");
            return Err(failure.with_report(format!("{unread}{}", warnings.render(colour))));
        }
        let all = fixtures.len();
        fixtures.retain(|fixture| choice.takes(fixture));
        if fixtures.is_empty() {
            let failure = match all {
                0 => Failure::usage(
                    "no fixture was found",
                    "write one into the bot's fixtures/, or make one with `banter record`",
                ),
                _ => Failure::usage(
                    format!("of {} none was chosen", counted(all, "fixture")),
                    "`--filter` wants a part of a name or a path, `--tag` one of the words under `tags`",
                ),
            };
            return Err(failure.with_report(unread));
        }
        let embedder = assembly::embedder(&config.embedding, &config.data_dir)?;
        // Apart from the server's, whose vectors come of batches.
        let folder = config.data_dir.join("replay");
        let bar = CountBar::new("embedding messages", None);
        let pinned = PinnedEmbedder::new(embedder, &fixtures, Some(&folder), &mut |done, _| bar.show(done as u64));
        drop(bar);
        let pinned = pinned.map_err(|error| Failure::usage(error.to_string(), error.hint()))?;
        let engine = Engine::new(Arc::new(pinned), Arc::clone(&scripting), Arc::new(NoHost));
        let bar = BuildBar::default();
        let (snapshot, _) = catalogs::build(catalogue, &engine, Some(&folder), &mut |stage| bar.show(stage))?;
        drop(bar);
        Ok(Self { engine, snapshot, fixtures, bundle, files, unread, warnings, plugins, scripting })
    }

    /// Plays all fixtures, `show` each as it ends. The outcomes come in the order of the fixtures, whatever the order of playing.
    ///
    /// # Errors
    /// When the model fails.
    pub fn run(&self, choice: &Choice, show: &(dyn Fn(&Ran) + Sync)) -> Result<Vec<Ran>, Failure> {
        self.run_with(choice, show, &|index| {
            replay::replay(&self.engine, &self.snapshot, &self.fixtures[index])
                .map_err(|error| Failure::usage(error.to_string(), "see the log; `make setup` fetches the model anew"))
        })
    }

    /// [`Rig::run`] with another way of playing.
    ///
    /// # Errors
    /// The first of `play`.
    pub fn run_with(
        &self,
        choice: &Choice,
        show: &(dyn Fn(&Ran) + Sync),
        play: &(dyn Fn(usize) -> Result<Outcome, Failure> + Sync),
    ) -> Result<Vec<Ran>, Failure> {
        let mut order: Vec<usize> = (0..self.fixtures.len()).collect();
        if let Some(seed) = choice.shuffle {
            Random::new(seed).shuffle(&mut order);
        }
        // Fixtures are begun in their order, and those before the first that ends the run are all played: which ones are reported
        // does not depend on the threads.
        let (next, last) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let work = |_: rayon::BroadcastContext<'_>| -> Result<Vec<(usize, Ran)>, Failure> {
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
                let ran = Ran { index, outcome, took: start.elapsed() };
                if choice.fail_fast && !ran.outcome.passed() {
                    end();
                }
                show(&ran);
                played.push((at, ran));
            }
        };
        let jobs = if choice.jobs == 0 { cores() } else { choice.jobs };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(256)).build();
        let pool =
            pool.map_err(|error| Failure::usage(format!("no threads: {error}"), "check the limits of this process"))?;
        let ran: Vec<Vec<(usize, Ran)>> = pool.broadcast(work).into_iter().collect::<Result<_, _>>()?;
        let end = last.into_inner();
        let mut all: Vec<Ran> = ran.into_iter().flatten().filter(|(at, _)| *at <= end).map(|(_, ran)| ran).collect();
        all.sort_by_key(|ran| ran.index);
        Ok(all)
    }
}

impl Choice {
    fn takes(&self, fixture: &Fixture) -> bool {
        let named = |part: &String| {
            let part = part.to_lowercase();
            fixture.name.to_lowercase().contains(&part) || fixture.place.file.to_lowercase().contains(&part)
        };
        self.filter.as_ref().is_none_or(named)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| fixture.tags.contains(tag)))
    }
}
