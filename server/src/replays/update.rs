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
    let differences = outcomes.iter().flat_map(|outcome| outcome.turns.iter().flat_map(|turn| &turn.differences));
    for difference in differences {
        let place = &difference.place;
        match &difference.replacement {
            // Formats of others have no pointers, and are not written.
            Some(value) if !place.pointer.is_empty() => {
                let known =
                    changes.entry(&place.file).or_default().entry(place.pointer.clone()).or_insert(value.clone());
                if known != value {
                    updated
                        .left
                        .push(format!("{}:{} {}: several answers came", place.file, place.line, difference.field));
                }
            }
            _ => updated.left.push(format!("{}:{} {}", place.file, place.line, difference.field)),
        }
    }
    for (file, values) in changes {
        let Some(text) = rig.files.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
        let values: Vec<(String, Value)> = values.into_iter().collect();
        let Some(new) = rewrite(file, text, &values) else {
            updated.left.push(format!("{file}: no other values can be written into it"));
            continue;
        };
        // A link stays one.
        let path = std::fs::canonicalize(file).unwrap_or_else(|_| Path::new(file).to_owned());
        write_atomically(&path, new.as_bytes())
            .map_err(|error| Failure::usage(format!("{file} cannot be written: {error}"), "check its rights"))?;
        updated.written += values.len();
    }
    Ok(updated)
}
