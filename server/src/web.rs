//! HTTP. Routes translate and nothing else: the rules are in the use-cases.

pub mod body;
pub mod catchers;
pub mod context;
pub mod cors;
pub mod error;
pub mod guard;
pub mod headers;
pub mod routes;
pub mod upload;

use std::{sync::Arc, time::Duration};

use guard::admin::AdminKeys;
use ipnet::IpNet;
use rocket::{Build, Rocket, config::LogLevel};

use crate::{
    accounts::Accounts,
    catalogs::releases::Releases,
    config::{Config, Rules, Secret},
    conversations::Conversations,
    metrics::Metrics,
    stores::Stores,
};

/// What routes reach.
pub struct App {
    /// Who is who.
    pub accounts: Arc<Accounts>,
    /// Turns.
    pub conversations: Arc<Conversations>,
    /// For what needs no rules: history and probes.
    pub stores: Stores,
    /// For Prometheus.
    pub metrics: Arc<Metrics>,
    /// How the REST channel is proved.
    pub channel: ChannelAccess,
    /// Versions of the bot.
    pub releases: Arc<Releases>,
    /// Who may change the bot, beside users of that role.
    pub admins: AdminKeys,
    /// How long an upload may take to arrive.
    pub upload_time: Duration,
    /// Uploads at a time: each may take some hundred megabytes until it is published.
    pub uploads: Arc<tokio::sync::Semaphore>,
    /// The value of `X-Health-Key`.
    pub health_key: Option<Secret>,
    /// The front-end that may use cookies from another origin.
    pub front: Option<String>,
    /// Proxies that are believed when they tell whom they speak for.
    pub proxies: Vec<IpNet>,
    /// Bytes of a body.
    pub body_bytes: u64,
    /// How long a body may take to arrive.
    pub body_time: Duration,
}

/// Who may use the REST channel.
pub enum ChannelAccess {
    /// Nobody.
    Off,
    /// Whoever can reach it: loopback only.
    Open,
    /// Who knows the key.
    Key(Secret),
}

impl ChannelAccess {
    /// By the configuration: a key, else open in `dev` and off in `release`.
    pub fn of(config: &Config, rules: Rules) -> Self {
        match (&config.channel.key, rules) {
            (Some(key), _) => Self::Key(key.clone()),
            (None, Rules::Dev) => Self::Open,
            (None, Rules::Release) => Self::Off,
        }
    }
}

/// The server, ready to be launched.
pub fn build(app: App, config: &Config) -> Rocket<Build> {
    let settings = rocket::Config {
        address: config.address,
        port: config.port,
        // A client could write any address into such a header; `context` believes known proxies only.
        ip_header: None,
        limits: upload::limits(),
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
        .mount("/", routes::all())
        .register("/", catchers::all())
}

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
