//! The report as one HTML page that needs no network and no other file.

use super::report::Report;
use crate::failure::Failure;

/// The page: it embeds the report as JSON, and its script draws it.
///
/// # Errors
/// The report cannot be serialized.
pub fn html(report: &Report) -> Result<String, Failure> {
    let json = serde_json::to_string(report)
        .map_err(|error| Failure::usage(format!("cannot write the report: {error}"), "please report this bug"))?;
    // No user text may end the script element that holds the JSON.
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    Ok(include_str!("page.html").replace("\"REPORT\"", &json))
}
