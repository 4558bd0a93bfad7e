//! Finds values in a text: numbers, times, measures and contacts, in English and Russian, and gives each in one normal form.
//!
//! The grammar is a set of functions on [`reader::Reader`]: each reads one kind of phrase at a token and gives the place after
//! it. What is read first is the longest of what the functions found, and reading goes on behind it, so the time is
//! linear in the length of the text.

mod clock;
mod contact;
mod date;
mod duration;
mod holidays;
mod lexicon;
mod measure;
mod moment;
mod number;
mod reader;
mod relative;
mod span;
mod time;

use jiff::{civil::DateTime, tz::TimeZone};
use phonenumber::country::Id as Country;
use serde::Deserialize;

pub use duration::Duration;
pub use measure::Amount;
pub use moment::Fault;
pub use span::{Grain, Span};
pub use time::Time;

use reader::Reader;

/// How numbers and dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `1,200.5`, month before day.
    English,
    /// `1 200,5`, day before month.
    Russian,
}

/// Which of two times is meant if both are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// The next one.
    #[default]
    Future,
    /// The last one.
    Past,
}

/// When and where something was said.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The local time.
    pub now: DateTime,
    /// Of the local time.
    pub zone: TimeZone,
    /// How numbers and dates are written.
    pub language: Language,
    /// Which of two times is meant.
    pub prefer: Prefer,
    /// Of phone numbers without a country code.
    pub country: Country,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A place in an order.
    Ordinal,
    /// A time, of any grain and also with two ends.
    Time,
    /// How long.
    Duration,
    /// A sum of money.
    Money,
    /// A mass, volume or length.
    Quantity,
    /// A share of a hundred.
    Percentage,
    /// A temperature.
    Temperature,
    /// A phone number.
    Phone,
    /// An e-mail address.
    Email,
    /// The address of a page.
    Url,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A place in an order, from 1.
    Ordinal(u32),
    /// A time.
    Time(Time),
    /// Looks like a time, but there is none such.
    NoTime(Fault),
    /// How long.
    Duration(Duration),
    /// A sum, and its currency by ISO 4217.
    Money(Amount, &'static str),
    /// An amount, its unit, and what of.
    Quantity(Amount, &'static str, Option<String>),
    /// Per cent.
    Percentage(Amount),
    /// Degrees, and the scale: "celsius", "fahrenheit" or, if none was said, "degree".
    Temperature(Amount, &'static str),
    /// In the form of E.164, RFC 5322 or the URL standard.
    Text(String),
}

/// A value in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What.
    pub value: Value,
    /// Start, in bytes of the text.
    pub start: usize,
    /// End, in bytes of the text.
    pub end: usize,
}

/// All values of a kind, from left to right, without overlaps.
pub fn find(text: &str, kind: Kind, setting: &Setting) -> Vec<Found> {
    let contacts = |found: Vec<contact::Contact>| {
        let found = found.into_iter();
        found.map(|contact| Found { value: Value::Text(contact.value), start: contact.start, end: contact.end }).collect()
    };
    match kind {
        Kind::Phone => contacts(contact::phones(text, setting.country)),
        Kind::Email => contacts(contact::emails(text)),
        Kind::Url => contacts(contact::urls(text)),
        _ => read_all(&Reader::new(text, setting), kind),
    }
}

fn read_all(reader: &Reader<'_>, kind: Kind) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < reader.tokens.len() {
        match read(reader, at, kind).filter(|(_, next)| *next > at) {
            Some((value, next)) => {
                let (start, end) = (reader.tokens[at].start, reader.tokens[next - 1].end);
                found.push(Found { value, start, end });
                at = next;
            }
            None => at += 1,
        }
    }
    found
}

fn read(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<(Value, usize)> {
    let counts = |is_weak: bool, next: usize| !is_weak || reader.is_whole(at, next);
    match kind {
        Kind::Number => {
            let (number, next) = reader.number(at)?;
            let sure = counts(number.is_weak, next) && !reader.is_inside_code(at, next);
            sure.then_some((Value::Number(number.value), next))
        }
        Kind::Ordinal => reader.ordinal(at).map(|(ordinal, next)| (Value::Ordinal(ordinal), next)),
        Kind::Time => {
            let ((placed, is_weak), next) = reader.time(at)?;
            let value = placed.map_or_else(Value::NoTime, Value::Time);
            counts(is_weak, next).then_some((value, next))
        }
        Kind::Duration => {
            let ((duration, is_weak), next) = reader.duration(at)?;
            counts(is_weak, next).then_some((Value::Duration(duration), next))
        }
        Kind::Money => reader.money(at).map(|((amount, code), next)| (Value::Money(amount, code), next)),
        Kind::Quantity => {
            let (((amount, unit, product), is_weak), next) = reader.quantity(at)?;
            counts(is_weak, next).then_some((Value::Quantity(amount, unit, product), next))
        }
        Kind::Percentage => reader.percentage(at).map(|(amount, next)| (Value::Percentage(amount), next)),
        Kind::Temperature => {
            reader.temperature(at).map(|((amount, scale), next)| (Value::Temperature(amount, scale), next))
        }
        Kind::Phone | Kind::Email | Kind::Url => None,
    }
}

impl Setting {
    /// The moment of Duckling's corpora: half past four on a Tuesday in February 2013, two hours behind UTC.
    pub fn example() -> Self {
        let offset = jiff::tz::offset(-2);
        Self {
            now: jiff::civil::date(2013, 2, 12).at(4, 30, 0, 0),
            zone: TimeZone::fixed(offset),
            language: Language::English,
            prefer: Prefer::Future,
            country: Country::US,
        }
    }
}
