//! Compares a turn with what a fixture expects of it.

use serde_json::{Map, Value, json};

use super::{
    Difference,
    fixture::{Expectation, Step, Subject},
    matcher::Matcher,
};
use crate::{
    catalogue::{Catalogue, document::child},
    text::shorten,
    turn::{Output, Turn},
};

/// All differences, including handler failures that the fixture does not expect, and calls without a stub.
pub fn differences(catalogue: &Catalogue, step: &Step, turn: &Turn, missing: &[String]) -> Vec<Difference> {
    let mut found: Vec<Difference> = missing
        .iter()
        .map(|call| Difference {
            field: "stubs".to_owned(),
            expected: format!("a stub for {call}"),
            actual: "the fixture has none".to_owned(),
            location: step.location.clone(),
            literal: false,
            replacements: Vec::new(),
        })
        .collect();
    found.extend(step.expectations.iter().filter_map(|expectation| differs(catalogue, expectation, turn)));
    let kinds: Vec<Value> = turn.events.iter().map(|event| event.kind().into()).collect();
    let (expected, location) = match &step.events {
        Some((matcher, _)) if matcher.holds(&kinds.clone().into(), catalogue) => return found,
        Some((matcher, location)) => (matcher.describe(), location),
        // A failure caused by a missing stub is already reported above.
        None if kinds.is_empty() || !missing.is_empty() => return found,
        None => ("none".to_owned(), &step.location),
    };
    let told: Vec<String> = turn.events.iter().map(|event| shorten(&json!(event).to_string(), 300)).collect();
    let actual = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
    let replacements =
        step.events.iter().map(|(_, location)| (location.pointer.clone(), kinds.clone().into())).collect();
    let (field, location) = ("events".to_owned(), location.clone());
    found.push(Difference { field, expected, actual, location, literal: false, replacements });
    found
}

/// Differences of only those subjects for which `seen` returns true.
pub fn differences_of(
    catalogue: &Catalogue,
    step: &Step,
    turn: &Turn,
    seen: &dyn Fn(&Subject) -> bool,
) -> Vec<Difference> {
    let expected = step.expectations.iter().filter(|expectation| seen(&expectation.subject));
    expected.filter_map(|expectation| differs(catalogue, expectation, turn)).collect()
}

fn differs(catalogue: &Catalogue, expectation: &Expectation, turn: &Turn) -> Option<Difference> {
    let value = actual(&expectation.subject, turn);
    // Of several entities of one name, one must match; a prohibition must hold for all of them.
    let holds = match (&expectation.subject, &value) {
        (Subject::Entity(_), Value::Array(values)) if values.is_empty() => {
            expectation.matcher.holds(&Value::Null, catalogue)
        }
        (Subject::Entity(_), Value::Array(values)) => {
            let mut each = values.iter().map(|value| expectation.matcher.holds(value, catalogue));
            if expectation.matcher.forbids() { each.all(|holds| holds) } else { each.any(|holds| holds) }
        }
        _ => expectation.matcher.holds(&value, catalogue),
    };
    if holds {
        return None;
    }
    let value = match (&expectation.subject, value) {
        (Subject::Entity(_), Value::Array(mut values)) if values.len() <= 1 => values.pop().unwrap_or(Value::Null),
        (_, value) => value,
    };
    let several = matches!((&expectation.subject, &value), (Subject::Entity(_), Value::Array(_)));
    Some(Difference {
        field: expectation.subject.name(),
        expected: expectation.matcher.describe(),
        actual: as_text(&value),
        location: expectation.location.clone(),
        literal: matches!(expectation.matcher, Matcher::Equals(Value::String(_))),
        replacements: match several {
            // A single condition cannot describe several entities.
            true => Vec::new(),
            false => corrected(&expectation.matcher, value, &expectation.location.pointer, catalogue),
        },
    })
}

