//! `--update`: overwrites differing expectations in their files.

use std::{collections::BTreeMap, path::Path};

use banter_engine::{
    replay::{Outcome, rewrite::rewrite},
    write_atomically,
};
use serde_json::Value;

use super::Rig;
use crate::failure::Failure;

/// The result of an update.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// The number of updated expectations.
    pub written: usize,
    /// Differences that could not be updated, as `file:line field: reason`.
    pub left: Vec<String>,
}

/// Overwrites differing expectations with the actual values. Comments and order are kept.
///
/// # Errors
/// A file cannot be written.
pub fn update(rig: &Rig, outcomes: &[&Outcome]) -> Result<Updated, Failure> {
    let mut updated = Updated::default();
    let mut changes: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let differences = outcomes.iter().flat_map(|outcome| outcome.turns.iter().flat_map(|turn| &turn.differences));
    for difference in differences {
        let location = &difference.location;
        let mut leave = |why: &str| {
            updated.left.push(format!("{}:{} {}: {why}", location.file, location.line, difference.field));
        };
        if difference.replacements.is_empty() {
            leave("no new value would make this expectation pass");
            continue;
        }
        // Fixtures in other tools' formats have no pointers.
        if location.pointer.is_empty() {
            leave("files of other tools are never written");
            continue;
        }
        for (pointer, value) in &difference.replacements {
            let file = changes.entry(&location.file).or_default();
            let around = |other: &String| {
                let (outer, inner) = if other.len() < pointer.len() { (other, pointer) } else { (pointer, other) };
                inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            // Different turns would change a value and a part of it.
            if file.keys().any(around) {
                leave("several turns need different values");
                continue;
            }
            lines.insert((&location.file, pointer), location.line);
            let known = file.entry(pointer.clone()).or_insert(value.clone());
            if known != value {
                leave("several turns need different values");
            }
        }
    }
    for (file, values) in changes {
        let Some(text) = rig.files.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
        let values: Vec<(String, Value)> = values.into_iter().collect();
        let written = match rewrite(file, text, &values) {
            Some(new) => WrittenFixture { text: new, count: values.len(), left: Vec::new() },
            None => one_by_one(file, text, &values),
        };
        let left = |pointer: &String| {
            let line = lines.get(&(file, pointer.as_str())).copied().unwrap_or_default();
            format!(
                "{file}:{line}: the value cannot be written without changing others or losing comments; edit it by hand"
            )
        };
        updated.left.extend(written.left.iter().map(left));
        if written.count == 0 {
            continue;
        }
        // Writing to the target keeps a symbolic link.
        let path = std::fs::canonicalize(file).unwrap_or_else(|_| Path::new(file).to_owned());
        write_atomically(&path, written.text.as_bytes())
            .map_err(|error| Failure::usage(format!("cannot write {file}: {error}"), "check its permissions"))?;
        updated.written += written.count;
    }
    Ok(updated)
}

/// A file with the values that could be written.
struct WrittenFixture {
    text: String,
    count: usize,
    /// Pointers of the values that could not be written.
    left: Vec<String>,
}

/// Writes the values one at a time, so that a value that cannot be written does not block the others.
fn one_by_one(file: &str, text: &str, values: &[(String, Value)]) -> WrittenFixture {
    let mut written = WrittenFixture { text: text.to_owned(), count: 0, left: Vec::new() };
    for value in values {
        match rewrite(file, &written.text, std::slice::from_ref(value)) {
            Some(new) => {
                written.text = new;
                written.count += 1;
            }
            None => written.left.push(value.0.clone()),
        }
    }
    written
}
