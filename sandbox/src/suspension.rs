//! Suspends a plugin that keeps failing, for a growing time.

use std::time::{Duration, Instant};

/// Number of consecutive failures before the first suspension.
const FAILURES: u32 = 5;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The failures of one plugin.
#[derive(Debug, Default)]
pub struct Suspension {
    failures: u32,
    until: Option<Instant>,
}

impl Suspension {
    /// The remaining time of the suspension.
    pub fn left(&self) -> Option<Duration> {
        self.until?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Number of consecutive failures.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Records a successful call.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Records a failed call. Returns the length of the suspension that it starts, if any. After a suspension, a single
    /// failure starts the next one.
    pub fn failed(&mut self) -> Option<Duration> {
        // Ignore calls that were running when the suspension started.
        if self.left().is_some() {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let step = self.failures.checked_sub(FAILURES)?;
        let pause = FIRST.saturating_mul(1 << step.min(16)).min(LONGEST);
        self.until = Some(Instant::now() + pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_a_success() {
        let mut suspension = Suspension::default();
        let fail = |suspension: &mut Suspension| {
            suspension.until = None; // the pause is over
            suspension.failed().map(|pause| pause.as_secs())
        };
        let pauses: Vec<_> = (0..16).map(|_| fail(&mut suspension)).collect();
        assert_eq!(pauses[..4], [None; 4]);
        assert_eq!(pauses[4..8], [Some(1), Some(2), Some(4), Some(8)]);
        assert_eq!(pauses[15], Some(300));
        assert!(suspension.left().is_some());
        suspension.succeeded();
        assert!(suspension.left().is_none() && fail(&mut suspension).is_none());
    }
}
