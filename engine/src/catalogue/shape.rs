//! Files against the shape of their Rust type: the JSON Schema that `banter schema` prints for editors is the one that files
//! are checked with, so both say the same.

use std::marker::PhantomData;

use jsonschema::{ValidationError, Validator, error::TypeKind, error::ValidationErrorKind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    document::{Document, child},
    fault::{Fault, Faults, choose_hint, did_you_mean},
};

/// Rounds of looking for typos; inside a key that was mended there may be more.
const MAX_TYPOS: usize = 8;
const SCHEMA_HINT: &str = "`banter schema` and docs/bots.md tell what may stand here";

/// A compiled schema of `T`.
pub struct Shape<T> {
    schema: Value,
    validator: Option<Validator>,
    /// What stands for first keys that are missing or wrong, where a file is read on without them.
    stand_ins: Option<Map<String, Value>>,
    kind: PhantomData<fn() -> T>,
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
        let validator = jsonschema::validator_for(&schema).ok();
        Self { schema, validator, stand_ins: None, kind: PhantomData }
    }

    /// One that reads on where first keys are wrong, or missing and among `stand_ins`, for readers that look for [`Document::lacks`]
    /// before they tell what follows from it.
    pub fn lenient(stand_ins: Map<String, Value>) -> Self {
        Self { stand_ins: Some(stand_ins), ..Self::new() }
    }

    /// What is read of a file that is not there.
    pub fn nothing(&self) -> Option<T> {
        serde_json::from_value(Value::Object(self.stand_ins.clone()?)).ok()
    }

    /// The schema itself.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The document as a `T`, or all the ways in which it is none. A key with a typo is told and taken for the one that was meant.
    pub fn read(&self, document: &mut Document, faults: &mut Faults) -> Option<T> {
        self.mend_keys(document, faults);
        let errors: Vec<ValidationError<'_>> =
            self.validator.iter().flat_map(|validator| validator.iter_errors(&document.value)).collect();
        errors.iter().for_each(|error| self.report(document, error, faults));
        let good = errors.is_empty();
        let wrongs: Vec<Wrong> = errors.iter().flat_map(Wrong::of).collect();
        drop(errors);
        let mut value = document.value.clone();
        // Without what is wrong the file is still worth a look: all its faults are told at once.
        for wrong in wrongs {
            let Some(pointer) = take_out(&mut value, &wrong.pointer) else { continue };
            // Without one of its first keys a file would be told to lack what it has.
            if self.stand_ins.is_none() && !wrong.unknown && pointer.matches('/').count() < 3 {
                return None;
            }
            if !wrong.unknown {
                document.lack(pointer);
            }
        }
        // What is missing has been told.
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
                faults.push(Fault::error(document.place(""), error.to_string()).hint(SCHEMA_HINT));
                None
            }
            Err(_) => None,
        }
    }

    /// Takes unknown keys for those that were meant, where these are missing.
    fn mend_keys(&self, document: &mut Document, faults: &mut Faults) {
        for _ in 0..MAX_TYPOS {
            let errors = self.validator.iter().flat_map(|validator| validator.iter_errors(&document.value));
            let slips: Vec<Slip> = errors.flat_map(|error| self.slips(&error)).collect();
            let mut mended = false;
            for Slip { pointer, key, meant } in slips {
                let place = document.key_place(&child(&pointer, &key));
                if document.rename(&pointer, &key, &meant) {
                    let fault = Fault::error(place, format!("unknown key `{key}`"));
                    faults.push(fault.hint(format!("did you mean `{meant}`?")));
                    mended = true;
                }
            }
            if !mended {
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

    fn report(&self, document: &Document, error: &ValidationError<'_>, faults: &mut Faults) {
        let pointer = error.instance_path().to_string();
        let place = || document.place(&pointer);
        let name = pointer.rsplit('/').next().unwrap_or("");
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.known_keys(error);
                for key in unexpected {
                    let place = document.key_place(&child(&pointer, key));
                    let fault = Fault::error(place, format!("unknown key `{key}`"));
                    faults.push(fault.hint(choose_hint(key, known.iter().map(String::as_str))));
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                faults.push(
                    Fault::error(document.key_place(&pointer), format!("the key `{key}` is missing"))
                        .hint(format!("add `{key}: …`")),
                );
            }
            ValidationErrorKind::Type { kind } => {
                let message = format!("{} was expected here, not {}", expected(kind), found(error.instance()));
                faults.push(Fault::error(place(), message).hint(SCHEMA_HINT));
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let word = error.instance().as_str().unwrap_or_default();
                let message = format!("`{name}` cannot be {}", error.instance());
                faults.push(Fault::error(place(), message).hint(choose_hint(word, options.iter().copied())));
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                self.report_branches(document, error, context, faults);
            }
            ValidationErrorKind::Pattern { pattern } => {
                faults.push(
                    Fault::error(place(), format!("{} is no valid `{name}`", error.instance()))
                        .hint(self.description(error).unwrap_or_else(|| format!("it must match {pattern}"))),
                );
            }
            ValidationErrorKind::PropertyNames { error } => {
                let key = error.instance().as_str().unwrap_or_default();
                let fault = Fault::error(document.key_place(&child(&pointer, key)), format!("`{key}` is no name"));
                faults.push(fault.hint("use letters, digits, `-` and `_`, a letter first"));
            }
            ValidationErrorKind::MinItems { .. } | ValidationErrorKind::MinLength { .. } => {
                let fault = Fault::error(document.key_place(&pointer), format!("`{name}` is empty"));
                faults.push(fault.hint("write something, or remove the key"));
            }
            ValidationErrorKind::MaxItems { limit } => {
                let fault =
                    Fault::error(document.key_place(&pointer), format!("`{name}` has more than {limit} entries"));
                faults.push(fault.hint("split it"));
            }
            ValidationErrorKind::MaxLength { limit } => {
                let fault =
                    Fault::error(document.key_place(&pointer), format!("`{name}` has more than {limit} characters"));
                faults.push(fault.hint("shorten it"));
            }
            ValidationErrorKind::Minimum { limit } => {
                let fault = Fault::error(place(), format!("`{name}` is below {limit}"));
                faults.push(fault.hint(format!("the least is {limit}")));
            }
            ValidationErrorKind::Maximum { limit } => {
                let fault = Fault::error(place(), format!("`{name}` is above {limit}"));
                faults.push(fault.hint(format!("the most is {limit}")));
            }
            _ => faults.push(Fault::error(place(), error.to_string()).hint(SCHEMA_HINT)),
        }
    }

    fn report_branches(
        &self,
        document: &Document,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
        faults: &mut Faults,
    ) {
        let here = error.instance_path().to_string();
        if let Some(branch) = meant(error, context) {
            return branch.iter().for_each(|inner| self.report(document, inner, faults));
        }
        let mut kinds: Vec<String> = Vec::new();
        for inner in context.iter().flatten() {
            if let ValidationErrorKind::Type { kind } = inner.kind()
                && inner.instance_path().to_string() == here
            {
                kinds.push(expected(kind));
            }
        }
        // A word of a list whose entries are described one by one.
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
            let fault = Fault::error(document.place(&here), format!("`{name}` cannot be {}", error.instance()));
            faults.push(fault.hint(choose_hint(word, words.iter().copied())));
            return;
        }
        kinds.dedup();
        kinds.retain(|kind| kind != "nothing");
        let message = format!("{} was expected here, not {}", kinds.join(" or "), found(error.instance()));
        faults.push(Fault::error(document.place(&here), message).hint(SCHEMA_HINT));
    }

    fn known_keys(&self, error: &ValidationError<'_>) -> Vec<String> {
        let properties = self.parent(error).and_then(|schema| schema.get("properties")?.as_object());
        properties.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    fn description(&self, error: &ValidationError<'_>) -> Option<String> {
        Some(self.parent(error)?.get("description")?.as_str()?.to_owned())
    }

    /// The schema whose keyword failed.
    fn parent(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().to_string();
        self.schema.pointer(path.rsplit_once('/')?.0)
    }
}

/// A key that is written instead of another one.
struct Slip {
    pointer: String,
    key: String,
    meant: String,
}

/// Removes the value at a pointer, or, in a list, whose other entries would change their places, the list; the pointer of what is gone.
fn take_out(value: &mut Value, pointer: &str) -> Option<String> {
    let (parent, key) = pointer.rsplit_once('/')?;
    // Something around it may be gone already.
    match value.pointer_mut(parent)? {
        Value::Object(fields) => {
            fields.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
            Some(pointer.to_owned())
        }
        _ => take_out(value, parent),
    }
}

/// A part of a document that cannot stay.
struct Wrong {
    pointer: String,
    /// Its key, not what it holds.
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

/// Of the ways in which a value may be written, the one that the author meant: whose outermost type fits.
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
