//! The gate: what a version must pass before anybody is answered with it. Load, lint, compile, embed, fit, replay the bot's own
//! fixtures with the handlers that will serve. A version that fails changes nothing, and all that is wrong with it is told.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{
        Catalogue,
        bundle::Bundle,
        fault::{FaultReport, Faults},
        loader,
        manifest::Manifest,
    },
    embedding::Embedder,
    handlers::{plugin::PluginRuntime, script::Scripting},
    host::NoHost,
    replay::{self, Outcome, fixture::Fixture, pinned::PinnedEmbedder, reader},
    snapshot::{Made, Stage},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Users come first, but an admin waits: `bench/reload` weighs one against the other.
const NICE: i32 = 5;

/// How far a candidate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is being done.
    pub stage: GateStage,
    /// So much of it.
    pub done: usize,
    /// Of so much.
    pub total: usize,
}

/// What the gate does, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStage {
    /// Files are read and checked, scripts and plugins compiled.
    Load,
    /// New examples and messages of fixtures get their vectors.
    Embed,
    /// The classifier is fitted.
    Train,
    /// Fixtures are played.
    Replay,
}

impl From<Stage> for Step {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Embedding(done, total) => Self { stage: GateStage::Embed, done, total },
            Stage::Training(done, total) => Self { stage: GateStage::Train, done, total },
        }
    }
}

/// Called at each step.
pub type Progress<'a> = &'a (dyn Fn(Step) + Sync);

/// What the gate found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    /// The version: the hash of its files.
    pub version: String,
    /// Whether nothing keeps it out.
    pub passed: bool,
    /// What is wrong with its files; warnings keep nothing out.
    pub faults: Vec<FaultReport>,
    /// Where its own fixtures differ.
    pub differences: Vec<FixtureDifference>,
    /// How many fixtures were played.
    pub fixtures: usize,
    /// Examples that had to be embedded.
    pub embedded: usize,
    /// `kept`, `followed` or `trained`.
    pub classifier: String,
    /// Milliseconds of each stage.
    pub took_ms: Vec<(GateStage, u64)>,
}

/// An expectation that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixtureDifference {
    /// Where the expectation stands.
    pub file: String,
    /// The line.
    pub line: usize,
    /// What the user said.
    pub user: String,
    /// What was looked at.
    pub field: String,
    /// As it should be.
    pub expected: String,
    /// As it was.
    pub actual: String,
}

/// A version that passed.
pub struct Candidate {
    /// The hash of its files.
    pub id: String,
    /// Its files.
    pub bundle: Bundle,
    /// Their hashes.
    pub manifest: Manifest,
    /// Ready to answer.
    pub snapshot: Snapshot,
    /// Its fixtures.
    pub fixtures: Vec<Fixture>,
    /// What the gate found.
    pub report: GateReport,
}

/// Why there is no candidate.
#[derive(Debug, Error)]
pub enum GateError {
    /// It did not pass.
    #[error("the version did not pass")]
    Refused(Box<GateReport>),
    /// The gate itself broke.
    #[error("{0}")]
    Broken(String),
}

/// Makes candidates out of bundles.
pub struct Gate {
    embedder: Arc<dyn Embedder>,
    scripting: Arc<Scripting>,
    patient: Arc<Scripting>,
    plugins: Arc<dyn PluginRuntime>,
    /// Where vectors of fixtures are kept.
    replay_folder: PathBuf,
    /// Where vectors of examples are kept.
    index_folder: PathBuf,
    pool: rayon::ThreadPool,
}

