//! Configuration: defaults < `Rocket.toml` < environment < command line. Passed down, never global; secrets are redacted by
//! type; an unknown key is an error.

mod check;
mod environment;
pub mod release;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use figment::{
    Figment, Profile,
    providers::{Env, Format, Serialized, Toml},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use crate::secret::Secret;
use check::{configuration_failure, refuse_unknown_profiles};
use environment::{IGNORED, contract_environment, database_of_environment, secrets_of_environment};
use release::{AdminConfig, ReloadConfig};

use crate::{failure::Failure, stores::external::Urls};

/// Everything that can be set. `Rocket.toml` documents each key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server listens.
    pub address: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Threads for requests; 0 is one a core.
    pub workers: usize,
    /// Seconds that in-flight turns have to finish at shutdown.
    pub shutdown_seconds: u32,
    /// The bot's folder.
    pub bot: PathBuf,
    /// All that the process writes lies here.
    pub data_dir: PathBuf,
    /// The model.
    pub embedding: EmbeddingConfig,
    /// Accounts and tokens.
    pub auth: AuthConfig,
    /// Bounds on requests.
    pub limits: LimitsConfig,
    /// The embedded store.
    pub sqlite: SqliteConfig,
    /// The external stores; without their URLs the embedded one is used.
    pub stores: StoresConfig,
    /// Rasa's REST channel.
    pub channel: ChannelConfig,
    /// `GET /health`.
    pub health: HealthConfig,
    /// Plugins.
    pub plugins: PluginsConfig,
    /// Who may change the bot.
    pub admin: AdminConfig,
    /// How new versions come into use.
    pub reload: ReloadConfig,
    /// The origin of the front-end that may use cookies, such as `https://shop.example`.
    pub front: Option<String>,
    /// Networks of proxies that are believed when they tell, in `X-Forwarded-For`, whom they speak for.
    pub proxies: Vec<IpNet>,
    /// Logs.
    pub log: LogConfig,
}

/// The model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Path of `libonnxruntime.so`.
    pub library: PathBuf,
    /// A folder with model.onnx and its tokenizer files.
    pub path: PathBuf,
    /// A name that fastembed knows, downloaded by it; overrides `path`.
    pub model: Option<String>,
    /// What is put before each text; without it, what suits the model.
    pub prefix: Option<String>,
    /// Threads inside one run; 0 is one a core.
    pub threads: usize,
    /// Texts that may wait.
    pub queue: usize,
    /// Recent texts whose vectors are remembered.
    pub recent: usize,
    /// A longer text is cut after so many tokens.
    pub max_tokens: usize,
}

/// Plugins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginsConfig {
    /// Where `banter plugin build` keeps the compilers that it fetches.
    pub tools: PathBuf,
}

/// Accounts and tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Signs tokens. `dev` makes one and keeps it in the data folder.
    pub secret: Option<Secret>,
    /// HS256, HS384 or HS512.
    pub algorithm: String,
    /// Life of an access token.
    pub access_minutes: u32,
    /// Life of a refresh token.
    pub refresh_days: u32,
    /// Password hashes computed at a time; 0 is one a core.
    pub parallel_hashes: usize,
    /// Log-ins that may wait for a hash.
    pub waiting_hashes: usize,
    /// Log-ins a minute for one e-mail address.
    pub logins_per_email: u32,
    /// Log-ins a minute from one network address.
    pub logins_per_address: u32,
}

/// Bounds on requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// Seconds that a body may take to arrive.
    pub body_seconds: u64,
    /// Turns computed at a time; more wait, and past four times as many are refused with 503.
    pub parallel_turns: usize,
}

/// The embedded store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    /// `full` survives a power cut, `normal` only the death of the process.
    pub synchronous: Synchronous,
    /// Connections for reading.
    pub readers: u32,
}

/// The external stores.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoresConfig {
    /// `postgres://…`
    pub postgres: Option<Secret>,
    /// `mongodb://…`
    pub mongo: Option<Secret>,
    /// `redis://…` or `rediss://…`
    pub redis: Option<Secret>,
    /// A file with the certificates (PEM) of those who may sign for Redis; the public ones without it.
    pub redis_ca: Option<PathBuf>,
    /// Before each key and channel in Redis.
    pub redis_prefix: String,
    /// Connections to PostgreSQL, and as many to MongoDB.
    pub pool: u32,
    /// Milliseconds that a statement or a connection to PostgreSQL or MongoDB may take.
    pub timeout_ms: u64,
    /// Milliseconds that a command to Redis may take.
    pub redis_timeout_ms: u64,
    /// Seconds that the stores have at the server's start.
    pub start_seconds: u64,
}

