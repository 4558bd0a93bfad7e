//! Access and refresh tokens: signed JWTs. What a token says is believed only together with what the stores list.

use std::time::Duration;

use banter_stores::{
    Millis, UserId,
    secret::{Secret, Secrets},
};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::Algorithm;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Short-lived, listed in the session store.
    Access,
    /// Long-lived, spent by a refresh, listed in the user store by its hash.
    Refresh,
}

/// Whose guest somebody is who has no credentials. When the tokens have expired, nobody can come back to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// This server's own page.
    Page,
    /// A site that shows the widget, by its origin.
    Site(String),
}

/// The log-in that tokens belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    pub user: UserId,
    /// Shared by all tokens of the log-in.
    pub family: String,
    /// Only for guests.
    pub guest_of: Option<Host>,
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// The token's own id.
    pub jti: String,
    pub typ: TokenKind,
    /// The log-in that the token descends from.
    pub fam: String,
    /// Only in a guest's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_of: Option<Host>,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// The log-in, if `sub` is an id.
    pub fn log_in(&self) -> Option<LogIn> {
        let user = self.sub.parse().ok().map(UserId)?;
        Some(LogIn { user, family: self.fam.clone(), guest_of: self.guest_of.clone() })
    }
}

/// Makes and reads tokens. The first secret signs. All secrets verify, so that a new one can replace an old one without
/// a log-out; the header's `kid` names the secret.
pub struct Tokens {
    header: Header,
    validation: Validation,
    signing: EncodingKey,
    /// By `kid`.
    reading: Vec<(String, DecodingKey)>,
}

impl Tokens {
    pub fn new(secrets: &Secrets, algorithm: Algorithm) -> Self {
        let algorithm = match algorithm {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
            Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
        };
        let mut validation = Validation::new(algorithm);
        // `read` compares the time of expiry with the clock that it is given.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let reading = secrets.all().map(|secret| (key_id(secret), DecodingKey::from_secret(secret.expose())));
        Self {
            header: Header { kid: Some(key_id(secrets.first())), ..Header::new(algorithm) },
            validation,
            signing: EncodingKey::from_secret(secrets.first().expose()),
            reading: reading.collect(),
        }
    }

    /// A new token that lives for `life`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue(
        &self,
        kind: TokenKind,
        log_in: &LogIn,
        now: Millis,
        life: Duration,
    ) -> Result<(String, Claims), jsonwebtoken::errors::Error> {
        let life = Millis::try_from(life.as_millis()).unwrap_or(Millis::MAX / 2);
        let claims = Claims {
            sub: log_in.user.0.to_string(),
            jti: Uuid::new_v4().simple().to_string(),
            typ: kind,
            fam: log_in.family.clone(),
            guest_of: log_in.guest_of.clone(),
            iat: now / 1000,
            exp: (now + life) / 1000,
        };
        Ok((encode(&self.header, &claims, &self.signing)?, claims))
    }

    /// What a token says; `None` when its signature is not ours or it has expired.
    pub fn read(&self, token: &str, now: Millis) -> Option<Claims> {
        let kid = decode_header(token).ok()?.kid;
        // Tokens of earlier releases name no secret.
        let candidates = self.reading.iter().filter(|(id, _)| kid.as_ref().is_none_or(|kid| kid == id));
        let read = |(_, key): &(String, DecodingKey)| decode::<Claims>(token, key, &self.validation).ok();
        let claims = candidates.filter_map(read).next()?.claims;
        (now / 1000 < claims.exp).then_some(claims)
    }
}

/// The name of a secret in tokens. It tells no more about the secret than a signature does.
fn key_id(secret: &Secret) -> String {
    let digest = Sha256::new().chain_update(b"banter key id ").chain_update(secret.expose()).finalize();
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The form in which refresh tokens are stored.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_in() -> LogIn {
        LogIn { user: UserId(7), family: "family".to_owned(), guest_of: None }
    }

    fn tokens(secrets: &str) -> Tokens {
        Tokens::new(&serde_json::from_str(secrets).unwrap(), Algorithm::HS256)
    }

    #[test]
    fn the_first_secret_signs_and_all_verify() {
        let (old, both, swapped, new) =
            (tokens(r#""old""#), tokens(r#"["old", "new"]"#), tokens(r#"["new", "old"]"#), tokens(r#""new""#));
        let token = |of: &Tokens| of.issue(TokenKind::Access, &log_in(), 1_000, Duration::from_secs(60)).unwrap().0;
        for (reader, reads_old, reads_new) in
            [(&old, true, false), (&both, true, true), (&swapped, true, true), (&new, false, true)]
        {
            for (signer, expected) in [(&old, reads_old), (&both, reads_old), (&swapped, reads_new), (&new, reads_new)]
            {
                assert_eq!(reader.read(&token(signer), 2_000).is_some(), expected);
            }
        }
    }

    #[test]
    fn tokens_that_name_no_secret_are_read() {
        let tokens = tokens(r#"["new", "old"]"#);
        let (_, claims) = tokens.issue(TokenKind::Access, &log_in(), 1_000, Duration::from_secs(60)).unwrap();
        for (secret, expected) in [("old", true), ("new", true), ("other", false)] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = encode(&Header::new(jsonwebtoken::Algorithm::HS256), &claims, &key).unwrap();
            assert_eq!(tokens.read(&token, 2_000).is_some(), expected, "{secret}");
        }
    }

    #[test]
    fn a_token_is_read_until_it_expires() {
        let tokens = tokens(r#""0123456789abcdef0123456789abcdef""#);
        let (made, life) = (1_000_000, 60_000);
        let (token, claims) = tokens.issue(TokenKind::Access, &log_in(), made, Duration::from_secs(60)).unwrap();
        for later in [0, life - 1] {
            let read = tokens.read(&token, made + later).unwrap();
            assert_eq!((read.log_in(), &read.jti), (Some(log_in()), &claims.jti), "{later}");
        }
        assert!(tokens.read(&token, made + life).is_none(), "expired");
        let (head, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        assert!(tokens.read(&forged, made).is_none(), "another signature");
    }
}
