//! Why a command fails: what is wrong, how to fix it, and the exit code.

use std::fmt;

use banter_engine::diagnostic::Severity;
use banter_server::{assembly::StartError, catalogs::BotError, setup::SetupError};

use crate::commands::{colour, release::show};

/// Exit code of a check that found something.
pub const CHECK_FAILED: u8 = 1;
/// Exit code of wrong use, and of what cannot start.
pub const WRONG_USE: u8 = 2;

/// An error for a person at a terminal.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub hint: String,
    /// The exit code.
    pub code: u8,
    /// What is printed before it.
    pub report: String,
}

impl Failure {
    /// Wrong use or configuration, or something that is needed and missing.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: WRONG_USE, report: String::new() }
    }

    /// A check that failed.
    pub fn check(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: CHECK_FAILED, report: String::new() }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::usage(error.message, error.hint)
    }
}

impl From<BotError> for Failure {
    fn from(error: BotError) -> Self {
        match error {
            BotError::Refused { folder, diagnostics } => {
                let errors = counted(diagnostics.count(Severity::Error), "error");
                let message = format!("the bot in {} has {errors}", folder.display());
                Self {
                    report: diagnostics.render(colour()),
                    ..Self::check(message, "fix the errors above and try again")
                }
            }
            other => SetupError::from(other).into(),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setup(error) => error.into(),
            StartError::Bot(error) => error.into(),
            StartError::Refused(report) => Self {
                report: format!("{}\n", show::refusal(&report)),
                ..Self::check(
                    "the bot does not pass its own fixtures",
                    "`banter replay` shows the differences; fix the bot or its fixtures and try again",
                )
            },
        }
    }
}

impl Failure {
    /// The same failure, with a report that is printed before it.
    pub fn with_report(self, report: String) -> Self {
        Self { report, ..self }
    }
}

/// A count with its noun: `1 error`, `2 errors`.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}error: {}", self.report, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// The warning that fixtures were not compared because a plugin that they need is not built.
pub fn fixtures_skipped(plugin: &str, fixtures: usize) -> String {
    let (were, need) = if fixtures == 1 { ("was", "needs") } else { ("were", "need") };
    let fixtures = counted(fixtures, "fixture");
    format!(
        "warning: the plugin `{plugin}` is not built, so {fixtures} that {need} it {were} skipped\n  \
         hint: build it with `banter plugin build {plugin}`\n"
    )
}
