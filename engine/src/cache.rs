//! The intent cache: vectors of examples on disk, so that a start or a reload embeds only new texts.
//!
//! It is one file, written completely and then renamed into place; its last 32 bytes are the BLAKE3 hash of the rest. A
//! file that is damaged, or of another model or version, is ignored and rebuilt: it is a cache, never a source of
//! truth.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    embedding::{Embedder, EmbeddingError, Urgency, Vector},
    storage::write_atomically,
};

const MAGIC: &[u8; 8] = b"BANTERV1";
const HASH: usize = 32;
/// Number of texts embedded between two progress reports.
const STEP: usize = 64;
/// Up to this total, vectors of texts that left the catalogue are kept, so that a roll-back is fast.
const MAX_ENTRIES: usize = 100_000;

type TextKey = [u8; HASH];

/// Vectors of one model, by the hash of their text.
pub struct IntentCache {
    path: Option<PathBuf>,
    model: String,
    dimension: usize,
    entries: HashMap<TextKey, Vector>,
    changed: bool,
}

impl IntentCache {
    /// A cache without a file.
    pub fn in_memory(embedder: &dyn Embedder) -> Self {
        Self {
            path: None,
            model: embedder.id().to_owned(),
            dimension: embedder.blocks().iter().sum(),
            entries: HashMap::new(),
            changed: false,
        }
    }

    /// The cache in `path`; empty if there is no usable file.
    pub fn open(path: &Path, embedder: &dyn Embedder) -> Self {
        let mut cache = Self { path: Some(path.to_owned()), ..Self::in_memory(embedder) };
        match fs::read(path) {
            Ok(bytes) => match decode(&bytes, &cache.model, cache.dimension) {
                Some(entries) => cache.entries = entries,
                None => {
                    tracing::warn!(path = %path.display(), "the intent cache is damaged or belongs to another model; rebuilding it")
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read the intent cache; rebuilding it")
            }
        }
        cache
    }

    /// The number of `texts` that are not in the cache.
    pub fn missing(&self, texts: &[String]) -> usize {
        texts.iter().filter(|text| !self.entries.contains_key(&key(text))).count()
    }

    /// Returns the vectors of `texts`, in order, and embeds missing ones. Calls `progress(done, total)` meanwhile.
    ///
    /// # Errors
    /// Those of the embedder.
    pub fn vectors(
        &mut self,
        embedder: &dyn Embedder,
        texts: &[String],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Vector>, EmbeddingError> {
        let mut missing: Vec<&String> = texts.iter().filter(|text| !self.entries.contains_key(&key(text))).collect();
        // Texts of similar length share a batch, which keeps padding small.
        missing.sort_by_key(|text| text.len());
        missing.dedup();
        let total = missing.len();
        for (step, part) in missing.chunks(STEP).enumerate() {
            progress(step * STEP, total);
            let part: Vec<String> = part.iter().map(|text| (*text).clone()).collect();
            for (text, vector) in part.iter().zip(embedder.embed(&part, Urgency::Patient)?) {
                self.entries.insert(key(text), vector);
                self.changed = true;
            }
        }
        if total > 0 {
            progress(total, total);
        }
        Ok(texts.iter().map(|text| Arc::clone(&self.entries[&key(text)])).collect())
    }

    /// Adds vectors from elsewhere, one for each text.
    pub fn add(&mut self, texts: &[String], vectors: &[Vector]) {
        for (text, vector) in texts.iter().zip(vectors) {
            if self.entries.insert(key(text), Arc::clone(vector)).is_none() {
                self.changed = true;
            }
        }
    }

    /// Writes the file if anything is new. Above the size limit, keeps only the vectors of `texts`.
    ///
    /// # Errors
    /// Those of the file system; the cache in memory stays usable.
    pub fn save(&mut self, texts: &[String]) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if !self.changed {
            return Ok(());
        }
        if self.entries.len() > MAX_ENTRIES {
            let used: std::collections::HashSet<TextKey> = texts.iter().map(|text| key(text)).collect();
            self.entries.retain(|key, _| used.contains(key));
        }
        write_atomically(path, &encode(&self.entries, &self.model, self.dimension))?;
        self.changed = false;
        Ok(())
    }
}

fn key(text: &str) -> TextKey {
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn encode(entries: &HashMap<TextKey, Vector>, model: &str, dimension: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + model.len() + entries.len() * (HASH + 4 * dimension));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(model.len() as u32).to_le_bytes());
    out.extend_from_slice(model.as_bytes());
    out.extend_from_slice(&(dimension as u32).to_le_bytes());
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| **key);
    for (key, vector) in sorted {
        out.extend_from_slice(key);
        vector.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    }
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

fn decode(bytes: &[u8], model: &str, dimension: usize) -> Option<HashMap<TextKey, Vector>> {
    let (body, hash) = bytes.split_last_chunk::<HASH>()?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (found, rest) = rest.split_first_chunk::<4>()?;
    if name != model.as_bytes() || u32::from_le_bytes(*found) as usize != dimension {
        return None;
    }
    rest.chunks(HASH + 4 * dimension)
        .map(|entry| {
            let (key, vector) = entry.split_first_chunk::<HASH>()?;
            let values: Vec<f32> =
                vector.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            (values.len() == dimension).then(|| (*key, Arc::from(values)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedding::hashed::HashedEmbedder;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_second_start_embeds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.bin");
        let embedder = HashedEmbedder::new(8);
        let wanted = texts(&["hello", "bye", "hello"]);
        let mut first = IntentCache::open(&path, &embedder);
        assert_eq!(first.missing(&wanted), 3);
        let vectors = first.vectors(&embedder, &wanted, &mut |_, _| {}).unwrap();
        first.save(&wanted).unwrap();

        let mut second = IntentCache::open(&path, &embedder);
        assert_eq!(second.missing(&wanted), 0);
        let again = second.vectors(&embedder, &wanted, &mut |_, _| panic!("nothing to embed")).unwrap();
        assert_eq!(again, vectors);
        let other = IntentCache::open(&path, &HashedEmbedder::new(9));
        assert_eq!(other.missing(&wanted), 3, "of another model");
    }

    proptest! {
        #[test]
        fn damage_is_noticed(at in 0usize..200, flip in 1u8..=255) {
            let entries = HashMap::from([(key("a"), Arc::from([1.0f32, 2.0])), (key("b"), Arc::from([3.0f32, 4.0]))]);
            let mut bytes = encode(&entries, "m", 2);
            let at = at % bytes.len();
            prop_assert_eq!(decode(&bytes, "m", 2), Some(entries));
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes, "m", 2), None);
            prop_assert_eq!(decode(&bytes[..at], "m", 2), None);
        }
    }
}
