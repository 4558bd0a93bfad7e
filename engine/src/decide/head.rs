//! The learned part: multinomial logistic regression with L2. L-BFGS from the `argmin` crate fits it to few rows,
//! stochastic gradient descent to many.

mod descent;
mod dual;
mod objective;

use argmin::{
    core::{Executor, State},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use serde::{Deserialize, Serialize};

pub use dual::Row;

use super::features::{HASHED, Sparse};
use descent::descend;
use objective::Objective;

/// Inverse strength of the regularisation, like scikit-learn's `C`.
const C: f32 = 30.0;
const MEMORY: usize = 7;
/// Steps of L-BFGS, at most.
const ITERATIONS: u64 = 40;
/// The fit ends after an iteration that lowers the cost by less than this.
const TOLERANCE: f32 = 1e-4;
/// The initial weights are the centred class means times this, which is already close to the optimum.
const START: f32 = 8.0;

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
    /// Fits to rows of `classes` classes.
    pub fn fit(rows: &Rows<'_>, classes: usize) -> Self {
        let mut head = Self::shape(rows, classes);
        if rows.class_of.is_empty() || classes < 2 {
            return head;
        }
        head.weights = head.start(rows);
        let problem = Objective::new(rows, &head);
        let start = head.weights.clone();
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
            .with_tolerance_cost(TOLERANCE)
            .and_then(|solver| solver.with_tolerance_grad(1e-5));
        let result = solver.and_then(|solver| {
            Executor::new(problem, solver).configure(|state| state.param(start).max_iters(ITERATIONS)).run()
        });
        // If the line search finds no better point, the fit ends early; the best weights so far are good enough.
        if let Ok(best) = result
            && let Some(weights) = best.state().get_best_param()
        {
            head.weights = weights.clone();
        }
        head
    }

    /// Fits to thousands of rows of `classes` classes, in a quarter of the time that [`Self::fit`] takes. Ends near the
    /// optimum. Starts from the weights of a fit to most of the rows, if there are any.
    pub fn fit_many(rows: &Rows<'_>, classes: usize, previous: Option<&Head>) -> Self {
        let mut head = Self::shape(rows, classes);
        if rows.class_of.is_empty() || classes < 2 {
            return head;
        }
        let start = match previous.filter(|p| p.classes == classes && p.dimension == head.dimension) {
            Some(previous) => head.carry_over(previous),
            None => head.start(rows),
        };
        head.weights = descend(&head, rows, start);
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

    /// Weights of zero, in the right number.
    fn shape(rows: &Rows<'_>, classes: usize) -> Self {
        let dimension = rows.dense.len() / rows.class_of.len().max(1);
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

#[multiversion::multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn add_scaled(to: &mut [f32], from: &[f32], factor: f32) {
    for (t, f) in to.iter_mut().zip(from) {
        *t += factor * f;
    }
}
