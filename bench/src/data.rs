//! Intent data sets: CSV files with the header `text,intent`. An empty intent means out of scope.

use std::{collections::BTreeMap, path::Path};

use banter_engine::{decide::training::Sample, random::Random, text::normalize};

/// The rows of a data set.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Normalized text and intent; `None` means out of scope.
    pub rows: Vec<(String, Option<String>)>,
}

impl Rows {
    /// Reads a file.
    ///
    /// # Errors
    /// A message, if the file cannot be read, has another header, or has no rows.
    pub fn read(path: &Path) -> Result<Self, String> {
        let diagnostic = |error: csv::Error| format!("{}: {error}", path.display());
        let mut reader = csv::Reader::from_path(path).map_err(diagnostic)?;
        let header = reader.headers().map_err(diagnostic)?;
        if header.iter().ne(["text", "intent"]) {
            return Err(format!("{}: the header must be `text,intent`", path.display()));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(diagnostic)?;
            let intent = record.get(1).filter(|intent| !intent.is_empty()).map(str::to_owned);
            rows.push((normalize(record.get(0).unwrap_or("")), intent));
        }
        if rows.is_empty() {
            return Err(format!("{}: no rows", path.display()));
        }
        Ok(Self { rows })
    }

    /// The intents by name, numbered in this order.
    pub fn classes(&self) -> BTreeMap<String, usize> {
        let mut classes: BTreeMap<String, usize> =
            self.rows.iter().filter_map(|(_, intent)| Some((intent.clone()?, 0))).collect();
        classes.values_mut().enumerate().for_each(|(number, class)| *class = number);
        classes
    }

    /// The rows with one of these intents, as samples.
    pub fn samples(&self, classes: &BTreeMap<String, usize>) -> Vec<Sample> {
        self.rows
            .iter()
            .filter_map(|(text, intent)| Some(Sample { text: text.clone(), class: *classes.get(intent.as_ref()?)? }))
            .collect()
    }
}

/// At most `shots` samples of each class, drawn with a seed.
pub fn draw(samples: &[Sample], classes: usize, shots: usize, seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed);
    let mut drawn = Vec::new();
    for class in 0..classes {
        let mut members: Vec<&Sample> = samples.iter().filter(|sample| sample.class == class).collect();
        random.shuffle(&mut members);
        drawn.extend(members.into_iter().take(shots).cloned());
    }
    drawn
}
