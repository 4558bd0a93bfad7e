//! Updates a fitted head for small changes, without a pass over all examples.
//!
//! At the optimum of multinomial logistic regression with L2, the weights are a sum over the examples, W = C · Σ xᵢ ⊗
//! (yᵢ - pᵢ), in which each example has a term. Removing an example subtracts its term. The term of a new example is
//! found while all others are fixed, which is a step of dual coordinate ascent (Yu, Huang and Lin, "Dual coordinate
//! descent methods for logistic regression and maximum entropy models", Machine Learning 85, 2011). A few sweeps over
//! the new examples and their neighbours adjust these to each other. The bias does not change. A descent ends near the
//! optimum, so after it the sum holds only approximately.

use super::{C, Head, Sparse, add_scaled};

/// Number of sweeps over the rows to adjust.
const SWEEPS: usize = 4;
/// Newton steps: for the sum of the probabilities, and for each probability.
const OUTER_STEPS: usize = 30;
const INNER_STEPS: usize = 8;

/// An example: dense and sparse features, and the class.
pub struct Row<'a> {
    /// Dense features of length 1.
    pub dense: &'a [f32],
    /// Hashed n-grams.
    pub sparse: Sparse,
    /// Index of the class in the head.
    pub class: usize,
    /// Whether the weights already contain its term.
    pub known: bool,
}

impl Head {
    /// The same weights for other classes. `class_of` gives the old index of each class; `None` is a new class, with
    /// weights of zero. Adds rows for columns that no example had before.
    pub fn reshaped<'a>(&self, class_of: &[Option<usize>], columns: impl Iterator<Item = &'a (u32, f32)>) -> Self {
        let mut rows = self.rows.clone();
        let mut count = rows.iter().copied().max().unwrap_or(0);
        for (column, _) in columns {
            let place = &mut rows[*column as usize];
            if *place == 0 {
                count += 1;
                *place = count;
            }
        }
        let (old, k) = (self.classes, class_of.len());
        let mut weights = vec![0.0; (self.dimension + count as usize + 1) * k];
        let bias = self.weights.len() / old.max(1) - 1;
        let bias_to = weights.len() / k.max(1) - 1;
        for row in 0..=bias {
            let to = if row == bias { bias_to } else { row };
            for (class, from) in class_of.iter().enumerate() {
                if let Some(from) = from {
                    weights[to * k + class] = self.weights[row * old + from];
                }
            }
        }
        Self { classes: k, dimension: self.dimension, weights, rows }
    }

    /// Subtracts the terms of examples from the weights.
    pub fn forget(&mut self, rows: &[Row<'_>]) {
        // Compute all terms before removing any: once one is gone, the other terms would seem larger than they are.
        let part = |row: &Row<'_>| residual(&self.logits(row.dense, &row.sparse), row.class);
        let parts: Vec<Vec<f32>> = rows.iter().map(part).collect();
        rows.iter().zip(parts).for_each(|(row, part)| self.add(row, &part, -C));
    }

    /// Adds the terms of new examples, and adjusts all `rows` to each other.
    pub fn learn(&mut self, rows: &[Row<'_>]) {
        let nothing = || vec![0.0; self.classes];
        let part = |row: &Row<'_>| residual(&self.logits(row.dense, &row.sparse), row.class);
        let mut parts: Vec<Vec<f32>> = rows.iter().map(|row| if row.known { part(row) } else { nothing() }).collect();
        for _ in 0..SWEEPS {
            for (row, part) in rows.iter().zip(&mut parts) {
                let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
                let norm = squares(&mut row.dense.iter().copied()) + squares(&mut row.sparse.iter().map(|(_, x)| *x));
                let pull = C * norm;
                let mut without = self.logits(row.dense, &row.sparse);
                without.iter_mut().zip(&*part).for_each(|(z, r)| *z -= pull * r);
                let better = settle(&without, pull, row.class);
                let step: Vec<f32> = better.iter().zip(&*part).map(|(new, old)| new - old).collect();
                self.add(row, &step, C);
                *part = better;
            }
        }
    }

    /// W += scale · x ⊗ part, without the bias.
    fn add(&mut self, row: &Row<'_>, part: &[f32], scale: f32) {
        let k = self.classes;
        for (value, weights) in row.dense.iter().zip(self.weights.chunks_exact_mut(k.max(1))) {
            add_scaled(weights, part, scale * value);
        }
        for (column, value) in &row.sparse {
            if let Some(place) = self.row(*column) {
                add_scaled(&mut self.weights[place * k..][..k], part, scale * value);
            }
        }
    }
}

/// y - softmax(z).
fn residual(logits: &[f32], class: usize) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = logits.iter().map(|z| (z - most).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.iter().enumerate().map(|(k, e)| f32::from(u8::from(k == class)) - e / sum).collect()
}

/// The r that solves r = y - softmax(z + s·r). Each p depends on one number L through s·p + ln p = z + s·y - L; L is
/// chosen so that they sum to 1.
fn settle(logits: &[f32], pull: f32, class: usize) -> Vec<f32> {
    let (s, y) = (f64::from(pull), |k: usize| f64::from(u8::from(k == class)));
    let targets: Vec<f64> = logits.iter().enumerate().map(|(k, z)| f64::from(*z) + s * y(k)).collect();
    let most = targets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // At this L the largest p is 1 and the others are positive, so the sum is too large; it decreases with L.
    let mut level = most - s;
    let mut shares = vec![0.0; targets.len()];
    for _ in 0..OUTER_STEPS {
        let (mut sum, mut slope) = (0.0, 0.0);
        for (share, target) in shares.iter_mut().zip(&targets) {
            *share = share_at(target - level, s);
            sum += *share;
            slope += *share / (1.0 + s * *share);
        }
        if (sum - 1.0).abs() < 1e-9 {
            break;
        }
        // The sum is convex in L, so Newton steps from the left never pass the root.
        level += (sum - 1.0) / slope.max(1e-12);
    }
    shares.iter().enumerate().map(|(k, p)| (y(k) - p) as f32).collect()
}

/// The p with s·p + ln p = c, by Newton's method on u = ln p.
fn share_at(c: f64, s: f64) -> f64 {
    let mut u = if c > 0.0 { (c / s).min(1.0).ln().min(c) } else { c };
    for _ in 0..INNER_STEPS {
        let p = u.exp();
        let step = (s * p + u - c) / (s * p + 1.0);
        u -= step;
        if step.abs() < 1e-12 {
            break;
        }
    }
    u.exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_settled_solves_its_equation(
            logits in proptest::collection::vec(-30.0f32..30.0, 1..40), pull in 0.1f32..80.0, class in 0usize..40,
        ) {
            let class = class % logits.len();
            let found = settle(&logits, pull, class);
            let moved: Vec<f32> = logits.iter().zip(&found).map(|(z, r)| z + pull * r).collect();
            for (found, expected) in found.iter().zip(residual(&moved, class)) {
                prop_assert!((found - expected).abs() < 2e-3, "{found} {expected}");
            }
            prop_assert!(found.iter().sum::<f32>().abs() < 1e-3);
        }
    }
}
