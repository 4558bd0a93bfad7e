//! Turns scores into calibrated probabilities. Fitted on held-out scores of the author's own examples and of the
//! background, never on anything else.

use argmin::{
    core::{CostFunction, Error, Executor, Gradient, State},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Prior weights of head and evidence, and the strength of the prior.
const PRIOR: [f64; 2] = [1.8, 6.0];
const PRIOR_STRENGTH: f64 = 6.0;
/// The gate's slope in each of its inputs, per standard deviation.
const SLOPE: f64 = 2.0;
/// From this difference to the background's logit on, in nats, a text is certainly no background; more says nothing.
const CERTAIN: f64 = 14.0;
/// The least standard deviation of that difference. Where all examples are certain, one that is nearly so is not foreign.
const LEAST_SPREAD: f64 = 2.0;
/// Weight of what is out of scope relative to the examples.
const OUTSIDE: f64 = 0.6;
/// Below this number of intents, examples of intents that are left out show what out-of-scope messages look like. Their
/// weight falls to zero at this number.
pub const FEW_INTENTS: usize = 32;

/// Scores of an utterance from a classifier that was not fitted to it.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The head's logits of the intents and, last, of the background.
    pub logits: Vec<f32>,
    /// The evidence of each intent.
    pub evidence: Vec<f32>,
    /// The true class; meaningless for what is out of scope.
    pub class: usize,
}

/// Scores of what is out of scope.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Of background utterances.
    pub background: Vec<HeldOut>,
    /// Of examples, from a classifier without their intents.
    pub left_out: Vec<HeldOut>,
}

/// The fitted map from scores to probabilities.
///
/// Z = b₁·logits + b₂·evidence; P(class | text) = P(in scope | text) · softmax(Z). The gate P(in scope) is a logistic
/// function of the greatest evidence and of logsumexp(Z) - b₁·(logit of the background), at most 14 nats, both
/// standardised by their held-out distribution. Its offset makes its mean on held-out examples
/// τ = 0.995 - 0.12 / (examples per intent). It is at most the offset that separates the examples from what is out of
/// scope best (least cross-entropy).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibration {
    weights: [f64; 2],
    gate: EvidenceGate,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct EvidenceGate {
    mean: [f64; 2],
    deviation: [f64; 2],
    slope: [f64; 2],
    offset: f64,
}

/// Without held-out examples, general experience: evidence around 0.43, with a spread of 0.16.
const BLIND_GATE: EvidenceGate =
    EvidenceGate { mean: [0.43, 0.0], deviation: [0.16, 1.0], slope: [4.0, 0.0], offset: 5.0 };

impl Calibration {
    /// Fits to held-out scores of examples, `per_intent` per intent on average, and of what is out of scope.
    pub fn fit(held_out: &[HeldOut], outside: &Outside, per_intent: f64) -> Self {
        if held_out.is_empty() {
            return Self { weights: PRIOR, gate: BLIND_GATE };
        }
        let weights = fit_weights(held_out);
        let inputs = |rows: &[HeldOut]| -> Vec<[f64; 2]> {
            rows.iter().map(|row| gate_inputs(weights, &row.logits, &row.evidence)).collect()
        };
        let share = (0.995 - 0.12 / per_intent.max(1.0)).max(0.5);
        let intents = held_out.first().map_or(0, |row| row.evidence.len()) as f64;
        let left_out = OUTSIDE * (1.0 - intents / FEW_INTENTS as f64).max(0.0);
        let outside = [(inputs(&outside.background), OUTSIDE), (inputs(&outside.left_out), left_out)];
        Self { weights, gate: EvidenceGate::fit(&inputs(held_out), &outside, share) }
    }

    /// Returns the probability of each intent, and that of being in scope, which is their sum. The last logit is that of
    /// the background.
    pub fn probabilities(&self, logits: &[f32], evidence: &[f32]) -> (Vec<f32>, f32) {
        if evidence.is_empty() {
            return (Vec::new(), 0.0);
        }
        let combined = combine(self.weights, logits, evidence);
        let in_scope = self.gate.open(gate_inputs(self.weights, logits, evidence));
        let total = log_sum_exp(&combined);
        let probabilities = combined.iter().map(|z| (in_scope * (z - total).exp()) as f32).collect();
        (probabilities, in_scope as f32)
    }
}

