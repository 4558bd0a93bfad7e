//! The learned part: multinomial logistic regression with L2, fitted with L-BFGS from the `argmin` crate.

mod dual;

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use argmin::{
    core::{CostFunction, Error, Executor, Gradient, State},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use dual::Row;

use super::features::{HASHED, Operand, Sparse, multiply};

/// Inverse strength of the regularisation, like scikit-learn's `C`.
const C: f32 = 30.0;
const MEMORY: usize = 7;
/// The fit ends after an iteration that lowers the cost by less than this.
const TOLERANCE: f32 = 1e-4;
/// The initial weights are the centred class means times this, which is already close to the optimum.
const START: f32 = 8.0;
/// Rows are summed in this number of parts, whatever the number of threads, because sums of floats depend on their
/// order.
const PARTS: usize = 4;

/// Classes whose sparse weights are read together: 8,192 columns of them take 2 MiB.
const BLOCK: usize = 64;

/// Training rows: dense features, sparse features and classes.
pub struct Rows<'a> {
    /// Row-major, `class_of.len()` × dimension.
    pub dense: &'a [f32],
    /// Sparse features of each row.
    pub sparse: &'a [Sparse],
    /// Class of each row.
    pub class_of: &'a [usize],
}

/// The weights of all classes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    classes: usize,
    dimension: usize,
    /// Row-major, with `classes` columns: `dimension` dense rows, one row for each used sparse column, then the bias.
    weights: Vec<f32>,
    /// For each of the [`HASHED`] columns, its position among the used ones plus 1; 0 if unused.
    rows: Vec<u32>,
}

impl Head {
    /// Fits to rows of `classes` classes in at most `iterations` steps; starts from `previous` if its shape matches.
    pub fn fit(rows: &Rows<'_>, classes: usize, previous: Option<&Head>, iterations: u64) -> Self {
        let n = rows.class_of.len();
        let dimension = rows.dense.len() / n.max(1);
        let mut head = Self::shape(rows, classes, dimension);
        if n == 0 || classes < 2 {
            return head;
        }
        head.weights = match previous.filter(|p| p.classes == classes && p.dimension == dimension) {
            Some(previous) => head.carry_over(previous),
            None => head.start(rows),
        };
        let problem = HeadObjective::new(rows, &head);
        let start = head.weights.clone();
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
            .with_tolerance_cost(TOLERANCE)
            .and_then(|solver| solver.with_tolerance_grad(1e-5));
        let result = solver.and_then(|solver| {
            Executor::new(problem, solver).configure(|state| state.param(start).max_iters(iterations)).run()
        });
        // If the line search finds no better point, the fit ends early; the best weights so far are good enough.
        if let Ok(best) = result
            && let Some(weights) = best.state().get_best_param()
        {
            head.weights = weights.clone();
        }
        head
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns one logit per class.
    pub fn logits(&self, dense: &[f32], sparse: &[(u32, f32)]) -> Vec<f32> {
        let k = self.classes;
        let mut out = self.weights[self.weights.len() - k..].to_vec();
        for (value, row) in dense.iter().zip(self.weights.chunks_exact(k.max(1))) {
            add_scaled(&mut out, row, *value);
        }
        for (column, value) in sparse {
            if let Some(row) = self.row(*column) {
                add_scaled(&mut out, &self.weights[row * k..][..k], *value);
            }
        }
        out
    }

    fn shape(rows: &Rows<'_>, classes: usize, dimension: usize) -> Self {
        let mut used = vec![0u32; HASHED];
        rows.sparse.iter().flatten().for_each(|(column, _)| used[*column as usize] = 1);
        let mut count = 0;
        for slot in used.iter_mut().filter(|slot| **slot == 1) {
            count += 1;
            *slot = count;
        }
        let length = (dimension + count as usize + 1) * classes;
        Self { classes, dimension, weights: vec![0.0; length], rows: used }
    }

    /// The row of a column's weights, or `None` if no example has the column.
    fn row(&self, column: u32) -> Option<usize> {
        match self.rows[column as usize] {
            0 => None,
            place => Some(self.dimension + place as usize - 1),
        }
    }

    /// Class means of the features, minus their mean over the classes.
    fn start(&self, rows: &Rows<'_>) -> Vec<f32> {
        let k = self.classes;
        let mut counts = vec![0.0f32; k];
        rows.class_of.iter().for_each(|class| counts[*class] += 1.0);
        let mut weights = vec![0.0f32; self.weights.len()];
        for (i, &class) in rows.class_of.iter().enumerate() {
            let share = START / counts[class];
            let dense = &rows.dense[i * self.dimension..][..self.dimension];
            dense.iter().enumerate().for_each(|(row, value)| weights[row * k + class] += share * value);
            for (column, value) in &rows.sparse[i] {
                if let Some(row) = self.row(*column) {
                    weights[row * k + class] += share * value;
                }
            }
        }
        let bias = weights.len() - k;
        for row in weights[..bias].chunks_exact_mut(k) {
            let mean = row.iter().sum::<f32>() / k as f32;
            row.iter_mut().for_each(|w| *w -= mean);
        }
        weights
    }

    fn carry_over(&self, previous: &Head) -> Vec<f32> {
        let k = self.classes;
        let mut weights = vec![0.0; self.weights.len()];
        let dense = self.dimension * k;
        weights[..dense].copy_from_slice(&previous.weights[..dense]);
        for column in 0..HASHED as u32 {
            if let (Some(to), Some(from)) = (self.row(column), previous.row(column)) {
                weights[to * k..][..k].copy_from_slice(&previous.weights[from * k..][..k]);
            }
        }
        let (to, from) = (weights.len() - k, previous.weights.len() - k);
        weights[to..].copy_from_slice(&previous.weights[from..]);
        weights
    }
}

/// Mean cross-entropy + ‖W‖² / (2·C·n), without a penalty on the bias, and its gradient.
struct HeadObjective<'a> {
    rows: &'a Rows<'a>,
    head: &'a Head,
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
struct Part {
    rows: Range<usize>,
    logits: Vec<f32>,
    /// Sum over the rows.
    cost: f64,
    /// Divided by the number of all rows.
    gradient: Vec<f32>,
}

impl<'a> HeadObjective<'a> {
    fn new(rows: &'a Rows<'a>, head: &'a Head) -> Self {
        let n = rows.class_of.len();
        let length = n.div_ceil(PARTS).max(1);
        let part = |start: usize| {
            let rows = start..(start + length).min(n);
            let logits = vec![0.0; rows.len() * head.classes];
            Mutex::new(Part { rows, logits, cost: 0.0, gradient: vec![0.0; head.weights.len()] })
        };
        let parts = (0..n).step_by(length).map(part).collect();
        Self { rows, head, last: Mutex::new(None), parts }
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
        self.parts.par_iter().for_each(|part| self.evaluate_part(weights, &mut lock(part)));
        let mut cost = 0.0f64;
        let mut gradient = vec![0.0f32; weights.len()];
        for part in &self.parts {
            let part = lock(part);
            cost += part.cost;
            gradient.iter_mut().zip(&part.gradient).for_each(|(g, p)| *g += p);
        }
        let lambda = 1.0 / (C * n as f32);
        let penalised = weights.len() - self.head.classes;
        let mut norm = 0.0f64;
        for (g, w) in gradient[..penalised].iter_mut().zip(weights) {
            *g += lambda * w;
            norm += f64::from(*w) * f64::from(*w);
        }
        ((cost / n as f64 + 0.5 * f64::from(lambda) * norm) as f32, gradient)
    }

