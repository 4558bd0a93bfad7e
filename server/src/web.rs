//! The HTTP interface. Routes only translate requests and responses; the rules are in the use-cases.

pub mod apis;
pub mod app;
pub mod body;
pub mod catchers;
pub mod context;
pub mod cookie;
pub mod cors;
pub mod document;
pub mod front;
pub mod guard;
pub mod headers;
pub mod held;
pub mod launch;
pub mod list;
pub mod pages;
pub mod problem;

use std::{net::Ipv4Addr, sync::Arc};

use rocket::{Build, Rocket, config::LogLevel};

use crate::config::Config;
pub use app::App;

/// Assembles the server; [`launch::launch`] starts it. It listens for this process alone: clients come through the
/// listener.
pub fn build(app: App, config: &Config) -> Rocket<Build> {
    let settings = rocket::Config {
        address: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        // A client can put any address into such a header, so `context` trusts known proxies only.
        ip_header: None,
        limits: apis::admin::limits(),
        log_level: LogLevel::Off,
        cli_colors: false,
        shutdown: rocket::config::Shutdown {
            grace: config.shutdown_seconds,
            mercy: 1,
            ..rocket::config::Shutdown::default()
        },
        ..rocket::Config::default()
    };
    let figment = rocket::figment::Figment::from(settings).merge(("ip_header", false)).merge(("ident", "banter"));
    rocket::custom(figment)
        .manage(Arc::new(app))
        .attach(headers::ResponseHeaders)
        .attach(cors::Cors)
        .mount("/", apis::all())
        .mount("/", pages::routes())
        .mount("/", front::routes())
        .register("/", catchers::all())
}
