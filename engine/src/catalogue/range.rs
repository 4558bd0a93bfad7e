//! The values that a slot admits.

use jiff::{
    ToSpan,
    civil::{Date, Time},
};

use super::wire::{BoundFile, RangeFile};
use crate::{entities::EntityKind, language::Language};

/// A range with one or two bounds, which belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    least: Option<Bound>,
    most: Option<Bound>,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Number(f64),
    Day(Date),
    /// So many days after the day of the turn.
    Today(i32),
    Time(Time),
}

impl Range {
    /// Reads what an author wrote for a slot with an entity of this kind.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(file: &RangeFile, kind: Option<EntityKind>) -> Result<Self, String> {
        let read = |bound: &Option<BoundFile>| bound.as_ref().map(Bound::new).transpose();
        let (least, most) = (read(&file.least)?, read(&file.most)?);
        for bound in [least, most].into_iter().flatten() {
            let fits = match (bound, kind) {
                (Bound::Number(_), Some(kind)) => kind.is_numeric(),
                (Bound::Day(_) | Bound::Today(_), Some(EntityKind::Date | EntityKind::DateTime))
                | (Bound::Time(_), Some(EntityKind::Time)) => true,
                _ => false,
            };
            if !fits {
                return Err("the range does not fit the slot's entity".to_owned());
            }
        }
        let is_reversed = match (least, most) {
            (Some(Bound::Number(least)), Some(Bound::Number(most))) => least > most,
            (Some(Bound::Day(least)), Some(Bound::Day(most))) => least > most,
            (Some(Bound::Today(least)), Some(Bound::Today(most))) => least > most,
            (Some(Bound::Time(least)), Some(Bound::Time(most))) => least > most,
            _ => false,
        };
        if is_reversed {
            return Err("`least` is more than `most`, so nothing is admitted: swap them".to_owned());
        }
        if least.is_none() && most.is_none() {
            return Err("the range has neither `least` nor `most`".to_owned());
        }
        Ok(Self { least, most })
    }

    /// Whether a value in its normal form lies in the range on a day. Of a value that is a range itself, both ends must.
    pub fn admits(self, value: &str, today: Date) -> bool {
        let (least, most) = ends(value);
        let compare = |bound: Bound, end: &str| bound.compare(end, today);
        self.least.is_none_or(|bound| compare(bound, least).is_some_and(std::cmp::Ordering::is_le))
            && self.most.is_none_or(|bound| compare(bound, most).is_some_and(std::cmp::Ordering::is_ge))
    }

    /// The range in words, in Russian or else in English: "from 1 to 10", "no later than 29 November 2026".
    pub fn shown(self, language: &Language, today: Date) -> String {
        let shown = |bound: Bound| bound.shown(language, today);
        let is_time = |bound: Bound| !matches!(bound, Bound::Number(_));
        let is_russian = language.code() == "ru";
        let word = |en: &'static str, ru: &'static str| if is_russian { ru } else { en };
        match (self.least, self.most) {
            (Some(least), Some(most)) => {
                format!("{} {} {} {}", word("from", "от"), shown(least), word("to", "до"), shown(most))
            }
            (Some(least), None) if is_time(least) => {
                format!("{} {}", word("no earlier than", "не раньше"), shown(least))
            }
            (Some(least), None) => format!("{} {}", word("at least", "не меньше"), shown(least)),
            (None, Some(most)) if is_time(most) => format!("{} {}", word("no later than", "не позже"), shown(most)),
            (None, Some(most)) => format!("{} {}", word("at most", "не больше"), shown(most)),
            (None, None) => String::new(),
        }
    }
}

/// The least and the greatest of an amount: `10..20 USD`; the same twice if it is one amount.
fn ends(value: &str) -> (&str, &str) {
    let amount = value.split(' ').next().unwrap_or_default();
    amount.split_once("..").unwrap_or((amount, amount))
}

impl Bound {
    fn new(file: &BoundFile) -> Result<Self, String> {
        let text = match file {
            BoundFile::Number(number) => return Ok(Self::Number(*number)),
            BoundFile::Text(text) => text.trim(),
        };
        if let Some(days) = text.strip_prefix("today") {
            let days = days.replace(' ', "");
            let signed = days.is_empty() || days.starts_with(['+', '-']);
            // A few decades: every day of the calendar has such a neighbour.
            let days = if days.is_empty() { Ok(0) } else { days.parse::<i16>() };
            let days = days.ok().filter(|_| signed).map(|days| Self::Today(i32::from(days)));
            return days.ok_or_else(|| format!("`{text}` is not `today`, `today+30` or `today-30`"));
        }
        if let Ok(day) = text.parse() {
            return Ok(Self::Day(day));
        }
        text.parse().map(Self::Time).map_err(|_| format!("`{text}` is no number, day or time"))
    }

