//! Entities of bot.yaml.

use std::collections::{BTreeMap, HashMap};

use super::Loader;
use crate::{
    catalogue::{
        document::{Document, child},
        wire::{BotFile, EntityFile},
    },
    diagnostic::{Diagnostic, choose_hint},
    entities::{Composition, EntitySpec},
    word::phrase_words,
};

impl Loader<'_> {
    /// Builds all entities.
    pub(super) fn entities(&mut self, bot: &BotFile, document: &Document) -> BTreeMap<String, EntitySpec> {
        let mut entities = BTreeMap::new();
        self.bot.entities = bot.entities.keys().cloned().collect();
        for (name, file) in &bot.entities {
            let pointer = child("/entities", name);
            if document.lacks(&pointer) {
                continue;
            }
            let mut report = |key: &str, message: String, hint: &str| {
                let location = if key.is_empty() {
                    document.key_location(&pointer)
                } else {
                    document.location(&format!("{pointer}/{key}"))
                };
                self.diagnostics.push(Diagnostic::error(location, message).hint(hint));
            };
            if file.parts.is_none() && !file.optional.is_empty() {
                let message = "`optional` works only with `parts`".to_owned();
                report("optional", message, "remove it");
            }
            let spec = match &file.parts {
                Some(parts) => composed(name, file, parts, &bot.entities, &mut report),
                None => entity(file, &mut report),
            };
            if let Some(spec) = spec {
                entities.insert(name.clone(), spec);
            }
        }
        entities
    }
}

/// Builds an entity from the values of others.
fn composed(
    name: &str,
    file: &EntityFile,
    parts: &[String],
    all: &BTreeMap<String, EntityFile>,
    report: &mut dyn FnMut(&str, String, &str),
) -> Option<EntitySpec> {
    if file.fuzzy {
        report("fuzzy", "`fuzzy` works only with `values`".to_owned(), "remove it, and write it at the parts");
    }
    if file.pattern.is_some() || file.values.is_some() || file.kind.is_some() {
        let message = "an entity needs exactly one of `pattern`, `values`, `kind` and `parts`".to_owned();
        report("", message, "write one of them");
        return None;
    }
    let simple: Vec<&str> =
        all.iter().filter(|(_, entity)| entity.parts.is_none()).map(|(name, _)| name.as_str()).collect();
    let unknown: Vec<(usize, &String)> =
        parts.iter().enumerate().filter(|(_, part)| !simple.contains(&part.as_str())).collect();
    for (at, part) in &unknown {
        let message =
            format!("`{part}` is no entity with a pattern, values or a kind, so `{name}` cannot have it as a part");
        report(&format!("parts/{at}"), message, &choose_hint(part, simple.iter().copied()));
    }
    for (at, part) in parts.iter().enumerate().filter(|(at, part)| parts[..*at].contains(part)) {
        report(&format!("parts/{at}"), format!("`{part}` is a part twice"), "a value has each part once; remove one");
    }
    // A part that is misspelt is reported already.
    let optional = file.optional.iter().filter(|_| unknown.is_empty());
    for (at, part) in optional.enumerate().filter(|(_, part)| !parts.contains(part)) {
        let message = format!("`{part}` is optional, but no part");
        report(&format!("optional/{at}"), message, &choose_hint(part, parts.iter().map(String::as_str)));
    }
    if unknown.is_empty() && (parts.len() < 2 || parts.iter().all(|part| file.optional.contains(part))) {
        let message = format!("`{name}` needs two parts, of which one is not optional");
        report("parts", message, "name the entities whose values follow each other");
        return None;
    }
    let composition = Composition { parts: parts.to_vec(), optional: file.optional.clone() };
    unknown.is_empty().then_some(EntitySpec::Composed(composition))
}

/// Builds an entity and reports what is wrong with it: key, message and hint.
fn entity(file: &EntityFile, report: &mut dyn FnMut(&str, String, &str)) -> Option<EntitySpec> {
    if file.fuzzy && file.values.is_none() {
        report(
            "fuzzy",
            "`fuzzy` works only with `values`".to_owned(),
            "remove it: a pattern itself defines what it accepts",
        );
    }
    match (&file.pattern, &file.values, file.kind) {
        (None, None, Some(kind)) => Some(EntitySpec::Kind(kind)),
        (Some(pattern), None, None) => match EntitySpec::pattern(pattern) {
            Ok(spec) => Some(spec),
            Err(message) => {
                report(
                    "pattern",
                    message,
                    "write a regular expression; put `\\` before a special character to match it literally",
                );
                None
            }
        },
        (None, Some(values), None) => {
            let mut seen: HashMap<Vec<String>, &str> = HashMap::new();
            for (value, synonyms) in values {
                for word in synonyms.iter().chain([value]) {
                    let words = phrase_words(word);
                    if words.is_empty() {
                        let message = format!("\"{word}\" of `{value}` has no letter or digit, so it is never found");
                        report("values", message, "write it as users do, with at least one letter or digit");
                        continue;
                    }
                    if let Some(other) = seen.insert(words, value).filter(|other| *other != value) {
                        let message = format!("\"{word}\" stands for both `{other}` and `{value}`");
                        report("values", message, "keep it for one of them only");
                    }
                }
            }
            Some(EntitySpec::values(values, file.fuzzy))
        }
        _ => {
            let message = "an entity needs exactly one of `pattern`, `values`, `kind` and `parts`".to_owned();
            report("", message, "write one of them");
            None
        }
    }
}
