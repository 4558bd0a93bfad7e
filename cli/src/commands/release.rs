//! `banter reload`, `versions`, `diff`, `rollback`, `promote` and `fleet`: new versions of the bot on running servers.

mod client;
pub(crate) mod show;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use banter_engine::catalogue::{diff::CatalogueDiff, fault::Faults};
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
        watch::Watch,
    },
    config::Config,
};
use banter_stores::{Millis, catalog::Activation};
use client::Client;

/// Between two looks at the fleet.
const LOOK: Duration = Duration::from_millis(200);

/// Which server, and the key to it.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// One of the servers; that of the configuration without it.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The admin key; without it that of the configuration (BANTER_ADMIN__KEY), or of this machine's server.
    #[arg(long)]
    key: Option<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// A change that is meant for what is in use now.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Only if this generation is still in use, as `banter fleet` tells it; another admin may have been faster.
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
}

/// How to reload.
#[derive(Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Only tell what would change, and which messages would be answered otherwise.
    #[arg(long, conflicts_with_all = ["canary", "wait", "watch"])]
    dry_run: bool,
    /// Give it to so many users in a hundred; `banter promote` or `banter rollback` ends that.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    canary: Option<u8>,
    /// Wait until all servers run it.
    #[arg(long)]
    wait: bool,
    /// Seconds to wait for them.
    #[arg(long, default_value_t = 60, requires = "wait")]
    timeout: u64,
    /// Why, for `banter versions`.
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
        let message = "--generation is for one change, and --watch makes many";
        return Err(Failure::usage(message, "leave one of them out"));
    }
    if !arguments.watch {
        return reload_once(config, &client, arguments);
    }
    block_on(async {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("the bot's folder cannot be watched: {error}"), "reload without --watch")
        };
        let mut watch = Watch::begin(&config.bot, &[]).map_err(|error| failed(&error))?;
        loop {
            let result = tokio::task::block_in_place(|| reload_once(config, &client, arguments));
            if let Err(failure) = result {
                eprintln!("{failure}");
            }
            print("waiting for a change; Ctrl-C ends it");
            watch.change().await.ok_or_else(|| failed(&"the watch has ended"))?;
        }
    })
}

fn reload_once(config: &Config, client: &Client, arguments: &ReloadArgs) -> Result<u8, Failure> {
    let mut faults = Faults::default();
    let bundle = banter_server::catalogs::read(&config.bot, &mut faults)?;
    if faults.has_errors() {
        eprint!("{}", faults.render(colour()));
        return Err(Failure::check(
            format!("the bot in {} has errors", config.bot.display()),
            "mend them and try again",
        ));
    }
    let tar = archive::write(&bundle).map_err(|error| {
        Failure::usage(format!("the bot cannot be packed: {error}"), "shorten the paths of its files")
    })?;
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
    if arguments.dry_run {
        print(show::diff(&published.diff).trim_end());
        if let Some(forecast) = &published.forecast {
            print(show::forecast(forecast).trim_end());
        }
        print(format!("{} would pass; nothing has changed", show::short(&published.version)));
    } else if !published.activated {
        print(format!("{} is in use already", show::short(&published.version)));
    } else if let Some(percent) = arguments.canary {
        print(format!(
            "{} is given to {percent} % of the users: {}",
            show::short(&published.version),
            show::summary(&published.diff)
        ));
    } else {
        print(show::published(published));
    }
}

/// Until all servers that are alive run the activation, or time is up.
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
            "another version was put into use meanwhile",
            "`banter versions` tells whose it is",
        ));
    }
    if fleet.converged { Ok(0) } else { Ok(CHECK_FAILED) }
}

/// Lists versions, the newest first.
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

/// Tells what is different between two versions.
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

/// Goes back.
pub(super) fn roll_back(config: &Config, arguments: &ChangeArgs, version: Option<&str>) -> Result<u8, Failure> {
    point(config, arguments, "/admin/rollback", &json!({ "version": version }))
}

/// Gives the canary to all.
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

/// Tells which servers run what.
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
    Ok(Client::new(config, arguments.server.as_deref(), arguments.key.as_deref(), None)?.telling_json(arguments.json))
}

fn client(config: &Config, arguments: &ChangeArgs) -> Result<Client, Failure> {
    let server = &arguments.server;
    let client = Client::new(config, server.server.as_deref(), server.key.as_deref(), arguments.generation)?;
    Ok(client.telling_json(server.json))
}

/// A time in milliseconds.
fn timestamp(millis: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}

/// A value of a query (RFC 3986, section 2.1).
fn encode(text: &str) -> String {
    banter_server::config::percent_encode(text)
}
