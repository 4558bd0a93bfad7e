//! `banter plugin`: make, build, check and try plugins.

pub mod calls;

use std::{path::PathBuf, time::Instant};

use clap::{Args, Subcommand};

use super::print;
use crate::{
    failure::Failure,
    progress::Spinner,
    workshop::{self, Language, build, template},
};
use banter_server::config::Config;
use calls::{CallArgs, call_once, check};

/// What is wanted of plugins.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make the sources of a plugin that works.
    #[command(
        after_help = "Example:\n  banter plugin new --lang rust tax && banter plugin build tax && banter plugin run tax --text hello"
    )]
    New {
        /// The language.
        #[arg(long, value_enum)]
        lang: Language,
        /// Its name: lower-case letters, digits, `-` and `_`.
        name: String,
        /// Whose.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Compile plugins; their languages' tools are fetched when they are needed.
    #[command(after_help = "Examples:\n  banter plugin build\n  banter plugin build tax")]
    Build {
        /// Which one; all that have sources without it.
        name: Option<String>,
        /// Pass over plugins whose language is not there on this machine.
        #[arg(long)]
        available: bool,
        /// Whose.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Look a component over: contract, imports against grants, size, limits, and a call that is timed.
    #[command(after_help = "Examples:\n  banter plugin check tax\n  banter plugin check tax --json | jq .call")]
    Check {
        /// Which one.
        name: String,
        /// What it is told.
        #[command(flatten)]
        call: CallArgs,
        /// One JSON object on standard output.
        #[arg(long)]
        json: bool,
        /// Whose.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Call a plugin once and print what it replies.
    #[command(
        after_help = "Examples:\n  banter plugin run tax --text 'how much is the tax'\n  banter plugin run tax --text x --slot city=Kazan --arguments '{\"price\": 100}'"
    )]
    Run {
        /// Which one.
        name: String,
        /// What it is told.
        #[command(flatten)]
        call: CallArgs,
        /// One JSON object on standard output.
        #[arg(long)]
        json: bool,
        /// Whose.
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Whose plugins, and where compiled code is kept.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The bot's folder.
    #[arg(long, value_name = "DIR")]
    pub bot: Option<PathBuf>,
    /// Where compiled code is kept.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Action {
    /// Whose plugins.
    pub fn place(&self) -> &PlaceArgs {
        match self {
            Self::New { place, .. }
            | Self::Build { place, .. }
            | Self::Check { place, .. }
            | Self::Run { place, .. } => place,
        }
    }
}

/// Does it.
pub fn run(config: &Config, action: &Action) -> Result<u8, Failure> {
    match action {
        Action::New { lang, name, .. } => new(config, *lang, name),
        Action::Build { name, available, .. } => build_all(config, name.as_deref(), *available),
        Action::Check { name, call, json, .. } => check(config, name, call, *json),
        Action::Run { name, call, json, .. } => call_once(config, name, call, *json),
    }
}

fn new(config: &Config, language: Language, name: &str) -> Result<u8, Failure> {
    if !workshop::is_name(name) {
        return Err(Failure::usage(
            format!("\"{name}\" is no name for a plugin"),
            "use lower-case letters, digits, `-` and `_`, a letter first, such as tax_rates",
        ));
    }
    if !config.bot.join("bot.yaml").is_file() {
        return Err(Failure::usage(
            format!("{} holds no bot", config.bot.display()),
            "name one with --bot DIR, or make one with `banter new <name>`",
        ));
    }
    let plugins = workshop::plugins_of(&config.bot);
    let folder = plugins.join(name);
    if folder.exists() {
        return Err(Failure::usage(
            format!("{} exists already", folder.display()),
            "choose another name, or remove it",
        ));
    }
    template::write(&plugins, name, language).map_err(|error| {
        Failure::usage(
            format!("{} cannot be written: {error}", folder.display()),
            "choose a folder that you may write to",
        )
    })?;
    let bot = if config.bot.as_os_str() == "." { String::new() } else { format!(" --bot {}", config.bot.display()) };
    print(format!(
        "made {}; next:\n  banter plugin build {name}{bot}\n  banter plugin run {name}{bot} --text hello\nthen name it in bot.yaml and in an intent:\n  plugins:\n    {name}: {{ file: plugins/{name}.wasm }}\n  handler: {{ plugin: {name} }}",
        folder.display()
    ));
    Ok(0)
}

fn build_all(config: &Config, name: Option<&str>, available: bool) -> Result<u8, Failure> {
    let all = build::sources(&config.bot)?;
    let wanted: Vec<_> = all.iter().filter(|source| name.is_none_or(|name| source.name == name)).collect();
    if let (Some(name), true) = (name, wanted.is_empty()) {
        let known = all.iter().map(|source| source.name.as_str());
        return Err(Failure::usage(
            format!("{} has no sources of a plugin `{name}`", workshop::plugins_of(&config.bot).display()),
            banter_engine::catalogue::fault::did_you_mean(name, known)
                .map_or(format!("make them with `banter plugin new --lang rust {name}`"), |meant| {
                    format!("did you mean `{meant}`?")
                }),
        ));
    }
    let width = wanted.iter().map(|source| source.name.len()).max().unwrap_or(0);
    for source in wanted {
        let tell = |what: String| print(format!("{:<width$}  {:<6}  {what}", source.name, source.language.name()));
        if available && let Some(missing) = build::missing_tool(source) {
            tell(format!("passed over: {}", missing.message));
            continue;
        }
        let begun = Instant::now();
        let spinner = Spinner::new(format!("building {}", source.name));
        let built = build::build(&config.bot, source, &config.plugins.tools);
        drop(spinner);
        let built = match built {
            Ok(built) => built,
            // What cannot be fetched or compiled here is told, and the rest goes on.
            Err(failure) if available => {
                tell(format!("passed over: {}", failure.message.lines().next().unwrap_or_default()));
                eprintln!("{failure}");
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let size = kib(built.bytes);
        tell(match built.fresh {
            true => format!("{} ({size}), {:.1} s", built.path.display(), begun.elapsed().as_secs_f64()),
            false => format!("{} ({size}), up to date", built.path.display()),
        });
    }
    Ok(0)
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}
