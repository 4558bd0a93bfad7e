//! Why a command ends without success: what, how to mend it, and the exit code.

use std::fmt;

/// Exit code of a check that found something.
pub const CHECK_FAILED: u8 = 1;
/// Exit code of wrong use, and of what cannot start.
pub const WRONG_USE: u8 = 2;

/// An error for a person at a terminal.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
    /// What the process ends with.
    pub code: u8,
}

impl Failure {
    /// Wrong use or configuration, or a thing that is needed and not there.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: WRONG_USE }
    }

    /// A check that failed.
    pub fn check(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: CHECK_FAILED }
    }
}

/// So many of something, in words: `1 error`, `2 errors`.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}
