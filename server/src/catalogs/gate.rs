//! The gate: the checks that a version must pass before it serves anyone. It loads, lints and compiles the files,
//! embeds examples, fits the classifier, and replays the bot's own fixtures with the handlers that will serve. A
//! version that fails changes nothing, and all its errors are reported.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{Catalogue, bundle::Bundle, loader, manifest::Manifest},
    diagnostic::{DiagnosticReport, Diagnostics},
    embedding::{Embedding, EmbeddingError},
    handlers::{plugin::PluginRuntime, script::Scripting},
    host::NoHost,
    policy::Ceiling,
    replay::{self, Outcome, fixture::Fixture, pinned::Pinned, reader},
    snapshot::{Made, Stage},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// The niceness of the gate's threads: users come first, but an admin is waiting. `bench/reload` measures the balance.
const NICE: i32 = 5;

/// The progress of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateStep {
    pub stage: GateStage,
    /// Finished items of the stage.
    pub done: usize,
    /// All items of the stage.
    pub total: usize,
}

/// The stages of the gate, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateStage {
    /// Reads and checks files, and compiles scripts and plugins.
    Load,
    /// Embeds new examples and the fixtures' messages.
    Embed,
    /// Fits the classifier.
    Train,
    /// Plays the fixtures.
    Replay,
}

impl From<Stage> for GateStep {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Embedding(done, total) => Self { stage: GateStage::Embed, done, total },
            Stage::Training(done, total) => Self { stage: GateStage::Train, done, total },
        }
    }
}

/// Called at each step.
pub type Progress<'a> = &'a (dyn Fn(GateStep) + Sync);

/// The findings of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateReport {
    /// The id of the version: the hash of its files.
    pub version: String,
    /// Whether the version passed.
    pub passed: bool,
    /// The diagnostics of its files; warnings do not fail the gate.
    #[serde(rename = "faults")]
    pub diagnostics: Vec<DiagnosticReport>,
    /// The differences in its own fixtures.
    pub differences: Vec<FixtureDifference>,
    /// Fixtures that were not compared because they need a plugin that is not built, by plugin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub skipped: BTreeMap<String, usize>,
    /// The number of fixtures played.
    pub fixtures: usize,
    /// The number of examples that had to be embedded.
    pub embedded: usize,
    /// `kept`, `followed` or `trained`.
    pub classifier: String,
    /// The duration of each stage in milliseconds.
    pub took_ms: Vec<(GateStage, u64)>,
}

/// A failed expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FixtureDifference {
    /// The file of the expectation.
    pub file: String,
    /// The line of the expectation, counted from 1.
    pub line: usize,
    /// The user's message.
    pub user: String,
    /// The compared field.
    pub field: String,
    pub expected: String,
    pub actual: String,
}

/// A version that passed.
pub struct CheckedVersion {
    /// The hash of the version's files.
    pub id: String,
    pub bundle: Bundle,
    pub manifest: Manifest,
    pub snapshot: Snapshot,
    pub fixtures: Vec<Fixture>,
    pub report: GateReport,
}

/// Why there is no candidate.
#[derive(Debug, Error)]
pub enum GateError {
    /// The version did not pass.
    #[error("the version did not pass")]
    Refused(Box<GateReport>),
    /// The gate itself failed.
    #[error("{0}")]
    Broken(String),
}

/// Checks bundles and turns them into candidates.
pub struct Gate {
    embedding: Arc<dyn Embedding>,
    scripting: Arc<Scripting>,
    patient: Arc<Scripting>,
    plugins: Arc<dyn PluginRuntime>,
    ceiling: Ceiling,
    /// The cache of the fixtures' embeddings.
    replay_folder: PathBuf,
    /// The cache of the examples' embeddings.
    index_folder: PathBuf,
    /// For bundles that are checked.
    pool: rayon::ThreadPool,
    /// For stored versions, so that a roll-back does not wait for a publication.
    stored: rayon::ThreadPool,
}

