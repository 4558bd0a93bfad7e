//! From a vector and a text to a decision: evidence from neighbours, a learned head, and one calibrated probability per
//! intent.

pub mod calibration;
pub mod classifier;
pub mod evidence;
pub mod features;
pub mod head;
pub mod ngrams;
pub mod training;

use crate::{catalogue::Catalogue, ids::IntentId, index::Neighbour, turn::Candidate};

/// The classifier's result for a message.
#[derive(Clone, Debug)]
pub struct Classification {
    /// The likeliest intents, best first.
    pub candidates: Vec<Candidate>,
    /// Probability that the message is about anything the bot knows.
    pub in_scope: f32,
    /// The nearest nodes, for `explain`.
    pub neighbours: Vec<Neighbour>,
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// One intent is likely enough.
    Matched(IntentId),
    /// Two intents are likely enough, with about equal probabilities.
    Ambiguous(IntentId, IntentId),
    /// No intent is likely enough.
    Unknown,
}

/// Applies the author's thresholds. Also returns the rule that decided, as text.
///
/// Two intents are ambiguous if their probabilities differ by less than the margin and together reach the first one's
/// threshold: the message is about one of them, and only the user knows which.
pub fn decide(classification: &Classification, catalogue: &Catalogue) -> (Decision, String) {
    let Some(first) = classification.candidates.first() else {
        return (Decision::Unknown, "the bot knows no intents".to_owned());
    };
    let threshold = catalogue.intent(&first.intent).and_then(|intent| intent.threshold).unwrap_or(catalogue.threshold);
    if let Some(second) = classification.candidates.get(1) {
        let close = first.probability - second.probability < catalogue.margin;
        if close && first.probability + second.probability >= threshold {
            let rule = format!(
                "`{}` {:.2} and `{}` {:.2} differ by less than {:.2}",
                first.intent, first.probability, second.intent, second.probability, catalogue.margin
            );
            return (Decision::Ambiguous(first.intent.clone(), second.intent.clone()), rule);
        }
    }
    if first.probability >= threshold {
        let rule = format!("`{}` {:.2} reaches {threshold:.2}", first.intent, first.probability);
        return (Decision::Matched(first.intent.clone()), rule);
    }
    let rule = format!("`{}` {:.2} is below {threshold:.2}", first.intent, first.probability);
    (Decision::Unknown, rule)
}
