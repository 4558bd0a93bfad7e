//! `--update`: expectations that differ are written anew in their files.

use std::{collections::BTreeMap, path::Path};

use banter_engine::{
    replay::{Outcome, rewrite::rewrite},
    write_atomically,
};
use serde_json::Value;

use super::Rig;
use crate::failure::Failure;

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// Expectations written anew.
    pub written: usize,
    /// Differences that no other expectation mends, as `file:line field`.
    pub left: Vec<String>,
}

/// Writes what came in place of what was expected. Comments and order stay.
///
/// # Errors
/// When a file cannot be written.
pub fn update(rig: &Rig, outcomes: &[&Outcome]) -> Result<Updated, Failure> {
    let mut updated = Updated::default();
    let mut changes: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let differences = outcomes.iter().flat_map(|outcome| outcome.turns.iter().flat_map(|turn| &turn.differences));
    for difference in differences {
        let place = &difference.place;
        let mut leave = |why: &str| {
            updated.left.push(format!("{}:{} {}: {why}", place.file, place.line, difference.field));
        };
        if difference.replacements.is_empty() {
            leave("what came is no value of its own to write there");
            continue;
        }
        // Formats of others have no pointers.
        if place.pointer.is_empty() {
            leave("files of other tools are not written");
            continue;
        }
        for (pointer, value) in &difference.replacements {
            let file = changes.entry(&place.file).or_default();
            let around = |other: &String| {
                let (outer, inner) = if other.len() < pointer.len() { (other, pointer) } else { (pointer, other) };
                inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            // A part and the whole of it came of different turns.
            if file.keys().any(around) {
                leave("several answers came");
                continue;
            }
            lines.insert((&place.file, pointer), place.line);
            let known = file.entry(pointer.clone()).or_insert(value.clone());
            if known != value {
                leave("several answers came");
            }
        }
    }
    for (file, values) in changes {
        let Some(text) = rig.files.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
        let values: Vec<(String, Value)> = values.into_iter().collect();
        let written = match rewrite(file, text, &values) {
            Some(new) => Written { text: new, count: values.len(), left: Vec::new() },
            None => one_by_one(file, text, &values),
        };
        let left = |pointer: &String| {
            let line = lines.get(&(file, pointer.as_str())).copied().unwrap_or_default();
            format!(
                "{file}:{line}: the value cannot be written without changing others or losing comments; write it by hand"
            )
        };
        updated.left.extend(written.left.iter().map(left));
        if written.count == 0 {
            continue;
        }
        // A link stays one.
        let path = std::fs::canonicalize(file).unwrap_or_else(|_| Path::new(file).to_owned());
        write_atomically(&path, written.text.as_bytes())
            .map_err(|error| Failure::usage(format!("{file} cannot be written: {error}"), "check its rights"))?;
        updated.written += written.count;
    }
    Ok(updated)
}

/// A file with what could be written into it.
struct Written {
    text: String,
    count: usize,
    /// Places of what could not.
    left: Vec<String>,
}

/// What cannot be written keeps nothing else from being written.
fn one_by_one(file: &str, text: &str, values: &[(String, Value)]) -> Written {
    let mut written = Written { text: text.to_owned(), count: 0, left: Vec::new() };
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
