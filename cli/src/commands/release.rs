//! `banter reload`, `versions`, `diff`, `rollback`, `promote` and `fleet`: manage the bot's versions on running
//! servers.

mod client;
pub(crate) mod show;

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use banter_engine::{catalogue::diff::CatalogueDiff, diagnostic::Diagnostics};
use clap::Args;
use serde_json::{Value, json};

use super::{block_on, colour, print};
use crate::{
    failure::{CHECK_FAILED, Failure},
    progress::{Spinner, StepBar},
};
use banter_server::{
    catalogs::{
        archive,
        terms::{Fleet, Published, Versions},
        timestamp,
        watch::Watch,
    },
    config::Config,
};
use banter_stores::catalog::Activation;
use client::Client;

/// The pause between two polls of the fleet.
const LOOK: Duration = Duration::from_millis(200);

/// A server and its admin key.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// The URL of a server; the default is the address in the configuration.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with the admin key, or `-` for standard input; the default is admin.key (BANTER_ADMIN__KEY), then the key
    /// of the local server.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

/// Options of a change to what is in use.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Refuse the change unless this generation (see `banter fleet`) is still in use.
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
}

#[derive(Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Only show what would change, and which messages would get different answers.
    #[arg(long, conflicts_with_all = ["canary", "wait", "watch"])]
    dry_run: bool,
    /// Publish as a canary to this percentage of users; end it with `banter promote` or `banter rollback`.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    canary: Option<u8>,
    /// Wait until all servers run the new version.
    #[arg(long)]
    wait: bool,
    /// How long to wait for the servers, in seconds.
    #[arg(long, default_value_t = 60, requires = "wait")]
    timeout: u64,
    /// The reason for the change, shown by `banter versions`.
    #[arg(long, short, default_value = "", hide_default_value = true)]
    message: String,
    /// Reload whenever a file changes.
    #[arg(long)]
    watch: bool,
}

/// Publishes the bot's folder.
pub(super) fn reload(config: &Config, arguments: &ReloadArgs) -> Result<u8, Failure> {
    let client = client(config, &arguments.change)?;
    if arguments.watch && arguments.change.generation.is_some() {
        let message = "--generation applies to one change, but --watch makes many";
        return Err(Failure::usage(message, "use only one of them"));
    }
    if !arguments.watch {
        return reload_once(config, &client, arguments);
    }
    block_on(async {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("cannot watch the bot's folder: {error}"), "reload without --watch")
        };
        let mut watch = Watch::begin(&config.bot, &[]).map_err(|error| failed(&error))?;
        loop {
            let result = tokio::task::block_in_place(|| reload_once(config, &client, arguments));
            if let Err(failure) = result {
                eprintln!("{failure}");
            }
            print("waiting for a change; stop with Ctrl-C");
            watch.change().await.ok_or_else(|| failed(&"the watch has ended"))?;
        }
    })
}

fn reload_once(config: &Config, client: &Client, arguments: &ReloadArgs) -> Result<u8, Failure> {
    let mut diagnostics = Diagnostics::default();
    let bundle = banter_server::catalogs::read(&config.bot, &mut diagnostics)?;
    if diagnostics.has_errors() {
        eprint!("{}", diagnostics.render(colour()));
        return Err(Failure::check(
            format!("the bot in {} has errors", config.bot.display()),
            "fix the errors above and try again",
        ));
    }
    let tar = archive::write(&bundle)
        .map_err(|error| Failure::usage(format!("cannot pack the bot: {error}"), "shorten the paths of its files"))?;
    let mut query = format!("message={}&dry_run={}", encode(&arguments.message), arguments.dry_run);
    if let Some(percent) = arguments.canary {
        query.push_str(&format!("&canary={percent}"));
    }
    let bar = StepBar::default();
    let published = client.publish(&query, &tar, &|step| bar.show(step));
    drop(bar);
    let published = published?;
    if !arguments.change.server.json {
        tell(&published, arguments);
    } else if !arguments.wait {
        print(json!(published));
    }
    if arguments.wait {
        return wait(client, &published, arguments);
    }
    if arguments.canary.is_some() && !arguments.change.server.json {
        print(show::fleet(&client.get::<Fleet>("/admin/fleet")?).trim_end());
    }
    Ok(0)
}

fn tell(published: &Published, arguments: &ReloadArgs) {
    let warnings = show::warnings(&published.report);
    if !warnings.is_empty() && (arguments.dry_run || arguments.canary.is_some()) {
        print(warnings.trim_end());
    }
    let skipped = show::skipped(&published.report);
    if !skipped.is_empty() {
        print(skipped.trim_end());
    }
    if arguments.dry_run {
        print(show::diff(&published.diff).trim_end());
        if let Some(forecast) = &published.forecast {
            print(show::forecast(forecast).trim_end());
        }
        print(format!("{} would pass; nothing has changed", show::short(&published.version)));
    } else if !published.activated {
        print(format!("{} is already in use", show::short(&published.version)));
    } else if let Some(percent) = arguments.canary {
        print(format!(
            "{} is the canary for {percent}% of users: {}",
            show::short(&published.version),
            show::summary(&published.diff)
        ));
    } else {
        print(show::published(published));
    }
}

