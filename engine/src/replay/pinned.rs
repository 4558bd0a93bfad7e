//! An embedder for replays. It looks up texts that were embedded before the run, and embeds each text alone, so that
//! the last bits of a vector do not depend on which texts shared its batch.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::fixture::Fixture;
use crate::{
    cache::IntentCache,
    embedding::{Embedder, Embedding, EmbeddingError, Urgency, Vector},
    language::Language,
    text::normalize,
};

/// Encoders whose vectors do not depend on other requests.
pub struct Pinned {
    inner: Arc<dyn Embedding>,
    languages: Vec<Language>,
    /// The embedder of these languages.
    own: Arc<PinnedEmbedder>,
}

impl Pinned {
    /// Embeds the messages of fixtures as a bot of these languages does, or reads their vectors from a cache file in
    /// `folder`.
    ///
    /// # Errors
    /// If a text cannot be embedded. A cache file that cannot be read is rebuilt; one that cannot be written is logged.
    pub fn new(
        inner: Arc<dyn Embedding>,
        languages: &[Language],
        fixtures: &[Fixture],
        folder: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EmbeddingError> {
        let texts: BTreeSet<String> =
            fixtures.iter().flat_map(|fixture| fixture.steps.iter().map(|step| normalize(&step.text))).collect();
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let embedder = inner.of(languages)?;
        let mut cache = match folder {
            Some(folder) => IntentCache::open(&folder.join("utterances.bin"), &*embedder),
            None => IntentCache::in_memory(&*embedder),
        };
        let missing = cache.missing(&texts);
        let one = Single(&*embedder);
        let vectors = cache.vectors(&one, &texts, progress)?;
        if missing > 0
            && let Err(error) = cache.save(&texts)
        {
            tracing::warn!(%error, "cannot save the vectors of the fixtures; the next replay embeds them again");
        }
        let known = texts.into_iter().zip(vectors).collect();
        let own = Arc::new(PinnedEmbedder { inner: embedder, known, alone: Mutex::new(()) });
        Ok(Self { inner, languages: languages.to_vec(), own })
    }
}

impl Embedding for Pinned {
    fn of(&self, languages: &[Language]) -> Result<Arc<dyn Embedder>, EmbeddingError> {
        if languages == self.languages {
            return Ok(Arc::clone(&self.own) as Arc<dyn Embedder>);
        }
        // A version of the bot with other languages, whose vectors are others.
        let inner = self.inner.of(languages)?;
        Ok(Arc::new(PinnedEmbedder { inner, known: HashMap::new(), alone: Mutex::new(()) }))
    }

    fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }
}

/// An [`Embedder`] that knows the vectors of some texts, and embeds each other text alone.
struct PinnedEmbedder {
    inner: Arc<dyn Embedder>,
    known: HashMap<String, Vector>,
    /// Held while a text is embedded, so that only one is at a time.
    alone: Mutex<()>,
}

/// Passes texts on one at a time.
struct Single<'a>(&'a dyn Embedder);

impl Embedder for Single<'_> {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn blocks(&self) -> &[usize] {
        self.0.blocks()
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    fn remembers(&self, text: &str) -> bool {
        self.0.remembers(text)
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        texts.iter().try_fold(Vec::with_capacity(texts.len()), |mut all, text| {
            all.extend(self.0.embed(std::slice::from_ref(text), urgency)?);
            Ok(all)
        })
    }
}

impl Embedder for PinnedEmbedder {
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
        self.known.contains_key(text) || self.inner.remembers(text)
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        let embed = |text: &String| match self.known.get(text) {
            Some(vector) => Ok(Arc::clone(vector)),
            None => {
                let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
                let vectors = self.inner.embed(std::slice::from_ref(text), urgency)?;
                vectors.into_iter().next().ok_or_else(|| EmbeddingError::Failed("no vector was returned".to_owned()))
            }
        };
        texts.iter().map(embed).collect()
    }
}
