//! The command line. Exit codes: 0 good, 1 the check failed, 2 wrong use.

pub mod admin;
pub mod chat;
pub mod check;
pub mod migrate;
pub mod new;
pub mod plugin;
pub mod record;
pub mod release;
pub mod replay;
pub mod schema;
pub mod serve;
pub mod user;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::failure::Failure;
use banter_server::config::{Config, Overrides, Rules, cores};

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
    /// Play conversation fixtures and tell what differs.
    #[command(
        after_help = "Examples:\n  banter replay\n  banter replay fixtures/orders --junit report.xml\n  banter replay --url http://127.0.0.1:8000\n  banter replay --mutate 200"
    )]
    Replay {
        #[command(flatten)]
        options: Box<replay::Options>,
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// Where vectors are kept.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Make fixtures out of conversations that took place.
    Record {
        #[command(subcommand)]
        source: record::Source,
    },
    /// Make a small bot of one's own.
    #[command(after_help = "Example:\n  banter new shop && banter chat --bot shop")]
    New {
        /// The folder to make.
        name: PathBuf,
    },
    /// Make, build, check and try plugins in WebAssembly.
    Plugin {
        #[command(subcommand)]
        action: plugin::Action,
    },
    /// Put the bot's folder into use on running servers, if it passes.
    #[command(
        after_help = "Examples:\n  banter reload --dry-run\n  banter reload --wait -m 'new opening hours'\n  banter reload --canary 10 --server https://bot.example"
    )]
    Reload {
        #[command(flatten)]
        arguments: Box<release::ReloadArgs>,
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// List the versions of the bot, the newest first.
    #[command(after_help = "Example:\n  banter versions --limit 5")]
    Versions {
        #[command(flatten)]
        server: release::ServerArgs,
        /// So many at the most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Tell what is different between two versions.
    #[command(after_help = "Example:\n  banter diff 1f0c 9ab2")]
    Diff {
        /// The first digits of a version.
        from: String,
        /// The first digits of another one.
        to: String,
        #[command(flatten)]
        server: release::ServerArgs,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Go back to a version; without one end the canary, or else take the version before.
    #[command(after_help = "Examples:\n  banter rollback\n  banter rollback 1f0c")]
    Rollback {
        /// The first digits of a version.
        version: Option<String>,
        #[command(flatten)]
        change: release::ChangeArgs,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Give the canary to all users.
    #[command(after_help = "Example:\n  banter promote")]
    Promote {
        #[command(flatten)]
        change: release::ChangeArgs,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Tell which servers run what; the exit code is 1 while one is behind.
    #[command(after_help = "Example:\n  banter fleet --json | jq .converged")]
    Fleet {
        #[command(flatten)]
        server: release::ServerArgs,
        /// The data folder of this machine's server, for its admin key.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Say which users may change the bot.
    Admin {
        #[command(subcommand)]
        action: admin::Action,
        /// Where the embedded store is.
        #[arg(long, value_name = "DIR", global = true)]
        data_dir: Option<PathBuf>,
    },
    /// Show or apply the migrations of PostgreSQL.
    Migrate {
        #[command(subcommand)]
        action: migrate::Action,
    },
    /// Write all that is one user's as JSON Lines.
    #[command(
        after_help = "Examples:\n  banter export ann@mail.example --out ann.jsonl\n  banter export 17 | gzip > 17.jsonl.gz"
    )]
    Export {
        /// Number or e-mail address.
        user: String,
        /// The file to make; standard output without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Where the embedded store is.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Store an export as a new user. Run again after an interruption, it goes on where it was.
    #[command(after_help = "Example:\n  banter import ann.jsonl")]
    Import {
        /// A file of `banter export`.
        file: PathBuf,
        /// Where the embedded store is.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Remove a user with all that is theirs. Run again after an interruption, it goes on where it was.
    #[command(after_help = "Examples:\n  banter delete ann@mail.example\n  banter delete --unfinished")]
    Delete {
        /// Number or e-mail address.
        #[arg(required_unless_present = "unfinished", conflicts_with = "unfinished")]
        user: Option<String>,
        /// End all deletions that were interrupted.
        #[arg(long)]
        unfinished: bool,
        /// Where the embedded store is.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Print the JSON Schemas of a bot's files, for editors.
    #[command(after_help = "Examples:\n  banter schema intent > intent.schema.json\n  banter schema --out .schemas")]
    Schema {
        /// Which file: bot, intent, texts or fixture; all of them without it.
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
        Command::Replay { options, bot, data_dir } => {
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            replay::run(&config, &options)
        }
        Command::Record { source } => {
            let (bot, data_dir) = source.folders();
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            record::run(&config, &source)
        }
        Command::Plugin { action } => {
            let plugin::PlaceArgs { bot, data_dir } = action.place().clone();
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            plugin::run(&config, &action)
        }
        Command::Reload { arguments, bot, data_dir } => {
            let (config, _) = load(&file, Overrides { bot, data_dir, ..Overrides::default() })?;
            release::reload(&config, &arguments)
        }
        Command::Versions { server, limit, data_dir } => release::versions(&load_for(&file, data_dir)?, &server, limit),
        Command::Diff { from, to, server, data_dir } => release::diff(&load_for(&file, data_dir)?, &server, &from, &to),
        Command::Rollback { version, change, data_dir } => {
            release::roll_back(&load_for(&file, data_dir)?, &change, version.as_deref())
        }
        Command::Promote { change, data_dir } => release::promote(&load_for(&file, data_dir)?, &change),
        Command::Fleet { server, data_dir } => release::fleet(&load_for(&file, data_dir)?, &server),
        Command::Admin { action, data_dir } => admin::run(&load_for(&file, data_dir)?, &action),
        Command::Migrate { action } => migrate::run(&load(&file, Overrides::default())?.0, &action),
        Command::Export { user, out, data_dir } => {
            let (config, _) = load(&file, Overrides { data_dir, ..Overrides::default() })?;
            user::export(&config, &user, out.as_deref())
        }
        Command::Import { file: export, data_dir } => {
            let (config, _) = load(&file, Overrides { data_dir, ..Overrides::default() })?;
            user::import(&config, &export)
        }
        Command::Delete { user, unfinished: _, data_dir } => {
            let (config, _) = load(&file, Overrides { data_dir, ..Overrides::default() })?;
            user::delete(&config, user.as_deref())
        }
        Command::New { name } => new::run(&name),
        Command::Schema { kind, out } => schema::run(kind, out.as_deref()),
    }
}

/// The configuration, with the data folder of the command line.
fn load_for(file: &Path, data_dir: Option<PathBuf>) -> Result<Config, Failure> {
    Ok(load(file, Overrides { data_dir, ..Overrides::default() })?.0)
}

fn load(file: &Path, overrides: Overrides) -> Result<(Config, Rules), Failure> {
    if file != Path::new("Rocket.toml") && !file.is_file() {
        return Err(Failure::usage(
            format!("there is no configuration file {}", file.display()),
            "name one with --config",
        ));
    }
    Ok(Config::load(file, &overrides)?)
}

/// Prints a line. A reader that has gone away (`| head`) is no fault of ours.
fn print(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Whether errors may be coloured.
pub(crate) fn colour() -> bool {
    colours(&io::stderr())
}

/// Whether what is written there may be coloured.
fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The asynchronous part of a command.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime(0)?.block_on(work)
}

/// With so many threads for tasks; 0 is one a core.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    let workers = if workers == 0 { cores() } else { workers };
    let made = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    made.map_err(|error| Failure::usage(format!("no runtime: {error}"), "check the limits of this process"))
}
