//! Validates files against the shape of their Rust type. Files are checked with the same JSON Schema that
//! `banter schema` prints for editors, so the two agree.

use std::marker::PhantomData;

use jsonschema::{ValidationError, Validator, error::TypeKind, error::ValidationErrorKind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{Document, child};
use crate::diagnostic::{Diagnostic, Diagnostics, choose_hint, did_you_mean};

/// Rounds of fixing misspelt keys; a key that was fixed may contain further ones.
const MAX_TYPOS: usize = 8;
const SCHEMA_HINT: &str = "see `banter schema` or docs/bots.md for what is allowed here";

/// A compiled schema of `T`.
pub struct Shape<T> {
    schema: Value,
    validator: Validator,
    /// Values for top-level keys that are missing or invalid, when the rest of the file is to be read anyway.
    stand_ins: Option<Map<String, Value>>,
    kind: PhantomData<fn() -> T>,
}

/// A violation of a schema in the author's words.
struct Explained {
    /// Whether the key is marked, and not the value.
    at_key: bool,
    message: String,
    hint: String,
}

impl Explained {
    fn at_key(message: String, hint: impl Into<String>) -> Self {
        Self { at_key: true, message, hint: hint.into() }
    }

    fn at_value(message: String, hint: impl Into<String>) -> Self {
        Self { at_key: false, message, hint: hint.into() }
    }
}

impl<T: DeserializeOwned + JsonSchema> Default for Shape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DeserializeOwned + JsonSchema> Shape<T> {
    /// Compiles the schema of `T`.
    pub fn new() -> Self {
        let schema = schemars::schema_for!(T).to_value();
        let validator = jsonschema::validator_for(&schema)
            .unwrap_or_else(|error| unreachable!("a schema of this program: {error}"));
        Self { schema, validator, stand_ins: None, kind: PhantomData }
    }

    /// A lenient shape: it reads on when top-level keys are invalid, or missing and among `stand_ins`. Its callers
    /// check [`Document::lacks`] to suppress follow-on errors.
    pub fn lenient(stand_ins: Map<String, Value>) -> Self {
        Self { stand_ins: Some(stand_ins), ..Self::new() }
    }

    /// The value for a file that does not exist; `None` if this shape is not lenient.
    pub fn nothing(&self) -> Option<T> {
        let value = Value::Object(self.stand_ins.clone()?);
        Some(serde_json::from_value(value).unwrap_or_else(|error| unreachable!("stand-ins of this program: {error}")))
    }

    /// The JSON Schema of `T`.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Reads the document as a `T` and reports everything that does not fit. A misspelt key is reported and read as the
    /// key that was meant.
    pub fn read(&self, document: &mut Document, diagnostics: &mut Diagnostics) -> Option<T> {
        self.mend_keys(document, diagnostics);
        let errors: Vec<ValidationError<'_>> = self.validator.iter_errors(&document.value).collect();
        errors.iter().for_each(|error| self.report(document, error, diagnostics));
        let good = errors.is_empty();
        let wrongs: Vec<Wrong> = errors.iter().flat_map(Wrong::of).collect();
        drop(errors);
        let mut value = document.value.clone();
        // Drop the invalid parts and read the rest, so that all errors of the file are reported at once.
        for wrong in wrongs {
            let Some(pointer) = take_out(&mut value, &wrong.pointer) else { continue };
            // Without a top-level key the file would seem to lack what it has.
            if self.stand_ins.is_none() && !wrong.unknown && pointer.matches('/').count() < 3 {
                return None;
            }
            if !wrong.unknown {
                document.lack(pointer);
            }
        }
        // Missing keys are reported already.
        let stand_ins = self.stand_ins.as_ref().filter(|_| !good);
        if let (Some(stand_ins), Some(fields)) = (stand_ins, value.as_object_mut()) {
            for (key, stand_in) in stand_ins {
                if !fields.contains_key(key) {
                    fields.insert(key.clone(), stand_in.clone());
                    document.lack(child("", key));
                }
            }
        }
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) if good => {
                diagnostics.push(Diagnostic::error(document.location(""), error.to_string()).hint(SCHEMA_HINT));
                None
            }
            Err(_) => None,
        }
    }

    /// Reports misspelt keys and renames each to the missing key that was meant.
    fn mend_keys(&self, document: &mut Document, diagnostics: &mut Diagnostics) {
        for _ in 0..MAX_TYPOS {
            let errors = self.validator.iter_errors(&document.value);
            let slips: Vec<Slip> = errors.flat_map(|error| self.slips(&error)).collect();
            let mut corrected = false;
            for Slip { pointer, key, meant } in slips {
                let location = document.key_location(&child(&pointer, &key));
                if document.rename(&pointer, &key, &meant) {
                    let diagnostic = Diagnostic::error(location, format!("unknown key `{key}`"));
                    diagnostics.push(diagnostic.hint(format!("did you mean `{meant}`?")));
                    corrected = true;
                }
            }
            if !corrected {
                return;
            }
        }
    }

    fn slips(&self, error: &ValidationError<'_>) -> Vec<Slip> {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let (pointer, known) = (error.instance_path().to_string(), self.known_keys(error));
                let slip = |key: &String| {
                    let meant = did_you_mean(key, known.iter().map(String::as_str))?;
                    Some(Slip { pointer: pointer.clone(), key: key.clone(), meant: meant.to_owned() })
                };
                unexpected.iter().filter_map(slip).collect()
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                meant(error, context).into_iter().flatten().flat_map(|inner| self.slips(inner)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn report(&self, document: &Document, error: &ValidationError<'_>, diagnostics: &mut Diagnostics) {
        let pointer = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.known_keys(error);
                for key in unexpected {
                    let location = document.key_location(&child(&pointer, key));
                    let diagnostic = Diagnostic::error(location, format!("unknown key `{key}`"));
                    diagnostics.push(diagnostic.hint(choose_hint(key, known.iter().map(String::as_str))));
                }
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                self.report_branches(document, error, context, diagnostics);
            }
            ValidationErrorKind::PropertyNames { error } => {
                let key = error.instance().as_str().unwrap_or_default();
                let location = document.key_location(&child(&pointer, key));
                let diagnostic = Diagnostic::error(location, format!("`{key}` is not a valid name"));
                diagnostics.push(diagnostic.hint("use letters, digits, `-` and `_`, starting with a letter"));
            }
            _ => {
                let Explained { at_key, message, hint } = self.explain(error);
                let location = if at_key { document.key_location(&pointer) } else { document.location(&pointer) };
                diagnostics.push(Diagnostic::error(location, message).hint(hint));
            }
        }
    }

    fn explain(&self, error: &ValidationError<'_>) -> Explained {
        let pointer = error.instance_path().to_string();
        let name = pointer.rsplit('/').next().unwrap_or("");
        let value = error.instance();
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                Explained::at_key(format!("the key `{key}` is missing"), format!("add `{key}: …`"))
            }
            ValidationErrorKind::MinItems { .. } | ValidationErrorKind::MinLength { .. } => {
                Explained::at_key(format!("`{name}` is empty"), "write something, or remove the key")
            }
            ValidationErrorKind::MaxItems { limit } => {
                Explained::at_key(format!("`{name}` has more than {limit} entries"), "split the list")
            }
            ValidationErrorKind::MaxLength { limit } => {
                Explained::at_key(format!("`{name}` has more than {limit} characters"), "shorten it")
            }
            ValidationErrorKind::Type { kind } => {
                Explained::at_value(format!("expected {}, found {}", expected(kind), found(value)), SCHEMA_HINT)
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten().filter_map(Value::as_str);
                let hint = choose_hint(value.as_str().unwrap_or_default(), options);
                Explained::at_value(format!("`{name}` cannot be {value}"), hint)
            }
            ValidationErrorKind::Pattern { pattern } => {
                let hint = self.description(error).unwrap_or_else(|| format!("it must match {pattern}"));
                Explained::at_value(format!("{value} is not a valid `{name}`"), hint)
            }
            ValidationErrorKind::Minimum { limit } => {
                Explained::at_value(format!("`{name}` is below {limit}"), format!("the minimum is {limit}"))
            }
            ValidationErrorKind::Maximum { limit } => {
                Explained::at_value(format!("`{name}` is above {limit}"), format!("the maximum is {limit}"))
            }
            _ => Explained::at_value(error.to_string(), SCHEMA_HINT),
        }
    }

    fn report_branches(
        &self,
        document: &Document,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
        diagnostics: &mut Diagnostics,
    ) {
        let here = error.instance_path().to_string();
        if let Some(branch) = meant(error, context) {
            return branch.iter().for_each(|inner| self.report(document, inner, diagnostics));
        }
        let mut kinds: Vec<String> = Vec::new();
        for inner in context.iter().flatten() {
            if let ValidationErrorKind::Type { kind } = inner.kind()
                && inner.instance_path().to_string() == here
            {
                kinds.push(expected(kind));
            }
        }
        // A word from a list whose entries are described one by one.
        let words: Vec<&str> = context
            .iter()
            .flatten()
            .filter_map(|inner| match inner.kind() {
                ValidationErrorKind::Constant { expected_value } => expected_value.as_str(),
                _ => None,
            })
            .collect();
        if let (false, Some(word)) = (words.is_empty(), error.instance().as_str()) {
            let name = here.rsplit('/').next().unwrap_or("");
            let diagnostic =
                Diagnostic::error(document.location(&here), format!("`{name}` cannot be {}", error.instance()));
            diagnostics.push(diagnostic.hint(choose_hint(word, words.iter().copied())));
            return;
        }
        kinds.dedup();
        kinds.retain(|kind| kind != "nothing");
        // All alternatives have the right outermost type: the one that fails the deepest was meant.
        if kinds.is_empty() {
            let depth = |branch: &&Vec<ValidationError<'static>>| {
                branch.iter().map(|inner| inner.instance_path().to_string().matches('/').count()).max()
            };
            let branch = context.iter().max_by_key(depth);
            return branch.into_iter().flatten().for_each(|inner| self.report(document, inner, diagnostics));
        }
        let message = format!("expected {}, found {}", kinds.join(" or "), found(error.instance()));
        diagnostics.push(Diagnostic::error(document.location(&here), message).hint(SCHEMA_HINT));
    }

    fn known_keys(&self, error: &ValidationError<'_>) -> Vec<String> {
        let properties = self.parent(error).and_then(|schema| schema.get("properties")?.as_object());
        properties.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    fn description(&self, error: &ValidationError<'_>) -> Option<String> {
        Some(self.parent(error)?.get("description")?.as_str()?.to_owned())
    }

    /// The schema that contains the failed keyword.
    fn parent(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().to_string();
        self.schema.pointer(path.rsplit_once('/')?.0)
    }
}