impl Gate {
    /// A gate with its own threads.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(
        engine: &Engine,
        scripting: Arc<Scripting>,
        plugins: Arc<dyn PluginRuntime>,
        ceiling: Ceiling,
        data_dir: &std::path::Path,
    ) -> Result<Self, GateError> {
        let (pool, stored) = (threads("gate")?, threads("stored")?);
        Ok(Self {
            embedding: Arc::clone(engine.embedding()),
            scripting,
            patient: Arc::new(Scripting::patient()),
            plugins,
            ceiling,
            replay_folder: data_dir.join("replay"),
            index_folder: data_dir.join("index"),
            pool,
            stored,
        })
    }

    /// Runs work on the gate's threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// Runs work for a version that has passed already.
    pub fn run_stored<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.stored.install(work)
    }

    /// Takes a bundle through all stages. Blocks. Reuses the embeddings and weights of `base`, the version in use.
    ///
    /// # Errors
    /// [`GateError::Refused`] with all diagnostics or differences.
    pub fn pass(
        &self,
        bundle: Bundle,
        diagnostics: Diagnostics,
        base: &Snapshot,
        with_fixtures: bool,
        progress: Progress<'_>,
    ) -> Result<CheckedVersion, GateError> {
        self.run(|| self.pass_here(bundle, diagnostics, base, with_fixtures, progress))
    }

    fn pass_here(
        &self,
        bundle: Bundle,
        mut diagnostics: Diagnostics,
        base: &Snapshot,
        with_fixtures: bool,
        progress: Progress<'_>,
    ) -> Result<CheckedVersion, GateError> {
        let manifest = bundle.manifest();
        let mut run = GateRun::new(manifest.id(), progress);
        let catalogue = loader::load(&bundle, &self.scripting, &*self.plugins, &self.ceiling, &mut diagnostics);
        let Some(catalogue) = catalogue.filter(|_| !diagnostics.has_errors()) else {
            return Err(run.refuse(&diagnostics));
        };
        let fixtures = reader::read(&fixture_files(&bundle), &catalogue, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(run.refuse(&diagnostics));
        }
        run.tell(&diagnostics);
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
        Ok(CheckedVersion { id: run.report.version.clone(), bundle, manifest, snapshot, fixtures, report: run.report })
    }

    /// Loads a version that has passed, with the handlers that will serve. The ceiling may have come down since: the
    /// host cuts what its handlers fetch, so that it can still be rolled back to.
    pub fn load_stored(&self, bundle: &Bundle, diagnostics: &mut Diagnostics) -> Option<Catalogue> {
        loader::load(bundle, &self.scripting, &*self.plugins, &Ceiling::unlimited(), diagnostics)
    }

    fn build(&self, catalogue: Arc<Catalogue>, base: &Snapshot, run: &mut GateRun<'_>) -> Result<Snapshot, GateError> {
        let progress = run.progress;
        let mut show = |stage: Stage| progress(stage.into());
        let folder = Some(self.index_folder.as_path());
        let broken = |error: &dyn std::error::Error| GateError::Broken(error.to_string());
        let embedder = self.embedding.of(&catalogue.languages).map_err(|error| broken(&error))?;
        let built = base.succeed(catalogue, &*embedder, folder, &mut show);
        let (snapshot, report) = built.map_err(|error| broken(&error))?;
        run.report.embedded = report.embedded;
        run.report.classifier = match report.classifier {
            Made::Kept => "kept",
            Made::Followed => "followed",
            Made::Trained => "trained",
        }
        .to_owned();
        Ok(snapshot)
    }

    /// Replays a bot's own fixtures with a classifier that was trained on this server.
    ///
    /// # Errors
    /// [`GateError::Refused`] with the differences.
    pub fn replay_again(&self, id: &str, bundle: &Bundle, snapshot: &Snapshot) -> Result<(), GateError> {
        self.run(|| {
            let mut diagnostics = Diagnostics::default();
            let fixtures = reader::read(&fixture_files(bundle), &snapshot.catalogue, &mut diagnostics);
            let mut run = GateRun::new(id.to_owned(), &|_| {});
            if diagnostics.has_errors() {
                return Err(run.refuse(&diagnostics));
            }
            self.replay(snapshot, &fixtures, &mut run)?;
            match run.report.differences.is_empty() {
                true => Ok(()),
                false => Err(GateError::Refused(Box::new(run.report))),
            }
        })
    }

    /// An engine for fixtures: it has no host, and limits that do not depend on how busy the machine is.
    ///
    /// # Errors
    /// A message cannot be embedded.
    pub fn replaying_engine(
        &self,
        catalogue: &Catalogue,
        fixtures: &[Fixture],
        progress: Progress<'_>,
    ) -> Result<Engine, GateError> {
        let mut show = |done, total| progress(GateStep { stage: GateStage::Embed, done, total });
        let broken = |error: EmbeddingError| GateError::Broken(error.to_string());
        let (embedding, folder) = (Arc::clone(&self.embedding), Some(self.replay_folder.as_path()));
        let pinned = Pinned::new(embedding, &catalogue.languages, fixtures, folder, &mut show).map_err(broken)?;
        Ok(Engine::new(Arc::new(pinned), Arc::clone(&self.patient), Arc::new(NoHost)))
    }

    fn replay(&self, snapshot: &Snapshot, fixtures: &[Fixture], run: &mut GateRun<'_>) -> Result<(), GateError> {
        if fixtures.is_empty() {
            return Ok(());
        }
        let engine = self.replaying_engine(&snapshot.catalogue, fixtures, run.progress)?;
        let (done, total) = (std::sync::atomic::AtomicUsize::new(0), fixtures.len());
        let progress = run.progress;
        let played: Result<Vec<Outcome>, _> = fixtures
            .par_iter()
            .map(|fixture| {
                let outcome = replay::replay(&engine, snapshot, fixture);
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress(GateStep { stage: GateStage::Replay, done, total });
                outcome
            })
            .collect();
        let played = played.map_err(|error| GateError::Broken(error.to_string()))?;
        run.report.fixtures = total;
        run.report.differences = played.iter().flat_map(differences).collect();
        run.report.skipped = replay::skipped(&played);
        Ok(())
    }
}