impl EvidenceGate {
    fn fit(inside: &[[f64; 2]], outside: &[(Vec<[f64; 2]>, f64)], share: f64) -> Self {
        let count = inside.len() as f64;
        let moment = |j: usize| {
            let mean = inside.iter().map(|input| input[j]).sum::<f64>() / count;
            let variance = inside.iter().map(|input| (input[j] - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt() + 1e-3)
        };
        let (first, second) = (moment(0), moment(1));
        let second = (second.0, second.1.max(LEAST_SPREAD));
        let mut gate =
            Self { mean: [first.0, second.0], deviation: [first.1, second.1], slope: [SLOPE, SLOPE], offset: 0.0 };
        gate.offset = gate.offset_at(|gate| share - gate.mean(inside));
        // The derivative of the cross-entropy is zero here.
        let best = gate.offset_at(|gate| {
            let wrong: f64 = outside.iter().map(|(inputs, weight)| weight * gate.mean(inputs)).sum();
            (1.0 - gate.mean(inside)) - wrong
        });
        gate.offset = gate.offset.min(best);
        gate
    }

    /// The offset at which a decreasing function of it is zero.
    fn offset_at(&self, function: impl Fn(&Self) -> f64) -> f64 {
        let mut gate = self.clone();
        let (mut low, mut high) = (-60.0, 60.0);
        for _ in 0..80 {
            gate.offset = (low + high) / 2.0;
            if function(&gate) > 0.0 { low = gate.offset } else { high = gate.offset }
        }
        gate.offset
    }

    /// 0 if there are no inputs.
    fn mean(&self, inputs: &[[f64; 2]]) -> f64 {
        inputs.iter().map(|input| self.open(*input)).sum::<f64>() / inputs.len().max(1) as f64
    }

    fn open(&self, input: [f64; 2]) -> f64 {
        let score: f64 =
            (0..2).map(|j| self.slope[j] * (input[j] - self.mean[j]) / self.deviation[j]).sum::<f64>() + self.offset;
        1.0 / (1.0 + (-score).exp())
    }
}

fn combine(weights: [f64; 2], logits: &[f32], evidence: &[f32]) -> Vec<f64> {
    logits.iter().zip(evidence).map(|(z, s)| weights[0] * f64::from(*z) + weights[1] * f64::from(*s)).collect()
}

/// The greatest evidence, and how much likelier all intents together are than the background, whose logit is the last.
fn gate_inputs(weights: [f64; 2], logits: &[f32], evidence: &[f32]) -> [f64; 2] {
    let background = logits.get(evidence.len()).map_or(0.0, |logit| weights[0] * f64::from(*logit));
    let intents = log_sum_exp(&combine(weights, logits, evidence));
    [f64::from(evidence.iter().copied().fold(-1.0, f32::max)), (intents - background).min(CERTAIN)]
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

fn fit_weights(held_out: &[HeldOut]) -> [f64; 2] {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 5);
    let result =
        Executor::new(Stack { held_out }, solver).configure(|state| state.param(PRIOR.to_vec()).max_iters(50)).run();
    let found = result.ok().and_then(|best| best.state().get_best_param().cloned());
    match found.as_deref() {
        Some([first, second]) if first.is_finite() && second.is_finite() => [first.max(0.0), second.max(0.0)],
        // The search found nothing better than the prior.
        _ => PRIOR,
    }
}

/// Cross-entropy of softmax(b₁·logits + b₂·evidence), plus the penalty for leaving the prior.
struct Stack<'a> {
    held_out: &'a [HeldOut],
}

impl Stack<'_> {
    /// The cost and its gradient at these weights. Sums the rows in their order, whatever the number of threads.
    fn evaluate(&self, weights: &[f64]) -> (f64, [f64; 2]) {
        let weights = [weights[0], weights[1]];
        let rows: Vec<(f64, [f64; 2])> = self.held_out.par_iter().map(|row| cross_entropy(weights, row)).collect();
        let offset = |j: usize| (weights[j] - PRIOR[j]) / PRIOR[j];
        let mut cost = 0.5 * PRIOR_STRENGTH * (0..2).map(|j| offset(j).powi(2)).sum::<f64>();
        let mut gradient = [0, 1].map(|j| PRIOR_STRENGTH * offset(j) / PRIOR[j]);
        for (of_row, [first, second]) in rows {
            cost += of_row;
            gradient[0] += first;
            gradient[1] += second;
        }
        (cost, gradient)
    }
}