/// A misspelt key and the known key that was meant.
struct Slip {
    pointer: String,
    key: String,
    meant: String,
}

/// Removes the value at a pointer. Inside a list it removes the whole list, because the remaining entries would move.
/// Returns the pointer of what was removed.
fn take_out(value: &mut Value, pointer: &str) -> Option<String> {
    let (parent, key) = pointer.rsplit_once('/')?;
    // An enclosing value may be removed already.
    match value.pointer_mut(parent)? {
        Value::Object(fields) => {
            fields.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
            Some(pointer.to_owned())
        }
        _ => take_out(value, parent),
    }
}

/// An invalid part of a document.
struct Wrong {
    pointer: String,
    /// Whether the key is unknown, rather than its value invalid.
    unknown: bool,
}

impl Wrong {
    fn of(error: &ValidationError<'_>) -> Vec<Self> {
        let pointer = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unexpected.iter().map(|key| Self { pointer: child(&pointer, key), unknown: true }).collect()
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                match meant(error, context) {
                    Some(branch) => branch.iter().flat_map(Self::of).collect(),
                    None => vec![Self { pointer, unknown: false }],
                }
            }
            _ => vec![Self { pointer, unknown: false }],
        }
    }
}

/// Of the alternatives for a value, the one that the author meant: the only one whose outermost type fits.
fn meant<'a>(
    error: &ValidationError<'_>,
    context: &'a [Vec<ValidationError<'static>>],
) -> Option<&'a [ValidationError<'static>]> {
    let here = error.instance_path().to_string();
    let wrong_type = |branch: &[ValidationError<'static>]| {
        branch.iter().any(|inner| {
            inner.instance_path().to_string() == here && matches!(inner.kind(), ValidationErrorKind::Type { .. })
        })
    };
    let mut fitting = context.iter().filter(|branch| !wrong_type(branch));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn expected(kind: &TypeKind) -> String {
    let name = |kind: &jsonschema::JsonType| match kind {
        jsonschema::JsonType::Array => "a list",
        jsonschema::JsonType::Boolean => "true or false",
        jsonschema::JsonType::Integer => "a whole number",
        jsonschema::JsonType::Null => "nothing",
        jsonschema::JsonType::Number => "a number",
        jsonschema::JsonType::Object => "a map of keys",
        jsonschema::JsonType::String => "a text",
    };
    match kind {
        TypeKind::Single(one) => name(one).to_owned(),
        TypeKind::Multiple(set) => {
            let names: Vec<&str> =
                set.iter().filter(|kind| !matches!(kind, jsonschema::JsonType::Null)).map(|kind| name(&kind)).collect();
            names.join(" or ")
        }
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) => format!("the text \"{}\"", crate::text::shorten(text, 30)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map of keys".to_owned(),
    }
}
