//! The encoders of each language. A text's vector joins the vectors of its language's encoders. Texts of two languages
//! are compared by the encoders that both share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use super::{
    Embedder, Embedding, EmbeddingError, Urgency, Vector,
    model::{Model, ModelOptions, ModelSource},
    recent::RecentTexts,
    worker::EmbeddingWorker,
};
use crate::language::{Language, detect};

/// In the table of encoders by language, all languages that are not in it.
pub const OTHERS: &str = "other";

/// What all encoders of a server share.
#[derive(Clone, Debug)]
pub struct EncoderSettings {
    /// Path of `libonnxruntime.so`.
    pub library: PathBuf,
    /// Longer texts are cut after this number of tokens.
    pub max_tokens: usize,
    /// Number of threads for one run of a model.
    pub threads: usize,
    /// The longest that a new turn may wait for an encoder; others are refused.
    pub patience: Duration,
    /// The number of recent texts whose vectors are remembered.
    pub recent: usize,
}

/// The default encoders of each language, by the names of their folders.
pub fn usual() -> BTreeMap<String, Vec<String>> {
    let of = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    [("en", ["minilm", "use"]), ("ru", ["e5", "use"]), (OTHERS, ["e5", "use"])]
        .map(|(language, names)| (language.to_owned(), of(names)))
        .into()
}

/// Encoders, and which of them serve a language.
pub struct Encoders {
    encoders: Vec<Encoder>,
    routes: Routes,
    recent: usize,
    made: Mutex<HashMap<Vec<Language>, Arc<dyn Embedder>>>,
    /// Held while encoders are loaded, so that two versions of a bot do not load them twice.
    loading: Mutex<()>,
}

/// The numbers of the encoders that serve a language.
struct Routes {
    by_language: BTreeMap<String, Vec<usize>>,
    others: Vec<usize>,
}

impl Routes {
    fn of(&self, language: &Language) -> &[usize] {
        self.by_language.get(language.code()).unwrap_or(&self.others)
    }
}

/// An encoder that is loaded when a bot's language needs it.
struct Encoder {
    options: ModelOptions,
    patience: Duration,
    worker: OnceLock<Arc<EmbeddingWorker>>,
}

