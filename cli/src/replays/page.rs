//! The report as one page: it needs no network and no other file.

use super::report::Report;
use crate::failure::Failure;

/// The page. The report lies in it as JSON, and a script of its own draws it.
///
/// # Errors
/// When the report cannot be written as JSON.
pub fn html(report: &Report) -> Result<String, Failure> {
    let json = serde_json::to_string(report)
        .map_err(|error| Failure::usage(format!("the report cannot be written: {error}"), "report this"))?;
    // Nothing that a user said may end the element that holds it.
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    Ok(include_str!("page.html").replace("\"REPORT\"", &json))
}
