//! The binary `banter`.

#![warn(clippy::unwrap_used)]

mod commands;
mod failure;
mod progress;
mod replays;
mod workshop;

use std::process::ExitCode;

use clap::Parser;
use commands::{Arguments, lost_output, run};

/// What a version has taken goes back when it goes; with other allocators the threads keep some of it at each reload
/// (`bench/reload`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let result = run(Arguments::parse()).and_then(|code| lost_output().map_or(Ok(code), Err));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
