//! Fits a head to many rows by stochastic gradient descent: a step looks at a part of the rows, so that a pass over all
//! of them makes many steps, where L-BFGS makes one.

use rayon::prelude::*;

use super::{Head, Rows, add_scaled, objective::Objective};
use crate::decide::features::Sparse;

/// Passes over all rows, at least.
const PASSES: usize = 4;
/// Steps, at least: with a few thousand rows, four passes make too few of them.
const STEPS: usize = 160;
/// Rows of a step.
const BATCH: usize = 384;
/// How far the first step moves a weight; the steps shorten evenly to zero.
const RATE: f32 = 0.05;
/// How much of the running means each step keeps: of the gradient, and of its square.
const MEAN_KEPT: f32 = 0.9;
const SQUARE_KEPT: f32 = 0.99;
/// Added to the root, which may be zero.
const LEAST: f32 = 1e-8;
/// Weights that one task moves.
const CHUNK: usize = 1 << 14;

/// Moves the weights of a head towards the optimum. The result does not depend on the number of threads.
pub(super) fn descend(head: &Head, rows: &Rows<'_>, mut weights: Vec<f32>) -> Vec<f32> {
    let batches = rows.class_of.len().div_ceil(BATCH).max(1);
    let dealt = Dealt::new(rows, batches);
    let rows = Rows { dense: &dealt.dense, sparse: &dealt.sparse, class_of: &dealt.class_of };
    let objective = Objective::new(&rows, head);
    let penalised = weights.len() - head.classes;
    let mut adam = Adam::new(weights.len(), objective.decay(), penalised);
    let steps = (PASSES * batches).max(STEPS);
    for step in 0..steps {
        let bounds = &dealt.bounds[step % batches..];
        let parts = objective.evaluate_rows(&weights, &(bounds[0]..bounds[1]));
        let gradients: Vec<&[f32]> = parts.iter().map(|part| part.gradient.as_slice()).collect();
        adam.step(&mut weights, &gradients, RATE * (1.0 - step as f32 / steps as f32));
    }
    weights
}

/// The rows in another order. They often come sorted by class; dealt in turn, each batch has some of each class.
struct Dealt {
    dense: Vec<f32>,
    sparse: Vec<Sparse>,
    class_of: Vec<usize>,
    /// Batch `i` has the rows from `bounds[i]` to `bounds[i + 1]`.
    bounds: Vec<usize>,
}

impl Dealt {
    fn new(rows: &Rows<'_>, batches: usize) -> Self {
        let count = rows.class_of.len();
        let dimension = rows.dense.len() / count.max(1);
        let (mut order, mut bounds) = (Vec::with_capacity(count), vec![0]);
        for batch in 0..batches {
            order.extend((batch..count).step_by(batches));
            bounds.push(order.len());
        }
        Self {
            dense: order.iter().flat_map(|row| &rows.dense[row * dimension..][..dimension]).copied().collect(),
            sparse: order.iter().map(|row| rows.sparse[*row].clone()).collect(),
            class_of: order.iter().map(|row| rows.class_of[*row]).collect(),
            bounds,
        }
    }
}

/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015: each weight moves by the mean of its gradient,
/// relative to the root of the mean of its square.
struct Adam {
    means: Vec<f32>,
    squares: Vec<f32>,
    /// What is left of the zeros that the means began with.
    mean_left: f32,
    square_left: f32,
    decay: f32,
    /// Number of weights, from the first, that have a penalty.
    penalised: usize,
}

impl Adam {
    fn new(weights: usize, decay: f32, penalised: usize) -> Self {
        let zeros = || vec![0.0; weights];
        Self { means: zeros(), squares: zeros(), mean_left: 1.0, square_left: 1.0, decay, penalised }
    }

