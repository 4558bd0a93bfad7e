//! Holidays whose day follows from a rule of a calendar.

use icu_calendar::{
    AsCalendar, Date as OtherDate,
    cal::{ChineseTraditional, Hebrew, Hijri, Iso},
    types::Month,
};
use jiff::{
    ToSpan,
    civil::{Date, Weekday, date},
};

use super::span::{Grain, Span, midnight};

/// Years for which the rules of moving holidays are used.
const YEARS: std::ops::RangeInclusive<i16> = 1583..=2999;

/// A holiday.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holiday {
    /// Its first day.
    pub rule: Rule,
    /// Number of its days.
    pub days: u8,
}

/// Which day of a year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// This day of this month.
    Fixed(i8, i8),
    /// The working day nearest to this day of this month.
    WorkingDay(i8, i8),
    /// This day of this month, or the day before it if it is a Sunday.
    NotSunday(i8, i8),
    /// So many days after the n-th weekday (Monday is 1) of a month: month, weekday, n, days.
    NthWeekday(i8, i8, i8, i8),
    /// So many days after Easter Sunday of the western churches.
    Easter(i8),
    /// So many days after Easter Sunday of the orthodox churches.
    OrthodoxEaster(i8),
    /// So many days after a day of the Islamic calendar: month, day, days.
    Islamic(u8, u8, i8),
    /// The evening before a day of the Jewish calendar: month, day.
    Jewish(u8, u8),
    /// The first day of the Chinese year.
    ChineseNewYear,
}

impl Holiday {
    /// When it is in a year, or `None` if the calendar does not reach so far.
    pub fn of_year(self, year: i16) -> Option<Span> {
        let first = self.rule.of_year(year)?;
        if self.days == 1 {
            return Span::day(first);
        }
        let end = first.checked_add(i64::from(self.days).days()).ok()?;
        Span::between(midnight(first), midnight(end), Grain::Day)
    }
}

impl Rule {
    fn of_year(self, year: i16) -> Option<Date> {
        let later = |day: Date, days: i8| day.checked_add(i64::from(days).days()).ok();
        if !YEARS.contains(&year) && !matches!(self, Self::Fixed(..)) {
            return None;
        }
        match self {
            Self::Fixed(month, day) => Date::new(year, month, day).ok(),
            Self::WorkingDay(month, day) => {
                let day = Date::new(year, month, day).ok()?;
                match day.weekday() {
                    Weekday::Saturday => later(day, -1),
                    Weekday::Sunday => later(day, 1),
                    _ => Some(day),
                }
            }
            Self::NotSunday(month, day) => {
                let day = Date::new(year, month, day).ok()?;
                later(day, -i8::from(day.weekday() == Weekday::Sunday))
            }
            Self::NthWeekday(month, weekday, nth, days) => {
                let weekday = Weekday::from_monday_one_offset(weekday).ok()?;
                later(Date::new(year, month, 1).ok()?.nth_weekday_of_month(nth, weekday).ok()?, days)
            }
            Self::Easter(days) => later(easter(year)?, days),
            Self::OrthodoxEaster(days) => later(orthodox_easter(year)?, days),
            // The Islamic year is some eleven days shorter; of the two that can begin in a year, the first counts.
            Self::Islamic(month, day, days) => {
                let guess = (i32::from(year) - 622) * 33 / 32;
                let calendar = Hijri::new_umm_al_qura();
                let mut candidates = (guess - 1..=guess + 1).filter_map(|own| other(own, month, day, calendar));
                candidates.find_map(|day| later(day, days).filter(|day| day.year() == year))
            }
            Self::Jewish(month, day) => {
                let mut candidates =
                    [3760, 3761].into_iter().filter_map(|ahead| other(i32::from(year) + ahead, month, day, Hebrew));
                candidates.find_map(|day| later(day, -1).filter(|day| day.year() == year))
            }
            Self::ChineseNewYear => other(i32::from(year), 1, 1, ChineseTraditional::new()),
        }
    }
}

/// A day of another calendar.
fn other(year: i32, month: u8, day: u8, calendar: impl AsCalendar) -> Option<Date> {
    let day = OtherDate::try_new(year.into(), Month::new(month), day, calendar).ok()?.to_calendar(Iso);
    let month = i8::try_from(day.month().number()).ok()?;
    Date::new(i16::try_from(day.year().extended_year()).ok()?, month, i8::try_from(day.day_of_month().0).ok()?).ok()
}

/// The anonymous Gregorian algorithm (J. Meeus, "Astronomical Algorithms", 1991, chapter 8).
fn easter(year: i16) -> Option<Date> {
    let (golden, century, rest) = (year % 19, year / 100, year % 100);
    let correction = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - correction + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (rest / 4) - epact - rest % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let day = epact + weekday - 7 * late + 114;
    Date::new(year, i8::try_from(day / 31).ok()?, i8::try_from(day % 31 + 1).ok()?).ok()
}

/// Meeus's Julian algorithm, with the difference of the calendars in that century.
fn orthodox_easter(year: i16) -> Option<Date> {
    let (a, b, c) = (year % 4, year % 7, year % 19);
    let d = (19 * c + 15) % 30;
    let e = (2 * a + 4 * b - d + 34) % 7;
    let day = d + e + 114;
    let julian = date(year, i8::try_from(day / 31).ok()?, i8::try_from(day % 31 + 1).ok()?);
    let century = year / 100;
    julian.checked_add(i64::from(century - century / 4 - 2).days()).ok()
}
