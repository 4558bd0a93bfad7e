//! Google sign-in: verifies ID tokens with the keys that Google publishes (OpenID Connect Core 1.0, section 3.1.3.7).

mod keys;

use banter_stores::{GoogleAccount, Profile, clock::SharedClock};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::config::GoogleConfig;
use keys::Keys;

/// How far Google's clock and ours may be apart, in seconds.
const SKEW: i64 = 60;
/// How Google names itself in tokens.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// The longest token, in bytes.
const MAX_TOKEN: usize = 8_192;

/// Why nobody is signed in.
#[derive(Debug, Error)]
pub enum GoogleError {
    /// Not configured: `google.client_id` is not set.
    #[error("google sign-in is off")]
    Off,
    /// Not signed by Google, not for this client, or expired.
    #[error("the token is not valid: {0}")]
    Token(&'static str),
    /// Google's keys cannot be fetched.
    #[error("google's keys cannot be fetched: {0}")]
    Unavailable(String),
}

/// Verifies ID tokens for one client id.
pub struct GoogleSignIn {
    client: Option<GoogleClient>,
    clock: SharedClock,
}

struct GoogleClient {
    validation: Validation,
    keys: Keys,
}

/// The claims that are read.
#[derive(Deserialize)]
struct GoogleClaims {
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(default)]
    email: Option<String>,
    /// A boolean, or its name.
    #[serde(default)]
    email_verified: Value,
    #[serde(flatten)]
    profile: Profile,
}

impl GoogleSignIn {
    pub fn new(config: &GoogleConfig, clock: SharedClock) -> Self {
        let client = config.client_id.as_ref().map(|client_id| {
            let mut validation = Validation::new(Algorithm::RS256);
            validation.set_audience(&[client_id]);
            validation.set_issuer(&ISSUERS);
            validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
            // `verify` compares times with its own clock.
            validation.validate_exp = false;
            GoogleClient { validation, keys: Keys::new(config.keys_url.clone()) }
        });
        Self { client, clock }
    }

    /// The account of an ID token.
    ///
    /// # Errors
    /// [`GoogleError`].
    pub async fn verify(&self, token: &str) -> Result<GoogleAccount, GoogleError> {
        let client = self.client.as_ref().ok_or(GoogleError::Off)?;
        if token.len() > MAX_TOKEN {
            return Err(GoogleError::Token("it is too long"));
        }
        let header = decode_header(token).map_err(|_| GoogleError::Token("it is not a JWT"))?;
        if header.alg != Algorithm::RS256 {
            return Err(GoogleError::Token("it is not signed with RS256"));
        }
        let kid = header.kid.ok_or(GoogleError::Token("it names no key"))?;
        let now = self.clock.now();
        let key = client.keys.find(&kid, now).await?.ok_or(GoogleError::Token("its key is unknown"))?;
        let claims = decode::<GoogleClaims>(token, &key, &client.validation);
        let claims = claims.map_err(|_| GoogleError::Token("its signature, audience or issuer is wrong"))?.claims;
        let seconds = now / 1_000;
        if claims.exp.saturating_add(SKEW) <= seconds || claims.nbf.saturating_sub(SKEW) > seconds {
            return Err(GoogleError::Token("it is expired, or not valid yet"));
        }
        if claims.sub.is_empty() || claims.sub.len() > 255 {
            return Err(GoogleError::Token("its subject is not valid"));
        }
        let verified = claims.email_verified == Value::Bool(true) || claims.email_verified == "true";
        let email = claims.email.filter(|_| verified).map(|email| email.trim().to_lowercase());
        Ok(GoogleAccount { subject: claims.sub, email, profile: claims.profile })
    }
}
