//! Configuration: defaults < `Rocket.toml` < environment < command line. It is passed down and never global. Secrets
//! have a type that redacts them, and an unknown key is an error.

mod check;
mod environment;
mod limits;
mod paths;
pub mod release;
mod transport;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use banter_engine::{embedding::encoders, policy::Ceiling};
use banter_stores::{
    backend::BackendOptions,
    config::{SqliteConfig, StoresConfig, Urls},
    secret::Secrets,
};
use figment::{
    Figment, Profile,
    providers::{Env, Format, Serialized, Toml},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use check::{configuration_failure, refuse_unknown_profiles};
use environment::{IGNORED, contract_environment, database_of_environment, secrets_of_environment};
use paths::resolve_paths;
use release::{AdminConfig, ReloadConfig};

pub use limits::LimitsConfig;

use crate::{operations::LogLanguage, setup::SetupError};

/// All settings. `Rocket.toml` documents each key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on.
    pub address: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Threads for requests; 0 means one per core.
    pub workers: usize,
    /// How long in-flight turns may take to finish at shutdown, in seconds.
    pub shutdown_seconds: u32,
    /// The bot's folder.
    pub bot: PathBuf,
    /// The folder for everything that the process writes.
    pub data_dir: PathBuf,
    /// The encoders.
    pub embedding: EmbeddingConfig,
    /// Accounts and tokens.
    pub auth: AuthConfig,
    /// Limits on requests.
    pub limits: LimitsConfig,
    /// The embedded store.
    pub sqlite: SqliteConfig,
    /// The external stores; without their URLs the embedded one is used.
    pub stores: StoresConfig,
    /// Google sign-in.
    pub google: GoogleConfig,
    /// Rasa's REST channel.
    pub channel: ChannelConfig,
    /// `GET /health`.
    pub health: HealthConfig,
    /// Answers of the external AI.
    pub hand_off: HandOffConfig,
    /// Visitors without an account.
    pub guests: GuestsConfig,
    pub plugins: PluginsConfig,
    /// What the handlers of any bot may do at most.
    pub outside: Ceiling,
    /// The keys that may change the bot.
    pub admin: AdminConfig,
    /// How new versions are published.
    pub reload: ReloadConfig,
    /// The origin of the front-end that may use cookies, such as `https://shop.example`.
    pub front: Option<String>,
    /// The sites that may show this server's pages in a frame.
    pub frame_ancestors: Vec<String>,
    /// Networks of trusted proxies, whose `X-Forwarded-For` names the client.
    pub proxies: Vec<IpNet>,
    pub log: LogConfig,
}

/// The encoders.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// The path of `libonnxruntime.so`.
    pub library: PathBuf,
    /// The folder with a subfolder for each encoder.
    pub path: PathBuf,
    /// The encoders of each language, and of all `other` ones.
    pub encoders: BTreeMap<String, Vec<String>>,
    /// The name of a fastembed model, which fastembed downloads; it replaces all encoders.
    pub model: Option<String>,
    /// The prefix of each text for `model`; the default depends on the model.
    pub prefix: Option<String>,
    /// Threads of one model run; 0 means one per core.
    pub threads: usize,
    /// The longest that a new message may wait for an encoder, in milliseconds; others are refused.
    pub wait_ms: u64,
    /// The number of recent texts whose embeddings are cached.
    pub recent: usize,
    /// Longer texts are truncated to this many tokens.
    pub max_tokens: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginsConfig {
    /// The folder in which `banter plugin build` keeps the compilers that it fetches.
    pub tools: PathBuf,
}

