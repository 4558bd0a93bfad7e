//! A cache of recent texts in front of an [`Embedder`]: a repeated text does not run the model.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use super::{Embedder, EmbeddingError, Urgency, Vector};

/// A least-recently-used cache of vectors by text.
pub struct RecentTexts {
    inner: Arc<dyn Embedder>,
    cache: Mutex<LruCache<String, Vector>>,
}

impl RecentTexts {
    /// Creates a cache for `capacity` texts, at least one.
    pub fn new(inner: Arc<dyn Embedder>, capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { inner, cache: Mutex::new(LruCache::new(capacity)) }
    }

    fn recall(&self, text: &str) -> Option<Vector> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }
}

impl Embedder for RecentTexts {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn blocks(&self) -> &[usize] {
        self.inner.blocks()
    }

    fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }

    fn remembers(&self, text: &str) -> bool {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).contains(text)
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        let mut out: Vec<Option<Vector>> = texts.iter().map(|text| self.recall(text)).collect();
        let missing: Vec<usize> = (0..texts.len()).filter(|i| out[*i].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<String> = missing.iter().map(|i| texts[*i].clone()).collect();
            let vectors = self.inner.embed(&wanted, urgency)?;
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for ((i, text), vector) in missing.into_iter().zip(wanted).zip(vectors) {
                cache.put(text, Arc::clone(&vector));
                out[i] = Some(vector);
            }
        }
        Ok(out.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::embedding::hashed::HashedEmbedder;

    struct Counting(HashedEmbedder, AtomicUsize);

    impl Embedder for Counting {
        fn id(&self) -> &str {
            self.0.id()
        }
        fn blocks(&self) -> &[usize] {
            self.0.blocks()
        }
        fn is_alive(&self) -> bool {
            true
        }
        fn remembers(&self, _: &str) -> bool {
            false
        }
        fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
            self.1.fetch_add(texts.len(), Ordering::Relaxed);
            self.0.embed(texts, urgency)
        }
    }

    #[test]
    fn a_recent_text_is_not_embedded_again() {
        let counting = Arc::new(Counting(HashedEmbedder::new(16), AtomicUsize::new(0)));
        let recent = RecentTexts::new(counting.clone(), 2);
        let ask = |texts: &[&str]| {
            recent.embed(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), Urgency::New).unwrap()
        };
        let first = ask(&["a", "b"]);
        assert_eq!(ask(&["b", "a"]), [first[1].clone(), first[0].clone()]);
        assert_eq!(counting.1.load(Ordering::Relaxed), 2);
        ask(&["c"]);
        ask(&["b"]);
        assert_eq!(counting.1.load(Ordering::Relaxed), 4, "the oldest is forgotten");
    }
}
