//! Turns a [`Bundle`] into a [`Catalogue`], or reports everything that is wrong with it.

mod ceiling;
mod defaults;
mod entities;
mod intents;
mod plugins;
mod slots;
mod texts;

pub use plugins::{SaidOf, said_of, ungranted_spec};

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{
    Catalogue, Session, Waiting,
    bundle::Bundle,
    document::{Document, decode},
    lint::{self, AllowedNames, Gaps},
    wire::{BotFile, SessionFile, TextFile, WaitingFile},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Location, choose_hint},
    handlers::{
        call::Library,
        plugin::{Plugin, PluginRuntime},
        script::{Script, Scripting},
    },
    language::Language,
    policy::{Ceiling, HttpPolicy},
    values::{self, Country},
};
use defaults::{DEFAULT_CANCELLED, DEFAULT_CLARIFY, DEFAULT_DROPPED, DEFAULT_HAND_OFF, bot_shape, default_text};

/// Loads a bot, which may ask for nothing above `ceiling`. All findings go into `diagnostics`, warnings included; returns
/// `None` if any of them is an error.
pub fn load(
    bundle: &Bundle,
    scripting: &Scripting,
    runtime: &dyn PluginRuntime,
    ceiling: &Ceiling,
    diagnostics: &mut Diagnostics,
) -> Option<Catalogue> {
    let (languages, scripts, plugins, absent_plugins, gaps) = Default::default();
    let mut loader = Loader {
        bundle,
        diagnostics,
        languages,
        scripts,
        plugins,
        absent_plugins,
        bot: Named::default(),
        gaps,
        country: None,
    };
    let catalogue = loader.catalogue(scripting, runtime, ceiling);
    catalogue.filter(|_| !diagnostics.has_errors())
}

/// In milliseconds.
const MINUTE: i64 = 60_000;

/// Names that bot.yaml defines, including those of things that fail to load.
#[derive(Default)]
struct Named {
    plugins: Vec<String>,
    entities: Vec<String>,
}

/// State while one bot is loaded.
pub(super) struct Loader<'a> {
    bundle: &'a Bundle,
    diagnostics: &'a mut Diagnostics,
    languages: Vec<Language>,
    scripts: BTreeMap<String, Arc<Script>>,
    plugins: BTreeMap<String, Arc<dyn Plugin>>,
    absent_plugins: Vec<String>,
    bot: Named,
    gaps: Gaps,
    country: Option<Country>,
}