/// The cross-entropy of a row, and its gradient in the weights.
fn cross_entropy(weights: [f64; 2], row: &HeldOut) -> (f64, [f64; 2]) {
    let mut shares = combine(weights, &row.logits, &row.evidence);
    let own = shares[row.class];
    let most = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    shares.iter_mut().for_each(|share| *share = (*share - most).exp());
    let total: f64 = shares.iter().sum();
    let mut gradient = [-f64::from(row.logits[row.class]), -f64::from(row.evidence[row.class])];
    for (share, (logit, evidence)) in shares.iter().zip(row.logits.iter().zip(&row.evidence)) {
        gradient[0] += share / total * f64::from(*logit);
        gradient[1] += share / total * f64::from(*evidence);
    }
    (most + total.ln() - own, gradient)
}

impl CostFunction for Stack<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.evaluate(weights).0)
    }
}

impl Gradient for Stack<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.evaluate(weights).1.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held_out(classes: usize, rows: usize) -> Vec<HeldOut> {
        (0..rows)
            .map(|i| {
                let class = i % classes;
                let score = |c: usize| if c == class { 0.6 } else { 0.1 + 0.01 * (i % 7) as f32 };
                let evidence: Vec<f32> = (0..classes).map(score).collect();
                HeldOut { logits: evidence.iter().map(|s| 5.0 * s).collect(), evidence, class }
            })
            .collect()
    }

    #[test]
    fn what_looks_like_the_examples_is_in_scope_and_what_does_not_is_not() {
        let calibration = Calibration::fit(&held_out(4, 40), &Outside::default(), 10.0);
        let (near, inside) = calibration.probabilities(&[3.0, 0.5, 0.5, 0.5], &[0.6, 0.1, 0.1, 0.1]);
        let (_, outside) = calibration.probabilities(&[0.5, 0.4, 0.5, 0.5], &[0.1, 0.1, 0.1, 0.1]);
        assert!(inside > 0.8 && near[0] > 0.7, "{near:?}");
        assert!(outside < 0.2, "{outside}");
    }

    #[test]
    fn what_is_left_out_closes_the_gate_and_never_opens_it() {
        let row = |score: f32, class: usize| {
            let scores: Vec<f32> = (0..4).map(|other| if other == class { score } else { 0.1 }).collect();
            HeldOut { logits: scores.iter().map(|score| 5.0 * score).collect(), evidence: scores, class }
        };
        let rows = |around: f32| (0..40).map(|i| row(around + 0.02 * (i % 9) as f32, i % 4)).collect::<Vec<_>>();
        let scope = |outside: &Outside| {
            let calibration = Calibration::fit(&rows(0.5), outside, 10.0);
            let HeldOut { logits, evidence, .. } = row(0.55, 0);
            calibration.probabilities(&logits, &evidence).1
        };
        let free = scope(&Outside::default());
        for outside in [
            |rows| Outside { background: rows, left_out: Vec::new() },
            |rows| Outside { background: Vec::new(), left_out: rows },
        ] {
            let (near, far) = (scope(&outside(rows(0.45))), scope(&outside(rows(0.0))));
            assert!(near < free - 0.1, "{near} and {free}");
            assert_eq!(far, free);
        }
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_the_scope(scores in proptest::collection::vec((-20.0f32..20.0, -1.0f32..1.0), 1..9)) {
            let (logits, evidence): (Vec<f32>, Vec<f32>) = scores.into_iter().unzip();
            let rows = held_out(logits.len(), 20);
            for calibration in [
                Calibration::fit(&[], &Outside::default(), 1.0),
                Calibration::fit(&rows, &Outside::default(), 5.0),
                Calibration::fit(&rows, &Outside { background: rows[..3].to_vec(), left_out: rows[3..5].to_vec() }, 5.0),
            ] {
                let (probabilities, in_scope) = calibration.probabilities(&logits, &evidence);
                prop_assert!((0.0..=1.0).contains(&in_scope));
                prop_assert!((probabilities.iter().sum::<f32>() - in_scope).abs() < 1e-4);
            }
        }
    }
}
