//! What a phrase says about a time.

use super::{
    holidays::Holiday,
    span::{Grain, Span},
};

/// Which one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This.
    This,
    /// Next.
    Next,
    /// Last.
    Last,
    /// The one before the last.
    BeforeLast,
    /// The one after the next.
    AfterNext,
}

/// A time of day, as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// From 0 to 24.
    pub hour: i8,
    /// From 0 to 59.
    pub minute: i8,
    /// From 0 to 59.
    pub second: i8,
    /// How exact.
    pub grain: Grain,
    /// Whether the hour may also be meant twelve hours later.
    pub is_twelve: bool,
}

/// Why a phrase that looks like a time is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It names no place in the calendar.
    Nowhere,
    /// The month has no such day.
    NoSuchDay,
    /// The day has no such hour or minute.
    NoSuchTime,
    /// The date is another day of the week.
    OtherWeekday,
}

/// What a phrase says about a time. Each part is known or not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// A year.
    pub year: Option<i16>,
    /// A month from 1.
    pub month: Option<i8>,
    /// A day of the month from 1.
    pub day: Option<i8>,
    /// A day of the week from Monday, which is 1.
    pub weekday: Option<i8>,
    /// A holiday.
    pub holiday: Option<Holiday>,
    /// Which weekday, month or holiday.
    pub which: Option<Which>,
    /// A stretch whose place is known: tomorrow, next week, in three days.
    pub span: Option<Span>,
    /// A part of the day, from one hour to another.
    pub part: Option<(u8, u8)>,
    /// A time of day.
    pub clock: Option<Clock>,
    /// The time of day until which it lasts.
    pub until: Option<Clock>,
    /// A time zone, in minutes ahead of UTC.
    pub zone: Option<i16>,
    /// Whether the words also mean something else, so that they count only if nothing else is said.
    pub is_weak: bool,
    /// Why its day or hour cannot exist, whatever the rest says.
    pub fault: Option<Fault>,
}

impl Moment {
    /// A stretch whose place is known.
    pub fn of(span: Span) -> Self {
        Self { span: Some(span), ..Self::default() }
    }

    /// A day of a month.
    pub fn of_day(day: i8) -> Self {
        let fault = (!(1..=31).contains(&day)).then_some(Fault::NoSuchDay);
        Self { day: Some(day), fault, ..Self::default() }
    }

    /// A full hour.
    pub fn of_hour(hour: i8) -> Self {
        let fault = (hour > 24).then_some(Fault::NoSuchTime);
        let clock =
            Clock { hour: hour.min(24), minute: 0, second: 0, grain: Grain::Hour, is_twelve: (1..=12).contains(&hour) };
        Self { clock: Some(clock), fault, ..Self::default() }
    }

    /// Both together, or `None` if they say different things about one part.
    pub fn and(self, other: Self) -> Option<Self> {
        Some(Self {
            year: both(self.year, other.year)?,
            month: both(self.month, other.month)?,
            day: both(self.day, other.day)?,
            weekday: both(self.weekday, other.weekday)?,
            holiday: both(self.holiday, other.holiday)?,
            which: both(self.which, other.which)?,
            span: finer(self.span, other.span)?,
            part: both(self.part, other.part)?,
            clock: both(self.clock, other.clock)?,
            until: both(self.until, other.until)?,
            zone: both(self.zone, other.zone)?,
            is_weak: self.is_weak && other.is_weak,
            fault: self.fault.or(other.fault),
        })
    }

    /// Whether it names a day, week, month or year.
    pub fn has_date(&self) -> bool {
        self.span.is_some() || self.has_fields()
    }

    pub(super) fn has_fields(&self) -> bool {
        self.year.is_some()
            || self.month.is_some()
            || self.day.is_some()
            || self.weekday.is_some()
            || self.holiday.is_some()
    }
}

fn both<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => Some(one.or(other)),
    }
}

/// The finer of two stretches, if it lies in the other.
fn finer(one: Option<Span>, other: Option<Span>) -> Option<Option<Span>> {
    let (Some(one), Some(other)) = (one, other) else { return Some(one.or(other)) };
    let (fine, coarse) = if one.grain <= other.grain { (one, other) } else { (other, one) };
    (coarse.start <= fine.start && fine.end <= coarse.end).then_some(Some(fine))
}