impl Loader<'_> {
    fn catalogue(
        &mut self,
        scripting: &Scripting,
        runtime: &dyn PluginRuntime,
        ceiling: &Ceiling,
    ) -> Option<Catalogue> {
        let (bot, document) = self.bot_file()?;
        self.check_ceiling(&bot, &document, ceiling);
        self.languages = self.bot_languages(&bot, &document);
        let time_zone = self.time_zone(&bot, &document);
        self.country = self.country(&bot, &document);
        let entities = self.entities(&bot, &document);
        let texts = self.texts();
        self.compile_scripts(scripting);
        self.bot.plugins = bot.plugins.keys().cloned().collect();
        self.load_plugins(&bot, &document, runtime);
        let intents = self.intents(&entities);

        let mut by_name = HashMap::new();
        for (index, intent) in intents.iter().enumerate() {
            by_name.entry(intent.id.clone()).or_insert(index);
        }
        let mut text = |file: &Option<TextFile>, key: &str, default: &[(&str, &str)]| match file {
            Some(file) => {
                let names: &[&str] = if key == "/clarify" { &["first", "second"] } else { &[] };
                self.text(file.clone(), &document, key, AllowedNames::Only(names))
            }
            None => default_text(default),
        };
        let clarify = text(&bot.clarify, "/clarify", &DEFAULT_CLARIFY);
        let handoff = text(&bot.handoff, "/handoff", &DEFAULT_HAND_OFF);
        let cancelled = text(&bot.cancelled, "/cancelled", &DEFAULT_CANCELLED);
        let dropped = text(&bot.dropped, "/dropped", &DEFAULT_DROPPED);
        let waiting = self.waiting(bot.waiting, &document);
        let session = self.session(&bot.session, &document);
        let patterns = self.patterns(bot.patterns, &document, &intents);
        let fallback = self.fallback(bot.fallback, &document);
        let catalogue = Catalogue {
            name: bot.name,
            version: version(self.bundle),
            languages: self.languages_or_english(),
            intents,
            entities,
            library: Library {
                texts: Arc::new(texts),
                http: Arc::new(HttpPolicy::from(bot.http)),
                plugins: Arc::new(std::mem::take(&mut self.plugins)),
            },
            fallback,
            threshold: bot.matching.threshold,
            margin: bot.matching.margin,
            clarify,
            handoff,
            waiting,
            session,
            patterns,
            cancelled,
            dropped,
            absent_plugins: std::mem::take(&mut self.absent_plugins),
            time_zone,
            country: self.country,
            by_name,
            words: OnceLock::new(),
        };
        lint::check(&catalogue, &self.scripts, &self.bot.plugins, &self.gaps, self.diagnostics);
        Some(catalogue)
    }

    /// Reads bot.yaml. If it cannot be read, returns stand-in values, so that the other files are checked all the same.
    fn bot_file(&mut self) -> Option<(BotFile, Document)> {
        const FILE: &str = "bot.yaml";
        let shape = bot_shape();
        if !self.bundle.files.contains_key(FILE) {
            let diagnostic = Diagnostic::error(Location { file: FILE.to_owned(), span: 0..0 }, "the file is missing");
            self.diagnostics.push(diagnostic.hint("write one, or create a bot with `banter new <name>`"));
        }
        let document = self.document(FILE);
        let read = document.and_then(|mut document| Some((shape.read(&mut document, self.diagnostics)?, document)));
        let (bot, document) = match read {
            Some(read) => read,
            None => (shape.nothing()?, Document::unread(FILE)),
        };
        self.gaps.languages = document.lacks("/languages");
        self.gaps.entities = document.lacks("/entities");
        self.gaps.plugins = document.lacks("/plugins");
        Some((bot, document))
    }

    fn document(&mut self, path: &str) -> Option<Document> {
        Document::read(path, self.bundle.files.get(path)?, self.diagnostics)
    }

    fn bot_languages(&mut self, bot: &BotFile, document: &Document) -> Vec<Language> {
        let mut languages: Vec<Language> = Vec::new();
        if self.gaps.languages {
            return languages;
        }
        for (index, code) in bot.languages.iter().enumerate() {
            let location = document.location(&format!("/languages/{index}"));
            match Language::new(code) {
                None => {
                    let known: Vec<&str> = Language::known().collect();
                    let diagnostic =
                        Diagnostic::error(location, format!("`{code}` is not a language that the engine detects"));
                    self.diagnostics.push(diagnostic.hint(choose_hint(code, known)));
                    self.gaps.languages = true;
                }
                Some(language) if languages.contains(&language) => {
                    self.diagnostics.push(
                        Diagnostic::error(location, format!("`{code}` is listed twice")).hint("remove one of them"),
                    );
                }
                Some(language) => languages.push(language),
            }
        }
        languages
    }

    /// A bot needs a language even if its own are invalid, so that the other files are checked all the same.
    fn languages_or_english(&self) -> Vec<Language> {
        if self.languages.is_empty() { Language::new("en").into_iter().collect() } else { self.languages.clone() }
    }

    fn waiting(&mut self, file: WaitingFile, document: &Document) -> Waiting {
        let text = file.text.map(|text| self.text(text, document, "/waiting/text", AllowedNames::Only(&[])));
        Waiting { limit: i64::from(file.minutes) * MINUTE, text }
    }

    fn session(&mut self, file: &SessionFile, document: &Document) -> Session {
        let time = |minutes: u32| Some(i64::from(minutes) * MINUTE).filter(|time| *time > 0);
        let session = Session { limit: time(file.minutes), idle: time(file.idle_minutes) };
        if session.limit.zip(session.idle).is_some_and(|(limit, idle)| limit <= idle) {
            let message = "the session ends before the bot breaks the silence";
            let diagnostic = Diagnostic::warning(document.location("/session/minutes"), message);
            self.diagnostics
                .push(diagnostic.hint("make `minutes` more than `idle_minutes`, which is 5 without a value"));
        }
        session
    }

    fn time_zone(&mut self, bot: &BotFile, document: &Document) -> TimeZone {
        let Some(name) = &bot.time_zone else { return TimeZone::UTC };
        TimeZoneDatabase::bundled().get(name).unwrap_or_else(|_| {
            let diagnostic =
                Diagnostic::error(document.location("/time_zone"), format!("`{name}` is not an IANA time zone"));
            self.diagnostics.push(diagnostic.hint("write a name such as Europe/Moscow or UTC"));
            TimeZone::UTC
        })
    }

    fn country(&mut self, bot: &BotFile, document: &Document) -> Option<Country> {
        let found = values::country(bot.country.as_deref()?);
        if let Err(message) = &found {
            let diagnostic = Diagnostic::error(document.location("/country"), message.clone());
            self.diagnostics.push(diagnostic.hint("write a code of two letters, as in ISO 3166"));
        }
        found.ok()
    }

    fn compile_scripts(&mut self, scripting: &Scripting) {
        for path in self.paths("scripts/") {
            let Some(bytes) = self.bundle.files.get(&path) else { continue };
            self.diagnostics.add_source(&path, &String::from_utf8_lossy(bytes));
            let source = decode(&path, bytes).map_err(|diagnostic| vec![diagnostic]);
            match source.and_then(|source| scripting.compile(&path, source)) {
                Ok(script) => {
                    self.scripts.insert(path, Arc::new(script));
                }
                Err(diagnostics) => diagnostics.into_iter().for_each(|diagnostic| self.diagnostics.push(diagnostic)),
            }
        }
    }

    fn language(&mut self, code: &str, document: &Document, pointer: &str) -> Option<Language> {
        let found = self.languages.iter().find(|language| language.code() == code).cloned();
        let found = found.or_else(|| Language::new(code).filter(|_| self.gaps.languages));
        if found.is_none() && !(self.gaps.languages && self.languages.is_empty()) {
            let known: Vec<&str> = self.languages.iter().map(Language::code).collect();
            let diagnostic = Diagnostic::error(
                document.key_location(pointer),
                format!("`{code}` is not one of the bot's languages"),
            );
            self.diagnostics.push(diagnostic.hint(choose_hint(code, known)));
        }
        found
    }

    fn paths(&self, folder: &str) -> Vec<String> {
        self.bundle.files.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    }
}

/// How bot.yaml is read: an invalid or missing key does not hide what is wrong elsewhere.
fn version(bundle: &Bundle) -> String {
    let mut hash = blake3::Hasher::new();
    // Fixtures are expectations of the bot, not part of it.
    for (path, bytes) in bundle.files.iter().filter(|(path, _)| !path.starts_with("fixtures/")) {
        for part in [path.as_bytes(), bytes] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}
