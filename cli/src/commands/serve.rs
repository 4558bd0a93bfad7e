//! `banter serve`.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
};

use banter_engine::catalogue::{Catalogue, Intent};
use rocket::fairing::AdHoc;

use super::{print, release::show, runtime};
use banter_server::{
    assembly::{self, StartError},
    catalogs::watch::{Change, Watch},
    config::{Config, Rules},
    listener::{ConnectionBounds, Listener},
    telemetry,
    web::{self, app::ChannelAccess, launch::launch},
};

use crate::{failure::Failure, progress::StepBar};

/// Serves until a signal arrives. In-flight turns finish first.
pub(super) fn run(config: &Config, rules: Rules) -> Result<u8, Failure> {
    config.check(rules)?;
    let log = telemetry::start(&config.log, io::stderr().is_terminal())?;
    let runtime = runtime(config.workers)?;
    let served = runtime.block_on(async {
        // The watch begins before the folder is read, so that no save is missed.
        let watch = if assembly::watches(config, rules) { begin_watch(config) } else { None };
        let bar = StepBar::default();
        let assembled = assembly::assemble(config, rules, &|step| bar.show(step)).await;
        drop(bar);
        let assembly = assembled?;
        if let Some(error) = assembly.not_taken {
            not_taken(error);
        }
        let (backend, catalogue, _lock) = (assembly.backend, assembly.catalogue, assembly.lock);
        let (releases, follower) = (assembly.app.releases.clone(), assembly.app.follower.clone());
        if let Some(watch) = watch {
            drop(tokio::spawn(releases.follow_folder(watch, report)));
        }
        let open_channel = matches!(assembly.app.access.channel, ChannelAccess::Open);
        // Whoever connects is served at once: the port is taken when the bot is loaded.
        let (listener, address) = listen(config).await?;
        let address = format!("http://{address}");
        let rocket = web::build(assembly.app, config).attach(AdHoc::on_liftoff("greeting", move |_| {
            Box::pin(async move { greet(&address, &catalogue, open_channel) })
        }));
        let served = launch(rocket, listener).await;
        follower.withdraw().await;
        backend.close().await;
        served.map_err(|error| Failure::usage(format!("the server ended: {}", plain(&error)), "see the log"))
    });
    // The last tasks log before the final line.
    drop(runtime);
    if served.is_ok() {
        tracing::info!("stopped");
    }
    drop(log);
    served.map(|()| 0)
}

/// Takes the port.
async fn listen(config: &Config) -> Result<(Listener, SocketAddr), Failure> {
    let asked = SocketAddr::new(config.address, config.port);
    let bound = Listener::bind(asked, ConnectionBounds::of(config)).await;
    let listener = bound.and_then(|listener| Ok((listener.address()?, listener)));
    let (address, listener) = listener.map_err(|error| {
        Failure::usage(
            format!("cannot listen on {asked}: {error}"),
            "stop the server that uses this port, or choose another port with --port",
        )
    })?;
    Ok((listener, address))
}

/// Reports that the watched folder has errors. The previous version answers users meanwhile.
fn not_taken(error: StartError) {
    eprintln!("{}\nthe previous version stays in use", Failure::from(error));
}

/// Prints the result of a change in the bot's folder.
fn report(change: Change) {
    match change {
        Change::Published(published, took) => {
            print(format!("{} in {} ms", show::published(&published), took.as_millis()));
        }
        Change::Refused(report) => print(format!("{}\nthe previous version stays in use", show::refusal(&report))),
        Change::Failed(error) => print(format!("error: {error}; the previous version stays in use")),
        Change::Unreadable(folder, error) => {
            print(format!("error: cannot read the bot's folder {}: {error}", folder.display()));
        }
    }
}

fn begin_watch(config: &Config) -> Option<Watch> {
    let begun = Watch::begin(&config.bot, &[]);
    begun
        .map_err(|error| {
            tracing::warn!(%error, "cannot watch the bot's folder; publish changes with `banter reload`");
        })
        .ok()
}

fn plain(error: &rocket::Error) -> String {
    match error.kind() {
        rocket::error::ErrorKind::Bind(error) | rocket::error::ErrorKind::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn greet(address: &str, catalogue: &Catalogue, open_channel: bool) {
    for plugin in &catalogue.absent_plugins {
        tracing::warn!(
            plugin,
            "the plugin is not built, so its intents answer with the fallback; build it with `banter plugin build`"
        );
    }
    print(format!("banter is listening on {address} with {} intents", catalogue.intents.len()));
    print("open it in a browser to chat; /console is for administrators");
    if open_channel {
        let example = example(catalogue);
        print("try it:");
        print(format!(
            "  curl -s {address}/webhooks/rest/webhook -H 'Content-Type: application/json' \\\n       -d '{{\"sender\": \"me\", \"message\": \"{example}\"}}'"
        ));
    }
}

/// An example message to try: in the bot's default language, preferably of an intent with a required slot, and
/// without characters that are special in a shell or in JSON.
fn example(catalogue: &Catalogue) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | ',' | '?' | '-'));
    let language = catalogue.default_language();
    let of = |intent: &Intent| {
        let mut examples = intent.examples.iter().filter(|example| &example.language == language);
        examples.find(|example| plain(&example.text)).map(|example| example.text.clone())
    };
    let (asking, others): (Vec<&Intent>, Vec<&Intent>) =
        catalogue.intents.iter().partition(|intent| intent.slots.iter().any(|slot| slot.required));
    asking.into_iter().chain(others).find_map(of).unwrap_or_else(|| "hello".to_owned())
}
