//! Conditions that expectations put on values.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::{
    catalogue::{Catalogue, PatternAnswer},
    pattern::Pattern,
    template::Template,
};

/// Keys of a matcher written as a map.
pub const KEYS: [&str; 10] =
    ["is", "contains", "contains_any_case", "matches", "like", "one_of", "variant_of", "not", "min", "max"];

/// A condition on a JSON value; `Null` stands for an absent value.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// Any value that is not absent.
    Anything,
    /// Exactly this value.
    Equals(Value),
    /// A text that contains this part; with `true`, case-insensitively.
    Contains(String, bool),
    /// A text in which this pattern matches.
    Pattern(Regex),
    /// A text in which any characters may replace each `*`. Holds the parts between the asterisks.
    Like(Vec<String>),
    /// At least one of these conditions.
    OneOf(Vec<Matcher>),
    /// All of these conditions.
    All(Vec<Matcher>),
    /// The opposite of this condition.
    Not(Box<Matcher>),
    /// A text that the bot's text with this key can produce.
    VariantOf(String),
    /// A number within these inclusive bounds.
    Within(Option<f64>, Option<f64>),
    /// A map whose fields meet these conditions.
    Fields(BTreeMap<String, Matcher>),
    /// A list, compared item by item; [`Matcher::Rest`] stands for any number of items.
    Items(Vec<Matcher>),
    /// Any number of items; only inside a list.
    Rest,
}

/// How to read a list in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// As conditions on a text, all of which must hold.
    AllHold,
    /// As the items of a list.
    Items,
}

