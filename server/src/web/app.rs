//! What routes reach: use cases, who may do what, and the bounds on requests.

use std::{sync::Arc, time::Duration};

use banter_stores::secret::{Secret, Secrets};
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{guard::admin::AdminKeys, problem::RequestError};
use crate::{
    accounts::Accounts,
    catalogs::{follower::Follower, releases::Releases},
    channel::Channel,
    config::{Config, Rules},
    console::Console,
    conversations::Conversations,
    dialogues::Dialogues,
    feeds::Feeds,
    google::GoogleSignIn,
    hand_offs::HandOffs,
    histories::Histories,
    metrics::Metrics,
    queries::Queries,
};

/// Bundles that clients upload, download and compare at a time: each may take some hundred megabytes.
const BUNDLES: usize = 3;

/// State shared by all routes.
pub struct App {
    pub accounts: Arc<Accounts>,
    pub google: GoogleSignIn,
    pub conversations: Arc<Conversations>,
    pub dialogues: Arc<Dialogues>,
    pub hand_offs: HandOffs,
    pub feeds: Feeds,
    pub channel: Channel,
    pub queries: Queries,
    pub histories: Histories,
    pub console: Console,
    pub releases: Arc<Releases>,
    pub follower: Arc<Follower>,
    pub metrics: Arc<Metrics>,
    pub access: Access,
    pub bounds: RequestBounds,
}

/// Who may do what, beside users with a token.
pub struct Access {
    /// How clients of the REST channel prove themselves.
    pub channel: ChannelAccess,
    pub admins: AdminKeys,
    /// The expected value of `X-Health-Key`.
    pub health_key: Option<Secrets>,
    /// The expected value of `X-Messages-Key`.
    pub answerer_key: Option<Secrets>,
    /// The origin of the front end that may use cookies from elsewhere.
    pub front: Option<String>,
    /// This service at Google; without it, Google sign-in is off.
    pub google_client_id: Option<String>,
    /// The sites that may show the pages in a frame.
    pub frame_ancestors: Vec<String>,
    /// Whether cookies are sent over HTTPS only.
    pub secure_cookies: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
}

/// Bounds on requests.
pub struct RequestBounds {
    pub body_bytes: u64,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long an upload may take to arrive.
    pub upload_time: Duration,
    bundles: Arc<Semaphore>,
}

/// Who may use the REST channel.
pub enum ChannelAccess {
    Off,
    /// Anyone who can reach it; the guard accepts loopback host names only.
    Open,
    /// Clients that know a key.
    Key(Secrets),
}

impl ChannelAccess {
    /// The configured key; without one, open in `dev` and off in `release`.
    pub fn of(config: &Config, rules: Rules) -> Self {
        match (&config.channel.key, rules) {
            (Some(key), _) => Self::Key(key.clone()),
            (None, Rules::Dev) => Self::Open,
            (None, Rules::Release) => Self::Off,
        }
    }
}

impl Access {
    /// By the configuration; `local` is an admin key that was made on this machine.
    pub fn of(config: &Config, rules: Rules, local: Option<Secret>) -> Self {
        Self {
            channel: ChannelAccess::of(config, rules),
            admins: AdminKeys::of(&config.admin, local),
            health_key: config.health.key.clone(),
            answerer_key: config.hand_off.key.clone(),
            front: config.front.clone(),
            google_client_id: config.google.client_id.clone(),
            frame_ancestors: config.frame_ancestors.clone(),
            secure_cookies: config.auth.secure_cookies,
            proxies: config.proxies.clone(),
        }
    }
}

impl RequestBounds {
    /// One of the few places for bundles in memory.
    ///
    /// # Errors
    /// [`RequestError::Busy`] if all are taken.
    pub fn bundle_place(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        Arc::clone(&self.bundles).try_acquire_owned().map_err(|_| RequestError::Busy)
    }

    pub fn of(config: &Config) -> Self {
        Self {
            body_bytes: config.limits.body_bytes,
            body_time: Duration::from_secs(config.limits.body_seconds),
            upload_time: Duration::from_secs(config.reload.upload_seconds),
            bundles: Arc::new(Semaphore::new(BUNDLES)),
        }
    }
}
