//! Finds entities in a text: by pattern, by a list of values with synonyms and optional typo tolerance, or by a kind that
//! the engine knows.

mod composed;
mod kind;
mod lists;
mod patterns;
mod shown;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::{
    values::{Fault, Finder, Setting},
    word::{Folded, Word, phrase_words, words},
};

pub use composed::Composition;
pub use kind::EntityKind;
use lists::find_values;
use patterns::{Latin, find_pattern, latin_letters};

/// Size limit of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// An entity found in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The entity's name in bot.yaml.
    pub entity: String,
    /// The value: a list's key, or the text that matched a pattern. In a code, Cyrillic letters are replaced by the
    /// Latin letters that look the same.
    pub value: String,
    /// The value if the past is meant, where it is another one: the last Friday instead of the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<String>,
    /// Its role for the matched intent, as the examples mark it: `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Of a composed value: the values of its parts, by their entities; `None` for a part that was left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, Option<String>>,
    /// The words in the message.
    pub text: String,
    /// Start, in bytes of the normalised message.
    pub start: usize,
    /// End, in bytes of the normalised message.
    pub end: usize,
}

impl Entity {
    /// An entity of these bytes of a text, and nothing more about it.
    fn new(entity: &str, value: &str, text: &str, place: Range<usize>) -> Self {
        let (past, role, parts, words) = (None, None, BTreeMap::new(), text[place.clone()].to_owned());
        let (entity, value) = (entity.to_owned(), value.to_owned());
        Self { entity, value, past, role, parts, text: words, start: place.start, end: place.end }
    }
}

/// Words that look like a value of an entity, which there is not: the 31st of February.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// The entity's name in bot.yaml.
    pub entity: String,
    /// The words in the message.
    pub text: String,
    /// Start, in bytes of the normalised message.
    pub start: usize,
    /// End, in bytes of the normalised message.
    pub end: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// How to recognise an entity.
#[derive(Debug)]
pub enum EntitySpec {
    /// By a regular expression.
    Pattern(Regex),
    /// As one of these phrases.
    Values {
        /// The words of each synonym, with its value.
        phrases: Vec<(Vec<Folded>, String)>,
        /// Whether typos are tolerated. Russian endings always are.
        fuzzy: bool,
    },
    /// By the engine's own grammar.
    Kind(EntityKind),
    /// As values of other entities that follow each other.
    Composed(Composition),
}

impl EntitySpec {
    /// An entity with a pattern, which ignores case.
    ///
    /// # Errors
    /// A message about the invalid pattern.
    pub fn pattern(pattern: &str) -> Result<Self, String> {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map(Self::Pattern)
            .map_err(|error| format!("the pattern is invalid: {}", error.to_string().replace('\n', " ")))
    }

    /// An entity with values and their synonyms; each value is also a synonym of itself.
    pub fn values(values: &BTreeMap<String, Vec<String>>, fuzzy: bool) -> Self {
        let phrases = values
            .iter()
            .flat_map(|(value, synonyms)| {
                let words = |phrase| phrase_words(phrase).into_iter().map(Folded::new).collect::<Vec<_>>();
                std::iter::once(value).chain(synonyms).map(move |phrase| (words(phrase), value.clone()))
            })
            .filter(|(phrase, _)| !phrase.is_empty())
            .collect();
        Self::Values { phrases, fuzzy }
    }

    /// The values of a list, if the entity has one.
    pub fn values_listed(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Values { phrases, .. } => Some(phrases.iter().map(|(_, value)| value.as_str()).collect()),
            Self::Kind(EntityKind::YesNo) => Some(BTreeSet::from(["yes", "no"])),
            Self::Pattern(_) | Self::Kind(_) | Self::Composed(_) => None,
        }
    }

    /// All matches in a normalised text, from left to right, without overlaps. For a composed entity, use [`scan`].
    pub fn find(&self, name: &str, text: &str, setting: &Setting) -> Vec<Entity> {
        self.find_in(name, &ScannedText::new(text, setting)).0
    }

    fn find_in(&self, name: &str, utterance: &ScannedText<'_>) -> (Vec<Entity>, Vec<Impossible>) {
        match self {
            Self::Pattern(regex) => (find_pattern(name, utterance, regex), Vec::new()),
            Self::Values { phrases, fuzzy } => (find_values(name, utterance, phrases, *fuzzy), Vec::new()),
            Self::Kind(kind) => kind.find(name, utterance),
            // The values of its parts are not known yet.
            Self::Composed(_) => (Vec::new(), Vec::new()),
        }
    }
}