/// Accounts and tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The keys of tokens: the first signs, all verify. `dev` creates one and keeps it in the data folder.
    pub secret: Option<Secrets>,
    pub algorithm: Algorithm,
    /// The lifetime of an access token.
    pub access_minutes: u32,
    /// The lifetime of a refresh token.
    pub refresh_days: u32,
    /// Seconds in which a spent refresh token may be used again.
    pub refresh_leeway: u32,
    /// Password hashes computed at the same time; 0 means one per core.
    pub parallel_hashes: usize,
    /// The maximum number of log-ins that wait for a hash.
    pub waiting_hashes: usize,
    /// Whether cookies are sent over HTTPS only.
    #[serde(deserialize_with = "environment::truth")]
    pub secure_cookies: bool,
    /// Wrong passwords per minute for one e-mail address from one network address.
    pub logins_per_email: u32,
    /// Log-ins per minute from one network address.
    pub logins_per_address: u32,
    /// How long strangers wait at an e-mail address at which many passwords were wrong, in seconds.
    pub slow_seconds: u32,
    /// Refreshes per minute from one network address.
    pub refreshes_per_address: u32,
    /// Refreshes per minute of one log-in.
    pub refreshes_per_log_in: u32,
}

/// Google sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleConfig {
    /// The client id of this service at Google. Without it, Google sign-in is off.
    pub client_id: Option<String>,
    /// Where Google publishes its keys.
    pub keys_url: String,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
}

/// Rasa's REST channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// The key that clients present, or several. Without it the channel is off, except in `dev`, where it is open.
    pub key: Option<Secrets>,
    /// New senders per minute from one network address with one key.
    pub new_senders: u32,
    /// Messages of one sender in a minute; 0 for no limit.
    pub messages_per_minute: u32,
}

/// `GET /health`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// The value of `X-Health-Key`, or several. Without it the endpoint refuses everyone.
    pub key: Option<Secrets>,
}

/// Answers of the external AI to dialogues that are handed off.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOffConfig {
    /// The value of `X-Messages-Key`, or several. Without it nobody answers by that API.
    pub key: Option<Secrets>,
    /// How long a request waits for an answer.
    pub wait_seconds: u32,
}

/// Visitors without an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestsConfig {
    /// The origins of the sites that may show the widget, such as `https://shop.example`.
    pub origins: Vec<String>,
    /// New guests per minute from one network address.
    pub per_address: u32,
    /// Messages per minute of one guest.
    pub messages: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `human`, `json` or `classic`.
    pub format: LogFormat,
    /// The language of the classic format.
    pub language: LogLanguage,
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
    /// Operations, warnings and errors, in the lines of an earlier server.
    Classic,
}

/// The rules of the profile (`BANTER_PROFILE`). They do not depend on how the binary was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Listens on loopback only; creates missing secrets.
    Dev,
    /// Listens on any address; secrets must be set.
    Release,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 8000,
            workers: 0,
            shutdown_seconds: 5,
            bot: PathBuf::from("."),
            data_dir: PathBuf::from(".banter"),
            embedding: EmbeddingConfig {
                library: PathBuf::from(paths::LIBRARY),
                path: PathBuf::from(paths::ENCODERS),
                encoders: encoders::usual(),
                model: None,
                prefix: None,
                threads: 1,
                wait_ms: 100,
                recent: 5_000,
                max_tokens: 256,
            },
            auth: AuthConfig {
                secret: None,
                algorithm: Algorithm::HS256,
                access_minutes: 15,
                refresh_days: 30,
                refresh_leeway: 10,
                parallel_hashes: 0,
                waiting_hashes: 32,
                secure_cookies: false,
                logins_per_email: 10,
                logins_per_address: 60,
                slow_seconds: 2,
                refreshes_per_address: 120,
                refreshes_per_log_in: 20,
            },
            limits: LimitsConfig::default(),
            sqlite: SqliteConfig::default(),
            stores: StoresConfig::default(),
            google: GoogleConfig { client_id: None, keys_url: "https://www.googleapis.com/oauth2/v3/certs".to_owned() },
            channel: ChannelConfig { key: None, new_senders: 1_000, messages_per_minute: 6_000 },
            health: HealthConfig::default(),
            hand_off: HandOffConfig { key: None, wait_seconds: 60 },
            guests: GuestsConfig { origins: Vec::new(), per_address: 10, messages: 20 },
            plugins: PluginsConfig { tools: paths::TOOLS.into() },
            outside: Ceiling::default(),
            admin: AdminConfig::default(),
            reload: ReloadConfig::default(),
            front: None,
            frame_ancestors: Vec::new(),
            proxies: Vec::new(),
            log: LogConfig {
                format: LogFormat::Human,
                language: LogLanguage::Ru,
                filter: "info,rocket=off,_=off,banter_server::web::routes=off,ort=warn,hnsw_rs=warn,sqlx=warn"
                    .to_owned(),
            },
        }
    }
}

