//! Replaces expectations in a file and leaves everything else, comments and order included, as it is.

use serde_json::{Map, Value};

use super::matcher::{KEYS, Lists, Matcher};
use crate::catalogue::document::Document;

/// Replaces the value at each JSON pointer in the text of a file and changes nothing else. Returns `None` if that is
/// impossible: a pointer finds nothing, a value is shared through an alias, or there is a comment inside a value.
pub fn rewrite(file: &str, text: &str, replacements: &[(String, Value)]) -> Option<String> {
    let document = Document::parse(file, text.as_bytes()).ok()?;
    // Locations do not count a byte-order mark.
    let (mark, body) = text.split_at(text.len() - text.strip_prefix('\u{FEFF}').unwrap_or(text).len());
    let mut wanted = document.value.clone();
    let mut edits = Vec::new();
    for (pointer, value) in replacements {
        let extent = document.extent(pointer, body)?;
        if has_comment(body.get(extent.clone())?) {
            return None;
        }
        edits.push((extent, write(value)));
        *wanted.pointer_mut(pointer)? = Document::parse(file, write(value).as_bytes()).ok()?.value;
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = mark.to_owned();
    let mut at = 0;
    for (range, value) in edits {
        out.push_str(body.get(at..range.start)?);
        if range.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
        out.push_str(&value);
        at = range.end;
    }
    out.push_str(body.get(at..)?);
    (Document::parse(file, out.as_bytes()).ok()?.value == wanted).then_some(out)
}

/// Adds a text at the end of the list at a JSON pointer and changes nothing else. Returns `None` if that is impossible:
/// there is no such list, or it is empty or shared through an alias.
pub fn append(file: &str, text: &str, pointer: &str, item: &str) -> Option<String> {
    let document = Document::parse(file, text.as_bytes()).ok()?;
    let (mark, body) = text.split_at(text.len() - text.strip_prefix('\u{FEFF}').unwrap_or(text).len());
    let last = document.value.pointer(pointer)?.as_array()?.len().checked_sub(1)?;
    let extent = document.extent(&format!("{pointer}/{last}"), body)?;
    let line = body.get(..extent.start)?.rfind('\n').map_or(0, |end| end + 1);
    let before = body.get(line..extent.start)?;
    let item_text = Value::from(item).to_string();
    let added = match before.trim_start().strip_prefix('-') {
        Some(gap) if gap.trim().is_empty() => format!("\n{before}{item_text}"),
        _ => format!(", {item_text}"),
    };
    let out = format!("{mark}{}{added}{}", body.get(..extent.end)?, body.get(extent.end..)?);
    let mut wanted = document.value.clone();
    wanted.pointer_mut(pointer)?.as_array_mut()?.push(item.into());
    (Document::parse(file, out.as_bytes()).ok()?.value == wanted).then_some(out)
}

/// Whether a value contains a comment: a `#` after white space, outside quotes and block scalars.
fn has_comment(value: &str) -> bool {
    let in_line = |line: &str| {
        let (mut quote, mut before) = (None, ' ');
        for c in line.chars() {
            match (quote, c) {
                (None, '#') if before.is_whitespace() => return true,
                // An apostrophe inside a word opens no quote.
                (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                _ => {}
            }
            before = c;
        }
        false
    };
    !value.starts_with(['|', '>']) && value.lines().any(in_line)
}

/// Writes a value as an expectation that matches exactly this value.
pub fn write(value: &Value) -> String {
    match literal(value) {
        Value::String(text) => write_text(&text),
        other => flow(&other),
    }
}

/// Writes a text as a YAML scalar.
pub fn write_text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

/// Marks texts as literal that would be read as conditions.
fn literal(value: &Value) -> Value {
    match value {
        Value::String(text) => match Matcher::parse(value, Lists::Items) {
            Ok(Matcher::Equals(Value::String(same))) if same == *text && text != "..." => value.clone(),
            _ => format!("={text}").into(),
        },
        Value::Array(items) => items.iter().map(literal).collect(),
        Value::Object(fields) => {
            let inner: Map<String, Value> = fields.iter().map(|(key, value)| (key.clone(), literal(value))).collect();
            // Mark a map as a value if it looks like a condition.
            if !inner.is_empty() && inner.keys().all(|key| KEYS.contains(&key.as_str())) {
                let whole: Map<String, Value> = [("is".to_owned(), value.clone())].into_iter().collect();
                return whole.into();
            }
            inner.into()
        }
        other => other.clone(),
    }
}

/// Whether YAML reads the unquoted text as that same text, in any position.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_alphanumeric() || " _-./".contains(c);
    let starts = text.chars().next().is_some_and(char::is_alphabetic);
    let word = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    starts && !word && text.chars().all(safe) && !text.ends_with(' ')
}

/// JSON with the spaces that people write; it is also YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{}: {}", write_text(key), flow(value));
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_grows_at_its_end() {
        for (text, expected) in [
            ("a:\n  en: [x, y] # two\nb: 1\n", Some("a:\n  en: [x, y, \"new: one\"] # two\nb: 1\n")),
            (
                "a:\n  en:\n    - x\n    - 'y' # last\n  ru: [z]\n",
                Some("a:\n  en:\n    - x\n    - 'y'\n    - \"new: one\" # last\n  ru: [z]\n"),
            ),
            ("a: { en: [\n  x,\n  y\n] }\n", Some("a: { en: [\n  x,\n  y, \"new: one\"\n] }\n")),
            ("\u{FEFF}a: { en: [x] }", Some("\u{FEFF}a: { en: [x, \"new: one\"] }")),
            ("a: { en: [] }", None),
            ("a: { ru: [x] }", None),
            ("a: { en: x }", None),
        ] {
            assert_eq!(append("f.yaml", text, "/a/en", "new: one").as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_value_changes() {
        let text = "# head\nturns:\n  - user: hi   # said\n    expect: { text: ~\"old\", slots: { a: 1 } } # kept\n  - expect:\n      text: |\n        long\n        old\n      effects:\n        - say: x\n        - image: y\n\n# tail\n";
        let new = rewrite(
            "f.yaml",
            text,
            &[
                ("/turns/0/expect/text".to_owned(), json!("New: one")),
                ("/turns/0/expect/slots/a".to_owned(), json!(2)),
                ("/turns/1/expect/text".to_owned(), json!("~new")),
                ("/turns/1/expect/effects".to_owned(), json!([{ "say": "z" }])),
            ],
        );
        let new = new.expect("a file");
        insta::assert_snapshot!(new, @r#"
        # head
        turns:
          - user: hi   # said
            expect: { text: "New: one", slots: { a: 2 } } # kept
          - expect:
              text: "=~new"
              effects:
                [{ say: "z" }]

        # tail
        "#);
    }

    #[test]
    fn keys_without_values_get_one_and_what_cannot_be_written_is_left() {
        let one = |text: &str, pointer: &str| rewrite("f.yaml", text, &[(pointer.to_owned(), json!("x y"))]);
        assert_eq!(one("a:\nb: 1\n", "/a").as_deref(), Some("a: x y\nb: 1\n"));
        assert_eq!(one("a:   # later\n", "/a").as_deref(), Some("a: x y   # later\n"));
        assert_eq!(one("{ a: , b: 1 }\n", "/a").as_deref(), Some("{ a: x y , b: 1 }\n"));
        assert_eq!(one("a: 1\r\nb:\r\n", "/b").as_deref(), Some("a: 1\r\nb: x y\r\n"));
        assert_eq!(one("a: 1\n", "/nothing"), None);
        for nested in ["[{ say: x }]", "{ one_of: [a, b] }", "[a, b]", "{is: a}", "{ }"] {
            let text = format!("a: {{ b: {nested} }}\n");
            assert_eq!(one(&text, "/a/b").as_deref(), Some("a: { b: x y }\n"), "{nested}");
        }
        assert_eq!(one("a:\n  one_of: [a, b]\n", "/a").as_deref(), Some("a:\n  x y\n"));
        assert_eq!(one("a:\n  - 1 # why\n  - 2\n", "/a"), None, "the comment would be lost");
        assert_eq!(one("a:\n  - don't # why\n  - 2\n", "/a"), None, "the comment would be lost");
        assert_eq!(one("a:\n  - 1 # why\n", "/a").as_deref(), Some("a:\n  x y # why\n"));
        for quoted in ["'x # y'", "'it''s'", "\"a \\\" b\"", "\"x\"", "''"] {
            let text = format!("a: {quoted} # z\n");
            assert_eq!(one(&text, "/a").as_deref(), Some("a: x y # z\n"), "{quoted}");
        }
        assert_eq!(one("a:\n  b: 'x' # z\n", "/a").as_deref(), Some("a:\n  x y # z\n"));
        assert_eq!(one("a: |\n  x # y\nb: 1\n", "/a").as_deref(), Some("a: x y\nb: 1\n"));
        assert_eq!(one("a: &t [1]\nb: *t\n", "/a/0"), None, "the alias would change too");
    }
}