impl Encoder {
    /// Loads the encoder, unless it is loaded.
    fn worker(&self) -> Result<Arc<EmbeddingWorker>, EmbeddingError> {
        if let Some(worker) = self.worker.get() {
            return Ok(Arc::clone(worker));
        }
        let loaded = Arc::new(EmbeddingWorker::new(Model::load(&self.options)?, self.patience));
        Ok(Arc::clone(self.worker.get_or_init(|| loaded)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Encoders {
    /// Encoders in subfolders of `folder`. `by_language` has their names for each language, and for [`OTHERS`]. Loads
    /// nothing yet.
    pub fn in_folder(folder: &Path, by_language: &BTreeMap<String, Vec<String>>, settings: &EncoderSettings) -> Self {
        let names: BTreeSet<&String> = by_language.values().flatten().collect();
        let number = |name: &String| names.iter().position(|other| *other == name);
        let mut by_language: BTreeMap<String, Vec<usize>> = by_language
            .iter()
            .map(|(language, own)| (language.clone(), own.iter().filter_map(number).collect()))
            .collect();
        let others = by_language.remove(OTHERS).unwrap_or_default();
        let sources = names.iter().map(|name| ModelSource::Folder(folder.join(name))).collect();
        Self::new(sources, Routes { by_language, others }, settings)
    }

    /// One encoder for all languages. Loads nothing yet.
    pub fn single(source: ModelSource, settings: &EncoderSettings) -> Self {
        Self::new(vec![source], Routes { by_language: BTreeMap::new(), others: vec![0] }, settings)
    }

    fn new(sources: Vec<ModelSource>, routes: Routes, settings: &EncoderSettings) -> Self {
        let EncoderSettings { library, max_tokens, threads, patience, recent } = settings.clone();
        let options = |source| ModelOptions { library: library.clone(), source, max_tokens, threads };
        let encoder = |source| Encoder { options: options(source), patience, worker: OnceLock::new() };
        let encoders = sources.into_iter().map(encoder).collect();
        Self { encoders, routes, recent, made: Mutex::default(), loading: Mutex::default() }
    }

    fn joined(&self, languages: &[Language]) -> Result<Joined, EmbeddingError> {
        let serves = |encoder: &usize| languages.iter().any(|language| self.routes.of(language).contains(encoder));
        let used: Vec<usize> = (0..self.encoders.len()).filter(serves).collect();
        // Each takes a second, most of it on one core.
        let workers = thread::scope(|scope| {
            let load = |encoder: &usize| {
                let encoder = &self.encoders[*encoder];
                scope.spawn(|| encoder.worker())
            };
            let loading: Vec<_> = used.iter().map(load).collect();
            let crashed = |_| Err(EmbeddingError::Failed("a model crashed while it was loaded".to_owned()));
            loading.into_iter().map(|one| one.join().unwrap_or_else(crashed)).collect::<Result<Vec<_>, _>>()
        })?;
        let place = |encoder: &usize| used.iter().position(|other| other == encoder);
        let routes = languages
            .iter()
            .map(|language| (language.clone(), self.routes.of(language).iter().filter_map(place).collect()))
            .collect();
        Ok(Joined::new(workers, languages.to_vec(), routes))
    }
}

impl Embedding for Encoders {
    fn of(&self, languages: &[Language]) -> Result<Arc<dyn Embedder>, EmbeddingError> {
        let known = || lock(&self.made).get(languages).map(Arc::clone);
        // Turns of versions that serve never wait for the encoders of another.
        if let Some(embedder) = known() {
            return Ok(embedder);
        }
        let _loading = lock(&self.loading);
        if let Some(embedder) = known() {
            return Ok(embedder);
        }
        let joined = Arc::new(self.joined(languages)?);
        let embedder: Arc<dyn Embedder> = Arc::new(RecentTexts::new(joined, self.recent));
        lock(&self.made).insert(languages.to_vec(), Arc::clone(&embedder));
        Ok(embedder)
    }

    fn is_alive(&self) -> bool {
        self.encoders.iter().filter_map(|encoder| encoder.worker.get()).all(|worker| worker.is_alive())
    }
}

/// The encoders that a bot's languages need. A text's language is detected among them; a text that indicates none, such
/// as a number or an emoji, is one of each language.
struct Joined {
    workers: Vec<Arc<EmbeddingWorker>>,
    languages: Vec<Language>,
    /// The encoders of each language.
    routes: Vec<(Language, Vec<usize>)>,
    /// All encoders.
    every: Vec<usize>,
    id: String,
    blocks: Vec<usize>,
}

impl Joined {
    fn new(workers: Vec<Arc<EmbeddingWorker>>, languages: Vec<Language>, routes: Vec<(Language, Vec<usize>)>) -> Self {
        let blocks = workers.iter().flat_map(|worker| worker.blocks().iter().copied()).collect();
        let ids: Vec<&str> = workers.iter().map(|worker| worker.id()).collect();
        let served: Vec<String> = routes.iter().map(|(language, route)| format!("{language}{route:?}")).collect();
        let every: Vec<usize> = (0..workers.len()).collect();
        let id = format!("{} {}", ids.join("+"), served.join(" "));
        Self { workers, languages, routes, every, id, blocks }
    }

    /// The vectors of each encoder's own texts. The encoders run side by side: each takes milliseconds on one core.
    fn run(&self, texts: &[String], own: &[Vec<usize>], urgency: Urgency) -> Result<Vec<Vec<Vector>>, EmbeddingError> {
        let run = |encoder: usize| {
            let texts: Vec<String> = own[encoder].iter().map(|text| texts[*text].clone()).collect();
            self.workers[encoder].embed(&texts, urgency)
        };
        let used: Vec<usize> = (0..own.len()).filter(|encoder| !own[*encoder].is_empty()).collect();
        let Some((here, elsewhere)) = used.split_last() else { return Ok(vec![Vec::new(); own.len()]) };
        let mut vectors = vec![Vec::new(); own.len()];
        thread::scope(|scope| {
            let start = |encoder: &usize| {
                let encoder = *encoder;
                let started = thread::Builder::new().spawn_scoped(scope, move || run(encoder));
                let started = started.map_err(|error| EmbeddingError::Failed(format!("no thread: {error}")))?;
                Ok((encoder, started))
            };
            let running = elsewhere.iter().map(start).collect::<Result<Vec<_>, EmbeddingError>>()?;
            vectors[*here] = run(*here)?;
            for (encoder, started) in running {
                let crashed = |_| Err(EmbeddingError::Failed("a model crashed".to_owned()));
                vectors[encoder] = started.join().unwrap_or_else(crashed)?;
            }
            Ok(vectors)
        })
    }

    /// The encoders of a text's language that can read it, or all of them if none can.
    fn route(&self, text: &str) -> Vec<usize> {
        let language = detect(text, &self.languages);
        let found = language.and_then(|language| self.routes.iter().find(|(known, _)| *known == language));
        let own = found.map_or(&self.every, |(_, route)| route);
        let readers: Vec<usize> = own.iter().copied().filter(|place| self.workers[*place].can_read(text)).collect();
        if readers.is_empty() { own.clone() } else { readers }
    }
}

impl Embedder for Joined {
    fn id(&self) -> &str {
        &self.id
    }

    fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    fn is_alive(&self) -> bool {
        self.workers.iter().all(|worker| worker.is_alive())
    }

    fn remembers(&self, _: &str) -> bool {
        false
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        let routes: Vec<Vec<usize>> = texts.iter().map(|text| self.route(text)).collect();
        let own = |encoder: usize| (0..texts.len()).filter(|text| routes[*text].contains(&encoder)).collect();
        let own: Vec<Vec<usize>> = (0..self.workers.len()).map(own).collect();
        let mut out = vec![vec![0.0f32; self.blocks.iter().sum()]; texts.len()];
        let mut start = 0;
        for ((own, vectors), length) in own.iter().zip(self.run(texts, &own, urgency)?).zip(&self.blocks) {
            for (text, vector) in own.iter().zip(vectors) {
                // Each part has length 1, and so has the whole.
                let share = (routes[*text].len() as f32).sqrt().recip();
                let block = out[*text][start..start + length].iter_mut();
                block.zip(vector.iter()).for_each(|(to, from)| *to = from * share);
            }
            start += length;
        }
        Ok(out.into_iter().map(Arc::from).collect())
    }
}
