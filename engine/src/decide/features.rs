//! What the head sees of a message: the embedding, centred and whitened, and hashed n-grams of its letters and words.

use std::collections::{BTreeMap, HashMap};

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::{
    embedding::{Vector, normalize},
    index::product::dot,
};

/// Columns that n-grams are hashed into.
pub const HASHED: usize = 1 << 13;
/// How much of the identity stays in the within-class covariance, however many examples there are.
const SHRINKAGE: f64 = 0.87;
/// Degrees of freedom at which the covariance has half of its final weight.
const SHRINKAGE_PRIOR: f64 = 100.0;
/// Weight of the letters beside the embedding's length of 1.
const LETTER_WEIGHT: f32 = 0.35;
/// Weight of the words: from the first with one example an intent towards the sum of both with many.
const WORD_WEIGHTS: [f32; 2] = [0.30, 0.30];
/// Examples an intent at which the words have half of their additional weight.
const WORD_PRIOR: f32 = 10.0;
const LETTERS: std::ops::RangeInclusive<usize> = 2..=5;

/// A sparse row: columns, ascending, below [`HASHED`] and their values.
pub type Sparse = Vec<(u32, f32)>;

/// The dense map, fitted to the examples: centre, normalise, whiten with the shrunk within-class covariance, normalise
/// (linear discriminant analysis with the shrinkage of Friedman, "Regularized Discriminant Analysis", 1989).
///
/// Raw embeddings are squeezed into a narrow cone; centred, unrelated texts are near 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whitening {
    mean: Vec<f32>,
    /// Rows of the transposed map, so that a component is one inner product.
    rows: Vec<f32>,
}

impl Whitening {
    /// Fits to vectors and their classes, of which there are `classes`.
    pub fn fit(vectors: &[&Vector], class_of: &[usize], classes: usize) -> Self {
        let dimension = vectors.first().map_or(0, |v| v.len());
        let mean = mean(vectors, dimension);
        let centred: Vec<Vec<f32>> = vectors.iter().map(|v| centre(v, &mean)).collect();
        let rows = whitening_rows(&centred, class_of, classes, dimension);
        Self { mean, rows }
    }

    /// The features of a vector: L2-normalised, of the vector's dimension.
    pub fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let centred = centre(vector, &self.mean);
        // The map is the inverse of a lower triangle, and so one itself: half of it need not be read.
        let rows = self.rows.chunks_exact(self.mean.len().max(1)).enumerate();
        let mut out: Vec<f32> = rows.map(|(i, row)| dot(&row[..=i], &centred[..=i])).collect();
        normalize(&mut out);
        out
    }
}

fn mean(vectors: &[&Vector], dimension: usize) -> Vec<f32> {
    let mut sum = vec![0.0f64; dimension];
    for vector in vectors {
        sum.iter_mut().zip(vector.iter()).for_each(|(s, x)| *s += f64::from(*x));
    }
    let count = vectors.len().max(1) as f64;
    sum.into_iter().map(|s| (s / count) as f32).collect()
}

fn centre(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let mut out: Vec<f32> = vector.iter().zip(mean).map(|(x, m)| x - m).collect();
    normalize(&mut out);
    out
}

/// Σ = (1 - a)·I + a·S/(tr S / d) = L·Lᵀ, a growing with the degrees of freedom; the rows of L⁻¹.
fn whitening_rows(centred: &[Vec<f32>], class_of: &[usize], classes: usize, dimension: usize) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    let mut means = vec![vec![0.0f32; dimension]; classes];
    for (row, &class) in centred.iter().zip(class_of) {
        counts[class] += 1;
        means[class].iter_mut().zip(row).for_each(|(m, x)| *m += x);
    }
    for (mean, &count) in means.iter_mut().zip(&counts) {
        mean.iter_mut().for_each(|m| *m /= count.max(1) as f32);
    }
    let freedom = centred.len() - counts.iter().filter(|count| **count > 0).count();
    let residuals: Vec<f32> = centred
        .iter()
        .zip(class_of)
        .flat_map(|(row, &class)| row.iter().zip(&means[class]).map(|(x, m)| x - m).collect::<Vec<f32>>())
        .collect();
    let identity = || {
        let mut rows = vec![0.0f32; dimension * dimension];
        (0..dimension).for_each(|i| rows[i * dimension + i] = 1.0);
        rows
    };
    if freedom == 0 {
        return identity();
    }
    let scatter = gram(&residuals, centred.len(), dimension);
    let trace = (0..dimension).map(|i| f64::from(scatter[i * dimension + i])).sum::<f64>() / freedom as f64;
    let scale = (trace / dimension as f64).max(1e-9) * freedom as f64;
    let weight = (1.0 - SHRINKAGE) * freedom as f64 / (freedom as f64 + SHRINKAGE_PRIOR);
    let covariance = DMatrix::from_fn(dimension, dimension, |i, j| {
        let unit = if i == j { 1.0 - weight } else { 0.0 };
        unit + weight * f64::from(scatter[i * dimension + j]) / scale
    });
    let inverse = covariance.cholesky().and_then(|cholesky| cholesky.l().try_inverse());
    match inverse {
        Some(inverse) => inverse.transpose().iter().map(|x| *x as f32).collect(),
        None => identity(),
    }
}

/// Rᵀ·R of a row-major n × d matrix.
fn gram(rows: &[f32], n: usize, d: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; d * d];
    multiply(Operand::transposed(rows, n, d), Operand::plain(rows, n, d), &mut out);
    out
}

/// A row-major matrix as it enters a product.
pub(super) struct Operand<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Operand<'a> {
    /// `rows` × `columns` as it stands.
    pub(super) fn plain(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, rows, columns, row_stride: columns as isize, column_stride: 1 }
    }

    /// The transpose of a row-major `rows` × `columns` matrix.
    pub(super) fn transposed(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, rows: columns, columns: rows, row_stride: 1, column_stride: columns as isize }
    }
}

