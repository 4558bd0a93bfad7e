//! Numbers over a period, read from the stores.

use std::collections::BTreeMap;

use banter_stores::{LATENCY_BOUNDS, Millis, Period, Tally};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Console, ConsoleError};

/// Steps of a period, at most.
pub const STEPS: i64 = 200;

/// What happened in a period.
#[derive(Serialize, ToSchema)]
pub struct Numbers {
    /// In milliseconds since 1970.
    #[schema(value_type = i64)]
    pub since: Millis,
    /// The length of a step, in milliseconds.
    #[schema(value_type = i64)]
    pub step: Millis,
    /// One entry a step, without gaps.
    pub steps: Vec<NumbersStep>,
    /// Turns by intent, the most frequent first.
    pub intents: Vec<NumberOf>,
    /// Failures by kind and plugin, the most frequent first.
    pub failures: Vec<NumberOf>,
}

/// One step of a period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct NumbersStep {
    /// Messages of users.
    pub messages: i64,
    /// Those that matched an intent or answered a form.
    pub understood: i64,
    pub hand_offs: i64,
    /// Half of the answers took at most so many milliseconds; the upper bound of a class.
    #[schema(required)]
    pub p50_ms: Option<i64>,
    /// 95 of 100 answers took at most so many milliseconds.
    #[schema(required)]
    pub p95_ms: Option<i64>,
    /// 99 of 100 answers took at most so many milliseconds.
    #[schema(required)]
    pub p99_ms: Option<i64>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct NumberOf {
    pub name: String,
    pub turns: i64,
}

impl Console {
    /// The numbers from `since` to `until`, in at most [`STEPS`] steps.
    ///
    /// # Errors
    /// [`ConsoleError::Store`].
    pub async fn numbers(&self, since: Millis, until: Millis, step: Millis) -> Result<Numbers, ConsoleError> {
        let tallies = self.stores.reports.tally(Period { since, until, step }).await?;
        let count =
            usize::try_from((until - since).div_euclid(step) + i64::from((until - since) % step != 0)).unwrap_or(0);
        let mut by_step: Vec<Vec<&Tally>> = vec![Vec::new(); count];
        for tally in &tallies.turns {
            if let Some(tallies) = usize::try_from(tally.step).ok().and_then(|step| by_step.get_mut(step)) {
                tallies.push(tally);
            }
        }
        let failure = |((kind, plugin), turns): ((String, Option<String>), i64)| {
            (plugin.map_or(kind.clone(), |plugin| format!("{kind}: {plugin}")), turns)
        };
        Ok(Numbers {
            since,
            step,
            steps: by_step.iter().map(|tallies| sum(tallies)).collect(),
            intents: ranked(tallies.intents.into_iter()),
            failures: ranked(tallies.failures.into_iter().map(failure)),
        })
    }
}

fn ranked(pairs: impl Iterator<Item = (String, i64)>) -> Vec<NumberOf> {
    let mut all: Vec<NumberOf> = pairs.map(|(name, turns)| NumberOf { name, turns }).collect();
    all.sort_by(|one, other| other.turns.cmp(&one.turns).then_with(|| one.name.cmp(&other.name)));
    all
}

/// Answers from outside, and turns that nobody has answered, are no messages to the bot.
fn sum(tallies: &[&Tally]) -> NumbersStep {
    let mut step = NumbersStep::default();
    let mut classes: BTreeMap<i64, i64> = BTreeMap::new();
    for Tally { outcome, hand_off, latency, turns, .. } in tallies {
        let understood = match outcome.as_str() {
            "matched" | "form" => *turns,
            "ambiguous" | "unknown" => 0,
            _ => continue,
        };
        step.messages += turns;
        step.understood += understood;
        step.hand_offs += if *hand_off { *turns } else { 0 };
        *classes.entry(*latency).or_default() += turns;
    }
    [step.p50_ms, step.p95_ms, step.p99_ms] = [50, 95, 99].map(|percent| percentile(&classes, percent));
    step
}

/// The upper bound of the class in which a percentile lies; the last class has none, so its lower bound.
fn percentile(classes: &BTreeMap<i64, i64>, percent: i64) -> Option<i64> {
    let all: i64 = classes.values().sum();
    let mut seen = 0;
    let class = classes.iter().find_map(|(class, turns)| {
        seen += turns;
        (seen * 100 >= all * percent).then_some(*class)
    })?;
    let bound = usize::try_from(class).ok().and_then(|class| LATENCY_BOUNDS.get(class)).or(LATENCY_BOUNDS.last());
    bound.copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(outcome: &str, latency: i64, turns: i64) -> Tally {
        Tally { step: 0, outcome: outcome.to_owned(), hand_off: outcome == "unknown", latency, turns }
    }

    #[test]
    fn a_step_counts_messages_and_their_latencies() {
        let tallies = [tally("matched", 0, 90), tally("form", 3, 6), tally("unknown", 16, 4), tally("answer", 16, 50)];
        let expected = NumbersStep {
            messages: 100,
            understood: 96,
            hand_offs: 4,
            p50_ms: Some(1),
            p95_ms: Some(5),
            p99_ms: Some(10_000),
        };
        assert_eq!(sum(&tallies.iter().collect::<Vec<_>>()), expected);
        assert_eq!(sum(&[]), NumbersStep::default());
    }
}