/// Settings that the command line overrides.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--bot`
    pub bot: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--address`
    pub address: Option<IpAddr>,
    /// `--port`
    pub port: Option<u16>,
}

impl Config {
    /// Reads the file, if there is one, and the environment, and applies the overrides.
    ///
    /// # Errors
    /// A key is unknown, or a value has the wrong type or is out of bounds.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<(Self, Rules), SetupError> {
        let profile = Profile::from_env_or("BANTER_PROFILE", "dev");
        let rules = match profile.as_str().as_str() {
            "dev" => Rules::Dev,
            "release" => Rules::Release,
            other => {
                return Err(SetupError::new(format!("BANTER_PROFILE is `{other}`"), "set it to dev or release"));
            }
        };
        let own = file.map_or_else(Figment::new, |file| Figment::from(Toml::file_exact(file).nested()));
        refuse_unknown_profiles(&own)?;
        let figment = Figment::new()
            .merge(Serialized::defaults(Self::default()))
            .merge(own)
            .merge(contract_environment())
            .merge(Env::prefixed("BANTER_").ignore(&IGNORED).split("__").global())
            .merge(database_of_environment()?)
            .merge(secrets_of_environment()?)
            .select(profile);
        let mut config: Self = figment.extract().map_err(|error| configuration_failure(&error))?;
        resolve_paths(&mut config, &figment);
        config.bot = overrides.bot.clone().unwrap_or(config.bot);
        config.data_dir = overrides.data_dir.clone().unwrap_or(config.data_dir);
        config.address = overrides.address.unwrap_or(config.address);
        config.port = overrides.port.unwrap_or(config.port);
        // An origin has no path: with a trailing slash, no `Origin` header would match it.
        config.front =
            config.front.map(|front| front.trim_end_matches('/').to_owned()).filter(|front| !front.is_empty());
        let sites = config.guests.origins.iter_mut().chain(&mut config.frame_ancestors);
        sites.for_each(|site| *site = site.trim_end_matches('/').to_owned());
        config.google.client_id = config.google.client_id.filter(|id| !id.is_empty());
        config.check_bounds()?;
        config.embedding.check_encoders()?;
        Ok((config, rules))
    }
}

impl Config {
    /// The URLs of the external stores, or `None` for the embedded store.
    ///
    /// # Errors
    /// When only some of the three are set.
    pub fn store_urls(&self) -> Result<Option<Urls>, SetupError> {
        self.stores.urls().map_err(|missing| {
            SetupError::new(
                format!("external stores are configured, but {} is not set", missing.join(" and ")),
                "set all three, or none to use the embedded store; the DATABASE_* variables also set stores.postgres",
            )
        })
    }

    /// What opening the stores needs.
    ///
    /// # Errors
    /// Those of [`Self::store_urls`].
    pub fn backend(&self) -> Result<BackendOptions, SetupError> {
        Ok(BackendOptions {
            urls: self.store_urls()?,
            stores: self.stores.clone(),
            sqlite: self.sqlite.clone(),
            data_dir: self.data_dir.clone(),
        })
    }
}

/// Percent-encodes a part of a URL (RFC 3986, section 2.1).
pub fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
