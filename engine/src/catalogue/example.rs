//! Examples with marked entities: `track order [A-1042](order_id)`, with a role: `from [London](city:from)`.

use std::ops::Range;

use crate::{diagnostic::Location, language::Language, word::words};

/// One utterance of an intent.
#[derive(Clone, Debug)]
pub struct Example {
    /// The language under which it is listed.
    pub language: Language,
    /// The text without annotations.
    pub text: String,
    /// The marked entities.
    pub marks: Vec<Mark>,
    pub location: Location,
}

/// A marked entity: `[text](entity)` or `[text](entity:role)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The marked words.
    pub text: String,
    /// The entity's name.
    pub entity: String,
    /// Which of the intent's slots of this entity it fills.
    pub role: Option<String>,
    /// The word before it, in lower case; it tells the role of values that users say.
    pub before: Option<String>,
}

/// Splits an annotated example into its plain text and its marks.
///
/// # Errors
/// A message about a malformed mark, and its byte range.
pub fn parse_annotations(source: &str) -> Result<(String, Vec<Mark>), (String, Range<usize>)> {
    let mut text = String::new();
    let mut marks = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find('[') {
        text.push_str(&rest[..open]);
        let start = source.len() - rest.len() + open;
        rest = &rest[open + 1..];
        let Some(middle) = rest.find("](") else {
            text.push('[');
            continue;
        };
        let Some(close) = rest[middle..].find(')') else {
            return Err(("the mark has no closing `)`".to_owned(), start..source.len()));
        };
        let end = start + 1 + middle + close + 1;
        let (said, entity) = (&rest[..middle], rest[middle + 2..middle + close].trim());
        if said.trim().is_empty() || entity.is_empty() {
            return Err(("a mark needs both parts: [what users say](entity)".to_owned(), start..end));
        }
        let (entity, role) = match entity.split_once(':') {
            Some((entity, role)) if !entity.trim().is_empty() && !role.trim().is_empty() => {
                (entity.trim(), Some(role.trim().to_owned()))
            }
            Some(_) => return Err(("a role needs both parts: [what users say](entity:role)".to_owned(), start..end)),
            None => (entity, None),
        };
        let before = words(&text).last().map(|word| word.plain().to_owned());
        text.push_str(said);
        marks.push(Mark { text: said.to_owned(), entity: entity.to_owned(), role, before });
        rest = &rest[middle + close + 1..];
    }
    text.push_str(rest);
    Ok((text, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, text: &str, marks: &[(&str, &str)]) {
        let (found, list) = parse_annotations(source).unwrap();
        let list: Vec<(&str, &str)> = list.iter().map(|m| (m.text.as_str(), m.entity.as_str())).collect();
        assert_eq!((found.as_str(), list.as_slice()), (text, marks), "{source}");
    }

    #[test]
    fn marks_are_taken_out() {
        check("track order [A-1042](order_id) now", "track order A-1042 now", &[("A-1042", "order_id")]);
        check("из [Москвы](city) в [Лондон](city)", "из Москвы в Лондон", &[("Москвы", "city"), ("Лондон", "city")]);
        check("no marks [at all]", "no marks [at all]", &[]);
    }

    #[test]
    fn a_role_is_told_by_the_word_before_it() {
        let (_, marks) = parse_annotations("from [London](city:from) to [Moscow]( city : to )").unwrap();
        let roles: Vec<_> = marks.iter().map(|mark| (mark.role.as_deref(), mark.before.as_deref())).collect();
        assert_eq!(roles, [(Some("from"), Some("from")), (Some("to"), Some("to"))]);
        assert!(parse_annotations("[London](city:)").is_err());
    }

    #[test]
    fn broken_marks_are_told() {
        assert!(parse_annotations("track [A-1042](order_id").is_err());
        assert!(parse_annotations("track [](order_id)").is_err());
        assert!(parse_annotations("track [A]( )").is_err());
    }
}
