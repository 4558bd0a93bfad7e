//! From a [`Bundle`] to a [`Catalogue`], or to all that is wrong with it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use super::{
    Catalogue, Fallback, Handler, HttpPolicy, Intent, IntentId, SlotSpec,
    bundle::Bundle,
    document::{Document, child, decode},
    example::{Example, parse_annotations},
    fault::{Fault, Faults, Place, choose_hint},
    lint,
    shape::Shape,
    template::{Template, Text},
    wire::{BotFile, EntityFile, HandlerFile, IntentFile, RoleFile, SlotFile, TextFile, TextsFile, ThenFile},
};
use crate::{
    entities::EntitySpec,
    handlers::script::{Script, Scripting},
    language::Language,
    text::{fold, normalize},
};

/// An utterance of an author is no longer than a message may be.
const MAX_EXAMPLE: usize = 2_000;

/// Loads a bot. All faults, also those that do not refuse it, are in `faults`; `None` when any is an error.
pub fn load(bundle: &Bundle, scripting: &Scripting, faults: &mut Faults) -> Option<Catalogue> {
    let mut loader = Loader { bundle, faults, languages: Vec::new(), scripts: BTreeMap::new() };
    let catalogue = loader.catalogue(scripting);
    catalogue.filter(|_| !faults.has_errors())
}

struct Loader<'a> {
    bundle: &'a Bundle,
    faults: &'a mut Faults,
    languages: Vec<Language>,
    scripts: BTreeMap<String, Arc<Script>>,
}

