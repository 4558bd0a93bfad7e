//! Synthetic vectors like those of examples, and how well an index finds their neighbours.

use std::{sync::Arc, time::Instant};

use banter_engine::{
    embedding::Vector,
    index::{IntentIndex, Neighbour},
    random::Random,
};

const DIMENSION: usize = 384;

/// Unit vectors in clusters of about a hundred around random centres, like the examples of intents.
pub fn clusters(count: usize, seed: u64) -> Vec<Vector> {
    let mut random = Random::new(seed);
    let centres: Vec<Vec<f32>> = (0..count.div_ceil(100)).map(|_| noise(&mut random)).collect();
    (0..count)
        .map(|_| {
            let centre = &centres[random.below(centres.len())];
            let mut row: Vec<f32> = centre.iter().zip(noise(&mut random)).map(|(c, n)| c + n).collect();
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= length);
            Arc::from(row)
        })
        .collect()
}

fn noise(random: &mut Random) -> Vec<f32> {
    (0..DIMENSION).map(|_| (0..4).map(|_| random.unit() as f32 - 0.5).sum()).collect()
}

/// The mean time of a search, in microseconds.
pub fn micros(queries: &[Vector], find: impl Fn(&[f32]) -> Vec<Neighbour>) -> f64 {
    let start = Instant::now();
    for query in queries {
        std::hint::black_box(find(query));
    }
    start.elapsed().as_secs_f64() * 1e6 / queries.len() as f64
}

/// The share of the ten nearest that an index finds.
pub fn recall(exact: &dyn IntentIndex, index: &dyn IntentIndex, queries: &[Vector]) -> f64 {
    let found: usize = queries
        .iter()
        .map(|query| {
            let near = index.nearest(query, 10);
            exact.nearest(query, 10).iter().filter(|truth| near.iter().any(|n| n.node == truth.node)).count()
        })
        .sum();
    found as f64 / (queries.len() * 10) as f64
}
