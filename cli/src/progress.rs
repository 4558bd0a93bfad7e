//! Progress bars for work that may take more than a second, on terminals only.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use banter_engine::snapshot::Stage;
use indicatif::{ProgressBar, ProgressStyle};

use banter_server::catalogs::gate::{GateStage, GateStep};

/// Shows the stages of building a snapshot. If standard error is not a terminal, each stage is logged instead.
pub struct BuildBar {
    bar: ProgressBar,
    stage: Mutex<&'static str>,
}

impl Default for BuildBar {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:>20} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let bar = Self { bar, stage: Mutex::new("") };
        bar.begin("loading");
        bar
    }
}

impl BuildBar {
    pub fn show(&self, stage: Stage) {
        let (name, done, total) = match stage {
            Stage::Embedding(done, total) => ("embedding examples", done, total),
            Stage::Training(done, total) => ("training", done, total),
        };
        self.draw(name, done, total);
    }

    fn draw(&self, name: &'static str, done: usize, total: usize) {
        if self.begin(name)
            && let Ok(style) = ProgressStyle::with_template("{msg:>20} {bar:30} {pos}/{len} {elapsed}")
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
    }

    /// Sets the stage; returns whether it changed.
    fn begin(&self, name: &'static str) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let new = *stage != name;
        if new {
            *stage = name;
            self.bar.set_message(name);
            if self.bar.is_hidden() {
                tracing::info!("{name}");
            }
        }
        new
    }
}

impl Drop for BuildBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the progress of a version through the gate.
#[derive(Default)]
pub struct StepBar(BuildBar);

impl StepBar {
    pub fn show(&self, step: GateStep) {
        let name = match step.stage {
            GateStage::Load => "checking files",
            GateStage::Embed => "embedding",
            GateStage::Train => "training",
            GateStage::Replay => "replaying fixtures",
        };
        self.0.draw(name, step.done, step.total);
    }
}

/// Shows a count of one kind of thing.
pub struct CountBar(ProgressBar);

impl CountBar {
    /// Counts `what` up to `total`; `None` means an unknown total.
    pub fn new(what: &'static str, total: Option<u64>) -> Self {
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new).with_message(what);
        let template =
            if total.is_some() { "{msg:>20} {bar:30} {pos}/{len} {elapsed}" } else { "{msg:>20} {pos} {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub fn show(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for CountBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A spinner for work without a count.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// Shows `what` next to the spinner.
    pub fn new(what: String) -> Self {
        let spinner = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Self(spinner)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
