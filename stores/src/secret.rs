//! A type for secrets that redacts them in output.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Debug output and serialization are redacted; comparison takes constant time.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The bytes, for signing.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// The text, for drivers.
    pub fn text(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `given` is this secret. The time doesn't depend on where they differ.
    pub fn matches(&self, given: &str) -> bool {
        use subtle::ConstantTimeEq;
        // Hashes have equal length, so the time doesn't reveal the secret's length either.
        let (ours, theirs) = (digest(self.expose()), digest(given.as_bytes()));
        ours.ct_eq(&theirs).into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// One secret or several. The first is used; all are accepted, so that one can replace another while both are in use.
#[derive(Clone, Debug)]
pub struct Secrets {
    first: Secret,
    others: Vec<Secret>,
}

impl Secrets {
    /// The one that is used.
    pub fn first(&self) -> &Secret {
        &self.first
    }

    /// All that are accepted, the first one first.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Whether `given` is one of them. Compares all, so the time doesn't depend on which one matches.
    pub fn matches(&self, given: &str) -> bool {
        self.all().fold(false, |found, secret| secret.matches(given) | found)
    }
}

impl From<Secret> for Secrets {
    fn from(first: Secret) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all())
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(Secret),
            Many(Vec<Secret>),
        }
        match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(secret) => Ok(secret.into()),
            OneOrMany::Many(secrets) => {
                let mut secrets = secrets.into_iter();
                let first = secrets.next().ok_or_else(|| D::Error::custom("the list of secrets is empty"))?;
                Ok(Self { first, others: secrets.collect() })
            }
        }
    }
}