    fn day(self, today: Date) -> Option<Date> {
        match self {
            Self::Day(day) => Some(day),
            Self::Today(days) => today.checked_add(i64::from(days).days()).ok(),
            Self::Number(_) | Self::Time(_) => None,
        }
    }

    /// The bound beside a value; `None` if they cannot be compared.
    fn compare(self, value: &str, today: Date) -> Option<std::cmp::Ordering> {
        match self {
            Self::Number(bound) => bound.partial_cmp(&value.parse().ok()?),
            Self::Day(_) | Self::Today(_) => Some(self.day(today)?.cmp(&value.split('T').next()?.parse().ok()?)),
            Self::Time(bound) => Some(bound.cmp(&value.parse().ok()?)),
        }
    }

    fn shown(self, language: &Language, today: Date) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Time(time) => time.strftime("%H:%M").to_string(),
            Self::Day(_) | Self::Today(_) => {
                let day = self.day(today).map(|day| day.to_string()).unwrap_or_default();
                EntityKind::Date.shown(&day, language)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn range(kind: EntityKind, least: Option<&str>, most: Option<&str>) -> Result<Range, String> {
        let bound = |text: &str| text.parse().map_or_else(|_| BoundFile::Text(text.to_owned()), BoundFile::Number);
        Range::new(&RangeFile { least: least.map(bound), most: most.map(bound) }, Some(kind))
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let check = |kind: EntityKind, least: Option<&str>, most: Option<&str>, admitted: &[&str], refused: &[&str]| {
            let range = range(kind, least, most).unwrap();
            let today = date(2026, 11, 29);
            assert!(admitted.iter().all(|value| range.admits(value, today)), "{range:?} admits {admitted:?}");
            assert!(!refused.iter().any(|value| range.admits(value, today)), "{range:?} refuses {refused:?}");
        };
        check(EntityKind::Number, Some("1"), Some("10"), &["1", "10", "2.5"], &["0", "10.5", "-3"]);
        check(
            EntityKind::Money,
            None,
            Some("100"),
            &["99.5 EUR", "..100 EUR"],
            &["101 EUR", "..1000 EUR", "10..2000 EUR", "5.. EUR"],
        );
        check(EntityKind::Date, None, Some("today"), &["2026-11-29", "2025-01-01"], &["2026-11-30"]);
        check(EntityKind::DateTime, Some("today+1"), None, &["2026-11-30T10:00"], &["2026-11-29T23:00", "2026-11-29"]);
        check(EntityKind::Time, Some("09:00"), Some("18:00"), &["09:00", "17:30"], &["08:59", "18:01"]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert!(range(EntityKind::Number, Some("today"), None).is_err());
        assert!(range(EntityKind::Phone, Some("1"), None).is_err());
        assert!(range(EntityKind::Date, Some("todey"), None).is_err());
        assert!(range(EntityKind::Date, None, None).is_err());
        assert!(range(EntityKind::Date, Some("today30"), None).is_err());
        assert!(range(EntityKind::Date, Some("today+9999999"), None).is_err());
        assert!(range(EntityKind::Number, Some("5"), Some("1")).is_err());
        assert!(range(EntityKind::Date, Some("today"), Some("today-3")).is_err());
        assert!(range(EntityKind::Time, Some("18:00"), Some("09:00")).is_err());
    }

    #[test]
    fn a_range_is_said_in_words() {
        let check = |kind: EntityKind, least: Option<&str>, most: Option<&str>, code: &str, text: &str| {
            let range = range(kind, least, most).unwrap();
            assert_eq!(range.shown(&Language::new(code).unwrap(), date(2026, 11, 29)), text);
        };
        check(EntityKind::Number, Some("1"), Some("10"), "en", "from 1 to 10");
        check(EntityKind::Date, None, Some("today"), "en", "no later than 29 November 2026");
        check(EntityKind::Date, Some("today+2"), None, "ru", "не раньше 1 декабря 2026");
        check(EntityKind::Money, None, Some("50"), "ru", "не больше 50");
    }
}
