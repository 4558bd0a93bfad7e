//! Rows of a report.

use std::fmt;

use serde_json::json;

/// A measurement beside its baseline of the same run.
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub ours: f64,
    pub baseline: f64,
    /// What the baseline is.
    pub is: &'static str,
}

impl Row {
    /// The row for programs.
    pub fn json(&self) -> serde_json::Value {
        let Self { name, unit, ours, baseline, is } = self;
        json!({ "name": name.trim(), "unit": unit, "measured": ours, "baseline": baseline, "baseline_is": is, "ratio": ours / baseline })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.ours < 100.0 { 2 } else { 0 };
        let shown = |value: f64| format!("{value:.digits$} {}", self.unit);
        let (ours, baseline) = (shown(self.ours), shown(self.baseline));
        write!(f, "{:<34} {ours:>12} {baseline:>12} {:>7.2}  {}", self.name, self.ours / self.baseline, self.is)
    }
}

/// Prints the rows for people, or as one JSON object.
pub fn print(rows: &[Row], as_json: bool) {
    if as_json {
        println!("{}", json!(rows.iter().map(Row::json).collect::<Vec<_>>()));
        return;
    }
    println!("{:<34} {:>12} {:>12} {:>7}  baseline is", "", "measured", "baseline", "ratio");
    rows.iter().for_each(|row| println!("{row}"));
}
