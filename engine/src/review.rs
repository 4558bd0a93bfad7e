//! What users have said and the bot does not understand, grouped by meaning, for whoever improves the bot.

use crate::{
    decide::{Decision, decide},
    embedding::Urgency,
    engine::{Engine, EngineError},
    snapshot::Snapshot,
    text::normalize,
    turn::Candidate,
};

/// Utterances with at least this cosine similarity to the first of a group belong to it. The vectors are those of
/// `decide::features`, in which unrelated texts have similarities near 0.
const ALIKE: f32 = 0.5;
/// Texts that are embedded at a time.
const BATCH: usize = 16;

/// An utterance that matches no intent, or two.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubtful {
    /// Its number among the texts that were given.
    pub index: usize,
    /// Whether two intents are about equally likely.
    pub ambiguous: bool,
    /// The likeliest intents, best first.
    pub candidates: Vec<Candidate>,
}

/// Classifies texts with a snapshot, leaves out those that match an intent, and groups the others: the largest group
/// first, and in each the texts in the order in which they were given.
///
/// # Errors
/// [`EngineError::Embedding`].
pub fn review(engine: &Engine, snapshot: &Snapshot, texts: &[&str]) -> Result<Vec<Vec<Doubtful>>, EngineError> {
    let mut groups: Vec<(Vec<f32>, Vec<Doubtful>)> = Vec::new();
    let normalized: Vec<String> = texts.iter().map(|text| normalize(text)).collect();
    let known = normalized.iter().enumerate().filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>();
    let embedder = engine.embedder(&snapshot.catalogue)?;
    for batch in known.chunks(BATCH) {
        let of_batch: Vec<String> = batch.iter().map(|(_, text)| (*text).clone()).collect();
        for ((index, text), vector) in batch.iter().zip(embedder.embed(&of_batch, Urgency::Patient)?) {
            let classification = snapshot.classifier.classify(text, &vector);
            let ambiguous = match decide(&classification, &snapshot.catalogue).0 {
                Decision::Matched(_) => continue,
                Decision::Ambiguous(..) => true,
                Decision::Unknown => false,
            };
            let doubtful = Doubtful { index: *index, ambiguous, candidates: classification.candidates };
            let features = snapshot.classifier.fitted().whitening.apply(&vector);
            match groups.iter_mut().find(|(first, _)| cosine(first, &features) >= ALIKE) {
                Some((_, group)) => group.push(doubtful),
                None => groups.push((features, vec![doubtful])),
            }
        }
    }
    let mut groups: Vec<Vec<Doubtful>> = groups.into_iter().map(|(_, group)| group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    Ok(groups)
}

/// Both vectors have length 1.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
