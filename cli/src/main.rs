//! The binary `banter`.

#![warn(clippy::unwrap_used)]

mod commands;
mod failure;
mod key_file;
mod progress;
mod replays;
mod workshop;

use std::process::ExitCode;

use clap::Parser;
use commands::{Arguments, lost_output, run};

/// Returns the memory of an old version to the system. With other allocators, each reload leaves some of it with the
/// threads (`bench/reload`).
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
