//! What a fit minimises.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use argmin::core::{CostFunction, Error, Gradient};
use rayon::prelude::*;

use super::{C, Head, Rows, add_scaled};
use crate::decide::features::{Operand, multiply};

/// Rows are summed in this number of parts, whatever the number of threads, because sums of floats depend on their
/// order.
const PARTS: usize = 4;
/// Classes whose sparse weights are read together: 8,192 columns of them take 2 MiB, which fit into a core's cache;
/// those of a thousand classes do not.
const BLOCK: usize = 64;

/// Mean cross-entropy + ‖W‖² / (2·C·n), without a penalty on the bias, and its gradient.
pub(super) struct Objective<'a> {
    rows: &'a Rows<'a>,
    classes: usize,
    dimension: usize,
    /// For each row, the places of its sparse features among the rows of weights, and their values.
    sparse: Vec<Vec<(usize, f32)>>,
    /// The solver asks for cost and gradient of a point separately; one pass computes both.
    last: Mutex<Option<Point>>,
    /// Kept between evaluations: fresh memory costs a page fault for each 4 KiB, a fifth of the fit.
    parts: Vec<Mutex<Part>>,
}

struct Point {
    weights: Vec<f32>,
    cost: f32,
    gradient: Vec<f32>,
}

/// A range of the rows, and room for what is computed of them.
#[derive(Default)]
pub(super) struct Part {
    rows: Range<usize>,
    logits: Vec<f32>,
    /// Sum over the rows.
    cost: f64,
    /// Of the mean cross-entropy of all rows that are evaluated together.
    pub(super) gradient: Vec<f32>,
}

impl<'a> Objective<'a> {
    /// Of rows that have the head's features.
    pub(super) fn new(rows: &'a Rows<'a>, head: &Head) -> Self {
        let used = |(column, value): &(u32, f32)| Some((head.row(*column)?, *value));
        let sparse = rows.sparse.iter().map(|row| row.iter().filter_map(used).collect()).collect();
        let part = || Mutex::new(Part { gradient: vec![0.0; head.weights.len()], ..Part::default() });
        let parts = (0..PARTS).map(|_| part()).collect();
        Self { rows, classes: head.classes, dimension: head.dimension, sparse, last: Mutex::default(), parts }
    }

    /// The factor of the weights in the gradient of the penalty.
    pub(super) fn decay(&self) -> f32 {
        1.0 / (C * self.rows.class_of.len() as f32)
    }

    /// Evaluates the mean cross-entropy of a range of the rows, in parts. Each holds a term of its sum and gradient.
    pub(super) fn evaluate_rows(&self, weights: &[f32], range: &Range<usize>) -> Vec<MutexGuard<'_, Part>> {
        let length = range.len().div_ceil(PARTS);
        self.parts.par_iter().enumerate().for_each(|(number, part)| {
            let start = (range.start + number * length).min(range.end);
            let rows = start..(start + length).min(range.end);
            self.evaluate_part(weights, rows, 1.0 / range.len() as f32, &mut lock(part));
        });
        self.parts.iter().map(lock).collect()
    }

    fn at<T>(&self, weights: &[f32], read: impl FnOnce(&Point) -> T) -> T {
        let mut last = lock(&self.last);
        if let Some(point) = last.as_ref().filter(|point| point.weights == weights) {
            return read(point);
        }
        let (cost, gradient) = self.evaluate(weights);
        read(last.insert(Point { weights: weights.to_vec(), cost, gradient }))
    }

    fn evaluate(&self, weights: &[f32]) -> (f32, Vec<f32>) {
        let n = self.rows.class_of.len();
        let mut cost = 0.0f64;
        let mut gradient = vec![0.0f32; weights.len()];
        for part in self.evaluate_rows(weights, &(0..n)) {
            cost += part.cost;
            gradient.iter_mut().zip(&part.gradient).for_each(|(g, p)| *g += p);
        }
        let decay = self.decay();
        let penalised = weights.len() - self.classes;
        let mut norm = 0.0f64;
        for (g, w) in gradient[..penalised].iter_mut().zip(weights) {
            *g += decay * w;
            norm += f64::from(*w) * f64::from(*w);
        }
        ((cost / n as f64 + 0.5 * f64::from(decay) * norm) as f32, gradient)
    }

    fn evaluate_part(&self, weights: &[f32], of: Range<usize>, scale: f32, part: &mut Part) {
        part.rows = of;
        let Part { rows, logits, cost, gradient } = part;
        let (k, d) = (self.classes, self.dimension);
        let dense = &self.rows.dense[rows.start * d..rows.end * d];
        let bias = &weights[weights.len() - k..];
        logits.resize(rows.len() * k, 0.0);
        logits.chunks_exact_mut(k).for_each(|row| row.copy_from_slice(bias));
        multiply(Operand::plain(dense, rows.len(), d), Operand::plain(&weights[..d * k], d, k), logits);
        self.add_sparse(weights, rows, logits);
        *cost = 0.0;
        for (row, class) in logits.chunks_exact_mut(k).zip(&self.rows.class_of[rows.clone()]) {
            *cost += softmax_residual(row, *class, scale);
        }
        gradient.fill(0.0);
        multiply(
            Operand::transposed(dense, rows.len(), d),
            Operand::plain(logits, rows.len(), k),
            &mut gradient[..d * k],
        );
        self.add_sparse_gradient(logits, rows, gradient);
        let at_bias = gradient.len() - k;
        logits.chunks_exact(k).for_each(|residual| add_scaled(&mut gradient[at_bias..], residual, 1.0));
    }

    /// Adds what the sparse features contribute to the logits of a range of rows.
    fn add_sparse(&self, weights: &[f32], rows: &Range<usize>, logits: &mut [f32]) {
        let k = self.classes;
        for classes in blocks(k) {
            for (row, sparse) in logits.chunks_exact_mut(k).zip(&self.sparse[rows.clone()]) {
                add_block(&mut row[classes.clone()], &weights[classes.start..], k, sparse);
            }
        }
    }

    /// Adds what a range of rows contributes to the gradient of the sparse weights.
    fn add_sparse_gradient(&self, residuals: &[f32], rows: &Range<usize>, gradient: &mut [f32]) {
        let k = self.classes;
        for classes in blocks(k) {
            for (residual, sparse) in residuals.chunks_exact(k).zip(&self.sparse[rows.clone()]) {
                add_to_block(&mut gradient[classes.start..], k, &residual[classes.clone()], sparse);
            }
        }
    }
}