impl StoresConfig {
    /// The URLs, if external stores are wanted.
    ///
    /// # Errors
    /// When some of them are missing.
    pub fn urls(&self) -> Result<Option<Urls>, Failure> {
        match (&self.postgres, &self.mongo, &self.redis) {
            (None, None, None) => Ok(None),
            (Some(postgres), Some(mongo), Some(redis)) => {
                Ok(Some(Urls { postgres: postgres.clone(), mongo: mongo.clone(), redis: redis.clone() }))
            }
            (postgres, mongo, redis) => {
                let missing: Vec<&str> = [
                    ("stores.postgres (BANTER_STORES__POSTGRES)", postgres.is_none()),
                    ("stores.mongo (BANTER_STORES__MONGO)", mongo.is_none()),
                    ("stores.redis (BANTER_STORES__REDIS)", redis.is_none()),
                ]
                .into_iter()
                .filter_map(|(name, missing)| missing.then_some(name))
                .collect();
                Err(Failure::usage(
                    format!("external stores are asked for, and {} is not set", missing.join(" and ")),
                    "set all three, or none to use the embedded store; DATABASE_HOST and its like count as stores.postgres",
                ))
            }
        }
    }
}

/// SQLite's `synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// Each commit reaches the disk.
    Full,
    /// Each commit reaches the system.
    Normal,
}

/// Rasa's REST channel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Clients prove themselves with it. Without it the channel is off; in `dev` it is open.
    pub key: Option<Secret>,
}

/// `GET /health`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// The value of `X-Health-Key`; without it nobody may ask.
    pub key: Option<Secret>,
}

/// Logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `human` or `json`.
    pub format: LogFormat,
    /// A filter as of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Which set of rules holds, apart from how the binary was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Loopback only; secrets are made.
    Dev,
    /// Any address; secrets are given.
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
                library: PathBuf::from(".cache/onnxruntime/libonnxruntime.so"),
                path: PathBuf::from(".cache/model"),
                model: None,
                prefix: None,
                threads: 0,
                queue: 256,
                recent: 10_000,
                max_tokens: 256,
            },
            auth: AuthConfig {
                secret: None,
                algorithm: "HS256".to_owned(),
                access_minutes: 15,
                refresh_days: 30,
                parallel_hashes: 0,
                waiting_hashes: 32,
                logins_per_email: 10,
                logins_per_address: 60,
            },
            limits: LimitsConfig { body_bytes: 65_536, body_seconds: 15, parallel_turns: 64 },
            sqlite: SqliteConfig { synchronous: Synchronous::Full, readers: 4 },
            stores: StoresConfig {
                postgres: None,
                mongo: None,
                redis: None,
                redis_ca: None,
                redis_prefix: "banter:".to_owned(),
                pool: 16,
                timeout_ms: 700,
                redis_timeout_ms: 250,
                start_seconds: 30,
            },
            channel: ChannelConfig::default(),
            health: HealthConfig::default(),
            plugins: PluginsConfig { tools: ".cache/plugin-tools".into() },
            admin: AdminConfig::default(),
            reload: ReloadConfig::default(),
            front: None,
            proxies: Vec::new(),
            log: LogConfig {
                format: LogFormat::Human,
                filter: "info,rocket=off,_=off,banter_server::web::routes=off,ort=warn,hnsw_rs=warn,sqlx=warn"
                    .to_owned(),
            },
        }
    }
}

/// What the command line may override.
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
    /// Reads the file, the environment and the overrides.
    ///
    /// # Errors
    /// Unknown keys, values of the wrong type.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<(Self, Rules), Failure> {
        let profile = Profile::from_env_or("BANTER_PROFILE", "dev");
        let rules = match profile.as_str().as_str() {
            "dev" => Rules::Dev,
            "release" => Rules::Release,
            other => {
                return Err(Failure::usage(format!("BANTER_PROFILE is `{other}`"), "set it to dev or release"));
            }
        };
        refuse_unknown_profiles(file)?;
        let mut config: Self = Figment::new()
            .merge(Serialized::defaults(Self::default()))
            .merge(Toml::file(file).nested())
            .merge(contract_environment())
            .merge(Env::prefixed("BANTER_").ignore(&IGNORED).split("__").global())
            .merge(database_of_environment()?)
            .merge(secrets_of_environment())
            .select(profile)
            .extract()
            .map_err(|error| configuration_failure(&error, file))?;
        config.bot = overrides.bot.clone().unwrap_or(config.bot);
        config.data_dir = overrides.data_dir.clone().unwrap_or(config.data_dir);
        config.address = overrides.address.unwrap_or(config.address);
        config.port = overrides.port.unwrap_or(config.port);
        // An origin has no path; with a slash behind it, none would ever be equal.
        config.front =
            config.front.map(|front| front.trim_end_matches('/').to_owned()).filter(|front| !front.is_empty());
        config.check_bounds()?;
        Ok((config, rules))
    }
}

/// A part of a URL (RFC 3986, section 2.1).
pub fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
