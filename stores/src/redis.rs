//! Redis: sessions, the turn cache, rate limits, and the bus. Redis never holds the only copy of a text.

mod bus;

use std::{
    path::Path,
    sync::{Arc, LazyLock, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use redis::{
    AsyncCommands, Client, IntoConnectionInfo, RedisError, Script, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use bus::listen;

use super::{
    Counter, DialogueId, KEY_LIFE, LastTurn, News, RateLimits, Recalled, Remembered, Session, SessionStore, StoreError,
    Trouble, TurnCache, UserId, breaker::Breaker, bus::Receivers, memory::seconds_to_wait,
};
use crate::secret::Secret;

const STORE: &str = "redis";
/// After this time without a message, the state of a dialogue is read from MongoDB again.
const STATE_LIFE: Duration = Duration::from_secs(3_600);

/// Counts an event in the window of each key, which begins with the first event. For each key, the arguments have the
/// length of the window in ms and its limit. Stops at the first that is over its limit, and returns the rest of its
/// window in ms; else 0.
static HIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for i, key in ipairs(KEYS) do
           local count = redis.call('INCR', key)
           if count == 1 then redis.call('PEXPIRE', key, ARGV[2 * i - 1]) end
           if count > tonumber(ARGV[2 * i]) then return math.max(redis.call('PTTL', key), 1) end
         end
         return 0",
    )
});

/// Takes an event back, unless its window has ended.
static TAKE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end")
});

/// `SessionStore`, `TurnCache`, `RateLimits` and `Bus` of the external backend.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    breaker: Breaker,
    prefix: String,
    receivers: Receivers,
    /// Whether news of this server are lost, and the others do not know that yet.
    missed: Arc<AtomicBool>,
}

#[derive(Serialize, Deserialize)]
struct StoredEnd {
    #[serde(rename = "dialog")]
    dialogue: DialogueId,
    last: LastTurn,
}

impl RedisStore {
    /// Creates one connection, which connects on first use and reconnects when it is lost, and starts a listener to the
    /// bus, which runs until it is aborted.
    ///
    /// # Errors
    /// When the URL or the file of certificate authorities is not valid.
    pub fn connect(
        url: &Secret,
        authorities: Option<&Path>,
        prefix: &str,
        limit: Duration,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        // The driver's message quotes parts of the URL, which holds a password.
        let bad_url = |_| StoreError::damaged(STORE, "stores.redis is not a redis:// or rediss:// URL");
        let info = url.text().into_connection_info().map_err(bad_url)?;
        let client = match authorities {
            None => Client::open(info).map_err(bad_url)?,
            Some(path) => {
                let root = std::fs::read(path).map_err(|error| {
                    StoreError::damaged(STORE, format!("stores.redis_ca: {}: {error}", path.display()))
                })?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root) };
                Client::build_with_tls(info, certificates).map_err(failed)?
            }
        };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit))
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(limit);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(failed)?;
        let store = Self {
            connection,
            breaker: Breaker::new(STORE, limit),
            prefix: prefix.to_owned(),
            receivers: Receivers::default(),
            missed: Arc::default(),
        };
        let listener = tokio::spawn(listen(client, store.channel(), store.receivers.clone(), limit));
        Ok((store, listener))
    }

    fn session_key(&self, token: &str) -> String {
        format!("{}session:{token}", self.prefix)
    }

    fn family_key(&self, family: &str) -> String {
        format!("{}family:{family}", self.prefix)
    }

    fn end_key(&self, user: UserId) -> String {
        format!("{}end:{}", self.prefix, user.0)
    }

    /// All topics share one channel, so that servers subscribe by name: an ACL with a pattern allows matching channel
    /// names, but not pattern subscriptions.
    fn channel(&self) -> String {
        format!("{}bus", self.prefix)
    }

    fn limit_key(&self, key: &str) -> String {
        format!("{}limit:{key}", self.prefix)
    }

    fn answer_key(&self, user: UserId, key: &str) -> String {
        format!("{}answer:{}:{key}", self.prefix, user.0)
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        self.breaker.call(async { work.await.map_err(failed) }).await
    }

    /// Several values in one round trip. Retries once if the connection was lost since its last use.
    async fn values(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let once = async || {
            let mut connection = self.connection.clone();
            connection.mget(keys).await
        };
        self.ask(async {
            match once().await {
                Err(error) if is_lost(&error) => once().await,
                other => other,
            }
        })
        .await
    }

    fn recalled(end: Option<String>, answer: Option<String>) -> Recalled {
        let end: Option<StoredEnd> = read(end);
        Recalled { last: end.map(|end| (end.dialogue, end.last)), answer: read(answer) }
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn put(&self, token: &str, session: Session, life: Duration) -> Result<(), StoreError> {
        let life = millis(life);
        let mut pipe = redis::pipe();
        pipe.atomic()
            .pset_ex(self.session_key(token), session_value(&session), life)
            .ignore()
            .pset_ex(self.family_key(&session.family), 1, life)
            .ignore();
        let mut connection = self.connection.clone();
        self.ask(async { pipe.query_async(&mut connection).await }).await
    }

    async fn is_alive(&self, token: &str, session: &Session) -> Result<bool, StoreError> {
        let keys = [self.session_key(token), self.family_key(&session.family)];
        let values = self.values(&keys).await?;
        // A family that was revoked, or that Redis has evicted, has no sessions.
        Ok(matches!(&values[..], [Some(listed), Some(_)] if *listed == session_value(session)))
    }

    async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let key = self.family_key(family);
        self.ask(async { connection.del(key).await }).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let once = async || {
            let mut connection = self.connection.clone();
            connection.ping::<()>().await
        };
        self.ask(async {
            match once().await {
                Err(error) if is_lost(&error) => once().await,
                other => other,
            }
        })
        .await
    }
}

