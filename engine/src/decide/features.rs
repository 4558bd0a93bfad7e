//! The features of a message: its embedding, centred and whitened, and hashed n-grams of its letters and words.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::{
    embedding::{Vector, normalize},
    index::product::dot,
};

/// Number of columns into which n-grams are hashed.
pub const HASHED: usize = 1 << 13;
/// The share of the identity in the within-class covariance, however many examples there are.
const SHRINKAGE: f64 = 0.87;
/// Degrees of freedom at which the covariance has half of its final weight.
const SHRINKAGE_PRIOR: f64 = 100.0;

/// A sparse row: ascending columns below [`HASHED`], with their values.
pub type Sparse = Vec<(u32, f32)>;

/// The dense features, fitted to the examples. The vectors of each encoder are centred and whitened by themselves, and
/// then joined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whitening {
    blocks: Vec<Block>,
}

/// The features of one encoder: centre, normalise, whiten with the shrunk within-class covariance, normalise (linear
/// discriminant analysis with the shrinkage of Friedman, "Regularized Discriminant Analysis", 1989).
///
/// Raw embeddings lie in a narrow cone; after centring, unrelated texts have similarities near 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Block {
    mean: Vec<f32>,
    /// The map is the inverse of a lower triangular matrix, and so lower triangular itself. Its rows, of 1, 2, 3…
    /// components, are stored one after another: each component of a result is one inner product, and memory is read
    /// sequentially.
    rows: Vec<f32>,
}

impl Whitening {
    /// Fits to vectors of these blocks, and their classes; `classes` is the number of classes.
    pub fn fit(vectors: &[&Vector], class_of: &[usize], classes: usize, blocks: &[usize]) -> Self {
        let starts = blocks.iter().scan(0, |end, length| {
            *end += length;
            Some(*end - length)
        });
        let fit = |(start, &length): (usize, &usize)| {
            let parts = vectors.iter().map(|vector| &vector[start..start + length]).zip(class_of.iter().copied());
            let (parts, class_of): (Vec<&[f32]>, Vec<usize>) = parts.filter(|(part, _)| is_served(part)).unzip();
            Block::fit(&parts, &class_of, classes, length)
        };
        Self { blocks: starts.zip(blocks).map(fit).collect() }
    }

    /// The features of a vector: L2-normalised, with the vector's blocks.
    pub fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(vector.len());
        let mut rest = vector;
        for block in &self.blocks {
            let (part, others) = rest.split_at(block.mean.len().min(rest.len()));
            out.extend(block.apply(part));
            rest = others;
        }
        normalize(&mut out);
        out
    }
}

/// Whether an encoder serves the text of this part of a vector.
fn is_served(part: &[f32]) -> bool {
    part.iter().any(|component| *component != 0.0)
}

impl Block {
    fn fit(parts: &[&[f32]], class_of: &[usize], classes: usize, dimension: usize) -> Self {
        let mean = mean(parts, dimension);
        let centred: Vec<Vec<f32>> = parts.iter().map(|part| centre(part, &mean)).collect();
        let rows = whitening_rows(&centred, class_of, classes, dimension);
        Self { mean, rows }
    }

    fn apply(&self, part: &[f32]) -> Vec<f32> {
        if !is_served(part) {
            return vec![0.0; part.len()];
        }
        let centred = centre(part, &self.mean);
        let row = |i: usize| self.rows.get(i * (i + 1) / 2..).and_then(|rows| rows.get(..=i)).unwrap_or_default();
        let mut out: Vec<f32> = (0..centred.len()).map(|i| dot(row(i), &centred[..=i])).collect();
        normalize(&mut out);
        out
    }
}

fn mean(vectors: &[&[f32]], dimension: usize) -> Vec<f32> {
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

/// Σ = (1 - a)·I + a·S/(tr S / d) = L·Lᵀ, where a grows with the degrees of freedom. Returns the rows of L⁻¹ up to the
/// diagonal.
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
    let triangle = |component: &dyn Fn(usize, usize) -> f32| {
        (0..dimension).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| component(i, j)).collect::<Vec<f32>>()
    };
    let identity = || triangle(&|i, j| if i == j { 1.0 } else { 0.0 });
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
    match covariance.cholesky() {
        Some(cholesky) => inverse_of_triangle(&cholesky.l()),
        None => identity(),
    }
}

/// The rows of L⁻¹ up to the diagonal, by forward substitution: row i of L⁻¹ is (eᵢ - Σ Lᵢⱼ · row j) / Lᵢᵢ.
fn inverse_of_triangle(lower: &DMatrix<f64>) -> Vec<f32> {
    let dimension = lower.nrows();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(dimension);
    for i in 0..dimension {
        let mut row = vec![0.0; i + 1];
        row[i] = 1.0;
        for (j, known) in rows.iter().enumerate() {
            let factor = lower[(i, j)];
            row.iter_mut().zip(known).for_each(|(to, from)| *to -= factor * from);
        }
        row.iter_mut().for_each(|value| *value /= lower[(i, i)]);
        rows.push(row);
    }
    rows.into_iter().flatten().map(|value| value as f32).collect()
}

/// Rᵀ·R of a row-major n × d matrix.
fn gram(rows: &[f32], n: usize, d: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; d * d];
    multiply(Operand::transposed(rows, n, d), Operand::plain(rows, n, d), &mut out);
    out
}

/// A row-major matrix as an operand of a product.
pub(super) struct Operand<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Operand<'a> {
    /// The matrix itself, `rows` × `columns`.
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
    // SAFETY: the strides of each operand stay inside its slice (asserted in its constructor), `out` has a.rows ×
    // b.columns elements, and a mutable borrow cannot overlap the shared ones.
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
        let whitening = Whitening::fit(&refs, &[0, 0, 1, 1], 2, &[3]);
        let features: Vec<Vec<f32>> = vectors.iter().map(|v| whitening.apply(v)).collect();
        for feature in &features {
            assert!((dot(feature, feature) - 1.0).abs() < 1e-5);
        }
        assert!(dot(&features[0], &features[1]) > 0.5, "same class");
        assert!(dot(&features[0], &features[2]) < 0.0, "other class");
    }
}
