//! From a vector and a text to a decision: evidence from neighbours, a learned head, and one calibrated probability per
//! intent.

pub mod calibration;
pub mod classifier;
pub mod evidence;
pub mod features;
pub mod head;
pub mod ngrams;
pub mod training;

use crate::{
    catalogue::{Catalogue, Intent},
    ids::IntentId,
    index::Neighbour,
    turn::Candidate,
};

/// The classifier's result for a message.
#[derive(Clone, Debug, Default)]
pub struct Classification {
    /// The likeliest intents, best first.
    pub candidates: Vec<Candidate>,
    /// Probability that the message is about anything the bot knows.
    pub in_scope: f32,
    /// The nearest nodes, for `explain`.
    pub neighbours: Vec<Neighbour>,
}

impl Classification {
    /// The probability of the likeliest intent; 0 if there is none.
    pub fn best(&self) -> f32 {
        self.candidates.first().map_or(0.0, |best| best.probability)
    }
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// One intent is likely enough.
    Matched(IntentId),
    /// Two to four intents are likely enough, with about equal probabilities; the likeliest first.
    Ambiguous(Vec<IntentId>),
    /// No intent is likely enough.
    Unknown,
}

/// Number of intents that a user is asked about, at most.
const MAX_CHOICE: usize = 4;

/// Applies the author's thresholds to intents that may be started in any context.
pub fn decide(classification: &Classification, catalogue: &Catalogue) -> (Decision, String) {
    decide_among(classification, catalogue, |_| true)
}

/// Applies the author's thresholds to the intents that `may` be started. Also returns the rule that decided, as text.
///
/// Intents are ambiguous if their probabilities differ by less than the margin from the first one's, and the first two
/// together reach the first one's threshold: the message is about one of them, and only the user knows which.
pub fn decide_among(
    classification: &Classification,
    catalogue: &Catalogue,
    may: impl Fn(&Intent) -> bool,
) -> (Decision, String) {
    let allowed = |candidate: &&Candidate| catalogue.intent(&candidate.intent).is_none_or(&may);
    let candidates: Vec<&Candidate> = classification.candidates.iter().filter(allowed).collect();
    let Some(first) = candidates.first() else {
        return (Decision::Unknown, "the bot knows no intents".to_owned());
    };
    let threshold = catalogue.intent(&first.intent).and_then(|intent| intent.threshold).unwrap_or(catalogue.threshold);
    if let Some(second) = candidates.get(1) {
        let is_close = |other: &Candidate| first.probability - other.probability < catalogue.margin;
        if is_close(second) && first.probability + second.probability >= threshold {
            let rule = format!(
                "`{}` {:.2} and `{}` {:.2} differ by less than {:.2}",
                first.intent, first.probability, second.intent, second.probability, catalogue.margin
            );
            // What is much less likely than the second would only lengthen the question.
            let is_near = |other: &&&Candidate| is_close(other) && other.probability >= second.probability / 2.0;
            let close = candidates.iter().take(MAX_CHOICE).filter(is_near);
            return (Decision::Ambiguous(close.map(|candidate| candidate.intent.clone()).collect()), rule);
        }
    }
    if first.probability >= threshold {
        let rule = format!("`{}` {:.2} reaches {threshold:.2}", first.intent, first.probability);
        return (Decision::Matched(first.intent.clone()), rule);
    }
    let rule = format!("`{}` {:.2} is below {threshold:.2}", first.intent, first.probability);
    (Decision::Unknown, rule)
}