/// A text, with intermediate results that several entities share.
struct ScannedText<'t> {
    text: &'t str,
    setting: &'t Setting,
    words: OnceCell<Vec<Word>>,
    latin: OnceCell<Option<Latin>>,
    finder: OnceCell<Finder<'t>>,
}

impl<'t> ScannedText<'t> {
    fn new(text: &'t str, setting: &'t Setting) -> Self {
        Self { text, setting, words: OnceCell::new(), latin: OnceCell::new(), finder: OnceCell::new() }
    }

    fn finder(&self) -> &Finder<'t> {
        self.finder.get_or_init(|| Finder::new(self.text, self.setting))
    }

    fn words(&self) -> &[Word] {
        self.words.get_or_init(|| words(self.text))
    }

    fn latin(&self) -> Option<&Latin> {
        self.latin.get_or_init(|| latin_letters(self.text)).as_ref()
    }
}

/// What is in a text.
pub struct Scan {
    /// Its words.
    pub words: Vec<Word>,
    /// Everything that is a value of an entity. Values may overlap.
    pub found: Vec<Entity>,
    /// What looks like a value and is none.
    pub impossible: Vec<Impossible>,
}

/// Looks for the values of all entities in a text that was said in a setting.
pub fn scan(specs: &BTreeMap<String, EntitySpec>, text: &str, setting: &Setting) -> Scan {
    let utterance = ScannedText::new(text, setting);
    let (mut found, mut impossible) = (Vec::new(), Vec::new());
    for (name, spec) in specs {
        let (own, wrong) = spec.find_in(name, &utterance);
        found.extend(own);
        impossible.extend(wrong);
    }
    let words = utterance.words.into_inner().unwrap_or_else(|| words(text));
    let composed = specs.iter().filter_map(|(name, spec)| match spec {
        EntitySpec::Composed(composition) => Some(composition.find(name, &found, text, &words)),
        _ => None,
    });
    let composed: Vec<Entity> = composed.flatten().collect();
    found.extend(composed);
    Scan { words, found, impossible }
}

