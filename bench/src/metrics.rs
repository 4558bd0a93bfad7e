//! Metrics of predictions, and percentiles.

/// The prediction for a row. Out-of-scope rows are never right.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// Probability of the best class.
    pub probability: f32,
    /// Whether that class is the row's class.
    pub right: bool,
    /// Whether the row has a class.
    pub in_scope: bool,
}

/// Share of in-scope rows with the right best class.
pub fn accuracy(predictions: &[Prediction]) -> f64 {
    let inside: Vec<_> = predictions.iter().filter(|p| p.in_scope).collect();
    inside.iter().filter(|p| p.right).count() as f64 / inside.len().max(1) as f64
}

/// Expected calibration error over all rows in 15 bins of equal width (Naeini et al., 2015).
pub fn calibration_error(predictions: &[Prediction]) -> f64 {
    const BINS: usize = 15;
    let mut bins = [(0.0f64, 0.0f64); BINS];
    for p in predictions {
        let bin = ((f64::from(p.probability) * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += f64::from(p.probability);
        bins[bin].1 += f64::from(u8::from(p.right));
    }
    bins.iter().map(|(probability, right)| (probability - right).abs()).sum::<f64>() / predictions.len().max(1) as f64
}

/// Area under the ROC curve of the probability as a score for in-scope rows. `None` unless there are rows in scope and
/// out of scope.
pub fn auroc(predictions: &[Prediction]) -> Option<f64> {
    let mut sorted: Vec<_> = predictions.iter().collect();
    sorted.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    let inside = sorted.iter().filter(|p| p.in_scope).count();
    let outside = sorted.len() - inside;
    if inside == 0 || outside == 0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut start = 0;
    for tie in sorted.chunk_by(|a, b| a.probability == b.probability) {
        let rank = start as f64 + (tie.len() as f64 + 1.0) / 2.0;
        rank_sum += rank * tie.iter().filter(|p| p.in_scope).count() as f64;
        start += tie.len();
    }
    let pairs = inside as f64 * outside as f64;
    Some((rank_sum - inside as f64 * (inside as f64 + 1.0) / 2.0) / pairs)
}

/// The share of out-of-scope rows that are below the score which a share of `rejected` of the rows in scope are below.
/// `None` unless there are rows in scope and out of scope.
pub fn recall(predictions: &[Prediction], rejected: f64) -> Option<f64> {
    let scores = |in_scope: bool| predictions.iter().filter(move |p| p.in_scope == in_scope).map(|p| p.probability);
    let mut inside: Vec<f64> = scores(true).map(f64::from).collect();
    let outside = scores(false).count();
    if inside.is_empty() || outside == 0 {
        return None;
    }
    let least = percentile(&mut inside, rejected);
    Some(scores(false).filter(|score| f64::from(*score) < least).count() as f64 / outside as f64)
}

/// The value below which `share` of the values lie, by nearest rank. Sorts the values.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 - 1.0) * share).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
