//! `banter plugin`: creates, builds, checks and runs plugins.

pub mod calls;

use std::{path::PathBuf, time::Instant};

use clap::{Args, Subcommand};

use super::print;
use crate::{
    failure::Failure,
    progress::Spinner,
    workshop::{self, PluginLanguage, build, template},
};
use banter_server::config::Config;
use calls::{CallArgs, call_once, check};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginAction {
    /// Create the sources of a working starter plugin.
    #[command(
        after_help = "Example:\n  banter plugin new --lang rust tax && banter plugin build tax && banter plugin run tax --text hello"
    )]
    New {
        /// The language of the plugin.
        #[arg(long, value_enum)]
        lang: PluginLanguage,
        /// The name of the plugin: a lower-case letter, then lower-case letters, digits, `-` and `_`.
        name: String,
        /// The bot and the data folder.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Compile plugins, and fetch the tools of their languages when needed.
    #[command(after_help = "Examples:\n  banter plugin build\n  banter plugin build tax")]
    Build {
        /// The plugin to build; the default is every plugin with sources.
        name: Option<String>,
        /// Skip plugins that cannot be built on this machine.
        #[arg(long)]
        available: bool,
        /// The bot and the data folder.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Check a compiled plugin: contract, imports and grants, size, limits, and one timed test call.
    #[command(after_help = "Examples:\n  banter plugin check tax\n  banter plugin check tax --json | jq .call")]
    Check {
        /// The name of the plugin.
        name: String,
        /// The input of the call.
        #[command(flatten)]
        call: CallArgs,
        /// Print one JSON object to standard output.
        #[arg(long)]
        json: bool,
        /// The bot and the data folder.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Call a plugin once and print its reply.
    #[command(
        after_help = "Examples:\n  banter plugin run tax --text 'how much is the tax'\n  banter plugin run tax --text x --slot city=Kazan --arguments '{\"price\": 100}'"
    )]
    Run {
        /// The name of the plugin.
        name: String,
        /// The input of the call.
        #[command(flatten)]
        call: CallArgs,
        /// Print one JSON object to standard output.
        #[arg(long)]
        json: bool,
        /// The bot and the data folder.
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// The bot whose plugins are meant, and the folder of compiled code.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The bot's folder.
    #[arg(long, value_name = "DIR")]
    pub bot: Option<PathBuf>,
    /// The folder for compiled code.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl PluginAction {
    pub fn place(&self) -> &PlaceArgs {
        match self {
            Self::New { place, .. }
            | Self::Build { place, .. }
            | Self::Check { place, .. }
            | Self::Run { place, .. } => place,
        }
    }
}

pub fn run(config: &Config, action: &PluginAction) -> Result<u8, Failure> {
    match action {
        PluginAction::New { lang, name, .. } => new(config, *lang, name),
        PluginAction::Build { name, available, .. } => build_all(config, name.as_deref(), *available),
        PluginAction::Check { name, call, json, .. } => check(config, name, call, *json),
        PluginAction::Run { name, call, json, .. } => call_once(config, name, call, *json),
    }
}

fn new(config: &Config, language: PluginLanguage, name: &str) -> Result<u8, Failure> {
    if !workshop::is_name(name) {
        return Err(Failure::usage(
            format!("\"{name}\" is not a valid plugin name"),
            "start with a lower-case letter, then use lower-case letters, digits, `-` and `_`, such as tax_rates",
        ));
    }
    if !config.bot.join("bot.yaml").is_file() {
        return Err(Failure::usage(
            format!("{} does not contain a bot", config.bot.display()),
            "choose a bot with --bot DIR, or create one with `banter new <name>`",
        ));
    }
    let plugins = workshop::plugins_of(&config.bot);
    let folder = plugins.join(name);
    if folder.exists() {
        return Err(Failure::usage(
            format!("{} already exists", folder.display()),
            "choose another name, or remove what is there",
        ));
    }
    template::write(&plugins, name, language).map_err(|error| {
        Failure::usage(
            format!("{} cannot be written: {error}", folder.display()),
            "choose a folder that you can write to",
        )
    })?;
    let bot = if config.bot.as_os_str() == "." { String::new() } else { format!(" --bot {}", config.bot.display()) };
    print(format!(
        "created {}; next:\n  banter plugin build {name}{bot}\n  banter plugin run {name}{bot} --text hello\nthen add it to bot.yaml and to an intent:\n  plugins:\n    {name}: {{ file: plugins/{name}.wasm }}\n  handler: {{ plugin: {name} }}",
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
            format!("{} contains no sources for a plugin `{name}`", workshop::plugins_of(&config.bot).display()),
            banter_engine::diagnostic::did_you_mean(name, known)
                .map_or(format!("create them with `banter plugin new --lang rust {name}`"), |meant| {
                    format!("did you mean `{meant}`?")
                }),
        ));
    }
    let width = wanted.iter().map(|source| source.name.len()).max().unwrap_or(0);
    for source in wanted {
        let tell = |what: String| print(format!("{:<width$}  {:<6}  {what}", source.name, source.language.name()));
        if available && let Some(missing) = build::missing_tool(source) {
            tell(format!("skipped: {}", missing.message));
            continue;
        }
        let begun = Instant::now();
        let spinner = Spinner::new(format!("building {}", source.name));
        let built = build::build(&config.bot, source, &config.plugins.tools);
        drop(spinner);
        let built = match built {
            Ok(built) => built,
            // A plugin that cannot be fetched or compiled here is reported, and the others are still built.
            Err(failure) if available => {
                tell(format!("skipped: {}", failure.message.lines().next().unwrap_or_default()));
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
