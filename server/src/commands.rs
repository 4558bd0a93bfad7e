//! The command line. Exit codes: 0 good, 1 the check failed, 2 wrong use.

pub mod chat;
pub mod check;
pub mod new;
pub mod schema;
pub mod serve;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, Overrides, Rules},
    failure::Failure,
};

/// A chatbot engine: intents by meaning, replies by scripts.
#[derive(Debug, Parser)]
#[command(name = "banter", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The configuration file.
    #[arg(long, global = true, default_value = "Rocket.toml", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a bot over HTTP.
    #[command(after_help = "Example:\n  banter serve --bot shop --port 8000")]
    Serve {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// Where all is kept that the server writes.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// The address to listen on.
        #[arg(long)]
        address: Option<IpAddr>,
        /// The port to listen on; 0 takes a free one.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Talk to a bot in the terminal, or pipe lines to it.
    #[command(after_help = "Examples:\n  banter chat --bot shop\n  echo 'where is my order' | banter chat")]
    Chat {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// Where vectors and the input's history are kept.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// One JSON object a turn.
        #[arg(long)]
        json: bool,
    },
    /// Report all that is wrong with a bot's files.
    #[command(after_help = "Examples:\n  banter check --bot shop\n  banter check --json | jq .faults")]
    Check {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// Where vectors are kept.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// One JSON object on standard output.
        #[arg(long)]
        json: bool,
        /// Leave out the checks that need the embedding model.
        #[arg(long)]
        no_model: bool,
        /// Warnings fail the check too.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Make a small bot of one's own.
    #[command(after_help = "Example:\n  banter new shop && banter chat --bot shop")]
    New {
        /// The folder to make.
        name: PathBuf,
    },
    /// Print the JSON Schemas of a bot's files, for editors.
    #[command(after_help = "Examples:\n  banter schema intent > intent.schema.json\n  banter schema --out .schemas")]
    Schema {
        /// Which file: bot, intent or texts; all of them without it.
        kind: Option<schema::Kind>,
        /// Write one file a schema into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Runs a command; the process' exit code.
///
/// # Errors
/// What the user is to be told.
pub fn run(arguments: Arguments) -> Result<u8, Failure> {
    let file = arguments.config;
    match arguments.command {
        Command::Serve { bot, data_dir, address, port } => {
            let (config, rules) = load(&file, Overrides { bot, data_dir, address, port })?;
            serve::run(&config, rules)
        }
        Command::Chat { bot, data_dir, json } => {
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            chat::run(&config, json)
        }
        Command::Check { bot, data_dir, json, no_model, deny_warnings } => {
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            check::run(&config, &check::Options { json, no_model, deny_warnings })
        }
        Command::New { name } => new::run(&name),
        Command::Schema { kind, out } => schema::run(kind, out.as_deref()),
    }
}

fn load(file: &Path, overrides: Overrides) -> Result<(Config, Rules), Failure> {
    if file != Path::new("Rocket.toml") && !file.is_file() {
        return Err(Failure::usage(
            format!("there is no configuration file {}", file.display()),
            "name one with --config",
        ));
    }
    Config::load(file, &overrides)
}

/// Prints a line. A reader that has gone away (`| head`) is no fault of ours.
fn print(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Whether errors may be coloured.
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The asynchronous part of a command.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("no runtime: {error}"), "check the limits of this process"))?
        .block_on(work)
}
