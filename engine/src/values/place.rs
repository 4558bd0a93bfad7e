//! Where in the calendar a moment is.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Weekday},
};

use super::{
    Prefer, Setting,
    holidays::Holiday,
    moment::{Clock, Fault, Moment, Which},
    span::{Grain, Span, midnight},
};

/// Years that are searched for a day of a month, so that the 29th of February and a weekday are met.
const YEARS: i16 = 8;

impl Clock {
    fn later_half(self) -> Self {
        Self { hour: if self.hour < 12 { self.hour + 12 } else { self.hour }, is_twelve: false, ..self }
    }

    fn minutes(self) -> i64 {
        i64::from(self.hour) * 60 + i64::from(self.minute)
    }

    fn on(self, day: Date) -> Option<DateTime> {
        let day = if self.hour == 24 { day.tomorrow().ok()? } else { day };
        Some(day.at(self.hour % 24, self.minute, self.second, 0))
    }
}

impl Moment {
    /// Its place in the calendar.
    pub fn place(&self, setting: &Setting) -> Result<Span, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let span = match self.date(setting)? {
            Some(day) => self.in_day(day)?,
            None => self.in_any_day(setting)?,
        };
        let span = match self.until {
            Some(until) => until_clock(span, until)?,
            None => span,
        };
        self.zone.map_or(Some(span), |zone| in_zone(span, zone, setting)).ok_or(Fault::Nowhere)
    }

    /// The day, week, month or year.
    fn date(&self, setting: &Setting) -> Result<Option<Span>, Fault> {
        match self.span {
            Some(span) => self.within(span).map(Some),
            None if self.has_fields() => self.by_fields(setting).map(Some),
            None => Ok(None),
        }
    }

    /// A weekday, day, month or holiday in a stretch.
    fn within(&self, span: Span) -> Result<Span, Fault> {
        let (start, year) = (span.start.date(), span.start.year());
        if let Some(holiday) = self.holiday {
            return holiday.of_year(year).ok_or(Fault::Nowhere);
        }
        let span = match (self.month, self.day) {
            (Some(month), Some(day)) => day_of(year, month, day)?,
            (Some(month), None) => month_of(year, month)?,
            (None, Some(day)) if span.grain == Grain::Month => day_of(year, start.month(), day)?,
            (None, Some(day)) if span.start.day() != day => return Err(Fault::Nowhere),
            (None, _) => span,
        };
        let Some(weekday) = self.weekday else { return Ok(span) };
        let first = on_or_after(span.start.date(), weekday).ok_or(Fault::Nowhere)?;
        if midnight(first) < span.end { Span::day(first).ok_or(Fault::Nowhere) } else { Err(Fault::OtherWeekday) }
    }

    fn by_fields(&self, setting: &Setting) -> Result<Span, Fault> {
        let today = setting.now.date();
        if let Some(holiday) = self.holiday {
            return self.holiday(holiday, setting).ok_or(Fault::Nowhere);
        }
        match (self.year, self.month, self.day) {
            (Some(year), Some(month), Some(day)) => {
                let span = day_of(year, month, day)?;
                let other = self.weekday.is_some_and(|weekday| weekday != span.start.weekday().to_monday_one_offset());
                if other { Err(Fault::OtherWeekday) } else { Ok(span) }
            }
            (Some(year), Some(month), None) => month_of(year, month),
            (Some(year), None, None) => {
                let first = Date::new(year, 1, 1).map_err(|_| Fault::Nowhere)?;
                Span::from(midnight(first), 1, Grain::Year).ok_or(Fault::Nowhere)
            }
            (None, Some(month), Some(day)) => {
                day_of(2024, month, day)?; // a leap year
                let years =
                    (today.year() - YEARS..=today.year() + YEARS).filter_map(|year| Date::new(year, month, day).ok());
                self.choose(years, setting)
            }
            (None, Some(month), None) => self.month(month, setting).ok_or(Fault::Nowhere),
            (None, None, Some(day)) => {
                let months = (-24..=24).filter_map(|months: i32| {
                    let first = today.first_of_month().checked_add(months.months()).ok()?;
                    Date::new(first.year(), first.month(), day).ok()
                });
                self.choose(months, setting)
            }
            (None, None, None) => self.weekday(setting).and_then(Span::day).ok_or(Fault::Nowhere),
            (Some(_), None, Some(_)) => Err(Fault::Nowhere),
        }
    }

    /// Of days in order, the preferred one; with a weekday and a month, the nearest.
    fn choose(&self, days: impl Iterator<Item = Date>, setting: &Setting) -> Result<Span, Fault> {
        let today = setting.now.date();
        let same = |day: &Date| self.weekday.is_none_or(|weekday| day.weekday().to_monday_one_offset() == weekday);
        let days: Vec<Date> = days.filter(same).collect();
        let distance = |day: &Date| today.until(*day).map_or(i32::MAX, |span| span.get_days().abs());
        let day = match (setting.prefer, self.which) {
            _ if self.weekday.is_some() && self.month.is_some() => days.iter().min_by_key(|day| distance(day)),
            (_, Some(Which::Last)) => days.iter().rfind(|day| **day < today),
            (Prefer::Past, None) => days.iter().rfind(|day| **day <= today),
            _ => days.iter().find(|day| **day >= today),
        };
        day.and_then(|day| Span::day(*day)).ok_or(Fault::OtherWeekday)
    }

    fn month(&self, month: i8, setting: &Setting) -> Option<Span> {
        let today = setting.now.date();
        let year = today.year();
        let next = if month > today.month() { year } else { year + 1 };
        let last = if month < today.month() { year } else { year - 1 };
        let year = match self.which {
            Some(Which::This) => year,
            Some(Which::Next) => next,
            Some(Which::AfterNext) => next + 1,
            Some(Which::Last) => last,
            Some(Which::BeforeLast) => last - 1,
            None if month == today.month() => year,
            None if setting.prefer == Prefer::Past => last,
            None => next,
        };
        month_of(year, month).ok()
    }

    fn weekday(&self, setting: &Setting) -> Option<Date> {
        let (weekday, today) = (self.weekday?, setting.now.date());
        let after = on_or_after(today.tomorrow().ok()?, weekday)?;
        let before = on_or_after(today.checked_sub(7.days()).ok()?, weekday)?;
        match self.which {
            Some(Which::Next) => {
                let monday = Span::around(setting.now, Grain::Week)?.end.date();
                on_or_after(monday, weekday)
            }
            Some(Which::Last) => Some(before),
            Some(Which::BeforeLast) => before.checked_sub(7.days()).ok(),
            Some(Which::AfterNext) => after.checked_add(7.days()).ok(),
            None if setting.prefer == Prefer::Past => Some(before),
            None | Some(Which::This) => Some(after),
        }
    }

    fn holiday(&self, holiday: Holiday, setting: &Setting) -> Option<Span> {
        let now = setting.now;
        if let Some(year) = self.year {
            return holiday.of_year(year);
        }
        let mut spans = (now.year() - 2..=now.year() + 2).filter_map(|year| holiday.of_year(year));
        match self.which {
            Some(Which::Last) => spans.rfind(|span| span.end <= now),
            Some(Which::AfterNext) => spans.filter(|span| span.end > now).nth(1),
            None if setting.prefer == Prefer::Past => spans.rfind(|span| span.start <= now),
            _ => spans.find(|span| span.end > now),
        }
    }

    /// The time or part of a known day.
    fn in_day(&self, day: Span) -> Result<Span, Fault> {
        let date = day.start.date();
        match (self.clock, self.part) {
            (Some(clock), part) => {
                let clock = part.map_or(clock, |part| in_part(clock, part));
                let clock = self.until.map_or(clock, |until| same_half(clock, until));
                at(date, clock).ok_or(Fault::NoSuchTime)
            }
            (None, Some((from, to))) => part_of(date, from, to).ok_or(Fault::Nowhere),
            (None, None) => Ok(day),
        }
    }

    /// The preferred time or part of the day.
    fn in_any_day(&self, setting: &Setting) -> Result<Span, Fault> {
        let today = setting.now.date();
        let days: Vec<Date> = (-1..=1).filter_map(|days: i64| today.checked_add(days.days()).ok()).collect();
        let candidates: Vec<Span> = match (self.clock, self.part) {
            (Some(clock), Some(part)) => days.iter().filter_map(|day| at(*day, in_part(clock, part))).collect(),
            (Some(clock), None) => {
                let clock = self.until.map_or(clock, |until| same_half(clock, until));
                let halves = |day: &Date| {
                    [Some(clock), clock.is_twelve.then(|| clock.later_half())].map(|clock| at(*day, clock?))
                };
                days.iter().flat_map(halves).flatten().collect()
            }
            (None, Some((from, to))) => days.iter().filter_map(|day| part_of(*day, from, to)).collect(),
            (None, None) => return Err(Fault::Nowhere),
        };
        let found = match setting.prefer {
            Prefer::Future => candidates.into_iter().find(|span| span.end > setting.now),
            Prefer::Past => candidates.into_iter().rfind(|span| span.start <= setting.now),
        };
        found.ok_or(Fault::NoSuchTime)
    }
}