/// Waits until all live servers run the activation, or until the timeout.
fn wait(client: &Client, published: &Published, arguments: &ReloadArgs) -> Result<u8, Failure> {
    let end = Instant::now() + Duration::from_secs(arguments.timeout);
    let spinner = Spinner::new("waiting for all servers".to_owned());
    let wanted = published.version.as_str();
    let runs = |fleet: &Fleet| {
        fleet.activation.as_ref().is_some_and(|active| {
            active.version == wanted || active.canary.as_ref().is_some_and(|canary| canary.version == wanted)
        })
    };
    let fleet = loop {
        let fleet: Fleet = client.get("/admin/fleet")?;
        let there = fleet.activation.as_ref().is_some_and(|active| active.generation >= published.generation);
        if (fleet.converged && there) || Instant::now() >= end {
            break fleet;
        }
        sleep(LOOK);
    };
    drop(spinner);
    if arguments.change.server.json {
        print(json!({ "published": published, "fleet": fleet }));
    } else {
        print(show::fleet(&fleet).trim_end());
    }
    if !runs(&fleet) {
        return Err(Failure::check(
            "another version was published in the meantime",
            "`banter versions` shows who published it",
        ));
    }
    if fleet.converged { Ok(0) } else { Ok(CHECK_FAILED) }
}

/// Lists versions, newest first.
pub(super) fn versions(config: &Config, arguments: &ServerArgs, limit: u32) -> Result<u8, Failure> {
    let list: Versions = reader(config, arguments)?.get(&format!("/admin/versions?limit={limit}"))?;
    if arguments.json {
        print(json!(list));
        return Ok(0);
    }
    let width = list.versions.iter().map(|version| version.author.chars().count()).max().unwrap_or(0);
    for version in &list.versions {
        let mark = if version.active { "*" } else { " " };
        let time = timestamp(version.created_at).strftime("%Y-%m-%d %H:%M:%S");
        print(format!(
            "{mark} {}  {time}  {:<width$}  {}",
            show::short(&version.id),
            show::harmless(&version.author),
            show::harmless(&version.message)
        ));
    }
    Ok(0)
}

/// Prints the differences between two versions.
pub(super) fn diff(config: &Config, arguments: &ServerArgs, from: &str, to: &str) -> Result<u8, Failure> {
    let query = format!("/admin/diff?from={}&to={}", encode(from), encode(to));
    let diff: CatalogueDiff = reader(config, arguments)?.get(&query)?;
    if arguments.json {
        print(json!(diff))
    } else {
        print(show::diff(&diff).trim_end())
    }
    Ok(0)
}

pub(super) fn roll_back(config: &Config, arguments: &ChangeArgs, version: Option<&str>) -> Result<u8, Failure> {
    point(config, arguments, "/admin/rollback", &json!({ "version": version }))
}

pub(super) fn promote(config: &Config, arguments: &ChangeArgs) -> Result<u8, Failure> {
    point(config, arguments, "/admin/promote", &json!({}))
}

fn point(config: &Config, arguments: &ChangeArgs, path: &str, body: &Value) -> Result<u8, Failure> {
    let activation: Activation = client(config, arguments)?.post(path, body)?;
    if arguments.server.json {
        print(json!(activation));
    } else {
        print(format!("{} is in use (generation {})", show::short(&activation.version), activation.generation));
    }
    Ok(0)
}

/// Prints which version each server runs.
pub(super) fn fleet(config: &Config, arguments: &ServerArgs) -> Result<u8, Failure> {
    let fleet: Fleet = reader(config, arguments)?.get("/admin/fleet")?;
    if arguments.json {
        print(json!(fleet))
    } else {
        print(show::fleet(&fleet).trim_end())
    }
    Ok(if fleet.converged { 0 } else { CHECK_FAILED })
}

fn reader(config: &Config, arguments: &ServerArgs) -> Result<Client, Failure> {
    Ok(Client::new(config, arguments.server.as_deref(), arguments.key_file.as_deref(), None)?
        .telling_json(arguments.json))
}

fn client(config: &Config, arguments: &ChangeArgs) -> Result<Client, Failure> {
    let server = &arguments.server;
    let client = Client::new(config, server.server.as_deref(), server.key_file.as_deref(), arguments.generation)?;
    Ok(client.telling_json(server.json))
}

/// Percent-encodes a query value (RFC 3986, section 2.1).
fn encode(text: &str) -> String {
    banter_server::config::percent_encode(text)
}