/// out += a · b, row-major.
#[expect(unsafe_code, reason = "matrixmultiply takes pointers; the sizes are checked before the call")]
pub(super) fn multiply(a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(out.len(), a.rows * b.columns);
    // SAFETY: each operand's strides stay inside its slice (asserted where it is made), `out` has a.rows × b.columns places,
    // and a mutable borrow cannot overlap the shared ones.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            1.0,
            a.data.as_ptr(),
            a.row_stride,
            a.column_stride,
            b.data.as_ptr(),
            b.row_stride,
            b.column_stride,
            1.0,
            out.as_mut_ptr(),
            b.columns as isize,
            1,
        );
    }
}

/// Inverse document frequencies of the n-grams of the examples; n-grams that none of them has count for nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ngrams {
    letters: BTreeMap<u64, f32>,
    words: BTreeMap<u64, f32>,
    word_weight: f32,
    #[serde(skip)]
    lookup: HashMap<u64, f32>,
}

impl Ngrams {
    /// Counts the n-grams of the texts of examples of `classes` intents: idf = ln((1 + n) / (1 + df)) + 1.
    pub fn fit(grams: &[&Grams], classes: usize) -> Self {
        let frequencies = |block: fn(&Grams) -> &[(u64, f32)]| {
            let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
            for gram in grams {
                block(gram).iter().for_each(|(hash, _)| *counts.entry(*hash).or_default() += 1);
            }
            let n = grams.len() as f32;
            counts.into_iter().map(|(hash, df)| (hash, ((1.0 + n) / (1.0 + df as f32)).ln() + 1.0)).collect()
        };
        let (letters, words) = (frequencies(|g| &g.letters), frequencies(|g| &g.words));
        let mean = grams.len() as f32 / classes.max(1) as f32;
        let word_weight = WORD_WEIGHTS[0] + WORD_WEIGHTS[1] * mean / (mean + WORD_PRIOR);
        Self { letters, words, word_weight, lookup: HashMap::new() }.ready()
    }

    /// Makes the lookup table, which is not kept on disk.
    pub fn ready(mut self) -> Self {
        self.lookup = self.letters.iter().chain(&self.words).map(|(hash, idf)| (*hash, *idf)).collect();
        self
    }

    /// Adds the n-grams that only these texts have, as rare ones among `n` texts. The others keep their frequencies.
    pub fn learn<'a>(&mut self, grams: impl Iterator<Item = &'a Grams>, n: usize) {
        let rare = ((1.0 + n as f32) / 2.0).ln() + 1.0;
        for gram in grams {
            for (block, known) in [(&gram.letters, &mut self.letters), (&gram.words, &mut self.words)] {
                for (hash, _) in block {
                    known.entry(*hash).or_insert(rare);
                    self.lookup.entry(*hash).or_insert(rare);
                }
            }
        }
    }

    /// The hashed features of a text: (1 + ln tf) · idf, each block of length 1, then weighted.
    pub fn apply(&self, grams: &Grams) -> Sparse {
        let mut columns: BTreeMap<u32, f32> = BTreeMap::new();
        for (block, weight) in [(&grams.letters, LETTER_WEIGHT), (&grams.words, self.word_weight)] {
            let values: Vec<(u64, f32)> =
                block.iter().filter_map(|(hash, tf)| Some((*hash, tf * self.lookup.get(hash)?))).collect();
            let length = values.iter().map(|(_, x)| x * x).sum::<f32>().sqrt().max(1e-9);
            for (hash, value) in values {
                let sign = if (hash >> 40) & 1 == 1 { 1.0 } else { -1.0 };
                *columns.entry((hash % HASHED as u64) as u32).or_default() += sign * weight * value / length;
            }
        }
        columns.into_iter().collect()
    }
}

/// The n-grams of one text: hashes and 1 + ln of how often each occurs.
#[derive(Clone, Debug, Default)]
pub struct Grams {
    letters: Vec<(u64, f32)>,
    words: Vec<(u64, f32)>,
}

impl Grams {
    /// Letters: 2- to 5-grams inside each word with a space at both ends. Words: single ones and pairs.
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

/// FNV-1a over UTF-8, its bits mixed: the low ones choose a column, one of the high ones a sign.
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
    use std::sync::Arc;

    use super::*;

    #[test]
    fn whitened_vectors_have_length_one() {
        let vectors: Vec<Vector> = [[1.0, 0.1, 0.0], [0.9, 0.2, 0.1], [0.0, 1.0, 0.2], [0.1, 0.9, 0.0]]
            .map(|v| Arc::from(v.to_vec()))
            .to_vec();
        let refs: Vec<&Vector> = vectors.iter().collect();
        let whitening = Whitening::fit(&refs, &[0, 0, 1, 1], 2);
        let features: Vec<Vec<f32>> = vectors.iter().map(|v| whitening.apply(v)).collect();
        for feature in &features {
            assert!((dot(feature, feature) - 1.0).abs() < 1e-5);
        }
        assert!(dot(&features[0], &features[1]) > 0.5, "same class");
        assert!(dot(&features[0], &features[2]) < 0.0, "other class");
    }

    #[test]
    fn unseen_ngrams_count_for_nothing() {
        let seen = Grams::of("where is my order");
        let ngrams = Ngrams::fit(&[&seen], 1);
        assert!(ngrams.apply(&Grams::of("привет")).is_empty());
        let length: f32 = ngrams.apply(&seen).iter().map(|(_, x)| x * x).sum();
        assert!((0.15..0.5).contains(&length), "two weighted blocks, but for collisions: {length}");
    }
}