/// Of overlapping entities, those that are `wanted` stay first, then the longest, then the earliest, then the first by
/// name. What looks like a value and is none takes its place too: "31 April" has no number.
pub fn without_overlaps(found: &[Entity], impossible: &[Impossible], wanted: impl Fn(&str) -> bool) -> Vec<Entity> {
    let found = found.iter().map(|own| (&own.entity, own.start, own.end, Some(own)));
    let impossible = impossible.iter().map(|own| (&own.entity, own.start, own.end, None));
    let mut all: Vec<(&String, usize, usize, Option<&Entity>)> = found.chain(impossible).collect();
    all.sort_by_key(|(name, start, end, entity)| {
        (!wanted(name), std::cmp::Reverse(end - start), *start, entity.is_none(), *name)
    });
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut kept: Vec<Entity> = Vec::new();
    for (_, start, end, entity) in all {
        if taken.iter().all(|other| end <= other.0 || start >= other.1) {
            taken.push((start, end));
            kept.extend(entity.cloned());
        }
    }
    kept.sort_by_key(|entity| entity.start);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cities(fuzzy: bool) -> EntitySpec {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let values = BTreeMap::from([
            ("moscow".to_owned(), list(&["Москва", "мск"])),
            ("new_york".to_owned(), list(&["New York", "Нью-Йорк"])),
        ]);
        EntitySpec::values(&values, fuzzy)
    }

    fn check(spec: &EntitySpec, text: &str, expected: &[(&str, &str)]) {
        let found = spec.find("e", text, &Setting::example());
        let found: Vec<(&str, &str)> = found.iter().map(|e| (e.value.as_str(), e.text.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_are_found_by_synonym() {
        check(&cities(false), "из МСК в new york!", &[("moscow", "МСК"), ("new_york", "new york")]);
        check(&cities(false), "москвич", &[]);
    }

    #[test]
    fn values_are_found_in_every_case() {
        check(&cities(false), "между Москвой и Нью-Йорком", &[("moscow", "Москвой"), ("new_york", "Нью-Йорком")]);
    }

    #[test]
    fn typos_are_forgiven_when_wanted() {
        check(&cities(true), "погода в Масква", &[("moscow", "Масква")]);
        check(&cities(true), "to new yrok", &[("new_york", "new yrok")]);
        check(&cities(true), "мкс", &[]);
    }

    #[test]
    fn patterns_ignore_case() {
        let spec = EntitySpec::pattern(r"[A-Z]-\d{4}").unwrap();
        check(&spec, "my a-1042, not B-1", &[("a-1042", "a-1042")]);
        assert!(EntitySpec::pattern("(").is_err());
    }

    #[test]
    fn a_russian_keyboard_types_codes() {
        let spec = EntitySpec::pattern(r"\b[A-Z]-\d{4}\b").unwrap();
        check(&spec, "заказ А-1042, или в-7 и к-2210", &[("A-1042", "А-1042"), ("k-2210", "к-2210")]);
        check(&spec, "A-1042 и А-1043", &[("A-1042", "A-1042"), ("A-1043", "А-1043")]);
        check(&spec, "Я-1042", &[]);
        let words = EntitySpec::pattern(r"[A-Z]{2,}").unwrap();
        check(&words, "СТОП 5", &[]);
        let spaced = EntitySpec::pattern(r"\b[A-Z]{1,2}[ -]?\d{3,4}\b").unwrap();
        check(&spaced, "привет, в 2024 году", &[]);
        check(&spaced, "цена с 1200 рублей, код ВС-1200.", &[("BC-1200", "ВС-1200")]);
        let sizes = EntitySpec::pattern(r"\d+ ?(m|km|x)").unwrap();
        check(&sizes, "2 хлеба за 5 минут", &[]);
    }

    #[test]
    fn overlaps_go_to_the_longer() {
        let specs = BTreeMap::from([
            ("digits".to_owned(), EntitySpec::pattern(r"\d+").unwrap()),
            ("order".to_owned(), EntitySpec::pattern(r"[A-Z]-\d{4}").unwrap()),
        ]);
        let Scan { found, .. } = scan(&specs, "A-1042 and 7", &Setting::example());
        let names = |wanted: &str| {
            without_overlaps(&found, &[], |name| name == wanted).into_iter().map(|e| e.entity).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["order", "digits"]);
        assert_eq!(names("digits"), ["digits", "digits"], "what is wanted comes first");
    }

    #[test]
    fn what_does_not_exist_has_no_parts() {
        let specs = BTreeMap::from([
            ("day".to_owned(), EntitySpec::Kind(EntityKind::Date)),
            ("guests".to_owned(), EntitySpec::Kind(EntityKind::Number)),
        ]);
        let Scan { found, impossible, .. } = scan(&specs, "31 April, 4 people", &Setting::example());
        let values = |wanted: &str| {
            let kept = without_overlaps(&found, &impossible, |name| name == wanted);
            kept.into_iter().map(|entity| entity.value).collect::<Vec<_>>()
        };
        assert_eq!(values(""), ["4"]);
        assert_eq!(values("guests"), ["31", "4"], "what is wanted comes first");
    }

    proptest! {
        #[test]
        fn places_are_inside_the_text(text in "(\\PC|[АВх19]){0,40}") {
            let spec = EntitySpec::pattern(r"\w+\d").unwrap();
            let setting = Setting::example();
            for entity in cities(true).find("e", &text, &setting).into_iter().chain(spec.find("e", &text, &setting)) {
                prop_assert_eq!(&text[entity.start..entity.end], entity.text);
            }
        }
    }
}
