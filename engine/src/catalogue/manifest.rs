//! A version's content list: the path and hash of each file. The version's id is the hash of that list, so equal bots
//! have equal ids, and unchanged files are stored once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::bundle::{Bundle, FOLDERS, MAX_COMPONENT_BYTES, MAX_FILE_BYTES, MAX_FILES};

/// Size limit of all files of a bot together, in bytes.
pub const MAX_BUNDLE_BYTES: u64 = 128 << 20;
/// Length limit of a path, in bytes.
const MAX_PATH: usize = 200;

/// The files of a bundle by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    /// Path to content.
    pub files: BTreeMap<String, FileDigest>,
}

/// Hash and size of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileDigest {
    /// BLAKE3, 64 hex digits.
    pub hash: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Why files do not make a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    /// A path that is not allowed in a bot.
    #[error("{path}: {reason}")]
    Path {
        /// The path, shortened.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A path that occurs twice.
    #[error("{0} occurs twice")]
    Twice(String),
    /// A limit was exceeded.
    #[error("{0}")]
    TooLarge(String),
    /// Content that does not match its hash in the manifest.
    #[error("the content of {0} does not match its hash")]
    Damaged(String),
    /// A manifest that does not match the version's id.
    #[error("the list of files does not match the version's hash")]
    Foreign,
}

impl Manifest {
    /// The version's id: BLAKE3 over paths and hashes in order, 64 hex digits.
    pub fn id(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(b"banter bundle 1\n");
        for (path, part) in &self.files {
            hash.update(path.as_bytes()).update(b"\0").update(part.hash.as_bytes()).update(b"\n");
        }
        hash.finalize().to_hex().to_string()
    }

    /// Rebuilds the bundle of version `id`. `content` returns the bytes for a hash.
    ///
    /// # Errors
    /// If something does not match its hash, or exceeds a limit.
    pub fn assemble(&self, id: &str, mut content: impl FnMut(&str) -> Option<Vec<u8>>) -> Result<Bundle, BundleError> {
        if self.id() != id {
            return Err(BundleError::Foreign);
        }
        let mut bundle = Bundle::default();
        for (path, part) in &self.files {
            let bytes = content(&part.hash).ok_or_else(|| BundleError::Damaged(path.clone()))?;
            if hash_of(&bytes) != part.hash {
                return Err(BundleError::Damaged(path.clone()));
            }
            bundle.add(path, bytes)?;
        }
        Ok(bundle)
    }
}

impl Bundle {
    /// The manifest of these files.
    pub fn manifest(&self) -> Manifest {
        let part = |bytes: &Vec<u8>| FileDigest { hash: hash_of(bytes), bytes: bytes.len() as u64 };
        Manifest { files: self.files.iter().map(|(path, bytes)| (path.clone(), part(bytes))).collect() }
    }

    /// The total size of all files, in bytes.
    pub fn size(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Adds a file that does not come from the author's own folder, and so is not trusted.
    ///
    /// # Errors
    /// A path that is not allowed or occurs twice, a file that is too large, or too many files.
    pub fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), BundleError> {
        check_path(path)?;
        let limit = if path.ends_with(".wasm") { MAX_COMPONENT_BYTES } else { MAX_FILE_BYTES };
        if bytes.len() as u64 > limit {
            return Err(BundleError::TooLarge(format!("{path} is larger than {limit} bytes")));
        }
        if self.files.len() >= MAX_FILES {
            return Err(BundleError::TooLarge(format!("there are more than {MAX_FILES} files")));
        }
        if self.size() + bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(format!("the files are larger than {MAX_BUNDLE_BYTES} bytes in total")));
        }
        match self.files.insert(path.to_owned(), bytes) {
            None => Ok(()),
            Some(_) => Err(BundleError::Twice(path.to_owned())),
        }
    }
}