impl Gate {
    /// A gate with threads of its own.
    ///
    /// # Errors
    /// When there are no threads.
    pub fn new(
        engine: &Engine,
        scripting: Arc<Scripting>,
        plugins: Arc<dyn PluginRuntime>,
        data_dir: &std::path::Path,
    ) -> Result<Self, GateError> {
        let lower = |_| {
            // A thread that stays as it is costs others time, and nothing else.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!(%error, "new versions are checked at the usual priority");
            }
        };
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|n| format!("gate-{n}")).start_handler(lower);
        let pool = pool.num_threads(crate::config::cores()).build();
        Ok(Self {
            embedder: Arc::clone(engine.embedder()),
            scripting,
            patient: Arc::new(Scripting::patient()),
            plugins,
            replay_folder: data_dir.join("replay"),
            index_folder: data_dir.join("index"),
            pool: pool.map_err(|error| GateError::Broken(error.to_string()))?,
        })
    }

    /// Does work on the gate's threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// Takes a bundle through all of it. `base` is what is in use: vectors and weights are taken over from it. Blocks.
    ///
    /// # Errors
    /// [`GateError::Refused`] with all that is wrong.
    pub fn pass(
        &self,
        bundle: Bundle,
        faults: Faults,
        base: &Snapshot,
        with_fixtures: bool,
        progress: Progress<'_>,
    ) -> Result<Candidate, GateError> {
        self.run(|| self.pass_here(bundle, faults, base, with_fixtures, progress))
    }

    fn pass_here(
        &self,
        bundle: Bundle,
        mut faults: Faults,
        base: &Snapshot,
        with_fixtures: bool,
        progress: Progress<'_>,
    ) -> Result<Candidate, GateError> {
        let manifest = bundle.manifest();
        let mut run = Run::new(manifest.id(), progress);
        let catalogue = self.load(&bundle, &mut faults);
        let Some(catalogue) = catalogue.filter(|_| !faults.has_errors()) else { return Err(run.refuse(&faults)) };
        let fixtures = reader::read(&fixture_files(&bundle), &catalogue, &mut faults);
        if faults.has_errors() {
            return Err(run.refuse(&faults));
        }
        run.tell(&faults);
        run.end(GateStage::Load);

        let snapshot = self.build(Arc::new(catalogue), base, &mut run)?;
        run.end(GateStage::Train);
        if with_fixtures {
            self.replay(&snapshot, &fixtures, &mut run)?;
        }
        run.end(GateStage::Replay);
        run.report.passed = run.report.differences.is_empty();
        if !run.report.passed {
            return Err(GateError::Refused(Box::new(run.report)));
        }
        Ok(Candidate { id: run.report.version.clone(), bundle, manifest, snapshot, fixtures, report: run.report })
    }

    /// Files to a bot, with the handlers that serve.
    pub fn load(&self, bundle: &Bundle, faults: &mut Faults) -> Option<Catalogue> {
        loader::load(bundle, &self.scripting, &*self.plugins, faults)
    }

    fn build(&self, catalogue: Arc<Catalogue>, base: &Snapshot, run: &mut Run<'_>) -> Result<Snapshot, GateError> {
        let progress = run.progress;
        let mut show = |stage: Stage| progress(stage.into());
        let folder = Some(self.index_folder.as_path());
        let built = base.succeed(catalogue, &*self.embedder, folder, &mut show);
        let (snapshot, report) = built.map_err(|error| GateError::Broken(error.to_string()))?;
        run.report.embedded = report.embedded;
        run.report.classifier = match report.classifier {
            Made::Kept => "kept",
            Made::Followed => "followed",
            Made::Trained => "trained",
        }
        .to_owned();
        Ok(snapshot)
    }

    /// Whether a bot passes its own fixtures with a classifier that was made here.
    ///
    /// # Errors
    /// [`GateError::Refused`] with what differs.
    pub fn replay_again(&self, id: &str, bundle: &Bundle, snapshot: &Snapshot) -> Result<(), GateError> {
        self.run(|| {
            let mut faults = Faults::default();
            let fixtures = reader::read(&fixture_files(bundle), &snapshot.catalogue, &mut faults);
            let mut run = Run::new(id.to_owned(), &|_| {});
            self.replay(snapshot, &fixtures, &mut run)?;
            match run.report.differences.is_empty() {
                true => Ok(()),
                false => Err(GateError::Refused(Box::new(run.report))),
            }
        })
    }

    /// An engine for fixtures: nothing outside, and bounds that do not depend on how busy the machine is.
    ///
    /// # Errors
    /// When a message cannot be embedded.
    pub fn replaying_engine(&self, fixtures: &[Fixture], progress: Progress<'_>) -> Result<Engine, GateError> {
        let mut show = |done, total| progress(Step { stage: GateStage::Embed, done, total });
        let pinned = PinnedEmbedder::new(Arc::clone(&self.embedder), fixtures, Some(&self.replay_folder), &mut show);
        let pinned = pinned.map_err(|error| GateError::Broken(error.to_string()))?;
        Ok(Engine::new(Arc::new(pinned), Arc::clone(&self.patient), Arc::new(NoHost)))
    }

    fn replay(&self, snapshot: &Snapshot, fixtures: &[Fixture], run: &mut Run<'_>) -> Result<(), GateError> {
        if fixtures.is_empty() {
            return Ok(());
        }
        let engine = self.replaying_engine(fixtures, run.progress)?;
        let (done, total) = (std::sync::atomic::AtomicUsize::new(0), fixtures.len());
        let progress = run.progress;
        let played: Result<Vec<Outcome>, _> = fixtures
            .par_iter()
            .map(|fixture| {
                let outcome = replay::replay(&engine, snapshot, fixture);
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress(Step { stage: GateStage::Replay, done, total });
                outcome
            })
            .collect();
        let played = played.map_err(|error| GateError::Broken(error.to_string()))?;
        run.report.fixtures = total;
        run.report.differences = played.iter().flat_map(differences).collect();
        Ok(())
    }
}

fn fixture_files(bundle: &Bundle) -> BTreeMap<String, Vec<u8>> {
    let files = bundle.files.iter().filter(|(path, _)| path.starts_with("fixtures/"));
    files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

fn differences(outcome: &Outcome) -> Vec<FixtureDifference> {
    let of = |played: &replay::Played| {
        let user = played.user.clone();
        let told = move |difference: &replay::Difference| FixtureDifference {
            file: difference.place.file.clone(),
            line: difference.place.line,
            user: user.clone(),
            field: difference.field.clone(),
            expected: difference.expected.clone(),
            actual: difference.actual.clone(),
        };
        played.differences.iter().map(told).collect::<Vec<_>>()
    };
    outcome.turns.iter().flat_map(of).collect()
}

/// One way through the gate.
struct Run<'a> {
    report: GateReport,
    progress: Progress<'a>,
    begun: Instant,
}

impl<'a> Run<'a> {
    fn new(version: String, progress: Progress<'a>) -> Self {
        progress(Step { stage: GateStage::Load, done: 0, total: 1 });
        Self { report: GateReport { version, ..GateReport::default() }, progress, begun: Instant::now() }
    }

    fn end(&mut self, stage: GateStage) {
        let took: Duration = std::mem::replace(&mut self.begun, Instant::now()).elapsed();
        self.report.took_ms.push((stage, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    }

    fn tell(&mut self, faults: &Faults) {
        self.report.faults = faults.reports();
    }

    fn refuse(&mut self, faults: &Faults) -> GateError {
        self.tell(faults);
        GateError::Refused(Box::new(std::mem::take(&mut self.report)))
    }
}
