//! The keys that Google publishes as a JWK set (RFC 7517), cached as their headers say.

use std::{collections::HashMap, io::Read, sync::Arc, time::Duration};

use banter_stores::Millis;
use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use tokio::{sync::Mutex, task::spawn_blocking};
use ureq::{Agent, http::HeaderMap};

use super::GoogleError;

/// The time limit of a fetch.
const FETCH: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const MAX_BYTES: u64 = 65_536;
/// How long keys are kept: at least, at most, and if the headers say nothing.
const KEPT: (Millis, Millis, Millis) = (60_000, 86_400_000, 3_600_000);
/// An unknown key is looked for at most this often.
const UNKNOWN: Millis = 60_000;
/// After a failure, the next fetch comes no earlier.
const AFTER_FAILURE: Millis = 5_000;

/// The keys by id.
pub struct Keys {
    url: String,
    cached: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    keys: HashMap<String, Arc<DecodingKey>>,
    expires_at: Millis,
    /// When an unknown key was last looked for.
    looked_at: Option<Millis>,
    failed_at: Option<Millis>,
}

impl Keys {
    pub fn new(url: String) -> Self {
        Self { url, cached: Mutex::default() }
    }

    /// The key with this id; `None` if Google has none.
    ///
    /// # Errors
    /// [`GoogleError::Unavailable`].
    pub async fn find(&self, kid: &str, now: Millis) -> Result<Option<Arc<DecodingKey>>, GoogleError> {
        // One request fetches, the others wait for it.
        let mut cached = self.cached.lock().await;
        if now >= cached.expires_at {
            self.fetch(&mut cached, now).await?;
        }
        if let Some(key) = cached.keys.get(kid) {
            return Ok(Some(Arc::clone(key)));
        }
        // Google may have new keys before the old ones expire.
        if cached.looked_at.is_some_and(|at| now - at < UNKNOWN) {
            return Ok(None);
        }
        cached.looked_at = Some(now);
        self.fetch(&mut cached, now).await?;
        Ok(cached.keys.get(kid).map(Arc::clone))
    }

    async fn fetch(&self, cached: &mut Cached, now: Millis) -> Result<(), GoogleError> {
        if cached.failed_at.is_some_and(|at| now - at < AFTER_FAILURE) {
            return Err(GoogleError::Unavailable("they could not be fetched a moment ago".to_owned()));
        }
        let url = self.url.clone();
        let fetched = spawn_blocking(move || fetch(&url)).await.map_err(|error| error.to_string());
        match fetched.and_then(|fetched| fetched) {
            Ok((keys, life)) => {
                *cached = Cached { keys, expires_at: now + life, failed_at: None, looked_at: cached.looked_at };
                Ok(())
            }
            Err(reason) => {
                tracing::error!(url = self.url, reason, "google's keys cannot be fetched");
                cached.failed_at = Some(now);
                Err(GoogleError::Unavailable(reason))
            }
        }
    }
}

/// The keys, and how long they may be kept.
type Fetched = (HashMap<String, Arc<DecodingKey>>, Millis);

fn fetch(url: &str) -> Result<Fetched, String> {
    let agent: Agent = Agent::config_builder().timeout_global(Some(FETCH)).max_redirects(0).build().into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let life = life(response.headers());
    let mut text = String::new();
    response.body_mut().as_reader().take(MAX_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let set: JwkSet = serde_json::from_str(&text).map_err(|error| format!("not a set of keys: {error}"))?;
    let key = |jwk: &jsonwebtoken::jwk::Jwk| {
        let kid = jwk.common.key_id.clone()?;
        Some((kid, Arc::new(DecodingKey::from_jwk(jwk).ok()?)))
    };
    let keys: HashMap<_, _> = set.keys.iter().filter_map(key).collect();
    if keys.is_empty() { Err("the set has no usable key".to_owned()) } else { Ok((keys, life)) }
}

/// `max-age` of `Cache-Control`, less `Age` (RFC 9111, section 5).
fn life(headers: &HeaderMap) -> Millis {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let max_age = text("cache-control").split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok());
    let age: Millis = text("age").trim().parse().unwrap_or(0);
    let (least, most, usual) = KEPT;
    max_age.map_or(usual, |seconds: Millis| (seconds.saturating_sub(age).saturating_mul(1_000)).clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_how_long_keys_are_kept() {
        for (cache_control, age, expected) in [
            ("public, max-age=22000, must-revalidate", "2000", 20_000_000),
            ("max-age=10", "", 60_000),
            ("max-age=99999999999", "", 86_400_000),
            ("no-cache", "", 3_600_000),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", cache_control.parse().unwrap());
            headers.insert("age", age.parse().unwrap());
            assert_eq!(life(&headers), expected, "{cache_control}");
        }
    }
}