fn day_of(year: i16, month: i8, day: i8) -> Result<Span, Fault> {
    Date::new(year, month, day).ok().and_then(Span::day).ok_or(Fault::NoSuchDay)
}

fn month_of(year: i16, month: i8) -> Result<Span, Fault> {
    let first = Date::new(year, month, 1).map_err(|_| Fault::Nowhere)?;
    Span::from(midnight(first), 1, Grain::Month).ok_or(Fault::Nowhere)
}

/// The first of a weekday (Monday is 1) from a day on.
pub fn on_or_after(day: Date, weekday: i8) -> Option<Date> {
    let weekday = Weekday::from_monday_one_offset(weekday).ok()?;
    day.checked_add(i64::from(day.weekday().until(weekday)).days()).ok()
}

fn at(day: Date, clock: Clock) -> Option<Span> {
    Span::from(clock.on(day)?, 1, clock.grain)
}

fn part_of(day: Date, from: u8, to: u8) -> Option<Span> {
    let hour = |hour: u8| midnight(day).checked_add(i64::from(hour).hours()).ok();
    Span::between(hour(from)?, hour(to)?, Grain::Hour)
}

/// An hour of the afternoon or evening, if that was said, and midnight for twelve at night.
fn in_part(clock: Clock, (from, to): (u8, u8)) -> Clock {
    match (clock.hour, from, to) {
        (12, 0, 6) | (12, 18.., _) => Clock { hour: 24, is_twelve: false, ..clock },
        (0..12, 12.., _) => clock.later_half(),
        _ => Clock { is_twelve: false, ..clock },
    }
}

