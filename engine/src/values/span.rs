//! Stretches of the calendar.

use jiff::{
    Span as Distance, ToSpan,
    civil::{Date, DateTime, Time},
};

/// How exact a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// To the second.
    Second,
    /// To the minute.
    Minute,
    /// To the hour.
    Hour,
    /// To the day.
    Day,
    /// To the week, from Monday.
    Week,
    /// To the month.
    Month,
    /// To the quarter of a year.
    Quarter,
    /// To the year.
    Year,
}

impl Grain {
    /// The next smaller grain; a second is the smallest.
    pub fn smaller(self) -> Self {
        match self {
            Self::Second | Self::Minute => Self::Second,
            Self::Hour => Self::Minute,
            Self::Day => Self::Hour,
            Self::Week | Self::Month => Self::Day,
            Self::Quarter | Self::Year => Self::Month,
        }
    }

    /// How many of the next smaller grain make one; a month counts 30 days.
    pub fn smaller_in_one(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute | Self::Hour => 60,
            Self::Day => 24,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    /// So many of this grain.
    pub fn times(self, amount: i64) -> Option<Distance> {
        let distance = Distance::new();
        match self {
            Self::Second => distance.try_seconds(amount),
            Self::Minute => distance.try_minutes(amount),
            Self::Hour => distance.try_hours(amount),
            Self::Day => distance.try_days(amount),
            Self::Week => distance.try_weeks(amount),
            Self::Month => distance.try_months(amount),
            Self::Quarter => distance.try_months(amount.checked_mul(3)?),
            Self::Year => distance.try_years(amount),
        }
        .ok()
    }
}

/// A season of the northern hemisphere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// From December.
    Winter,
    /// From March.
    Spring,
    /// From June.
    Summer,
    /// From September.
    Autumn,
}

/// A stretch of local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub start: DateTime,
    /// The first instant after it.
    pub end: DateTime,
    /// How exact it is.
    pub grain: Grain,
    /// How it was said.
    pub shape: Shape,
}

/// How a stretch was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As one hour, day, year.
    Unit,
    /// As one from its start until its end: the evening, the last two days.
    Stretch,
    /// As two units, the second of which ends where it ends: from 3 to 4, 13 to 15 July.
    Range,
}

impl Span {
    /// The unit of a grain in which an instant lies.
    pub fn around(instant: DateTime, grain: Grain) -> Option<Self> {
        let date = instant.date();
        let clock = |hour, minute, second| date.to_datetime(Time::constant(hour, minute, second, 0));
        let start = match grain {
            Grain::Second => clock(instant.hour(), instant.minute(), instant.second()),
            Grain::Minute => clock(instant.hour(), instant.minute(), 0),
            Grain::Hour => clock(instant.hour(), 0, 0),
            Grain::Day => clock(0, 0, 0),
            Grain::Week => {
                let back = i64::from(date.weekday().to_monday_zero_offset());
                midnight(date.checked_sub(back.days()).ok()?)
            }
            Grain::Month => midnight(date.first_of_month()),
            Grain::Quarter => {
                let month = (date.month() - 1) / 3 * 3 + 1;
                midnight(Date::new(date.year(), month, 1).ok()?)
            }
            Grain::Year => midnight(date.first_of_year()),
        };
        Self::from(start, 1, grain)
    }

    /// So many units of a grain.
    pub fn from(start: DateTime, amount: i64, grain: Grain) -> Option<Self> {
        let end = start.checked_add(grain.times(amount)?).ok()?;
        Some(Self { start, end, grain, shape: Shape::Unit })
    }

    /// A stretch from an instant until another.
    pub fn between(start: DateTime, end: DateTime, grain: Grain) -> Option<Self> {
        (start < end).then_some(Self { start, end, grain, shape: Shape::Stretch })
    }

    /// From one stretch to the end of another.
    pub fn to(self, last: Self, grain: Grain) -> Option<Self> {
        (self.start < last.end).then_some(Self { start: self.start, end: last.end, grain, shape: Shape::Range })
    }

    /// Whether it was said as one with two ends.
    pub fn is_interval(&self) -> bool {
        self.shape != Shape::Unit
    }

    /// The day that begins at midnight.
    pub fn day(date: Date) -> Option<Self> {
        Self::from(midnight(date), 1, Grain::Day)
    }

    /// The same stretch, so many units of a grain later.
    pub fn shifted(self, amount: i64, grain: Grain) -> Option<Self> {
        let distance = grain.times(amount)?;
        let (start, end) = (self.start.checked_add(distance).ok()?, self.end.checked_add(distance).ok()?);
        Some(Self { start, end, ..self })
    }
}

/// The first instant of a day.
pub fn midnight(date: Date) -> DateTime {
    date.to_datetime(Time::midnight())
}
