//! The command line. Exit codes: 0 success, 1 a check failed, 2 wrong use or a failed start.

pub mod admin;
pub mod chat;
pub mod check;
pub mod graph;
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
    sync::OnceLock,
};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::failure::Failure;
use banter_server::config::{Config, Overrides, Rules, cores};

/// A chatbot engine that finds intents by meaning and replies with scripts.
#[derive(Debug, Parser)]
#[command(name = "banter", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The configuration file; the default is Rocket.toml, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a bot over HTTP.
    #[command(after_help = "Example:\n  banter serve --bot shop --port 8000")]
    Serve {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// The folder for everything that the server writes.
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
        /// The folder for cached embeddings and the input history.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Print one JSON object per turn.
        #[arg(long)]
        json: bool,
    },
    /// Report all errors and warnings in a bot's files.
    #[command(after_help = "Examples:\n  banter check --bot shop\n  banter check --json | jq .faults")]
    Check {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// The folder for cached embeddings.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Print one JSON object to standard output.
        #[arg(long)]
        json: bool,
        /// Skip the checks that need the embedding model.
        #[arg(long)]
        no_model: bool,
        /// Fail on warnings too.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Play conversation fixtures and report differences.
    #[command(
        after_help = "Examples:\n  banter replay\n  banter replay fixtures/orders --junit report.xml\n  banter replay --url http://127.0.0.1:8000\n  banter replay --mutate 200"
    )]
    Replay {
        #[command(flatten)]
        options: Box<replay::ReplayOptions>,
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// The folder for cached embeddings.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Turn real conversations into fixtures.
    Record {
        #[command(subcommand)]
        source: record::RecordSource,
    },
    /// Create a starter bot.
    #[command(after_help = "Example:\n  banter new shop && banter chat --bot shop")]
    New {
        /// The folder to create.
        name: PathBuf,
    },
    /// Create, build, check and run WebAssembly plugins.
    Plugin {
        #[command(subcommand)]
        action: plugin::PluginAction,
    },
    /// Publish the bot's folder to running servers, if it passes its checks and fixtures.
    #[command(
        after_help = "Examples:\n  banter reload --dry-run\n  banter reload --wait -m 'new opening hours'\n  banter reload --canary 10 --server https://bot.example"
    )]
    Reload {
        #[command(flatten)]
        arguments: Box<release::ReloadArgs>,
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// List the versions of the bot, newest first.
    #[command(after_help = "Example:\n  banter versions --limit 5")]
    Versions {
        #[command(flatten)]
        server: release::ServerArgs,
        /// The maximum number of versions to list.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Show the differences between two versions.
    #[command(after_help = "Example:\n  banter diff 1f0c 9ab2")]
    Diff {
        /// The first digits of the old version.
        from: String,
        /// The first digits of the new version.
        to: String,
        #[command(flatten)]
        server: release::ServerArgs,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Roll back to a version. Without VERSION, end the canary; without a canary, return to the previous version.
    #[command(after_help = "Examples:\n  banter rollback\n  banter rollback 1f0c")]
    Rollback {
        /// The first digits of a version.
        version: Option<String>,
        #[command(flatten)]
        change: release::ChangeArgs,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Publish the canary to all users.
    #[command(after_help = "Example:\n  banter promote")]
    Promote {
        #[command(flatten)]
        change: release::ChangeArgs,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Show which version each server runs. The exit code is 1 while a server is behind.
    #[command(after_help = "Example:\n  banter fleet --json | jq .converged")]
    Fleet {
        #[command(flatten)]
        server: release::ServerArgs,
        /// The data folder of the local server; its admin key is read from there.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Grant or revoke a user's right to change the bot.
    Admin {
        #[command(subcommand)]
        action: admin::AdminAction,
        /// The folder of the embedded store.
        #[arg(long, value_name = "DIR", global = true)]
        data_dir: Option<PathBuf>,
    },
    /// Mark an e-mail address as verified, so that a Google account with this address joins its user.
    #[command(after_help = "Example:\n  banter verify ann@mail.example")]
    Verify {
        /// The e-mail address of a user with a password.
        email: String,
        /// The folder of the embedded store.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Show or apply the PostgreSQL migrations.
    Migrate {
        #[command(subcommand)]
        action: migrate::MigrateAction,
    },
    /// Export all data of one user as JSON Lines.
    #[command(
        after_help = "Examples:\n  banter export ann@mail.example --out ann.jsonl\n  banter export 17 | gzip > 17.jsonl.gz"
    )]
    Export {
        /// User number or e-mail address.
        user: String,
        /// The file to create; the default is standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The folder of the embedded store.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Import an export as a new user. After an interruption, run it again to resume.
    #[command(after_help = "Example:\n  banter import ann.jsonl")]
    Import {
        /// A file written by `banter export`.
        file: PathBuf,
        /// The folder of the embedded store.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Delete a user and all their data. After an interruption, run it again to resume.
    #[command(after_help = "Examples:\n  banter delete ann@mail.example\n  banter delete --unfinished")]
    Delete {
        /// User number or e-mail address.
        #[arg(required_unless_present = "unfinished", conflicts_with = "unfinished")]
        user: Option<String>,
        /// Finish all interrupted deletions.
        #[arg(long)]
        unfinished: bool,
        /// The folder of the embedded store.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Draw a bot's intents, forms, contexts and jumps.
    #[command(after_help = "Examples:\n  banter graph > bot.mmd\n  banter graph --format svg > bot.svg")]
    Graph {
        /// The bot's folder.
        #[arg(long, value_name = "DIR")]
        bot: Option<PathBuf>,
        /// How it is written.
        #[arg(long, value_enum, default_value = "mermaid")]
        format: graph::GraphFormat,
    },
    /// Print the JSON Schemas of a bot's files, for editors.
    #[command(after_help = "Examples:\n  banter schema intent > intent.schema.json\n  banter schema --out .schemas")]
    Schema {
        /// The kind of file: bot, intent, texts or fixture; the default is all.
        kind: Option<schema::SchemaKind>,
        /// Write each schema to a file in this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Runs a command and returns the exit code of the process.
///
/// # Errors
/// The message and the hint for the user.
pub fn run(arguments: Arguments) -> Result<u8, Failure> {
    let file = arguments.config.as_deref();
    match arguments.command {
        Command::Serve { bot, data_dir, address, port } => {
            let (config, rules) = load(file, Overrides { bot, data_dir, address, port })?;
            serve::run(&config, rules)
        }
        Command::Chat { bot, data_dir, json } => {
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            chat::run(&config, json)
        }
        Command::Check { bot, data_dir, json, no_model, deny_warnings } => {
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            check::run(&config, &check::CheckOptions { json, no_model, deny_warnings })
        }
        Command::Replay { options, bot, data_dir } => {
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            replay::run(&config, &options)
        }
        Command::Record { source } => {
            let (bot, data_dir) = source.folders();
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            record::run(&config, &source)
        }
        Command::Plugin { action } => {
            let plugin::PlaceArgs { bot, data_dir } = action.place().clone();
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            plugin::run(&config, &action)
        }
        Command::Reload { arguments, bot, data_dir } => {
            let (config, _) = load(file, Overrides { bot, data_dir, ..Overrides::default() })?;
            release::reload(&config, &arguments)
        }
        Command::Versions { server, limit, data_dir } => release::versions(&load_for(file, data_dir)?, &server, limit),
        Command::Diff { from, to, server, data_dir } => release::diff(&load_for(file, data_dir)?, &server, &from, &to),
        Command::Rollback { version, change, data_dir } => {
            release::roll_back(&load_for(file, data_dir)?, &change, version.as_deref())
        }
        Command::Promote { change, data_dir } => release::promote(&load_for(file, data_dir)?, &change),
        Command::Fleet { server, data_dir } => release::fleet(&load_for(file, data_dir)?, &server),
        Command::Admin { action, data_dir } => admin::run(&load_for(file, data_dir)?, &action),
        Command::Verify { email, data_dir } => user::verify(&load_for(file, data_dir)?, &email),
        Command::Migrate { action } => migrate::run(&load(file, Overrides::default())?.0, &action),
        Command::Export { user, out, data_dir } => {
            let config = load_for(file, data_dir)?;
            user::export(&config, &user, out.as_deref())
        }
        Command::Import { file: export, data_dir } => {
            let config = load_for(file, data_dir)?;
            user::import(&config, &export)
        }
        Command::Delete { user, unfinished: _, data_dir } => {
            let config = load_for(file, data_dir)?;
            user::delete(&config, user.as_deref())
        }
        Command::New { name } => new::run(&name),
        Command::Graph { bot, format } => graph::run(&load(file, Overrides { bot, ..Overrides::default() })?.0, format),
        Command::Schema { kind, out } => schema::run(kind, out.as_deref()),
    }
}

/// The configuration, with the data folder given on the command line.
fn load_for(file: Option<&Path>, data_dir: Option<PathBuf>) -> Result<Config, Failure> {
    Ok(load(file, Overrides { data_dir, ..Overrides::default() })?.0)
}

fn load(file: Option<&Path>, overrides: Overrides) -> Result<(Config, Rules), Failure> {
    let usual = Path::new("Rocket.toml");
    let file = file.or_else(|| usual.exists().then_some(usual));
    if let Some(absent) = file.filter(|file| !file.is_file()) {
        return Err(Failure::usage(
            format!("the configuration file {} does not exist", absent.display()),
            "pass an existing file with --config",
        ));
    }
    Ok(Config::load(file, &overrides)?)
}

/// Why a line could not be printed, if one was lost.
static LOST: OnceLock<String> = OnceLock::new();

/// Prints a line. A closed pipe (`| head`) is not an error; for others, the command ends with a failure, see
/// [`lost_output`].
fn print(text: impl Display) {
    let Err(error) = writeln!(io::stdout(), "{text}") else { return };
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = LOST.set(error.to_string());
    }
}

/// The failure of a command whose output is incomplete, as on a full disk.
pub fn lost_output() -> Option<Failure> {
    let flushed = io::stdout().flush().err().filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
    let reason = LOST.get().cloned().or_else(|| flushed.map(|error| error.to_string()))?;
    Some(Failure::usage(
        format!("cannot write to standard output: {reason}"),
        "the output is incomplete; free some space and run the command again",
    ))
}

/// Whether errors may be coloured.
pub(crate) fn colour() -> bool {
    colours(&io::stderr())
}

/// Whether output to this stream may be coloured.
fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Runs the asynchronous part of a command.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime(0)?.block_on(work)
}

/// A runtime with this many worker threads; 0 means one per core.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    let workers = if workers == 0 { cores() } else { workers };
    let made = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    made.map_err(|error| {
        Failure::usage(format!("cannot start the runtime: {error}"), "check the process limits with `ulimit -a`")
    })
}
