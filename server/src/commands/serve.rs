//! `banter serve`.

use std::net::SocketAddr;

use banter_engine::catalogue::{Catalogue, Intent};
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
    let runtime = runtime(config.workers)?;
    let served = runtime.block_on(async {
        // Before the folder is read, so that no save is missed.
        let watch = if assembly::watches(config, rules) { begin_watch(config) } else { None };
        let assembly = assembly::assemble(config, rules, colour()).await?;
        let (backend, catalogue, _lock) = (assembly.backend, assembly.catalogue, assembly.lock);
        let releases = assembly.app.releases.clone();
        if let Some(watch) = watch {
            drop(tokio::spawn(releases.clone().follow_folder(watch, print)));
        }
        let open_channel = matches!(assembly.app.channel, web::ChannelAccess::Open);
        let rocket = web::build(assembly.app, config).attach(AdHoc::on_liftoff("greeting", move |rocket| {
            Box::pin(async move {
                let address = format!("http://{}", SocketAddr::new(rocket.config().address, rocket.config().port));
                greet(&address, &catalogue, open_channel);
            })
        }));
        let served = rocket.launch().await;
        releases.withdraw().await;
        backend.close().await;
        served.map(drop).map_err(|error| {
            Failure::usage(
                format!("the server cannot listen on {}:{}: {}", config.address, config.port, plain(&error)),
                "is another one running? take another port with --port",
            )
        })
    });
    // What the last tasks have to say comes before the last line.
    drop(runtime);
    if telemetry::flush() && served.is_ok() {
        tracing::info!("stopped");
    }
    served.map(|()| 0)
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

fn greet(address: &str, catalogue: &Catalogue, open_channel: bool) {
    print(format!("banter answers on {address} with {} intents", catalogue.intents.len()));
    if open_channel {
        let example = example(catalogue);
        print("try it:");
        print(format!(
            "  curl -s {address}/webhooks/rest/webhook -H 'Content-Type: application/json' \\\n       -d '{{\"sender\": \"me\", \"message\": \"{example}\"}}'"
        ));
    }
}

/// Something to try: an example in the bot's first language, of an intent that asks for something where there is one, without signs
/// that a shell or JSON reads.
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
