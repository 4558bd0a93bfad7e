//! The binary `banter`.

use std::process::ExitCode;

use banter_server::commands::{Arguments, run};
use clap::Parser;

/// What a version has taken goes back when it goes: with the system's allocator, each reload leaves some of it behind (`bench/reload`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
