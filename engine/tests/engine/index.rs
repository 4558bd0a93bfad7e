//! The indexes agree with a full scan.

use std::sync::Arc;

use banter_engine::{
    embedding::Vector,
    index::{
        IntentIndex, Neighbour, Nodes,
        exact::{Exact, scan},
        hnsw::LargeIndex,
    },
    random::Random,
};
use proptest::prelude::*;

fn unit(mut row: Vec<f32>) -> Vector {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    row.iter_mut().for_each(|x| *x /= length);
    Arc::from(row)
}

/// Vectors around centres, like examples around their intents.
fn clusters(count: usize, dimension: usize) -> Vec<Vector> {
    let mut random = Random::new(5);
    let noise = |random: &mut Random| -> Vec<f32> { (0..dimension).map(|_| random.unit() as f32 - 0.5).collect() };
    let centres: Vec<Vec<f32>> = (0..count.div_ceil(50)).map(|_| noise(&mut random)).collect();
    (0..count)
        .map(|_| {
            let centre = random.below(centres.len());
            unit(centres[centre].iter().zip(noise(&mut random)).map(|(c, n)| c + n).collect())
        })
        .collect()
}

fn recall(exact: &[Neighbour], found: &[Neighbour]) -> f64 {
    exact.iter().filter(|truth| found.iter().any(|near| near.node == truth.node)).count() as f64 / exact.len() as f64
}

#[test]
fn hnsw_recalls_the_neighbours_at_twenty_thousand() {
    let vectors = clusters(20_100, 384);
    let (vectors, queries) = vectors.split_at(20_000);
    let (exact, hnsw) = (Exact::new(vectors), LargeIndex::build(vectors));
    let total: f64 = queries.iter().map(|q| recall(&exact.nearest(q, 10), &hnsw.nearest(q, 10))).sum();
    assert!(total / queries.len() as f64 >= 0.99, "recall@10 {}", total / queries.len() as f64);
}

#[test]
fn the_graph_is_kept_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = clusters(600, 16);
    let built = LargeIndex::open_or_build(&vectors, folder.path());
    let kept = LargeIndex::open_or_build(&vectors, folder.path());
    let query = &vectors[7];
    assert_eq!(kept.nearest(query, 5), built.nearest(query, 5));
    let inner = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let data = inner.join("index.hnsw.graph");
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    std::fs::write(&data, bytes).unwrap();
    assert_eq!(LargeIndex::open_or_build(&vectors, folder.path()).nearest(query, 1)[0].node, 7);
}

#[test]
fn two_passes_find_what_one_finds() {
    let mut vectors = clusters(2_000, 384);
    let queries = vectors.split_off(1_900);
    // Duplicate vectors, a vector along one axis, and a zero vector.
    vectors.extend(vectors[..20].to_vec());
    vectors.push(unit((0..384).map(|at| if at == 7 { 1.0 } else { 0.0 }).collect()));
    vectors.push(Arc::from(vec![0.0; 384]));
    let exact = Exact::new(&vectors);
    for query in queries.iter().chain(&vectors[1_900..]) {
        for count in [0, 1, 5, 64, 400, 3_000] {
            assert_eq!(exact.nearest(query, count), scan(&vectors, query, count));
        }
    }
}

#[test]
fn twins_share_a_node() {
    let a = unit(vec![1.0, 0.0]);
    let b = unit(vec![0.0, 1.0]);
    let nodes = Nodes::group(&[a.clone(), b.clone(), a.clone(), a]);
    assert_eq!(nodes.examples, [vec![0, 2, 3], vec![1]]);
    assert_eq!(nodes.vectors.len(), 2);
}

proptest! {
    #[test]
    fn bytes_are_never_wrong_by_more_than_they_say(
        rows in proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, 24), 40..120),
        scale in 0.0001f32..10.0,
        count in 1usize..12,
    ) {
        let vectors: Vec<Vector> = rows.into_iter().map(|row| row.into_iter().map(|x| x.powi(5) * scale).collect()).map(unit).collect();
        let query: Vec<f32> = vectors[0].iter().map(|x| x + 0.1).collect();
        let query = unit(query);
        prop_assert_eq!(Exact::new(&vectors).nearest(&query, count), scan(&vectors, &query, count));
    }

    #[test]
    fn exact_is_the_sorted_scan(rows in proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, 5), 1..40), count in 1usize..10) {
        let vectors: Vec<Vector> = rows.into_iter().map(unit).collect();
        let query = vectors[0].clone();
        let mut expected: Vec<f32> = vectors.iter().map(|v| v.iter().zip(query.iter()).map(|(a, b)| a * b).sum()).collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        let found = Exact::new(&vectors).nearest(&query, count);
        prop_assert_eq!(found.len(), count.min(vectors.len()));
        for (near, truth) in found.iter().zip(expected) {
            prop_assert!((near.similarity - truth).abs() < 1e-5);
        }
    }
}