/// Checks that a bot may contain this path.
///
/// # Errors
/// Why it may not.
pub fn check_path(path: &str) -> Result<(), BundleError> {
    let refused = |reason| Err(BundleError::Path { path: path.chars().take(MAX_PATH).collect(), reason });
    if path.len() > MAX_PATH {
        return refused("the path is too long");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return refused("the path contains a control character or a backslash");
    }
    let names: Vec<&str> = path.split('/').collect();
    if names.iter().any(|name| name.is_empty() || name.starts_with('.')) {
        return refused("the path is absolute, contains `..`, or is hidden");
    }
    let depth = names.len().saturating_sub(2);
    let belongs = |(folder, ending, deepest): &(&str, &str, usize)| {
        names.len() > 1 && names[0] == *folder && path.ends_with(ending) && depth <= *deepest
    };
    if path == "bot.yaml" || FOLDERS.iter().any(belongs) {
        return Ok(());
    }
    refused("a bot has no files of this kind")
}

/// The BLAKE3 hash, as 64 hex digits.
pub fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle() -> Bundle {
        Bundle::of(&[("bot.yaml", "name: a\n"), ("intents/hello.yaml", "intent: hello\n"), ("texts/a.yaml", "a: b\n")])
    }

    fn reassemble(manifest: &Manifest, id: &str, bundle: &Bundle) -> Result<Bundle, BundleError> {
        let by_hash: BTreeMap<String, &Vec<u8>> =
            manifest.files.values().map(|part| part.hash.clone()).zip(bundle.files.values()).collect();
        manifest.assemble(id, |hash| by_hash.get(hash).map(|bytes| (*bytes).clone()))
    }

    #[test]
    fn a_bundle_is_put_together_again() {
        let manifest = bundle().manifest();
        assert_eq!(reassemble(&manifest, &manifest.id(), &bundle()), Ok(bundle()));
    }

    #[test]
    fn paths_that_no_bot_has_are_refused() {
        for good in ["bot.yaml", "intents/a.yaml", "scripts/a/b.rhai", "plugins/a.wasm", "fixtures/x/y.convo.txt"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "../bot.yaml",
            "intents/../../etc/passwd",
            "/etc/passwd",
            "intents//a.yaml",
            "intents/.a.yaml",
            "plugins/src/lib.wasm",
            "intents/a.txt",
            "intents",
            "intents\\a.yaml",
            "intents/a\n.yaml",
            "",
            "C:/bot.yaml",
            "intents/a/b/c/d/e/f.yaml",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Any changed byte of any file, and any change to the list, is refused.
        #[test]
        fn any_corruption_is_refused(file in 0usize..3, at in 0usize..64, flip in 1u8..=255, kind in 0u8..5) {
            let whole = bundle();
            let (mut manifest, id) = (whole.manifest(), whole.manifest().id());
            let mut corrupt = whole.clone();
            let path = whole.files.keys().nth(file).unwrap().clone();
            match kind {
                0 => {
                    let bytes = corrupt.files.get_mut(&path).unwrap();
                    let at = at % bytes.len();
                    bytes[at] ^= flip;
                }
                1 => corrupt.files.get_mut(&path).unwrap().truncate(at % whole.files[&path].len()),
                2 => corrupt.files.get_mut(&path).unwrap().push(flip),
                3 => {
                    let part = manifest.files.remove(&path).unwrap();
                    let other = BTreeMap::from([(0, "scripts/x.rhai"), (1, "intents/x.yaml"), (2, "texts/x.yaml")]);
                    manifest.files.insert(other[&file].to_owned(), part);
                }
                _ => {
                    let part = manifest.files.get_mut(&path).unwrap();
                    let mut digits: Vec<u8> = part.hash.bytes().collect();
                    let at = at % digits.len();
                    digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
                    part.hash = String::from_utf8(digits).unwrap();
                }
            }
            prop_assert!(reassemble(&manifest, &id, &corrupt).is_err());
        }
    }
}
