//! Mutation analysis: breaks a bot on purpose, because a good set of fixtures notices (DeMillo, Lipton and Sayward,
//! "Hints on Test Data Selection", 1978). Each mutation changes one part of one file, or moves one example to another
//! intent.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    catalogue::{
        bundle::Bundle,
        document::{Document, child},
        example::parse_annotations,
    },
    handlers::source::{blank_texts, regex},
    random::Random,
};

/// The kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A text is replaced.
    Reply,
    /// A threshold is far too low or too high.
    Threshold,
    /// An operator, a number or a boolean in a script changes.
    Script,
    /// A slot is not asked for, accepts anything, or has another question.
    Slot,
    /// An example moves to another intent.
    Example,
}

/// One change to a bot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mutation {
    /// The kind of change.
    pub kind: Kind,
    /// Path of the changed file.
    pub file: String,
    /// Line of the change, counted from 1.
    pub line: usize,
    /// A description of the change.
    pub what: String,
    /// The intent concerned, if any.
    pub intent: Option<String>,
    /// The example that moves, without annotations.
    #[serde(skip)]
    pub example: Option<String>,
    #[serde(skip)]
    edits: Vec<(String, Edit)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Edit {
    /// Replaces these bytes.
    Bytes(std::ops::Range<usize>, String),
    /// Replaces the value at a pointer; the file is rewritten as JSON, which is valid YAML.
    Value(String, Value),
}

impl Mutation {
    /// Returns the bot with this change.
    pub fn apply(&self, bundle: &Bundle) -> Bundle {
        let mut broken = bundle.clone();
        for (file, edit) in &self.edits {
            let Some(bytes) = broken.files.get_mut(file) else { continue };
            match edit {
                Edit::Bytes(range, text) => {
                    bytes.splice(range.clone(), text.bytes());
                }
                Edit::Value(pointer, value) => {
                    let Ok(mut document) = Document::parse(file, bytes) else { continue };
                    set(&mut document.value, pointer, value.clone());
                    *bytes = document.value.to_string().into_bytes();
                }
            }
        }
        broken
    }
}

/// Sets the value at a pointer whose parent exists.
fn set(value: &mut Value, pointer: &str, new: Value) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.insert(key, new);
        }
        Some(Value::Array(items)) => {
            if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = new;
            }
        }
        _ => {}
    }
}

/// Chooses `count` different mutations, equally many of each kind as far as possible. The seed determines the choice.
pub fn choose(bundle: &Bundle, count: usize, seed: u64) -> Vec<Mutation> {
    let mut random = Random::new(seed);
    let mut by_kind: BTreeMap<Kind, Vec<Mutation>> = BTreeMap::new();
    for mutation in all(bundle, &mut random) {
        by_kind.entry(mutation.kind).or_default().push(mutation);
    }
    by_kind.values_mut().for_each(|list| random.shuffle(list));
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let before = chosen.len();
        for list in by_kind.values_mut() {
            if chosen.len() < count {
                chosen.extend(list.pop());
            }
        }
        if chosen.len() == before {
            break;
        }
    }
    chosen
}

fn all(bundle: &Bundle, random: &mut Random) -> Vec<Mutation> {
    let documents: BTreeMap<&str, Document> = bundle
        .files
        .iter()
        .filter(|(path, _)| path.ends_with(".yaml") && !path.starts_with("fixtures/"))
        .filter_map(|(path, bytes)| Some((path.as_str(), Document::parse(path, bytes).ok()?)))
        .collect();
    let intents: Vec<(&str, &Document)> =
        documents.iter().filter(|(path, _)| path.starts_with("intents/")).map(|(path, doc)| (*path, doc)).collect();
    let mut found = Vec::new();
    for document in documents.values() {
        replies(document, &mut found);
    }
    thresholds(&documents, &mut found);
    for (path, bytes) in bundle.files.iter().filter(|(path, _)| path.starts_with("scripts/")) {
        script(path, &String::from_utf8_lossy(bytes), &mut found);
    }
    for (_, document) in &intents {
        slots(document, &mut found);
    }
    examples(&intents, random, &mut found);
    found
}

fn name_of(document: &Document) -> Option<String> {
    document.value.get("intent").and_then(Value::as_str).map(str::to_owned)
}

fn mutation(kind: Kind, document: &Document, pointer: &str, what: String, value: Value) -> Mutation {
    Mutation {
        kind,
        file: document.file.clone(),
        line: document.line(pointer),
        what,
        intent: name_of(document),
        example: None,
        edits: vec![(document.file.clone(), Edit::Value(pointer.to_owned(), value))],
    }
}

/// Mutations that replace a text that the bot may say.
fn replies(document: &Document, found: &mut Vec<Mutation>) {
    let roots: &[&str] = match document.file.split('/').next().unwrap_or("") {
        "texts" => &[""],
        "intents" => &["/handler/reply", "/handler/handoff"],
        _ => &["/fallback/text", "/handoff", "/cancelled"],
    };
    for root in roots {
        if let Some(value) = document.value.pointer(root) {
            each_text(value, root, &mut |pointer, text| {
                let what = format!("the text \"{}\" is replaced", crate::text::shorten(text, 40));
                found.push(mutation(Kind::Reply, document, pointer, what, "Broken on purpose.".into()));
            });
        }
    }
}

fn each_text(value: &Value, pointer: &str, visit: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => visit(pointer, text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| each_text(item, &child(pointer, index), visit));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| each_text(value, &child(pointer, key), visit));
        }
        _ => {}
    }
}