impl Matcher {
    /// Reads a condition.
    ///
    /// # Errors
    /// A message: an invalid pattern, or a map whose keys are not those of a condition on a text.
    pub fn parse(value: &Value, lists: Lists) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::of_text(text),
            Value::Array(items) if lists == Lists::AllHold && items.is_empty() => {
                Err("an empty list of conditions checks nothing".to_owned())
            }
            Value::Array(items) if lists == Lists::AllHold => {
                Ok(Self::All(items.iter().map(|item| Self::parse(item, lists)).collect::<Result<_, _>>()?))
            }
            Value::Array(items) => Ok(Self::Items(
                items
                    .iter()
                    .map(|item| if item == "..." { Ok(Self::Rest) } else { Self::parse(item, lists) })
                    .collect::<Result<_, _>>()?,
            )),
            Value::Object(fields) if !fields.is_empty() && fields.keys().all(|key| KEYS.contains(&key.as_str())) => {
                Self::of_keys(fields, lists)
            }
            Value::Object(_) if lists == Lists::AllHold => {
                Err(format!("a condition on a text may only have the keys {}", KEYS.join(", ")))
            }
            Value::Object(fields) => {
                let parse = |(key, value): (&String, &Value)| Ok((key.clone(), Self::parse(value, Lists::Items)?));
                Ok(Self::Fields(fields.iter().map(parse).collect::<Result<_, String>>()?))
            }
            other => Ok(Self::Equals(other.clone())),
        }
    }

    /// `~"part"`, `/pattern/`, `*`, `=literal`, or the text itself.
    fn of_text(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Anything);
        }
        if let Some(literal) = text.strip_prefix('=') {
            return Ok(Self::Equals(literal.into()));
        }
        if let Some(part) = text.strip_prefix('~') {
            let part = part.trim();
            let bare = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part);
            return part_of(bare.to_owned(), false);
        }
        if let Some(pattern) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'))
            && !pattern.is_empty()
        {
            return pattern_of(pattern);
        }
        Ok(Self::Equals(text.into()))
    }

    fn of_keys(fields: &Map<String, Value>, lists: Lists) -> Result<Self, String> {
        let mut all = Vec::new();
        let text =
            |key: &str, value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` needs a text"));
        for (key, value) in fields {
            all.push(match key.as_str() {
                "is" => Self::Equals(value.clone()),
                "contains" => part_of(text(key, value)?, false)?,
                "contains_any_case" => part_of(text(key, value)?.to_lowercase(), true)?,
                "matches" => pattern_of(&text(key, value)?)?,
                "like" => Self::Like(text(key, value)?.split('*').map(str::to_owned).collect()),
                "variant_of" => Self::VariantOf(text(key, value)?),
                "not" => Self::Not(Box::new(Self::parse(value, lists)?)),
                "one_of" => {
                    let items = value.as_array().filter(|items| !items.is_empty());
                    let items = items.ok_or("`one_of` needs a list with at least one item")?;
                    Self::OneOf(items.iter().map(|item| Self::parse(item, lists)).collect::<Result<_, _>>()?)
                }
                "min" | "max" => {
                    let number = value.as_f64().ok_or_else(|| format!("`{key}` needs a number"))?;
                    if key == "min" { Self::Within(Some(number), None) } else { Self::Within(None, Some(number)) }
                }
                _ => return Err(format!("unknown key `{key}`")),
            });
        }
        if let (Some(min), Some(max)) =
            (fields.get("min").and_then(Value::as_f64), fields.get("max").and_then(Value::as_f64))
        {
            check_bounds(Some(min), Some(max))?;
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::All(all) })
    }

    /// Texts that the condition names literally, whether it requires or forbids them.
    pub fn literals(&self) -> Vec<&str> {
        match self {
            Self::Equals(Value::String(text)) => vec![text],
            Self::OneOf(items) | Self::All(items) | Self::Items(items) => {
                items.iter().flat_map(Self::literals).collect()
            }
            Self::Not(inner) => inner.literals(),
            _ => Vec::new(),
        }
    }

    /// Keys of the bot's texts that the condition names.
    pub fn text_keys(&self) -> Vec<&str> {
        match self {
            Self::VariantOf(key) => vec![key],
            Self::OneOf(items) | Self::All(items) | Self::Items(items) => {
                items.iter().flat_map(Self::text_keys).collect()
            }
            Self::Not(inner) => inner.text_keys(),
            Self::Fields(fields) => fields.values().flat_map(Self::text_keys).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a value meets the condition; `Null` stands for an absent value.
    pub fn holds(&self, value: &Value, catalogue: &Catalogue) -> bool {
        let text = value.as_str();
        match self {
            Self::Anything => !value.is_null(),
            Self::Rest => true,
            Self::Equals(wanted) => equal(wanted, value),
            Self::Contains(part, false) => text.is_some_and(|text| text.contains(part)),
            Self::Contains(part, true) => text.is_some_and(|text| text.to_lowercase().contains(part)),
            Self::Pattern(pattern) => text.is_some_and(|text| pattern.is_match(text)),
            Self::Like(parts) => text.is_some_and(|text| is_like(parts, text)),
            Self::OneOf(items) => items.iter().any(|item| item.holds(value, catalogue)),
            Self::All(items) => items.iter().all(|item| item.holds(value, catalogue)),
            Self::Not(inner) => !inner.holds(value, catalogue),
            Self::VariantOf(key) => text.is_some_and(|text| variants(catalogue, key).any(|one| may_become(one, text))),
            Self::Within(min, max) => value
                .as_f64()
                .is_some_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
            Self::Fields(fields) => value.as_object().is_some_and(|object| {
                fields.iter().all(|(key, inner)| inner.holds(object.get(key).unwrap_or(&Value::Null), catalogue))
            }),
            Self::Items(items) => value.as_array().is_some_and(|list| items_hold(items, list, catalogue)),
        }
    }

    /// Whether the condition forbids something.
    pub fn forbids(&self) -> bool {
        match self {
            Self::Not(_) => true,
            Self::All(items) => !items.is_empty() && items.iter().all(Self::forbids),
            _ => false,
        }
    }

    /// Whether `--update` may replace the condition by the actual value.
    pub fn is_replaceable(&self) -> bool {
        !matches!(self, Self::Not(_) | Self::Within(..))
    }

    /// The condition as readable text.
    pub fn describe(&self) -> String {
        match self {
            Self::Anything => "anything".to_owned(),
            Self::Rest => "...".to_owned(),
            Self::Equals(Value::Null) => "nothing".to_owned(),
            Self::Equals(Value::String(text)) => text.clone(),
            Self::Equals(value) => value.to_string(),
            Self::Contains(part, false) => format!("a text that contains \"{part}\""),
            Self::Contains(part, true) => format!("a text that contains \"{part}\" (ignoring case)"),
            Self::Pattern(pattern) => format!("a text that matches /{pattern}/"),
            Self::Like(parts) => format!("a text like \"{}\"", parts.join("*")),
            Self::OneOf(items) => format!("one of: {}", list(items)),
            Self::All(items) => list(items),
            Self::Not(inner) => format!("not {}", inner.describe()),
            Self::VariantOf(key) => format!("a variant of the text `{key}`"),
            Self::Within(Some(min), None) => format!("at least {min}"),
            Self::Within(Some(min), Some(max)) => format!("from {min} to {max}"),
            Self::Within(None, max) => format!("at most {}", max.unwrap_or(f64::INFINITY)),
            Self::Fields(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!("{key}: {}", value.describe())).collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Self::Items(items) => format!("[{}]", list(items)),
        }
    }
}

fn list(items: &[Matcher]) -> String {
    items.iter().map(Matcher::describe).collect::<Vec<_>>().join(", ")
}

/// An empty part is an error, because every text contains it.
fn part_of(part: String, any_case: bool) -> Result<Matcher, String> {
    if part.is_empty() {
        return Err("an empty part matches every text; write `*` for any text".to_owned());
    }
    Ok(Matcher::Contains(part, any_case))
}

/// Checks that a number can lie within bounds.
///
/// # Errors
/// A message: no number can, or there are no bounds.
pub fn check_bounds(min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    match (min, max) {
        (None, None) => Err("bounds need `min`, `max` or both".to_owned()),
        (Some(min), Some(max)) if min > max => Err(format!("`min` ({min}) is greater than `max` ({max})")),
        _ => Ok(()),
    }
}

fn pattern_of(pattern: &str) -> Result<Matcher, String> {
    let built = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
    built.map(Matcher::Pattern).map_err(|error| {
        let reason = error.to_string();
        format!("the pattern is invalid: {}", reason.lines().last().unwrap_or_default().trim_start_matches("error: "))
    })
}

/// Compares numbers by value, so that `1` equals `1.0`.
fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => wanted == value,
    }
}

fn is_like(parts: &[String], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else { return text.is_empty() };
    let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part.as_str()) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last.as_str())
}

/// Matches with two pointers and backtracks only to the last [`Matcher::Rest`]: at most items × values steps.
fn items_hold(items: &[Matcher], list: &[Value], catalogue: &Catalogue) -> bool {
    let (mut item, mut at, mut back) = (0, 0, None);
    while at < list.len() {
        match items.get(item) {
            Some(Matcher::Rest) => {
                back = Some((item, at));
                item += 1;
            }
            Some(one) if one.holds(&list[at], catalogue) => {
                item += 1;
                at += 1;
            }
            _ => {
                let Some((rest, from)) = back else { return false };
                back = Some((rest, from + 1));
                item = rest + 1;
                at = from + 1;
            }
        }
    }
    items[item..].iter().all(|left| matches!(left, Matcher::Rest))
}

/// The templates of one of the bot's texts: from `texts/`, or from bot.yaml under its key there.
fn variants<'a>(catalogue: &'a Catalogue, key: &str) -> Box<dyn Iterator<Item = &'a Template> + 'a> {
    let text = match key {
        "fallback" => Some(&catalogue.fallback.text),
        "clarify" => Some(&catalogue.clarify),
        "handoff" => Some(&catalogue.handoff),
        "waiting" => catalogue.waiting.text.as_ref(),
        "cancelled" => Some(&catalogue.cancelled),
        "dropped" => Some(&catalogue.dropped),
        _ => catalogue.library.texts.get(key).or_else(|| reply_of(catalogue, key)).or_else(|| said_at(catalogue, key)),
    };
    match text {
        Some(text) => Box::new(text.templates()),
        None => Box::new(std::iter::empty()),
    }
}

/// The text for `reply:greet` is the reply of the intent `greet`.
fn reply_of<'a>(catalogue: &'a Catalogue, key: &str) -> Option<&'a crate::template::Text> {
    let id = crate::ids::IntentId::new(key.strip_prefix("reply:")?);
    match &catalogue.intent(&id)?.handler {
        crate::catalogue::Handler::Reply { text, .. } | crate::catalogue::Handler::HandOff { text } => Some(text),
        _ => None,
    }
}

/// The text of the conversation pattern with this name.
fn said_at<'a>(catalogue: &'a Catalogue, name: &str) -> Option<&'a crate::template::Text> {
    let pattern = Pattern::ALL.into_iter().find(|pattern| pattern.name() == name)?;
    match catalogue.patterns.get(&pattern)? {
        PatternAnswer::Text(text) => Some(text),
        PatternAnswer::Jump(_) => None,
    }
}

/// Whether the bot has a text with this key.
pub fn has_text(catalogue: &Catalogue, key: &str) -> bool {
    variants(catalogue, key).next().is_some()
}

/// Whether a variant of the text consists of placeholders alone, so that any text matches it.
pub fn may_be_anything(catalogue: &Catalogue, key: &str) -> bool {
    variants(catalogue, key).any(|one| one.literals().iter().all(String::is_empty))
}

/// Patterns that find one of the bot's texts inside a reply, one per variant.
pub fn parts_of(catalogue: &Catalogue, key: &str) -> Vec<Matcher> {
    let part = |one: &Template| {
        let literals: Vec<String> = one.literals().iter().map(|part| regex::escape(part)).collect();
        pattern_of(&format!("(?s){}", literals.join(".*"))).ok()
    };
    variants(catalogue, key).filter_map(part).collect()
}

fn may_become(template: &Template, text: &str) -> bool {
    is_like(&template.literals(), text)
}
