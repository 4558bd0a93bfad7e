//! Fits everything to the author's examples: features, head, and the calibration on held-out folds.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    calibration::{Calibration, FEW_INTENTS, HeldOut, Outside},
    evidence::{Centres, NEIGHBOURS},
    features::{Sparse, Whitening},
    head::{Head, Row, Rows},
    ngrams::{Grams, Ngrams},
};
use crate::{
    embedding::Vector,
    index::{IntentIndex, exact::Exact},
    random::Random,
};

/// Must change with every change of the mathematics and of the background, so that servers never share an old fit.
pub const RECIPE: &str = "whitened+ngrams+softmax-13";
/// Number of neighbours of each changed example that are adjusted with it.
const SETTLED_WITH: usize = 24;
/// A background utterance with this similarity to an example may be in the scope of the bot.
const ALIKE: f32 = 0.5;
/// Limit on the number of examples that are adjusted.
const MOST_SETTLED: usize = 4_000;
/// Up to this number of examples, a full fit is fast enough to be always used.
const REFIT_FROM: usize = 1_500;
/// Above this share of changed examples since the last full fit, a full fit is made.
const MAX_DRIFT: f64 = 0.05;
/// Above this number of examples, only one fold of five is held out, and a fit is a descent; up to it, each fold is held
/// out in turn, and a fit takes the steps of L-BFGS.
const MANY: usize = 3_000;
const MAX_FOLDS: usize = 5;
/// With few intents, they are left out in turn, in this number of groups: their examples then show what out-of-scope
/// messages look like to the others.
const GROUPS: usize = 8;

/// An example: its text, and the class of its intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The normalised text.
    pub text: String,
    /// Index of the intent, counted from 0.
    pub class: usize,
}

/// All fitted parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    /// The dense features.
    pub whitening: Whitening,
    /// The sparse features.
    pub ngrams: Ngrams,
    /// The learned weights.
    pub head: Head,
    /// The map from scores to probabilities.
    pub calibration: Calibration,
    /// Number of examples added and removed since the last full fit.
    pub drift: usize,
}

/// Called with the steps done and the total number of steps.
pub type TrainingProgress<'a> = dyn FnMut(usize, usize) + 'a;

/// What a classifier is fitted to.
#[derive(Clone, Copy)]
pub struct TrainingSet<'a> {
    /// The examples.
    pub samples: &'a [Sample],
    /// Their vectors.
    pub vectors: &'a [Vector],
    /// Utterances that most bots know nothing of, and their vectors. Those that look like examples are left out.
    pub background: (&'a [String], &'a [Vector]),
    /// The blocks of the vectors.
    pub blocks: &'a [usize],
    /// The number of intents.
    pub classes: usize,
}

/// Fits to a training set. The result does not depend on the number of threads.
pub fn train(set: &TrainingSet<'_>, progress: &mut TrainingProgress<'_>) -> Fitted {
    let TrainingSet { samples, classes, .. } = *set;
    let data = Data::of(set);
    let all: Vec<usize> = (0..samples.len()).collect();
    let folds = data.folds();
    let background = data.background_folds(folds.len());
    let used = if samples.len() > MANY { &folds[..folds.len().min(1)] } else { &folds[..] };
    let few = (3..FEW_INTENTS).contains(&classes) && samples.len() <= MANY;
    let groups = if few { classes.min(GROUPS) } else { 0 };
    let steps = used.len() + groups + 1;

    let (mut held_out, mut outside) = (Vec::new(), Outside::default());
    let mut warm = None;
    for (step, fold) in used.iter().enumerate() {
        progress(step, steps);
        let inside: Vec<usize> = all.iter().copied().filter(|i| !fold.contains(i)).collect();
        let others: Vec<usize> = background
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != step)
            .flat_map(|(_, part)| part.clone())
            .collect();
        let part = data.fit(&inside, &others, None);
        held_out.extend(data.score(&part, fold));
        outside.background.extend(data.score(&part, &background[step]));
        // Only a descent starts from it.
        warm = Some(part.head);
    }
    let every: Vec<usize> = background.concat();
    for group in 0..groups {
        progress(used.len() + group, steps);
        let is_left_out = |class: usize| class % groups == group;
        let (members, others): (Vec<usize>, Vec<usize>) = all.iter().partition(|i| is_left_out(samples[**i].class));
        let part = data.fit(&others, &every, None);
        let known = |scores: Vec<f32>| {
            // The last class is that of the background.
            let known = |(class, score)| (class == classes || !is_left_out(class)).then_some(score);
            scores.into_iter().enumerate().filter_map(known).collect()
        };
        outside.left_out.extend(data.score(&part, &members).into_iter().map(|row| HeldOut {
            logits: known(row.logits),
            evidence: known(row.evidence),
            class: row.class,
        }));
    }
    progress(steps - 1, steps);
    let per_intent = samples.len() as f64 / classes.max(1) as f64;
    let calibration = Calibration::fit(&held_out, &outside, per_intent);
    let part = data.fit(&all, &every, warm.as_ref());
    progress(steps, steps);
    Fitted { whitening: part.whitening, ngrams: part.ngrams, head: part.head, calibration, drift: 0 }
}