/// Mutations of the bot's threshold, and of each intent's, raised so far that only what is certain matches.
fn thresholds(documents: &BTreeMap<&str, Document>, found: &mut Vec<Mutation>) {
    if let Some(bot) = documents.get("bot.yaml") {
        for (threshold, what) in
            [(0.05, "any message matches an intent"), (1.0, "hardly any message matches an intent")]
        {
            let mut matching = bot.value.get("matching").and_then(Value::as_object).cloned().unwrap_or_default();
            matching.insert("threshold".to_owned(), json!(threshold));
            let what = format!("matching.threshold = {threshold}: {what}");
            found.push(mutation(Kind::Threshold, bot, "/matching", what, Value::Object(matching)));
        }
    }
    for (_, document) in documents.iter().filter(|(path, _)| path.starts_with("intents/")) {
        let what = "threshold = 1: the intent hardly ever matches".to_owned();
        found.push(mutation(Kind::Threshold, document, "/threshold", what, json!(1.0)));
    }
}

const SWAPS: [(&str, &str); 14] = [
    ("==", "!="),
    ("!=", "=="),
    ("<=", ">"),
    (">=", "<"),
    ("&&", "||"),
    ("||", "&&"),
    (" < ", " >= "),
    (" > ", " <= "),
    (" + ", " - "),
    (" - ", " + "),
    (" * ", " + "),
    ("true", "false"),
    ("false", "true"),
    ("if !", "if "),
];

/// Mutations of operators, booleans and numbers, outside texts and comments.
fn script(path: &str, source: &str, found: &mut Vec<Mutation>) {
    static TOKEN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"==|!=|<=|>=|&&|\|\|| < | > | \+ | - | \* |\btrue\b|\bfalse\b|\bif !|\b\d+\b"));
    let plain = blank_texts(source);
    for token in TOKEN.find_iter(&plain) {
        let old = token.as_str();
        let new = match SWAPS.iter().find(|(from, _)| *from == old) {
            Some((_, to)) => (*to).to_owned(),
            None => match old.parse::<i64>().ok().and_then(|number| number.checked_add(1)) {
                Some(number) => number.to_string(),
                None => continue,
            },
        };
        found.push(Mutation {
            kind: Kind::Script,
            file: path.to_owned(),
            line: source[..token.start()].matches('\n').count() + 1,
            what: format!("`{}` becomes `{}`", old.trim(), new.trim()),
            intent: None,
            example: None,
            edits: vec![(path.to_owned(), Edit::Bytes(token.range(), new))],
        });
    }
}

fn slots(document: &Document, found: &mut Vec<Mutation>) {
    let slots = document.value.get("slots").and_then(Value::as_object);
    for (name, slot) in slots.into_iter().flatten() {
        let pointer = child("/slots", name);
        let required = slot.get("required").and_then(Value::as_bool).unwrap_or(true);
        if required {
            let what = format!("the slot `{name}` is not asked for");
            found.push(mutation(Kind::Slot, document, &child(&pointer, "required"), what, false.into()));
        }
        if let Some(fields) = slot.as_object().filter(|fields| fields.contains_key("entity")) {
            let without: Map<String, Value> = fields
                .iter()
                .filter(|(key, _)| *key != "entity")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let what = format!("the slot `{name}` accepts any answer");
            found.push(mutation(Kind::Slot, document, &pointer, what, Value::Object(without)));
        }
        if let Some(ask) = slot.get("ask") {
            each_text(ask, &child(&pointer, "ask"), &mut |pointer, text| {
                let what = format!("the question \"{}\" is replaced", crate::text::shorten(text, 40));
                found.push(mutation(Kind::Slot, document, pointer, what, "Broken on purpose?".into()));
            });
        }
    }
}

/// Mutations that move an example to another intent with examples in the same language.
fn examples(intents: &[(&str, &Document)], random: &mut Random, found: &mut Vec<Mutation>) {
    for (path, document) in intents {
        let languages = document.value.get("examples").and_then(Value::as_object);
        for (language, list) in languages.into_iter().flatten() {
            let pointer = child("/examples", language);
            let Some(list) = list.as_array().filter(|list| list.len() > 2) else { continue };
            for (index, example) in list.iter().enumerate() {
                let others: Vec<&(&str, &Document)> = intents
                    .iter()
                    .filter(|(other, doc)| other != path && doc.value.pointer(&pointer).is_some_and(Value::is_array))
                    .collect();
                let Some((target, other)) = others.get(random.below(others.len())) else { continue };
                let mut left = list.clone();
                left.remove(index);
                let mut more = other.value.pointer(&pointer).and_then(Value::as_array).cloned().unwrap_or_default();
                more.push(example.clone());
                let text = example.as_str().unwrap_or_default();
                let what = format!(
                    "the example \"{}\" moves to `{}`",
                    crate::text::shorten(text, 60),
                    name_of(other).unwrap_or_default()
                );
                let mut moved = mutation(Kind::Example, document, &child(&pointer, index), what, Value::Null);
                moved.example = parse_annotations(text).ok().map(|(plain, _)| plain);
                moved.edits = vec![
                    (document.file.clone(), Edit::Value(pointer.clone(), left.into())),
                    ((*target).to_owned(), Edit::Value(pointer.clone(), more.into())),
                ];
                found.push(moved);
            }
        }
    }
}