#[async_trait]
impl TurnCache for RedisStore {
    async fn recall(&self, user: UserId, key: Option<&str>) -> Recalled {
        let mut keys = vec![self.end_key(user)];
        keys.extend(key.map(|key| self.answer_key(user, key)));
        match self.values(&keys).await {
            Ok(values) => {
                let mut values = values.into_iter();
                Self::recalled(values.next().flatten(), values.next().flatten())
            }
            Err(error) => {
                tracing::warn!(%error, "the turn cache does not respond; the last turn is read from MongoDB");
                Recalled::default()
            }
        }
    }

    async fn remember(&self, turn: Remembered<'_>) {
        let end = StoredEnd { dialogue: turn.dialogue, last: turn.last.clone() };
        let mut pipe = redis::pipe();
        let Ok(end) = write(&end) else { return };
        pipe.pset_ex(self.end_key(turn.user), end, millis(STATE_LIFE)).ignore();
        if let Some((key, answer)) = &turn.answer {
            let Ok(answer) = write(answer) else { return };
            pipe.pset_ex(self.answer_key(turn.user, key), answer, KEY_LIFE.unsigned_abs()).ignore();
        }
        let news = News::TurnStored { dialogue: turn.dialogue, seq: turn.last.seq };
        pipe.publish(self.channel(), news.encode()).ignore();
        let mut connection = self.connection.clone();
        let result: Result<(), _> = self.ask(async { pipe.query_async(&mut connection).await }).await;
        if let Err(error) = result {
            tracing::warn!(%error, "the turn cache does not respond; the next message reads this turn from MongoDB");
            self.tell_of_missed_news();
        }
    }

    async fn forget_answers(&self, user: UserId, keys: &[String]) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let keys: Vec<String> = keys.iter().map(|key| self.answer_key(user, key)).chain([self.end_key(user)]).collect();
        self.ask(async { connection.del::<_, ()>(&keys).await }).await
    }

    async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let answers = format!("{}*", glob_escape(&self.answer_key(user, "")));
        let mut cursor = 0u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&answers).arg("COUNT").arg(1_000);
            let (next, found): (u64, Vec<String>) = self.ask(async { scan.query_async(&mut connection).await }).await?;
            if !found.is_empty() {
                self.ask(async { connection.del::<_, ()>(&found).await }).await?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        self.ask(async { connection.del::<_, ()>(self.end_key(user)).await }).await
    }
}

/// Escapes a text for use in a Redis glob pattern.
fn glob_escape(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[async_trait]
impl RateLimits for RedisStore {
    async fn hit(&self, counters: &[Counter]) -> Result<Option<u64>, StoreError> {
        let mut connection = self.connection.clone();
        let mut script = HIT.prepare_invoke();
        for counter in counters {
            script.key(self.limit_key(&counter.key)).arg(millis(counter.window)).arg(counter.limit);
        }
        let wait: u64 = self.ask(async { script.invoke_async(&mut connection).await }).await?;
        Ok((wait > 0).then(|| seconds_to_wait(wait)))
    }

    async fn take_back(&self, key: &str) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        self.ask(async { TAKE_BACK.key(self.limit_key(key)).invoke_async(&mut connection).await }).await
    }

    async fn has_event(&self, key: &str) -> Result<bool, StoreError> {
        let values = self.values(&[self.limit_key(key)]).await?;
        Ok(values.into_iter().flatten().next().is_some_and(|count| count != "0"))
    }
}

fn session_value(session: &Session) -> String {
    format!("{} {}", session.user.0, session.family)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn write<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::damaged(STORE, error.to_string()))
}

/// Treats unreadable values, perhaps from another version, as absent.
fn read<T: for<'de> Deserialize<'de>>(value: Option<String>) -> Option<T> {
    serde_json::from_str(&value?).ok()
}

/// Whether the connection is broken, so that a retry opens a new one.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() && !error.is_timeout()
}

fn failed(error: RedisError) -> StoreError {
    let outage = error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "READONLY" | "OOM" | "MASTERDOWN" | "BUSY" | "MISCONF"));
    let trouble = if outage { Trouble::Outage } else { Trouble::Damage };
    StoreError { store: STORE, message: error.to_string(), trouble }
}
