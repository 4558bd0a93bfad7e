//! Compares the exact index with a plain scan and with HNSW by size, to find where HNSW pays off:
//! `bench/index [--json]`.

use std::time::Instant;

use banter_bench::vectors::{clusters, micros, recall};
use banter_engine::index::{
    HNSW_FROM, IntentIndex,
    exact::{Exact, scan},
    hnsw::LargeIndex,
};
use clap::Parser;
use serde_json::json;

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
        let hnsw = LargeIndex::build(vectors);
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