/// The replacements that make a condition match a value. In lists and maps it replaces only the parts that do not
/// match, so that the rest, comments included, stays as it is.
fn corrected(matcher: &Matcher, value: Value, pointer: &str, catalogue: &Catalogue) -> Vec<(String, Value)> {
    match (matcher, value) {
        (matcher, value) if matcher.holds(&value, catalogue) => Vec::new(),
        (Matcher::Items(items), Value::Array(values))
            if items.len() == values.len() && !items.iter().any(|item| matches!(item, Matcher::Rest)) =>
        {
            let each = items.iter().zip(values).enumerate();
            each.flat_map(|(at, (item, value))| corrected(item, value, &child(pointer, at), catalogue)).collect()
        }
        (Matcher::Fields(fields), Value::Object(mut values)) if fields.keys().all(|key| values.contains_key(key)) => {
            let each = fields.iter().filter_map(|(key, field)| Some((key, field, values.remove(key)?)));
            each.flat_map(|(key, field, value)| corrected(field, value, &child(pointer, key), catalogue)).collect()
        }
        (matcher, value) if matcher.is_replaceable() => vec![(pointer.to_owned(), value)],
        _ => Vec::new(),
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A part of a turn as JSON; `Null` if it is absent.
pub fn actual(subject: &Subject, turn: &Turn) -> Value {
    match subject {
        Subject::Intent => turn.intent.as_ref().map_or(Value::Null, |intent| intent.as_str().into()),
        Subject::Handler => turn.handler.to_string().into(),
        Subject::Text => turn.text().into(),
        Subject::Type => serde_json::to_value(turn.kind).unwrap_or(Value::Null),
        Subject::Language => turn.language.code().into(),
        Subject::CatalogueVersion => turn.catalogue_version.as_str().into(),
        Subject::Probability => turn.probability.map_or(Value::Null, |p| rounded(p).into()),
        Subject::Entity(name) => turn
            .entities
            .iter()
            .filter(|entity| &entity.entity == name)
            .map(|entity| Value::from(entity.value.as_str()))
            .collect(),
        Subject::Slot(name) => turn.state.slots.get(name).cloned().unwrap_or(Value::Null),
        // A context ages at the start of each following turn.
        Subject::Context(name) => {
            turn.state.contexts.get(name).map_or(Value::Null, |context| match context.turns.saturating_sub(1) {
                turns if context.values.is_empty() => turns.into(),
                turns => serde_json::json!({ "turns": turns, "values": context.values }),
            })
        }
        Subject::HandOff => turn.hand_off.into(),
        Subject::Kept(name) => turn.kept.get(name).cloned().unwrap_or(Value::Null),
        Subject::Suggestions => suggestions(&turn.outputs),
        Subject::Effects => effects(&turn.outputs),
    }
}

/// Rounds to four decimals, which is precise enough for reports.
pub fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e4).round() / 1e4
}

/// Quick replies of the last text.
pub fn suggestions(outputs: &[Output]) -> Value {
    let last = outputs.iter().rev().find_map(|output| match output {
        Output::Text { suggestions, .. } => Some(suggestions.clone()),
        _ => None,
    });
    last.unwrap_or_default().into()
}

/// Keys of the maps that [`effects`] returns.
pub const EFFECT_KEYS: [&str; 4] = ["say", "suggest", "image", "payload"];

/// What the turn says and shows, as one map each: `{say, suggest}`, `{image}`, `{payload}`.
pub fn effects(outputs: &[Output]) -> Value {
    let effect = |output: &Output| match output {
        Output::Text { text, suggestions } => {
            let mut fields: Map<String, Value> = [("say".to_owned(), text.as_str().into())].into_iter().collect();
            if !suggestions.is_empty() {
                fields.insert("suggest".to_owned(), suggestions.clone().into());
            }
            fields.into()
        }
        Output::Image { url } => json!({ "image": url }),
        Output::Payload { value } => json!({ "payload": value }),
    };
    outputs.iter().map(effect).collect()
}