/// In "3-4 pm", the first hour is one of the afternoon too.
fn same_half(clock: Clock, until: Clock) -> Clock {
    let later = clock.later_half();
    let fits = clock.is_twelve && !until.is_twelve && later.minutes() < until.minutes();
    if fits { later } else { clock }
}

fn until_clock(start: Span, until: Clock) -> Result<Span, Fault> {
    let day = start.start.date();
    let halves = [Some(until), until.is_twelve.then(|| until.later_half())];
    let days = [Some(day), day.tomorrow().ok()].into_iter().flatten();
    let mut ends = days.flat_map(|day| halves.into_iter().flatten().filter_map(move |clock| clock.on(day)));
    let end = ends.find(|end| *end > start.start).ok_or(Fault::NoSuchTime)?;
    let grain = start.grain.min(until.grain);
    let last = Span::from(end, 1, grain).ok_or(Fault::Nowhere)?;
    start.to(last, grain).ok_or(Fault::Nowhere)
}

/// A time that was said in another time zone, in the bot's.
fn in_zone(span: Span, zone: i16, setting: &Setting) -> Option<Span> {
    let local = |time: DateTime| {
        let utc = time.checked_sub(i64::from(zone).minutes()).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(utc.with_time_zone(setting.zone.clone()).datetime())
    };
    let grain = span.grain.min(Grain::Minute);
    Some(Span { start: local(span.start)?, end: local(span.end)?, grain, ..span })
}