/// Threads of low priority, one per core.
fn threads(name: &'static str) -> Result<rayon::ThreadPool, GateError> {
    let lower = |_| {
        // A thread at the usual priority only slows down others.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::warn!(%error, "cannot lower the priority of the gate's threads");
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().thread_name(move |n| format!("{name}-{n}")).start_handler(lower);
    pool.num_threads(crate::config::cores()).build().map_err(|error| GateError::Broken(error.to_string()))
}

fn fixture_files(bundle: &Bundle) -> BTreeMap<String, Vec<u8>> {
    let files = bundle.files.iter().filter(|(path, _)| path.starts_with("fixtures/"));
    files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

fn differences(outcome: &Outcome) -> Vec<FixtureDifference> {
    let of = |played: &replay::Played| {
        let user = played.user.clone();
        let told = move |difference: &replay::Difference| FixtureDifference {
            file: difference.location.file.clone(),
            line: difference.location.line,
            user: user.clone(),
            field: difference.field.clone(),
            expected: difference.expected.clone(),
            actual: difference.actual.clone(),
        };
        played.differences.iter().map(told).collect::<Vec<_>>()
    };
    outcome.turns.iter().flat_map(of).collect()
}

/// One pass through the gate.
struct GateRun<'a> {
    report: GateReport,
    progress: Progress<'a>,
    begun: Instant,
}

impl<'a> GateRun<'a> {
    fn new(version: String, progress: Progress<'a>) -> Self {
        progress(GateStep { stage: GateStage::Load, done: 0, total: 1 });
        Self { report: GateReport { version, ..GateReport::default() }, progress, begun: Instant::now() }
    }

    fn end(&mut self, stage: GateStage) {
        let took: Duration = std::mem::replace(&mut self.begun, Instant::now()).elapsed();
        self.report.took_ms.push((stage, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    }

    fn tell(&mut self, diagnostics: &Diagnostics) {
        self.report.diagnostics = diagnostics.reports();
    }

    fn refuse(&mut self, diagnostics: &Diagnostics) -> GateError {
        self.tell(diagnostics);
        GateError::Refused(Box::new(std::mem::take(&mut self.report)))
    }
}
