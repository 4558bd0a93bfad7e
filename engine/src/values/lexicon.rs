//! What words and phrases of English and Russian mean in numbers, measures and times.
//!
//! A table's row is a sense and the phrases that have it, separated by commas, in lower case, with `е` for `ё` and
//! without apostrophes. Both languages share one lexicon, because they share no letters.

mod calendar;
mod measures;
mod numbers;

use std::{collections::HashMap, sync::LazyLock};

use super::{
    holidays::Holiday,
    span::{Grain, Season},
};

/// A row of a table.
pub type Row = (Sense, &'static str);

/// The meaning of a phrase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sense {
    // Numbers.
    /// 0 to 9.
    Digit(u8),
    /// 10 to 19.
    Teen(u8),
    /// 20, 30, … 90.
    Tens(u8),
    /// 100, 200, … 900.
    Hundreds(u16),
    /// Multiplies what comes before it by 100.
    Hundred,
    /// Multiplies what comes before it by this.
    Scale(u64),
    /// A number that people rarely mean exactly: a couple, a few.
    Loose(u8),
    /// One and a half.
    OneAndHalf,
    /// 1st to 20th, 30th, … 100th.
    Ordinal(u8),
    /// A half.
    Half,
    /// A quarter.
    Quarter,
    /// Three quarters.
    ThreeQuarters,
    /// And a half.
    AndHalf,
    /// Between a number and its decimals.
    Point,
    /// Negative.
    Minus,
    // Small words.
    /// An article, or a word like "exactly" or "about" that changes no value.
    Article,
    /// And.
    And,
    /// More or fewer, between a number and its unit.
    More,
    /// At, before a time of day.
    At,
    /// On, before a day.
    On,
    /// In, also before a duration.
    In,
    /// Of.
    Of,
    /// For.
    For,
    /// From.
    From,
    /// To, until a second value.
    To,
    /// Before the first of two values.
    Between,
    /// Until, before.
    Before,
    /// After.
    After,
    /// Since.
    Since,
    /// By, at the latest.
    By,
    /// Within a duration.
    Within,
    /// Less than.
    Under,
    /// More than.
    Over,
    // Measures.
    /// A currency by its ISO 4217 code.
    Currency(&'static str),
    /// A hundredth of a currency; empty if of any.
    Cent(&'static str),
    /// A unit: its name, and the name and the amount of the unit that it is given in.
    Unit(&'static str, &'static str, f64),
    /// A degree, without a scale.
    Degree,
    /// A degree Celsius or Fahrenheit.
    Temperature(&'static str),
    /// Below zero.
    BelowZero,
    /// Per cent.
    Percent,
    // Time.
    /// A unit of time.
    Grain(Grain),
    /// A duration in one word.
    Duration(u16, Grain),
    /// January is 1; the second tells whether the word also means something else.
    Month(i8, bool),
    /// Monday is 1; the second tells whether the word also means something else.
    Weekday(i8, bool),
    /// So many days after today.
    Day(i8),
    /// The present instant.
    Now,
    /// As soon as possible.
    Asap,
    /// A part of the day, from one hour to another; the last tells whether the word also greets.
    Part(u8, u8, bool),
    /// Today's, with a part of the day: tonight.
    Tonight,
    /// Early or late, before a part of the day, a month or a year.
    Early,
    /// In the middle of a month or year.
    Mid,
    /// Late, before a part of the day, a month or a year.
    Late,
    /// At the beginning.
    Beginning,
    /// At the end.
    End,
    /// The beginning or the end of the current month or year.
    Edge(bool, Grain),
    /// The rest of.
    Rest,
    /// All of.
    Whole,
    /// Before the last, before noon: this.
    This,
    /// Next.
    Next,
    /// Last.
    Last,
    /// The one before the last.
    BeforeLast,
    /// After next, behind its noun.
    AfterNext,
    /// The nearest to.
    Closest,
    /// In the past, behind a duration.
    Ago,
    /// In the future, behind a duration.
    Hence,
    /// The Russian word before a duration in the future.
    InTime,
    /// Noon.
    Noon,
    /// Midnight.
    Midnight,
    /// Before noon, behind an hour.
    Am,
    /// After noon, behind an hour.
    Pm,
    /// Behind an hour.
    OClock,
    /// Past an hour.
    Past,
    /// Minutes before an hour, in front of them.
    Without,
    /// Half of the hour that is named next, in Russian.
    HalfOf,
    /// Half of the hour, in one word.
    HalfTo(i8),
    /// About, in front of or behind a time.
    Ish,
    /// A season.
    Season(Season),
    /// Any season.
    AnySeason,
    /// Saturday and Sunday.
    Weekend,
    /// A holiday.
    Holiday(Holiday),
    /// The fifteenth of some months, here of all.
    Ides,
    /// After a year.
    YearMark,
    /// Before Christ.
    Bc,
    /// A time zone, in minutes ahead of UTC.
    Zone(i16),
}

impl Sense {
    /// Whether this is a word that stands in front of a value.
    pub fn is_preposition(self) -> bool {
        matches!(self, Self::At | Self::On | Self::In | Self::Of | Self::For | Self::From | Self::To | Self::By)
    }
}

/// A phrase with a sense.
#[derive(Debug)]
pub struct Entry {
    /// Its words after the first.
    pub rest: Vec<&'static str>,
    /// What it means.
    pub sense: Sense,
}

static ENTRIES: LazyLock<HashMap<&'static str, Vec<Entry>>> = LazyLock::new(|| {
    let mut entries: HashMap<&str, Vec<Entry>> = HashMap::new();
    for (sense, phrases) in numbers::ROWS.iter().chain(measures::ROWS).chain(calendar::ROWS) {
        for phrase in phrases.split(", ") {
            let mut words = phrase.split(' ');
            let first = words.next().unwrap_or_default();
            entries.entry(first).or_default().push(Entry { rest: words.collect(), sense: *sense });
        }
    }
    for phrases in entries.values_mut() {
        phrases.sort_by_key(|entry| std::cmp::Reverse(entry.rest.len()));
    }
    entries
});

/// The phrases that begin with a word, the longest first.
pub fn entries(word: &str) -> &'static [Entry] {
    ENTRIES.get(word).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Setting, reader::Reader};

    #[test]
    fn phrases_can_be_met() {
        for (sense, phrases) in numbers::ROWS.iter().chain(measures::ROWS).chain(calendar::ROWS) {
            for phrase in phrases.split(", ") {
                let setting = Setting::example();
                let reader = Reader::new(phrase, &setting);
                assert_eq!(reader.accept(0, *sense), Some(reader.tokens.len()), "{phrase:?} means {sense:?}");
            }
        }
    }
}
