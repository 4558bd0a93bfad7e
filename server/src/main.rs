//! The binary `banter`.

use std::process::ExitCode;

use banter_server::commands::{Arguments, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