fn blocks(classes: usize) -> impl Iterator<Item = Range<usize>> {
    (0..classes).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(classes))
}

impl CostFunction for Objective<'_> {
    type Param = Vec<f32>;
    type Output = f32;

    fn cost(&self, weights: &Self::Param) -> Result<f32, Error> {
        Ok(self.at(weights, |point| point.cost))
    }
}

impl Gradient for Objective<'_> {
    type Param = Vec<f32>;
    type Gradient = Vec<f32>;

    fn gradient(&self, weights: &Self::Param) -> Result<Vec<f32>, Error> {
        Ok(self.at(weights, |point| point.gradient.clone()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces logits by scale · (softmax - one-hot) and returns the cross-entropy.
fn softmax_residual(row: &mut [f32], class: usize, scale: f32) -> f64 {
    let own = row[class];
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f32;
    for x in row.iter_mut() {
        *x = (*x - most).exp();
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x *= scale / sum);
    row[class] -= scale;
    f64::from(sum.ln() + most - own)
}

/// Adds to the logits of up to [`BLOCK`] classes what a row's sparse features contribute. The rows of `weights` begin
/// at the first of these classes and are `stride` apart.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn add_block(to: &mut [f32], weights: &[f32], stride: usize, sparse: &[(usize, f32)]) {
    // A whole block stays in registers until all features are added.
    if let Ok(block) = <&mut [f32; BLOCK]>::try_from(&mut *to) {
        let mut sums = *block;
        for (place, value) in sparse {
            let from = &weights[place * stride..][..BLOCK];
            sums.iter_mut().zip(from).for_each(|(sum, weight)| *sum += value * weight);
        }
        *block = sums;
        return;
    }
    for (place, value) in sparse {
        let from = &weights[place * stride..];
        to.iter_mut().zip(from).for_each(|(sum, weight)| *sum += value * weight);
    }
}

/// Adds what a row contributes to the gradient of the sparse weights of some classes: the counterpart of
/// [`add_block`].
#[multiversion::multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn add_to_block(gradient: &mut [f32], stride: usize, residual: &[f32], sparse: &[(usize, f32)]) {
    for (place, value) in sparse {
        let to = &mut gradient[place * stride..];
        to.iter_mut().zip(residual).for_each(|(sum, part)| *sum += value * part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// More classes than a block has, and some that are left.
    const CLASSES: usize = 70;
    const DIMENSION: usize = 3;
    const ROWS: usize = 20;

    #[test]
    fn the_gradient_is_the_slope_of_the_cost() {
        let mut random = Random::new(1);
        let mut number = || random.below(2_001) as f32 / 1_000.0 - 1.0;
        let dense: Vec<f32> = (0..ROWS * DIMENSION).map(|_| number()).collect();
        let sparse: Vec<_> = (0..ROWS as u32).map(|row| vec![(row % 4, number()), (4 + row % 3, number())]).collect();
        let class_of: Vec<usize> = (0..ROWS).map(|row| row * 7 % CLASSES).collect();
        let rows = Rows { dense: &dense, sparse: &sparse, class_of: &class_of };
        let head = Head::shape(&rows, CLASSES);
        let objective = Objective::new(&rows, &head);
        let weights: Vec<f32> = head.weights.iter().map(|_| number()).collect();
        let gradient = objective.gradient(&weights).unwrap();
        let along: Vec<f32> = gradient.iter().map(|_| number()).collect();
        let moved = |step: f32| {
            let at: Vec<f32> = weights.iter().zip(&along).map(|(weight, by)| weight + step * by).collect();
            objective.cost(&at).unwrap()
        };
        let slope = (moved(0.01) - moved(-0.01)) / 0.02;
        let expected: f32 = gradient.iter().zip(&along).map(|(part, by)| part * by).sum();
        assert!((slope - expected).abs() < 1e-2 * expected.abs().max(0.1), "{slope} and {expected}");
    }
}
