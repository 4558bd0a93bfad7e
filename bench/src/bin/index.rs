//! Compares the exact index with a plain scan and with HNSW by size, to find where HNSW pays off:
//! `bench/index [--json]`.

use std::{sync::Arc, time::Instant};

use banter_engine::{
    embedding::Vector,
    index::{
        HNSW_FROM, IntentIndex, Neighbour,
        exact::{Exact, scan},
        hnsw::Hnsw,
    },
    random::Random,
};
use clap::Parser;
use serde_json::json;

const DIMENSION: usize = 384;
const QUERIES: usize = 300;
const NEIGHBOURS: usize = 64;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    if !arguments.json {
        println!(
            "{:>8} {:>10} {:>10} {:>8} {:>10} {:>8} {:>11} {:>9}",
            "vectors", "scan µs", "exact µs", "ratio", "HNSW µs", "ratio", "recall@10", "build s"
        );
    }
    for count in [1_000, 5_000, 10_000, 20_000, 40_000, 80_000] {
        let vectors = clusters(count + QUERIES, count as u64);
        let (vectors, queries) = vectors.split_at(count);
        let exact = Exact::new(vectors);
        let start = Instant::now();
        let hnsw = Hnsw::build(vectors);
        let build_s = start.elapsed().as_secs_f64();
        let scan_us = micros(queries, |query| scan(vectors, query, NEIGHBOURS));
        let exact_us = micros(queries, |query| exact.nearest(query, NEIGHBOURS));
        let hnsw_us = micros(queries, |query| hnsw.nearest(query, NEIGHBOURS));
        let recall = recall(&exact, &hnsw, queries);
        if !arguments.json {
            println!(
                "{count:>8} {scan_us:>10.0} {exact_us:>10.0} {:>8.2} {hnsw_us:>10.0} {:>8.2} {recall:>11.4} {build_s:>9.1}",
                scan_us / exact_us,
                exact_us / hnsw_us
            );
        }
        rows.push(json!({
            "vectors": count, "scan_us": scan_us, "exact_us": exact_us, "ratio_scan_to_exact": scan_us / exact_us,
            "hnsw_us": hnsw_us, "ratio": exact_us / hnsw_us, "recall_at_10": recall, "build_s": build_s,
        }));
    }
    if arguments.json {
        println!("{}", json!({ "hnsw_from": HNSW_FROM, "rows": rows }));
    } else {
        println!("the engine uses HNSW from {HNSW_FROM} vectors on");
    }
}

/// Unit vectors in clusters of about a hundred around random centres, like the examples of intents.
fn clusters(count: usize, seed: u64) -> Vec<Vector> {
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

fn micros(queries: &[Vector], find: impl Fn(&[f32]) -> Vec<Neighbour>) -> f64 {
    let start = Instant::now();
    for query in queries {
        std::hint::black_box(find(query));
    }
    start.elapsed().as_secs_f64() * 1e6 / queries.len() as f64
}

fn recall(exact: &Exact, hnsw: &Hnsw, queries: &[Vector]) -> f64 {
    let found: usize = queries
        .iter()
        .map(|query| {
            let near = hnsw.nearest(query, 10);
            exact.nearest(query, 10).iter().filter(|truth| near.iter().any(|n| n.node == truth.node)).count()
        })
        .sum();
    found as f64 / (queries.len() * 10) as f64
}
