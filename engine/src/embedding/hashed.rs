//! An embedder without a model, for tests that do not depend on meaning. Texts that share words and letters are
//! similar.

use std::sync::Arc;

use super::{Embedder, EmbeddingError, Urgency, Vector, normalize};
use crate::text::fold;

/// Signed hashing of words and letter trigrams into a vector (Weinberger et al., "Feature Hashing for Large Scale
/// Multitask Learning", 2009). Deterministic on every machine.
pub struct HashedEmbedder {
    dimension: usize,
}

impl HashedEmbedder {
    /// An embedder with vectors of `dimension` components, at least 1.
    pub fn new(dimension: usize) -> Self {
        Self { dimension: dimension.max(1) }
    }

    fn vector(&self, text: &str) -> Vector {
        let mut out = vec![0.0; self.dimension];
        let mut add = |piece: &str, weight: f32| {
            let hash = blake3::hash(piece.as_bytes());
            let bytes = hash.as_bytes();
            let slot = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize % self.dimension;
            out[slot] += if bytes[4] & 1 == 0 { weight } else { -weight };
        };
        for word in fold(text).split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
            add(word, 1.0);
            let letters: Vec<char> = format!("^{word}$").chars().collect();
            for trigram in letters.windows(3) {
                add(&trigram.iter().collect::<String>(), 0.5);
            }
        }
        normalize(&mut out);
        Arc::from(out)
    }
}

impl Embedder for HashedEmbedder {
    fn id(&self) -> &str {
        "hashed-1"
    }

    fn blocks(&self) -> &[usize] {
        std::slice::from_ref(&self.dimension)
    }

    fn is_alive(&self) -> bool {
        true
    }

    // Hashing costs as little as remembering.
    fn remembers(&self, _: &str) -> bool {
        true
    }

    fn embed(&self, texts: &[String], _: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}
