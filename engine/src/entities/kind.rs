//! Entities that need no author's list: dates, sums of money, phone numbers, names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entity, Impossible, ScannedText};
use crate::{
    lexicon::{AND, FUNCTION, INTRODUCING, NAMING, NO, PERSONS, Phrases, WEAK_YES, YES},
    values::{self, Finder, Grain, Prefer, Setting, Time, Value},
    word::Word,
};

/// Number of words of a name, at most.
const MAX_NAME: usize = 4;

/// What the engine finds by itself, in English and Russian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A number, in digits or words: `12.5`.
    Number,
    /// A place in an order, from 1: `2`.
    Ordinal,
    /// A day: `2026-12-01`.
    Date,
    /// A time of day: `17:00`.
    Time,
    /// A time of a day, or the day if no time was said: `2026-12-01T17:00`.
    DateTime,
    /// From one time to another, or a week, month or year: `2026-12-01/2026-12-05`, `2026-12-01T17:00/..`, `2026-12`.
    Interval,
    /// How long: `PT90M`.
    Duration,
    /// A sum of money: `20.5 EUR`, `..100 EUR`.
    Money,
    /// A mass, volume or length, and what of: `2 kilogram`, `500 gram sugar`.
    Quantity,
    /// A percentage: `15`.
    Percentage,
    /// A temperature: `20 celsius`.
    Temperature,
    /// A phone number: `+442079460958`.
    Phone,
    /// An e-mail address.
    Email,
    /// The address of a page: `https://example.com/faq`.
    Url,
    /// `yes` or `no`.
    YesNo,
    /// A person's name.
    Person,
}

impl EntityKind {
    fn of_values(self) -> Option<values::Kind> {
        Some(match self {
            Self::Number => values::Kind::Number,
            Self::Ordinal => values::Kind::Ordinal,
            Self::Date => values::Kind::Date,
            Self::Time => values::Kind::Time,
            Self::DateTime => values::Kind::DateTime,
            Self::Interval => values::Kind::Interval,
            Self::Duration => values::Kind::Duration,
            Self::Money => values::Kind::Money,
            Self::Quantity => values::Kind::Quantity,
            Self::Percentage => values::Kind::Percentage,
            Self::Temperature => values::Kind::Temperature,
            Self::Phone => values::Kind::Phone,
            Self::Email => values::Kind::Email,
            Self::Url => values::Kind::Url,
            Self::YesNo | Self::Person => return None,
        })
    }

    /// Whether the past and the future have different values of it.
    pub fn has_tense(self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::DateTime | Self::Interval)
    }

    /// Whether its normal form begins with an amount.
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::Number | Self::Ordinal | Self::Money | Self::Quantity | Self::Percentage | Self::Temperature
        )
    }

    pub(super) fn find(self, name: &str, utterance: &ScannedText<'_>) -> (Vec<Entity>, Vec<Impossible>) {
        let Some(kind) = self.of_values() else {
            let found = if self == Self::YesNo { yes_or_no(utterance) } else { person(utterance) };
            return (
                found
                    .into_iter()
                    .map(|(value, (start, end))| Entity::new(name, &value, utterance.text, start..end))
                    .collect(),
                Vec::new(),
            );
        };
        let (mut found, mut impossible) = (Vec::new(), Vec::new());
        for value in utterance.finder().find(kind) {
            let place = (value.start, value.end);
            match (self.normal(&value.value), value.value) {
                (Some(normal), _) => found.push(Entity::new(name, &normal, utterance.text, place.0..place.1)),
                (None, Value::NoTime(fault)) => {
                    let text = utterance.text[place.0..place.1].to_owned();
                    impossible.push(Impossible { entity: name.to_owned(), text, start: place.0, end: place.1, fault });
                }
                (None, _) => {}
            }
        }
        if self.has_tense() && !found.is_empty() {
            self.add_past(&mut found, utterance.setting, utterance.text);
        }
        (found, impossible)
    }

    /// The values that the same words have if the past is meant.
    fn add_past(self, found: &mut [Entity], setting: &Setting, text: &str) {
        let past = Setting { prefer: Prefer::Past, ..setting.clone() };
        let Some(kind) = self.of_values() else { return };
        for value in Finder::new(text, &past).find(kind) {
            let Some(entity) = found.iter_mut().find(|entity| entity.start == value.start) else { continue };
            entity.past = self.normal(&value.value).filter(|normal| *normal != entity.value);
        }
    }

    fn normal(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Time, Value::Time(Time::Span(span))) => Some(span.time_of_day()),
            // Of a stretch, a date and time is its start.
            (Self::DateTime, Value::Time(Time::Span(span))) if span.grain < Grain::Day => {
                Some(format!("{}T{}", span.start.date(), span.time_of_day()))
            }
            _ => value.normal(),
        }
    }
}

type Found = Option<(String, (usize, usize))>;

/// A yes or no that the text is, or begins with before a comma.
fn yes_or_no(utterance: &ScannedText<'_>) -> Found {
    let words = utterance.words();
    let (value, length) = match (YES.at(words, 0).max(WEAK_YES.at(words, 0)), NO.at(words, 0)) {
        (yes, Some(no)) if yes.is_none_or(|yes| no >= yes) => ("no", no),
        (Some(yes), _) => ("yes", yes),
        (None, _) => return None,
    };
    let end = words[length - 1].end;
    let closes = utterance.text[end..].trim_start().starts_with([',', '.', '!', ';']);
    (length == words.len() || closes).then(|| (value.to_owned(), (words[0].start, end)))
}

/// The name behind "my name is", or a name in capital letters behind "I am" or alone: up to four words.
fn person(utterance: &ScannedText<'_>) -> Found {
    let words = utterance.words();
    let behind = |phrases: Phrases| (0..words.len()).find_map(|at| phrases.at(words, at).map(|length| at + length));
    let named = behind(NAMING);
    let introduced = behind(INTRODUCING);
    let first = named.or(introduced).unwrap_or(0);
    let is_name = |word: &&Word| {
        let own = &utterance.text[word.start..word.end];
        let alone = std::slice::from_ref(*word);
        let is_small = FUNCTION.are(alone) || PERSONS.are(alone) || AND.are(alone);
        !is_small
            && own.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'))
            && (named.is_some() || own.chars().next().is_some_and(char::is_uppercase))
    };
    let rest = &words[first..];
    let touches = |pair: &&[Word]| utterance.text[pair[0].end..pair[1].start].trim().is_empty();
    let together = 1 + rest.windows(2).take_while(touches).count();
    let count = rest.iter().take(together).take_while(is_name).count();
    let sure = named.is_some() || introduced.is_some() || count == words.len();
    ((1..=MAX_NAME).contains(&count) && sure).then(|| {
        let place = (rest[0].start, rest[count - 1].end);
        (utterance.text[place.0..place.1].to_owned(), place)
    })
}
