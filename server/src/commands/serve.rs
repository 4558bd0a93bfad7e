//! `banter serve`.

use std::net::SocketAddr;

use rocket::fairing::AdHoc;

use super::{colour, print, runtime};
use crate::{
    assembly,
    catalogs::watch::Watch,
    config::{Config, Rules},
    failure::Failure,
    telemetry, web,
};

/// Serves until a signal; in-flight turns finish.
pub(super) fn run(config: &Config, rules: Rules) -> Result<u8, Failure> {
    config.check(rules)?;
    telemetry::start(&config.log)?;
    runtime(config.workers)?.block_on(async {
        // Before the folder is read, so that no save is missed.
        let watch = if assembly::watches(config, rules) { begin_watch(config) } else { None };
        let assembly = assembly::assemble(config, rules, colour()).await?;
        let (backend, intents) = (assembly.backend, assembly.intents);
        let releases = assembly.app.releases.clone();
        if let Some(watch) = watch {
            drop(tokio::spawn(releases.clone().follow_folder(watch, print)));
        }
        let open_channel = matches!(assembly.app.channel, web::ChannelAccess::Open);
        let rocket = web::build(assembly.app, config).attach(AdHoc::on_liftoff("greeting", move |rocket| {
            Box::pin(async move {
                let address = format!("http://{}", SocketAddr::new(rocket.config().address, rocket.config().port));
                greet(&address, intents, open_channel);
            })
        }));
        let served = rocket.launch().await;
        releases.withdraw().await;
        backend.close().await;
        served.map_err(|error| {
            Failure::usage(
                format!("the server cannot listen on {}:{}: {}", config.address, config.port, plain(&error)),
                "is another one running? take another port with --port",
            )
        })?;
        tracing::info!("stopped");
        Ok(0)
    })
}

fn begin_watch(config: &Config) -> Option<Watch> {
    let begun = Watch::begin(&config.bot, &[]);
    begun
        .map_err(|error| {
            tracing::warn!(%error, "the bot's folder cannot be watched; `banter reload` takes changes in");
        })
        .ok()
}

fn plain(error: &rocket::Error) -> String {
    match error.kind() {
        rocket::error::ErrorKind::Bind(error) | rocket::error::ErrorKind::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn greet(address: &str, intents: usize, open_channel: bool) {
    print(format!("banter answers on {address} with {intents} intents"));
    if open_channel {
        print("try it:");
        print(format!(
            "  curl -s {address}/webhooks/rest/webhook -H 'Content-Type: application/json' \\\n       -d '{{\"sender\": \"me\", \"message\": \"where is my order\"}}'"
        ));
    }
}