    fn evaluate_part(&self, weights: &[f32], part: &mut Part) {
        let Part { rows, logits, cost, gradient } = part;
        let (k, d) = (self.head.classes, self.head.dimension);
        let dense = &self.rows.dense[rows.start * d..rows.end * d];
        let bias = &weights[weights.len() - k..];
        logits.chunks_exact_mut(k).for_each(|row| row.copy_from_slice(bias));
        multiply(Operand::plain(dense, rows.len(), d), Operand::plain(&weights[..d * k], d, k), logits);
        self.add_sparse(weights, rows, logits);
        *cost = 0.0;
        let scale = 1.0 / self.rows.class_of.len() as f32;
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
        let k = self.head.classes;
        for classes in blocks(k) {
            for (row, sparse) in logits.chunks_exact_mut(k).zip(&self.rows.sparse[rows.clone()]) {
                for (place, value) in self.used(sparse) {
                    add_scaled(&mut row[classes.clone()], &weights[place * k..][classes.clone()], value);
                }
            }
        }
    }

    /// Adds what a range of rows contributes to the gradient of the sparse weights.
    fn add_sparse_gradient(&self, residuals: &[f32], rows: &Range<usize>, gradient: &mut [f32]) {
        let k = self.head.classes;
        for classes in blocks(k) {
            for (residual, sparse) in residuals.chunks_exact(k).zip(&self.rows.sparse[rows.clone()]) {
                for (place, value) in self.used(sparse) {
                    add_scaled(&mut gradient[place * k..][classes.clone()], &residual[classes.clone()], value);
                }
            }
        }
    }

    /// The rows of weights of sparse features, with the values.
    fn used(&self, sparse: &'a Sparse) -> impl Iterator<Item = (usize, f32)> {
        sparse.iter().filter_map(|(column, value)| Some((self.head.row(*column)?, *value)))
    }
}

/// The classes in blocks. The sparse weights of a block fit into a core's cache, those of a thousand classes do not.
fn blocks(classes: usize) -> impl Iterator<Item = Range<usize>> {
    (0..classes).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(classes))
}

impl CostFunction for HeadObjective<'_> {
    type Param = Vec<f32>;
    type Output = f32;

    fn cost(&self, weights: &Self::Param) -> Result<f32, Error> {
        Ok(self.at(weights, |point| point.cost))
    }
}

impl Gradient for HeadObjective<'_> {
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

#[multiversion::multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn add_scaled(to: &mut [f32], from: &[f32], factor: f32) {
    for (t, f) in to.iter_mut().zip(from) {
        *t += factor * f;
    }
}