/// The changes since a fit.
#[derive(Clone, Debug)]
pub struct SampleChange {
    /// For each sample, its position among the samples of the fit; `None` if it is new.
    pub origin: Vec<Option<usize>>,
    /// For each class, its index in the fit; `None` if it is new.
    pub class_of: Vec<Option<usize>>,
    /// Number of samples added and removed.
    pub count: usize,
}

impl Fitted {
    /// Whether the fit can be updated instead of refitted.
    pub fn can_follow(&self, change: &SampleChange) -> bool {
        let samples = change.origin.len();
        samples > REFIT_FROM && (self.drift + change.count) as f64 <= MAX_DRIFT * samples as f64
    }

    /// Updates the fit for a few changed samples. The dense features and the calibration stay the same, new n-grams are
    /// added, and the head removes old samples and adds new ones. `before` are the samples of this fit and their dense
    /// features, `after` those of the next; `near` returns the samples of this fit that are nearest to given features.
    /// The result is deterministic but differs from that of [`train`]: it depends on the sequence of updates, so
    /// servers that must agree share the classifier.
    pub fn follow(
        &self,
        before: (&[Sample], &[Vector]),
        after: (&[Sample], &[Vector]),
        change: &SampleChange,
        near: &dyn Fn(&[f32], usize) -> Vec<usize>,
    ) -> Self {
        let fresh: Vec<usize> = (0..after.0.len()).filter(|place| change.origin[*place].is_none()).collect();
        let mut ngrams = self.ngrams.clone();
        let grams: Vec<Grams> = fresh.iter().map(|place| Grams::of(&after.0[*place].text)).collect();
        ngrams.learn(grams.iter(), after.0.len());

        let mut place_of = vec![None; before.0.len()];
        let stayed = change.origin.iter().enumerate().filter_map(|(place, origin)| Some((place, (*origin)?)));
        stayed.for_each(|(place, origin)| place_of[origin] = Some(place));
        let mut head = self.head.clone();
        let sparse = |text: &str| ngrams.apply(&Grams::of(text));
        let gone: Vec<usize> = (0..before.0.len()).filter(|place| place_of[*place].is_none()).collect();
        let old_row = |place: &usize| {
            let Sample { text, class } = &before.0[*place];
            Row { dense: &before.1[*place], sparse: sparse(text), class: *class, known: true }
        };
        head.forget(&gone.iter().map(old_row).collect::<Vec<_>>());
        let changed = fresh.iter().map(|place| &after.1[*place]).chain(gone.iter().map(|place| &before.1[*place]));
        let neighbours = changed.flat_map(|features| near(features, SETTLED_WITH));
        let settled: BTreeSet<usize> = neighbours.filter_map(|old| place_of[old]).take(MOST_SETTLED).collect();
        let row = |place: usize, known: bool| {
            let Sample { text, class } = &after.0[place];
            Row { dense: &after.1[place], sparse: sparse(text), class: *class, known }
        };
        let settled = settled.into_iter().map(|place| row(place, true));
        let rows: Vec<Row<'_>> = fresh.iter().map(|place| row(*place, false)).chain(settled).collect();
        let outside = Some(self.head.classes() - 1);
        let class_of: Vec<Option<usize>> = change.class_of.iter().copied().chain([outside]).collect();
        let mut head = head.reshaped(&class_of, rows.iter().flat_map(|row| &row.sparse));
        head.learn(&rows);
        let (whitening, calibration) = (self.whitening.clone(), self.calibration.clone());
        Self { whitening, ngrams, head, calibration, drift: self.drift + change.count }
    }
}

/// The examples and, behind them, the background, whose class comes after those of the intents.
struct Data<'a> {
    samples: Vec<Sample>,
    vectors: Vec<Vector>,
    grams: Vec<Grams>,
    blocks: &'a [usize],
    classes: usize,
    /// The number of examples.
    own: usize,
}

/// Features and head fitted to a subset of the samples.
struct FittedFold {
    whitening: Whitening,
    ngrams: Ngrams,
    head: Head,
    features: Vec<Vector>,
    class_of: Vec<usize>,
}

