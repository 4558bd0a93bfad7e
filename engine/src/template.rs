//! Texts with `{name}` placeholders, and their variants by language.

use std::{collections::BTreeMap, fmt, ops::Range};

use crate::{language::Language, random::Random};

/// A parsed text. `{{` and `}}` stand for braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A name, and the byte range in the text where it appears, braces included.
    Name(String, Range<usize>),
}

/// Why a text is not a valid template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Byte range in the text.
    pub span: Range<usize>,
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// An unmatched brace, or an invalid name in braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let start = text.len() - rest.len() + at;
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let error = |message: &str, end| TemplateError { message: message.to_owned(), span: start..end };
            if brace == "}" {
                return Err(error("a `}` without a matching `{`; write `}}` for a literal brace", start + 1));
            }
            let Some(end) = rest.find('}') else {
                return Err(error("a `{` without a matching `}`; write `{{` for a literal brace", start + 1));
            };
            let name = rest[..end].trim();
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                return Err(error("the braces contain no valid name; write `{{` for a literal brace", start + end + 2));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Name(name.to_owned(), start..start + end + 2));
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The names in braces, with their byte ranges in the text, braces included.
    pub fn names(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name, place) => Some((name.as_str(), place.clone())),
            Part::Literal(_) => None,
        })
    }

    /// The texts between the names: one more than there are names.
    pub fn literals(&self) -> Vec<String> {
        let mut out = vec![String::new()];
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    if let Some(last) = out.last_mut() {
                        last.push_str(text);
                    }
                }
                Part::Name(..) => out.push(String::new()),
            }
        }
        out
    }

    /// The text with its names replaced by values.
    ///
    /// # Errors
    /// The first name for which `value` returns `None`.
    pub fn render(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Name(name, _) => out.push_str(&value(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(out)
    }
}

/// The text as written, except for spaces inside braces.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Name(name, _) => write!(f, "{{{name}}}"),
        })
    }
}

/// A text by language, with variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    by_language: BTreeMap<Language, Vec<Template>>,
    neutral: Vec<Template>,
}

impl Text {
    /// The same variants for all languages.
    pub fn neutral(variants: Vec<Template>) -> Self {
        Self { by_language: BTreeMap::new(), neutral: variants }
    }

    /// Variants by language.
    pub fn by_language(by_language: BTreeMap<Language, Vec<Template>>) -> Self {
        Self { by_language, neutral: Vec::new() }
    }

    /// One variant in `language`, chosen with `random`; `None` if the text has none.
    pub fn pick(&self, language: &Language, random: &mut Random) -> Option<&Template> {
        let variants = self.by_language.get(language).unwrap_or(&self.neutral);
        match variants.as_slice() {
            // A single variant draws no random number, so that it does not shift later draws.
            [only] => Some(only),
            _ => variants.get(random.below(variants.len())),
        }
    }

    /// The variants as written in one language.
    pub fn in_language(&self, language: &Language) -> Vec<String> {
        self.by_language.get(language).unwrap_or(&self.neutral).iter().map(Template::to_string).collect()
    }

    /// The variants as written, by language; those for all languages are under `None`.
    pub fn variants(&self) -> BTreeMap<Option<&Language>, Vec<String>> {
        let written = |variants: &[Template]| variants.iter().map(Template::to_string).collect();
        let neutral = (!self.neutral.is_empty()).then(|| (None, written(&self.neutral)));
        let by_language = self.by_language.iter().map(|(language, variants)| (Some(language), written(variants)));
        by_language.chain(neutral).collect()
    }

    /// All templates, for checks.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.by_language.values().flatten().chain(&self.neutral)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let value = |name: &str| (name == "who").then(|| "Ann".to_owned());
        let rendered = Template::parse(text).map_err(|error| error.message).and_then(|t| t.render(&value));
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn names_are_replaced() {
        check("Hello {who}!", Ok("Hello Ann!"));
        check("{{literal}} { who }", Ok("{literal} Ann"));
        check("{other}", Err("other"));
        check("", Ok(""));
    }

    #[test]
    fn lone_braces_are_faults() {
        check("a } b", Err("a `}` without a matching `{`; write `}}` for a literal brace"));
        check("a {who", Err("a `{` without a matching `}`; write `{{` for a literal brace"));
        check("{a b}", Err("the braces contain no valid name; write `{{` for a literal brace"));
        check("{}", Err("the braces contain no valid name; write `{{` for a literal brace"));
    }

    proptest! {
        #[test]
        fn any_text_with_doubled_braces_is_itself(text in "\\PC{0,30}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            let rendered = Template::parse(&doubled).unwrap().render(&|_| None);
            prop_assert_eq!(rendered, Ok(text));
            prop_assert_eq!(Template::parse(&doubled).unwrap().to_string(), doubled);
        }
    }
}