    /// Moves the weights. The gradient is the sum of `gradients`, and that of the penalty.
    fn step(&mut self, weights: &mut [f32], gradients: &[&[f32]], rate: f32) {
        self.mean_left *= MEAN_KEPT;
        self.square_left *= SQUARE_KEPT;
        let (mean_scale, square_scale) = (rate / (1.0 - self.mean_left), 1.0 / (1.0 - self.square_left));
        let (decay, penalised) = (self.decay, self.penalised);
        let chunks = weights.par_chunks_mut(CHUNK).zip(self.means.par_chunks_mut(CHUNK));
        chunks.zip(self.squares.par_chunks_mut(CHUNK)).enumerate().for_each(|(chunk, ((weights, means), squares))| {
            let first = chunk * CHUNK;
            let mut gradient = vec![0.0; weights.len()];
            let penalised = penalised.saturating_sub(first).min(weights.len());
            add_scaled(&mut gradient[..penalised], weights, decay);
            gradients.iter().for_each(|part| add_scaled(&mut gradient, &part[first..], 1.0));
            advance(weights, &gradient, (means, mean_scale), (squares, square_scale));
        });
    }
}

/// Moves weights by means of their gradient, each with a scale.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn advance(weights: &mut [f32], gradient: &[f32], means: (&mut [f32], f32), squares: (&mut [f32], f32)) {
    let (mean_scale, square_scale) = (means.1, squares.1);
    let moved = weights.iter_mut().zip(gradient).zip(means.0.iter_mut().zip(squares.0.iter_mut()));
    for ((weight, gradient), (mean, square)) in moved {
        *mean += (1.0 - MEAN_KEPT) * (gradient - *mean);
        *square += (1.0 - SQUARE_KEPT) * (gradient * gradient - *square);
        *weight -= *mean * mean_scale / ((*square * square_scale).sqrt() + LEAST);
    }
}

#[cfg(test)]
mod tests {
    use argmin::core::CostFunction;

    use super::*;
    use crate::{embedding::normalize, random::Random};

    // More weights than a chunk has, and more classes than a block.
    const CLASSES: usize = 70;
    const DIMENSION: usize = 256;

    /// Rows around a centre of each class, sorted by class; half of them have a sparse feature of their class.
    fn rows(count: usize) -> (Vec<f32>, Vec<Sparse>, Vec<usize>) {
        let mut random = Random::new(1);
        let mut vector = |around: Option<&Vec<f32>>| {
            let mut out: Vec<f32> = (0..DIMENSION).map(|_| random.below(2_001) as f32 / 1_000.0 - 1.0).collect();
            around.into_iter().for_each(|centre| add_scaled(&mut out, centre, 6.0));
            normalize(&mut out);
            out
        };
        let centres: Vec<Vec<f32>> = (0..CLASSES).map(|_| vector(None)).collect();
        let class_of: Vec<usize> = (0..count).map(|row| row * CLASSES / count).collect();
        let dense = class_of.iter().flat_map(|class| vector(Some(&centres[*class]))).collect();
        let sparse = |(row, class): (usize, &usize)| if row % 2 == 0 { vec![(*class as u32, 0.5)] } else { Vec::new() };
        let sparse = class_of.iter().enumerate().map(sparse).collect();
        (dense, sparse, class_of)
    }

    #[test]
    fn comes_near_to_the_optimum_on_any_number_of_threads() {
        let (dense, sparse, class_of) = rows(4_200);
        let rows = Rows { dense: &dense, sparse: &sparse, class_of: &class_of };
        let cost = |head: &Head| Objective::new(&rows, head).cost(&head.weights).unwrap();
        let best = cost(&Head::fit(&rows, CLASSES));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Head::fit_many(&rows, CLASSES, None))
        };
        let found = on(3);
        assert!(cost(&found) < 1.1 * best, "{} and {best}", cost(&found));
        assert_eq!(found.weights, on(1).weights);
        let again = Head::fit_many(&rows, CLASSES, Some(&found));
        assert!(cost(&again) < 1.1 * best, "{} and {best}", cost(&again));
    }

    #[test]
    fn without_rows_there_is_nothing_to_learn() {
        let nothing = Rows { dense: &[], sparse: &[], class_of: &[] };
        let head = Head::fit_many(&nothing, 3, None);
        assert!(head.weights.iter().all(|weight| *weight == 0.0));
    }
}
