//! A fitted classifier on disk: the hash of its inputs, the hash of the body, the body.

use std::{fs, io, path::Path};

use crate::decide::training::{Fitted, RECIPE, Sample};

/// The hash of a classifier's inputs.
pub type Key = [u8; 32];

/// The hash of everything that a classifier is fitted to.
pub fn key_of(model: &str, samples: &[Sample], background: &[String]) -> Key {
    let mut hash = blake3::Hasher::new();
    hash.update(RECIPE.as_bytes()).update(model.as_bytes());
    for sample in samples {
        hash.update(&(sample.class as u64).to_le_bytes());
        hash.update(&(sample.text.len() as u64).to_le_bytes());
        hash.update(sample.text.as_bytes());
    }
    for text in background {
        hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    *hash.finalize().as_bytes()
}

/// Serialises a classifier: the key, the hash of the body, the body.
pub fn kept_bytes(key: &Key, fitted: &Fitted) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(fitted).map_err(io::Error::other)?;
    let mut bytes = key.to_vec();
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The bytes of the stored classifier, if there is one.
pub fn kept_file(path: &Path) -> Option<Vec<u8>> {
    fs::read(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, path = %path.display(), "cannot read the stored classifier; it is trained again");
            }
        })
        .ok()
}

/// Reads a stored classifier; `None` if it was fitted to other inputs or is damaged.
pub fn kept_classifier(bytes: &[u8], key: &Key) -> Option<Fitted> {
    let (of, rest) = bytes.split_first_chunk::<32>()?;
    let (hash, body) = rest.split_first_chunk::<32>()?;
    if of != key || blake3::hash(body).as_bytes() != hash {
        return None;
    }
    postcard::from_bytes(body).ok()
}