impl<'a> Data<'a> {
    fn of(set: &TrainingSet<'a>) -> Self {
        let (texts, of_background) = set.background;
        let outside = texts.iter().map(|text| Sample { text: text.clone(), class: set.classes });
        let samples: Vec<Sample> = set.samples.iter().cloned().chain(outside).collect();
        let vectors = set.vectors.iter().chain(of_background).cloned().collect();
        let grams = samples.par_iter().map(|sample| Grams::of(&sample.text)).collect();
        Self { samples, vectors, grams, blocks: set.blocks, classes: set.classes, own: set.samples.len() }
    }

    /// The background without what looks like an example, dealt into folds.
    fn background_folds(&self, folds: usize) -> Vec<Vec<usize>> {
        let own: Vec<&Vector> = self.vectors[..self.own].iter().collect();
        let class_of: Vec<usize> = self.samples[..self.own].iter().map(|sample| sample.class).collect();
        let whitening = Whitening::fit(&own, &class_of, self.classes, self.blocks);
        let features: Vec<Vector> = own.par_iter().map(|vector| Vector::from(whitening.apply(vector))).collect();
        let index = Exact::new(&features);
        let is_foreign = |sample: &usize| {
            let near = index.nearest(&whitening.apply(&self.vectors[*sample]), 1);
            near.first().is_none_or(|near| near.similarity < ALIKE)
        };
        let foreign: Vec<usize> = (self.own..self.samples.len()).into_par_iter().filter(is_foreign).collect();
        let count = folds.max(1);
        (0..count).map(|fold| foreign.iter().copied().skip(fold).step_by(count).collect()).collect()
    }

    /// Stratified folds: the samples of each intent are shuffled and dealt in turn. An intent's only sample is in no
    /// fold.
    fn folds(&self) -> Vec<Vec<usize>> {
        let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); self.classes];
        for (index, sample) in self.samples[..self.own].iter().enumerate() {
            by_class[sample.class].push(index);
        }
        let smallest = by_class.iter().map(Vec::len).filter(|count| *count > 1).min().unwrap_or(0);
        let count = if self.own > MANY { MAX_FOLDS } else { smallest.clamp(2, MAX_FOLDS) };
        let mut folds = vec![Vec::new(); count];
        let mut random = Random::new(0);
        for members in by_class.iter_mut().filter(|members| members.len() > 1) {
            random.shuffle(members);
            let offset = random.below(count);
            members.iter().enumerate().for_each(|(place, index)| folds[(place + offset) % count].push(*index));
        }
        folds.retain(|fold| !fold.is_empty());
        folds.iter_mut().for_each(|fold| fold.sort_unstable());
        folds
    }

    fn fit(&self, members: &[usize], background: &[usize], warm: Option<&Head>) -> FittedFold {
        let vectors: Vec<&Vector> = members.iter().map(|i| &self.vectors[*i]).collect();
        let class_of: Vec<usize> = members.iter().map(|i| self.samples[*i].class).collect();
        let whitening = Whitening::fit(&vectors, &class_of, self.classes, self.blocks);
        let ngrams = Ngrams::fit(&members.iter().map(|i| &self.grams[*i]).collect::<Vec<_>>(), self.classes);
        let rows: Vec<usize> = members.iter().chain(background).copied().collect();
        let mut features: Vec<Vector> =
            rows.par_iter().map(|i| Vector::from(whitening.apply(&self.vectors[*i]))).collect();
        let sparse: Vec<Sparse> = rows.par_iter().map(|i| ngrams.apply(&self.grams[*i])).collect();
        let dense: Vec<f32> = features.iter().flat_map(|feature| feature.iter().copied()).collect();
        let of_rows: Vec<usize> = rows.iter().map(|i| self.samples[*i].class).collect();
        let rows = Rows { dense: &dense, sparse: &sparse, class_of: &of_rows };
        let classes = self.classes + 1;
        let head = if self.own > MANY { Head::fit_many(&rows, classes, warm) } else { Head::fit(&rows, classes) };
        // The evidence is that of the examples alone.
        features.truncate(members.len());
        FittedFold { whitening, ngrams, head, features, class_of }
    }

    fn score(&self, part: &FittedFold, members: &[usize]) -> Vec<HeldOut> {
        let index = Exact::new(&part.features);
        let centres = Centres::of(&part.features, &part.class_of, self.classes);
        members
            .par_iter()
            .map(|i| {
                let dense = part.whitening.apply(&self.vectors[*i]);
                let near = index.nearest(&dense, NEIGHBOURS);
                let evidence = centres.evidence(&dense, &near, |node| std::slice::from_ref(&part.class_of[node]));
                let logits = part.head.logits(&dense, &part.ngrams.apply(&self.grams[*i]));
                HeldOut { logits, evidence, class: self.samples[*i].class }
            })
            .collect()
    }
}
