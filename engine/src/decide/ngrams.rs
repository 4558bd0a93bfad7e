//! Hashed, weighted n-grams of the letters and words of a message.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use serde::{Deserialize, Serialize};

use super::features::{HASHED, Sparse};

/// Weight of the letters, relative to the embedding's length of 1.
const LETTER_WEIGHT: f32 = 0.35;
/// Weight of the words: close to the first value with few examples per intent, to the sum of both with many.
const WORD_WEIGHTS: [f32; 2] = [0.30, 0.30];
/// Number of examples per intent at which half of the second value is added.
const WORD_PRIOR: f32 = 10.0;
const LETTERS: std::ops::RangeInclusive<usize> = 2..=5;

/// A hasher that returns keys unchanged, for keys that are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = (self.0 << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type ByHash<T> = HashMap<u64, T, BuildHasherDefault<AsItIs>>;

/// Inverse document frequencies of the examples' n-grams; other n-grams are ignored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ngrams {
    /// Letters and words together; a hash includes which of the two it is.
    frequencies: Vec<(u64, f32)>,
    word_weight: f32,
    #[serde(skip)]
    lookup: ByHash<f32>,
}

impl Ngrams {
    /// Fits to the n-grams of examples of `classes` intents: idf = ln((1 + n) / (1 + df)) + 1.
    pub fn fit(grams: &[&Grams], classes: usize) -> Self {
        let mut counts: ByHash<u32> = ByHash::default();
        for gram in grams {
            gram.letters.iter().chain(&gram.words).for_each(|(hash, _)| *counts.entry(*hash).or_default() += 1);
        }
        let n = grams.len() as f32;
        let idf = |df: u32| ((1.0 + n) / (1.0 + df as f32)).ln() + 1.0;
        let mut frequencies: Vec<(u64, f32)> = counts.into_iter().map(|(hash, df)| (hash, idf(df))).collect();
        frequencies.sort_unstable_by_key(|(hash, _)| *hash);
        let mean = grams.len() as f32 / classes.max(1) as f32;
        let word_weight = WORD_WEIGHTS[0] + WORD_WEIGHTS[1] * mean / (mean + WORD_PRIOR);
        Self { frequencies, word_weight, lookup: ByHash::default() }.ready()
    }

    /// Builds the lookup table, which is not stored.
    pub fn ready(mut self) -> Self {
        self.lookup = self.frequencies.iter().copied().collect();
        self
    }

    /// Adds n-grams that only these texts have, as rare ones among `n` texts. The others keep their frequencies.
    pub fn learn<'a>(&mut self, grams: impl Iterator<Item = &'a Grams>, n: usize) {
        let rare = ((1.0 + n as f32) / 2.0).ln() + 1.0;
        for (hash, _) in grams.flat_map(|gram| gram.letters.iter().chain(&gram.words)) {
            if let Entry::Vacant(place) = self.lookup.entry(*hash) {
                place.insert(rare);
                self.frequencies.push((*hash, rare));
            }
        }
    }

    /// The hashed features of a text: (1 + ln tf) · idf; each block is normalised to length 1, then weighted.
    pub fn apply(&self, grams: &Grams) -> Sparse {
        let mut columns: Sparse = Vec::with_capacity(grams.letters.len() + grams.words.len());
        for (block, weight) in [(&grams.letters, LETTER_WEIGHT), (&grams.words, self.word_weight)] {
            let begin = columns.len();
            let mut length = 0.0;
            for (hash, tf) in block {
                let Some(idf) = self.lookup.get(hash) else { continue };
                let value = tf * idf;
                length += value * value;
                let sign = if (hash >> 40) & 1 == 1 { 1.0 } else { -1.0 };
                columns.push(((hash % HASHED as u64) as u32, sign * weight * value));
            }
            let length = length.sqrt().max(1e-9);
            columns[begin..].iter_mut().for_each(|(_, value)| *value /= length);
        }
        // A stable sort, so that values in the same column are always summed in the same order.
        columns.sort_by_key(|(column, _)| *column);
        columns.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        columns
    }
}

/// The n-grams of one text: hashes, each with 1 + ln of its count.
#[derive(Clone, Debug, Default)]
pub struct Grams {
    letters: Vec<(u64, f32)>,
    words: Vec<(u64, f32)>,
}

impl Grams {
    /// Letters: 2- to 5-grams inside each word, padded with a space at both ends. Words: single words and pairs.
    pub fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let mut letters = Vec::new();
        for word in lower.split_whitespace() {
            let padded: Vec<char> = std::iter::once(' ').chain(word.chars()).chain([' ']).collect();
            for n in LETTERS {
                letters.extend(padded.windows(n).map(|gram| hash('c', gram.iter().copied())));
                if padded.len() <= n {
                    if padded.len() < n {
                        letters.push(hash('c', padded.iter().copied()));
                    }
                    break;
                }
            }
        }
        let tokens: Vec<&str> =
            lower.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|token| !token.is_empty()).collect();
        let pairs = tokens.windows(2).map(|pair| hash('w', pair[0].chars().chain([' ']).chain(pair[1].chars())));
        let words = tokens.iter().map(|token| hash('w', token.chars())).chain(pairs).collect();
        Self { letters: frequencies(letters), words: frequencies(words) }
    }
}

fn frequencies(mut hashes: Vec<u64>) -> Vec<(u64, f32)> {
    hashes.sort_unstable();
    hashes.chunk_by(|a, b| a == b).map(|run| (run[0], 1.0 + (run.len() as f32).ln())).collect()
}

/// FNV-1a over UTF-8 with mixed bits: the low bits select a column, a high bit the sign.
fn hash(kind: char, text: impl Iterator<Item = char>) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    let mut buffer = [0u8; 4];
    for character in std::iter::once(kind).chain(text) {
        for byte in character.encode_utf8(&mut buffer).bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    state ^= state >> 32;
    state = state.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state ^ (state >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_ngrams_count_for_nothing() {
        let seen = Grams::of("where is my order");
        let ngrams = Ngrams::fit(&[&seen], 1);
        assert!(ngrams.apply(&Grams::of("привет")).is_empty());
        let length: f32 = ngrams.apply(&seen).iter().map(|(_, x)| x * x).sum();
        assert!((0.15..0.5).contains(&length), "two weighted blocks, but for collisions: {length}");
    }

    #[test]
    fn what_is_learned_counts_and_changes_nothing_else() {
        let (seen, fresh) = (Grams::of("where is my order"), Grams::of("привет"));
        let mut ngrams = Ngrams::fit(&[&seen], 1);
        let before = ngrams.apply(&seen);
        ngrams.learn([&fresh, &seen].into_iter(), 2);
        assert_eq!(ngrams.apply(&seen), before);
        assert!(!ngrams.apply(&fresh).is_empty());
    }
}
