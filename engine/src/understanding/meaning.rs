//! What the model makes of an utterance.

use std::time::Instant;

use super::Reading;
use crate::{
    decide::Classification,
    embedding::{Embedder, EmbeddingError},
    snapshot::Snapshot,
};

/// The classified utterance.
pub struct Meaning {
    /// The likeliest intents of the whole text; `None` if it contains no text.
    pub whole: Option<Classification>,
}

/// How long the parts took, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeaningTimes {
    /// From text to vector.
    pub embed_us: u64,
    /// From vector to probabilities.
    pub decide_us: u64,
}

impl Meaning {
    /// Embeds and classifies an utterance.
    ///
    /// # Errors
    /// If the model is busy or broken.
    pub fn of(
        snapshot: &Snapshot,
        embedder: &dyn Embedder,
        reading: &Reading,
    ) -> Result<(Self, MeaningTimes), EmbeddingError> {
        if reading.text().is_empty() {
            return Ok((Self { whole: None }, MeaningTimes::default()));
        }
        let start = Instant::now();
        let vectors = embedder.embed(&[reading.text().to_owned()])?;
        let embed_us = micros(start);
        let start = Instant::now();
        let whole = vectors.first().map(|vector| snapshot.classifier.classify(reading.text(), vector));
        Ok((Self { whole }, MeaningTimes { embed_us, decide_us: micros(start) }))
    }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
