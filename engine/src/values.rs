//! Finds values in a text: numbers, times, measures and contacts, in English and Russian, and gives each in one normal form.
//!
//! The grammar is a set of functions on `reader::Reader`: each reads one kind of phrase at a token and gives the place after
//! it. At each token the longest phrase counts, and reading goes on behind it. So the time is linear in the length of the
//! text.

mod clock;
mod contact;
mod date;
mod duration;
mod holidays;
mod instant;
mod lexicon;
mod measure;
mod moment;
mod normal;
mod number;
mod period;
mod place;
mod reader;
mod relative;
mod span;
mod time;

use jiff::{civil::DateTime, tz::TimeZone};
pub use phonenumber::country::Id as Country;
use schemars::JsonSchema;
use serde::Deserialize;

pub use contact::country;
pub use duration::Duration;
pub use measure::Amount;
pub use moment::Fault;
pub use span::{Grain, Span};
pub use time::Time;

use reader::Reader;

/// More digits in a row are a phone number or a code, although [`number`] reads longer ones.
const MAX_PLAIN_DIGITS: usize = 9;

/// How numbers and dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// `1,200.5`, month before day.
    English,
    /// `1 200,5`, day before month.
    Russian,
}

impl Convention {
    /// By the letters of a text.
    pub fn of_text(text: &str) -> Option<Self> {
        let cyrillic = |c: char| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё');
        if text.contains(cyrillic) {
            return Some(Self::Russian);
        }
        text.contains(char::is_alphabetic).then_some(Self::English)
    }
}

/// Which of two times is meant if both are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
    pub convention: Convention,
    /// Which of two times is meant.
    pub prefer: Prefer,
    /// Of phone numbers without a country code; without it, they are not found.
    pub country: Option<Country>,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A place in an order.
    Ordinal,
    /// A time, of any grain and also with two ends: what the corpora call a time.
    AnyTime,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A time of a day, or a day if no time of day was said.
    DateTime,
    /// A stretch with two ends, one of which may be open, or a week, month or year.
    Interval,
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

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Number,
        Self::Ordinal,
        Self::AnyTime,
        Self::Date,
        Self::Time,
        Self::DateTime,
        Self::Interval,
        Self::Duration,
        Self::Money,
        Self::Quantity,
        Self::Percentage,
        Self::Temperature,
        Self::Phone,
        Self::Email,
        Self::Url,
    ];
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

/// A text in which values are looked for, one kind after the other.
pub struct Finder<'t>(Reader<'t>);

impl<'t> Finder<'t> {
    /// For a text that was said in a setting.
    pub fn new(text: &'t str, setting: &'t Setting) -> Self {
        Self(Reader::new(text, setting))
    }

    /// All values of a kind, from left to right, without overlaps.
    pub fn find(&self, kind: Kind) -> Vec<Found> {
        let Self(reader) = self;
        let contacts = |found: Vec<contact::Contact>| {
            let found = found.into_iter();
            found
                .map(|contact| Found { value: Value::Text(contact.value), start: contact.start, end: contact.end })
                .collect()
        };
        match kind {
            Kind::Phone => contacts(contact::phones(reader.text, reader.setting.country)),
            Kind::Email => contacts(contact::emails(reader.text)),
            Kind::Url => contacts(contact::urls(reader.text)),
            _ => read_all(reader, kind),
        }
    }
}

/// A value, and the tokens from its first to the one after it; reading goes on at the last. Without a value, the words
/// have none of this kind, and no other reading.
struct Read {
    value: Option<Value>,
    at: usize,
    end: usize,
    next: usize,
}

fn read_all(reader: &Reader<'_>, kind: Kind) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < reader.tokens.len() {
        let Some(read) = Some(at).filter(|at| reader.may_begin(*at)).and_then(|at| read(reader, at, kind)) else {
            at += 1;
            continue;
        };
        let (start, end) = (reader.tokens[read.at].start, reader.tokens[read.end - 1].end);
        found.extend(read.value.map(|value| Found { value, start, end }));
        at = read.next;
    }
    found
}

fn read(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<Read> {
    let counts = |is_weak: bool, next: usize| !is_weak || reader.is_whole(at, next);
    let (value, next) = match kind {
        Kind::Date | Kind::Time | Kind::DateTime => return instant::read(reader, at, kind),
        Kind::Number => {
            let (number, next) = reader.number(at)?;
            let is_code = reader.is_inside_code(at, next)
                || reader.digits(at).is_some_and(|digits| digits.len() > MAX_PLAIN_DIGITS);
            let sure = counts(number.is_weak, next) && !is_code;
            (Value::Number(number.value), sure.then_some(next)?)
        }
        Kind::Ordinal => {
            let (ordinal, next) = reader.ordinal(at)?;
            (Value::Ordinal(ordinal), next)
        }
        Kind::AnyTime | Kind::Interval => {
            let ((placed, is_weak), next) = reader.time(at)?;
            let value = placed.map_or_else(Value::NoTime, Value::Time);
            let fits = kind == Kind::AnyTime || is_interval(&value);
            (value, (fits && counts(is_weak, next)).then_some(next)?)
        }
        Kind::Duration => {
            let ((duration, is_weak), next) = reader.duration(at)?;
            (Value::Duration(duration), counts(is_weak, next).then_some(next)?)
        }
        Kind::Money => {
            let ((amount, code), next) = reader.money(at)?;
            (Value::Money(amount, code), next)
        }
        Kind::Quantity => {
            let (((amount, unit, product), is_weak), next) = reader.quantity(at)?;
            (Value::Quantity(amount, unit, product), counts(is_weak, next).then_some(next)?)
        }
        Kind::Percentage => {
            let (amount, next) = reader.percentage(at)?;
            (Value::Percentage(amount), next)
        }
        Kind::Temperature => {
            let ((amount, scale), next) = reader.temperature(at)?;
            (Value::Temperature(amount, scale), next)
        }
        Kind::Phone | Kind::Email | Kind::Url => return None,
    };
    Some(Read { value: Some(value), at, end: next, next })
}

fn is_interval(value: &Value) -> bool {
    match value {
        Value::Time(Time::Span(span)) => span.is_interval() || span.grain > Grain::Day,
        Value::Time(_) | Value::NoTime(_) => true,
        _ => false,
    }
}

impl Setting {
    /// Of a text that is said at no moment, as an example is.
    pub fn of_text(text: &str, country: Option<Country>) -> Self {
        let convention = Convention::of_text(text).unwrap_or(Convention::English);
        Self { convention, country, ..Self::example() }
    }

    /// The moment of Duckling's corpora: half past four on a Tuesday in February 2013, two hours behind UTC.
    pub fn example() -> Self {
        let offset = jiff::tz::offset(-2);
        Self {
            now: jiff::civil::date(2013, 2, 12).at(4, 30, 0, 0),
            zone: TimeZone::fixed(offset),
            convention: Convention::English,
            prefer: Prefer::Future,
            country: Some(Country::US),
        }
    }
}

#[cfg(test)]
mod tests;
