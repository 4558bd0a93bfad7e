//! Access and refresh tokens: signed JWTs. What a token says is believed only together with what the stores list.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    config::Secret,
    stores::{Millis, UserId},
    time::now,
};

/// Tokens whose signature need not be looked at again.
const READ: u64 = 50_000;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Short-lived, listed in the session store.
    Access,
    /// Long-lived, spent by a refresh, listed in the user store by its hash.
    Refresh,
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// The token's own id.
    pub jti: String,
    /// What it is for.
    pub typ: TokenKind,
    /// The log-in that it came of.
    pub fam: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
}

impl Claims {
    /// The user.
    pub fn user(&self) -> Option<UserId> {
        self.sub.parse().ok().map(UserId)
    }
}

/// Makes and reads tokens.
pub struct Tokens {
    header: Header,
    validation: Validation,
    signing: EncodingKey,
    reading: DecodingKey,
    /// What tokens say that were ours, by their hashes: with cold caches a signature takes 30 µs, a hash a few.
    read: Cache<[u8; 32], Arc<Claims>>,
}

impl Tokens {
    /// Tokens signed with a secret by HS256, HS384 or HS512.
    pub fn new(secret: &Secret, algorithm: &str) -> Self {
        let algorithm = match algorithm {
            "HS384" => Algorithm::HS384,
            "HS512" => Algorithm::HS512,
            _ => Algorithm::HS256,
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            header: Header::new(algorithm),
            validation,
            signing: EncodingKey::from_secret(secret.expose()),
            reading: DecodingKey::from_secret(secret.expose()),
            read: Cache::new(READ),
        }
    }

    /// A new token that lives `life` milliseconds; `None` when it cannot be signed.
    pub fn issue(
        &self,
        kind: TokenKind,
        user: UserId,
        family: &str,
        now: Millis,
        life: Millis,
    ) -> Option<(String, Claims)> {
        let claims = Claims {
            sub: user.0.to_string(),
            jti: Uuid::new_v4().simple().to_string(),
            typ: kind,
            fam: family.to_owned(),
            iat: now / 1000,
            exp: (now + life) / 1000,
        };
        let token = encode(&self.header, &claims, &self.signing).ok()?;
        Some((token, claims))
    }

    /// What a token says, if its signature is ours and its time has not come.
    pub fn read(&self, token: &str) -> Option<Arc<Claims>> {
        self.read_at(token, now())
    }

    fn read_at(&self, token: &str, now: Millis) -> Option<Arc<Claims>> {
        let hash = token_hash(token);
        if let Some(known) = self.read.get(&hash) {
            return (known.exp >= now / 1000).then_some(known);
        }
        let claims = Arc::new(decode::<Claims>(token, &self.reading, &self.validation).ok()?.claims);
        self.read.insert(hash, Arc::clone(&claims));
        Some(claims)
    }
}

/// The form in which refresh tokens are stored.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_has_been_read_ends_in_its_time() {
        let tokens = Tokens::new(&Secret::new("0123456789abcdef0123456789abcdef".to_owned()), "HS256");
        let (made, life) = (now(), 60_000);
        let (token, claims) = tokens.issue(TokenKind::Access, UserId(7), "family", made, life).unwrap();
        for later in [0, life] {
            let read = tokens.read_at(&token, made + later).unwrap();
            assert_eq!((read.user(), &read.jti), (Some(UserId(7)), &claims.jti), "{later}");
        }
        assert!(tokens.read_at(&token, made + life + 1_000).is_none());
        let (head, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        assert!(tokens.read(&forged).is_none(), "another signature is another token");
    }
}