impl Loader<'_> {
    fn catalogue(&mut self, scripting: &Scripting) -> Option<Catalogue> {
        let (bot, document) = self.bot_file()?;
        self.languages = self.bot_languages(&bot, &document);
        let time_zone = self.time_zone(&bot, &document);
        let entities = self.entities(&bot, &document);
        let texts = self.texts();
        self.compile_scripts(scripting);
        let intents = self.intents(&entities);

        let mut by_name = HashMap::new();
        for (index, intent) in intents.iter().enumerate() {
            by_name.entry(intent.id.clone()).or_insert(index);
        }
        let mut text = |file: &Option<TextFile>, key: &str, default: &[(&str, &str)]| match file {
            Some(file) => self.text(file.clone(), &document, key),
            None => default_text(default),
        };
        let clarify = text(&bot.clarify, "/clarify", &DEFAULT_CLARIFY);
        let handoff = text(&bot.handoff, "/handoff", &DEFAULT_HANDOFF);
        let cancelled = text(&bot.cancelled, "/cancelled", &DEFAULT_CANCELLED);
        let fallback = Fallback {
            tries: bot.fallback.tries,
            then_hand_off: bot.fallback.then == ThenFile::Handoff,
            text: self.text(bot.fallback.text.clone(), &document, "/fallback/text"),
        };
        lint::check_names(&clarify, &["first", "second"], &document.place("/clarify"), self.faults);
        for (text, key) in [(&handoff, "/handoff"), (&cancelled, "/cancelled"), (&fallback.text, "/fallback/text")] {
            lint::check_names(text, &[], &document.place(key), self.faults);
        }
        let catalogue = Catalogue {
            name: bot.name,
            version: version(self.bundle),
            languages: if self.languages.is_empty() {
                Language::new("en").into_iter().collect()
            } else {
                self.languages.clone()
            },
            intents,
            entities,
            texts,
            fallback,
            threshold: bot.matching.threshold,
            margin: bot.matching.margin,
            clarify,
            handoff,
            cancelled,
            http: HttpPolicy {
                allow: bot.http.allow.iter().map(|host| host.to_lowercase()).collect(),
                private: bot.http.private,
                timeout_ms: bot.http.timeout_ms,
                max_bytes: bot.http.max_bytes,
            },
            time_zone,
            by_name,
        };
        lint::check(&catalogue, &self.scripts, self.faults);
        Some(catalogue)
    }

    fn bot_file(&mut self) -> Option<(BotFile, Document)> {
        if !self.bundle.files.contains_key("bot.yaml") {
            let place = Place { file: "bot.yaml".to_owned(), span: 0..0 };
            self.faults.push(
                Fault::error(place, "the file is missing").hint("write one, or make a bot with `banter new <name>`"),
            );
            return None;
        }
        let document = self.document("bot.yaml")?;
        let bot = Shape::<BotFile>::new().read(&document, self.faults)?;
        Some((bot, document))
    }

    fn document(&mut self, path: &str) -> Option<Document> {
        let bytes = self.bundle.files.get(path)?;
        self.faults.add_source(path, &String::from_utf8_lossy(bytes));
        match Document::parse(path, bytes) {
            Ok(document) => Some(document),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    fn bot_languages(&mut self, bot: &BotFile, document: &Document) -> Vec<Language> {
        let mut languages: Vec<Language> = Vec::new();
        for (index, code) in bot.languages.iter().enumerate() {
            let place = document.place(&format!("/languages/{index}"));
            match Language::new(code) {
                None => {
                    let known: Vec<&str> = Language::known().collect();
                    let fault = Fault::error(place, format!("`{code}` is no language that the engine detects"));
                    self.faults.push(fault.hint(choose_hint(code, known)));
                }
                Some(language) if languages.contains(&language) => {
                    self.faults.push(Fault::error(place, format!("`{code}` is listed twice")));
                }
                Some(language) => languages.push(language),
            }
        }
        languages
    }

    fn time_zone(&mut self, bot: &BotFile, document: &Document) -> TimeZone {
        let Some(name) = &bot.time_zone else { return TimeZone::UTC };
        TimeZoneDatabase::bundled().get(name).unwrap_or_else(|_| {
            let fault = Fault::error(document.place("/time_zone"), format!("`{name}` is no IANA time zone"));
            self.faults.push(fault.hint("write one such as Europe/Moscow or UTC"));
            TimeZone::UTC
        })
    }

    fn entities(&mut self, bot: &BotFile, document: &Document) -> BTreeMap<String, EntitySpec> {
        let mut entities = BTreeMap::new();
        for (name, file) in &bot.entities {
            let pointer = child("/entities", name);
            match entity(file) {
                Ok(spec) => {
                    entities.insert(name.clone(), spec);
                }
                Err((key, message)) => {
                    let place = if key.is_empty() {
                        document.key_place(&pointer)
                    } else {
                        document.place(&child(&pointer, key))
                    };
                    self.faults.push(Fault::error(place, message));
                }
            }
        }
        entities
    }

    fn texts(&mut self) -> BTreeMap<String, Text> {
        let shape = Shape::<TextsFile>::new();
        let mut texts = BTreeMap::new();
        for path in self.paths("texts/") {
            let Some(document) = self.document(&path) else { continue };
            let Some(file) = shape.read(&document, self.faults) else { continue };
            for (key, text) in file.texts {
                let pointer = child("", &key);
                let text = self.text(text, &document, &pointer);
                if texts.insert(key.clone(), text).is_some() {
                    let fault =
                        Fault::error(document.key_place(&pointer), format!("the text `{key}` is in another file too"));
                    self.faults.push(fault.hint("rename or remove one of them"));
                }
            }
        }
        texts
    }

    fn compile_scripts(&mut self, scripting: &Scripting) {
        for path in self.paths("scripts/") {
            let Some(bytes) = self.bundle.files.get(&path) else { continue };
            self.faults.add_source(&path, &String::from_utf8_lossy(bytes));
            let compiled = decode(&path, bytes).and_then(|source| scripting.compile(&path, source));
            match compiled {
                Ok(script) => {
                    self.scripts.insert(path, Arc::new(script));
                }
                Err(fault) => self.faults.push(fault),
            }
        }
    }

    fn intents(&mut self, entities: &BTreeMap<String, EntitySpec>) -> Vec<Intent> {
        let shape = Shape::<IntentFile>::new();
        let mut intents = Vec::new();
        let paths = self.paths("intents/");
        if paths.is_empty() {
            let place = Place { file: "bot.yaml".to_owned(), span: 0..0 };
            self.faults.push(Fault::error(place, "the bot has no intents").hint("write one in intents/<name>.yaml"));
        }
        for path in paths {
            let Some(document) = self.document(&path) else { continue };
            let Some(file) = shape.read(&document, self.faults) else { continue };
            intents.push(self.intent(file, &document, entities));
        }
        intents
    }

    fn intent(&mut self, file: IntentFile, document: &Document, entities: &BTreeMap<String, EntitySpec>) -> Intent {
        let examples = self.examples(&file.examples, document, entities);
        let mut slots = Vec::new();
        for (name, value) in file.slots {
            slots.extend(self.slot(name, value, document, entities));
        }
        let names: Vec<&str> = slots.iter().map(|slot: &SlotSpec| slot.name.as_str()).collect();
        let title = file.title.map(|title| self.text(title, document, "/title"));
        let handler = self.handler(file.handler, document, &names);
        Intent {
            id: IntentId::new(&file.intent),
            title,
            examples,
            slots,
            handler,
            threshold: file.threshold,
            cancels: file.role == Some(RoleFile::Cancel),
            place: document.place("/intent"),
        }
    }

    fn examples(
        &mut self,
        lists: &BTreeMap<String, Vec<String>>,
        document: &Document,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> Vec<Example> {
        let mut examples = Vec::new();
        for (code, list) in lists {
            let pointer = child("/examples", code);
            let Some(language) = self.language(code, document, &pointer) else { continue };
            for (index, source) in list.iter().enumerate() {
                let place = document.place(&child(&pointer, index));
                match self.example(source, &place, entities) {
                    Ok((text, marks)) => {
                        examples.push(Example { language: language.clone(), text, marks, place });
                    }
                    Err(fault) => self.faults.push(fault),
                }
            }
        }
        if examples.is_empty() {
            let fault = Fault::error(document.key_place("/examples"), "the intent has no examples");
            self.faults.push(fault.hint("write at least two, as users say it"));
        }
        examples
    }

    fn example(
        &mut self,
        source: &str,
        place: &Place,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> Result<(String, Vec<super::example::Mark>), Fault> {
        let (text, marks) = parse_annotations(source).map_err(|(message, _)| Fault::error(place.clone(), message))?;
        let text = normalize(&text);
        if text.is_empty() {
            return Err(Fault::error(place.clone(), "the example is empty"));
        }
        if text.chars().count() > MAX_EXAMPLE {
            return Err(Fault::error(place.clone(), format!("the example is longer than {MAX_EXAMPLE} characters")));
        }
        for mark in &marks {
            let Some(spec) = entities.get(&mark.entity) else {
                let known: Vec<&str> = entities.keys().map(String::as_str).collect();
                let fault =
                    Fault::error(place.clone(), format!("the example marks an unknown entity `{}`", mark.entity));
                self.faults.push(fault.hint(choose_hint(&mark.entity, known)));
                continue;
            };
            if spec.find(&mark.entity, &mark.text).is_empty() {
                let message = format!("`{}` is marked as {}, which does not recognise it", mark.text, mark.entity);
                let fault = Fault::warning(place.clone(), message);
                self.faults.push(fault.hint(format!("widen `{}` in bot.yaml, or mend the example", mark.entity)));
            }
        }
        Ok((text, marks))
    }

    fn slot(
        &mut self,
        name: String,
        value: Value,
        document: &Document,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> Option<SlotSpec> {
        let pointer = child("/slots", &name);
        let file: SlotFile = match serde_json::from_value(value) {
            Ok(file) => file,
            Err(error) => {
                self.faults.push(Fault::error(document.place(&pointer), error.to_string()));
                return None;
            }
        };
        if let Some(entity) = &file.entity
            && !entities.contains_key(entity)
        {
            let known: Vec<&str> = entities.keys().map(String::as_str).collect();
            let fault =
                Fault::error(document.place(&child(&pointer, "entity")), format!("there is no entity `{entity}`"));
            self.faults.push(fault.hint(choose_hint(entity, known)));
        }
        if file.required && file.ask.is_none() {
            let fault =
                Fault::error(document.key_place(&pointer), format!("the required slot `{name}` has no question"));
            self.faults.push(fault.hint("add `ask: …`, or `required: false`"));
        }
        let mut text = |file: Option<TextFile>, key| {
            let pointer = child(&pointer, key);
            let text = self.text(file?, document, &pointer);
            Some((text, document.place(&pointer)))
        };
        let (ask, retry) = (text(file.ask, "ask"), text(file.retry, "retry"));
        for (text, place) in ask.iter().chain(&retry) {
            lint::check_names(text, &[], place, self.faults);
        }
        Some(SlotSpec {
            name,
            entity: file.entity,
            ask: ask.map(|(text, _)| text),
            retry: retry.map(|(text, _)| text),
            required: file.required,
            remember: file.remember,
        })
    }

    fn handler(&mut self, file: HandlerFile, document: &Document, slots: &[&str]) -> Handler {
        let given = [file.reply.is_some(), file.script.is_some(), file.handoff.is_some(), file.jump.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            let fault = Fault::error(document.key_place("/handler"), "the handler must be exactly one thing");
            self.faults.push(fault.hint("give one of `reply`, `script`, `handoff` and `jump`"));
        }
        if file.function.is_some() && file.script.is_none() {
            self.faults.push(Fault::error(document.key_place("/handler/function"), "`function` goes with `script`"));
        }
        if file.suggest.is_some() && file.reply.is_none() {
            let fault = Fault::error(document.key_place("/handler/suggest"), "`suggest` goes with `reply`");
            self.faults.push(fault.hint("a script offers quick replies with `say(…).suggest([…])`"));
        }
        if let Some(script) = file.script {
            return self.script_handler(&script, file.function, document);
        }
        if let Some(target) = file.jump {
            return Handler::Jump(IntentId::new(&target));
        }
        if let Some(handoff) = file.handoff {
            let text = self.text(handoff, document, "/handler/handoff");
            lint::check_names(&text, slots, &document.place("/handler/handoff"), self.faults);
            return Handler::HandOff { text };
        }
        let text = match file.reply {
            Some(reply) => self.text(reply, document, "/handler/reply"),
            None => Text::default(),
        };
        lint::check_names(&text, slots, &document.place("/handler/reply"), self.faults);
        let mut suggest = BTreeMap::new();
        for (code, list) in file.suggest.unwrap_or_default() {
            if let Some(language) = self.language(&code, document, &child("/handler/suggest", &code)) {
                suggest.insert(language, list);
            }
        }
        Handler::Reply { text, suggest }
    }

    fn script_handler(&mut self, name: &str, function: Option<String>, document: &Document) -> Handler {
        let path = format!("scripts/{name}");
        let function = function.unwrap_or_else(|| "handle".to_owned());
        let Some(script) = self.scripts.get(&path).cloned() else {
            // A script that does not compile has been reported at its own line.
            if !self.bundle.files.contains_key(&path) {
                let known: Vec<String> = self.paths("scripts/");
                let known: Vec<&str> = known.iter().filter_map(|path| path.strip_prefix("scripts/")).collect();
                let hint = match super::fault::did_you_mean(name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("create {path}"),
                };
                let place = document.place("/handler/script");
                self.faults.push(Fault::error(place, "the handler names a missing script").hint(hint));
            }
            return Handler::Reply { text: Text::default(), suggest: BTreeMap::new() };
        };
        if !script.has_handler(&function) {
            let pointer = if document.value.pointer("/handler/function").is_some() {
                "/handler/function"
            } else {
                "/handler/script"
            };
            let fault = Fault::error(document.place(pointer), format!("{path} has no function `{function}(ctx)`"));
            self.faults.push(fault.hint(choose_hint(&function, script.handlers())));
        }
        Handler::Script { script, function }
    }

    /// A text with a variant in each language of the bot.
    fn text(&mut self, file: TextFile, document: &Document, pointer: &str) -> Text {
        let neutral = match file {
            TextFile::One(text) => vec![text],
            TextFile::Many(texts) => texts,
            TextFile::ByLanguage(map) => {
                let mut by_language = BTreeMap::new();
                for (code, variants) in map {
                    let pointer = child(pointer, &code);
                    let Some(language) = self.language(&code, document, &pointer) else { continue };
                    by_language.insert(language, self.templates(variants.into_list(), document, &pointer));
                }
                for language in &self.languages {
                    if !by_language.contains_key(language) {
                        let fault =
                            Fault::error(document.key_place(pointer), format!("the text is missing in `{language}`"));
                        self.faults.push(fault.hint(format!("add `{language}: …`")));
                    }
                }
                return Text::by_language(by_language);
            }
        };
        Text::neutral(self.templates(neutral, document, pointer))
    }

    fn templates(&mut self, list: Vec<String>, document: &Document, pointer: &str) -> Vec<Template> {
        if list.is_empty() {
            self.faults.push(Fault::error(document.place(pointer), "the text has no variant"));
        }
        let mut templates = Vec::new();
        for text in list {
            if text.trim().is_empty() {
                self.faults.push(Fault::error(document.place(pointer), "the text is empty"));
            }
            match Template::parse(&text) {
                Ok(template) => templates.push(template),
                Err(fault) => self.faults.push(Fault::error(document.place(pointer), fault.message)),
            }
        }
        templates
    }

    fn language(&mut self, code: &str, document: &Document, pointer: &str) -> Option<Language> {
        let found = self.languages.iter().find(|language| language.code() == code).cloned();
        if found.is_none() {
            let known: Vec<&str> = self.languages.iter().map(Language::code).collect();
            let fault =
                Fault::error(document.key_place(pointer), format!("`{code}` is not one of the bot's languages"));
            self.faults.push(fault.hint(choose_hint(code, known)));
        }
        found
    }

    fn paths(&self, folder: &str) -> Vec<String> {
        self.bundle.files.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    }
}

fn entity(file: &EntityFile) -> Result<EntitySpec, (&'static str, String)> {
    match (&file.pattern, &file.values) {
        (Some(_), Some(_)) | (None, None) => {
            Err(("", "an entity has exactly one of `pattern` and `values`".to_owned()))
        }
        (Some(_), None) if file.fuzzy => Err(("fuzzy", "`fuzzy` goes with `values`".to_owned())),
        (Some(pattern), None) => EntitySpec::pattern(pattern).map_err(|message| ("pattern", message)),
        (None, Some(values)) => {
            let mut seen: HashMap<String, &str> = HashMap::new();
            for (value, synonyms) in values {
                for word in synonyms {
                    if fold(word).is_empty() {
                        return Err(("values", format!("`{value}` has an empty synonym")));
                    }
                    if let Some(other) = seen.insert(fold(word), value).filter(|other| *other != value) {
                        return Err(("values", format!("\"{word}\" is a synonym of both `{other}` and `{value}`")));
                    }
                }
            }
            Ok(EntitySpec::values(values, file.fuzzy))
        }
    }
}

fn version(bundle: &Bundle) -> String {
    let mut hash = blake3::Hasher::new();
    for (path, bytes) in &bundle.files {
        for part in [path.as_bytes(), bytes] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}

const DEFAULT_CLARIFY: [(&str, &str); 2] =
    [("en", "Did you mean: {first}, or {second}?"), ("ru", "Вы имели в виду: {first} или {second}?")];
const DEFAULT_HANDOFF: [(&str, &str); 2] =
    [("en", "One moment, I am passing you to a colleague."), ("ru", "Минуту, передаю вас коллеге.")];
const DEFAULT_CANCELLED: [(&str, &str); 2] = [("en", "All right, cancelled."), ("ru", "Хорошо, отменил.")];

/// The engine's own words, where an author wrote none: in English for languages it does not speak.
fn default_text(texts: &[(&str, &str)]) -> Text {
    let parse = |text: &str| Template::parse(text).ok();
    let by_language = Language::known()
        .filter_map(|code| {
            let text = texts.iter().find(|(known, _)| *known == code).or(texts.first())?.1;
            Some((Language::new(code)?, vec![parse(text)?]))
        })
        .collect();
    Text::by_language(by_language)
}
