//! Times that depend on now or on another time.

use jiff::{ToSpan, civil::Date};

use super::{
    date::longest,
    duration::Duration,
    lexicon::Sense,
    moment::{Moment, Which, on_or_after},
    reader::{Parsed, Reader},
    span::{Grain, Season, Span, midnight},
};

/// At which end of a stretch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Early,
    Mid,
    Late,
}

impl Reader<'_> {
    /// A time that depends on now or on another one.
    pub fn relative(&self, at: usize) -> Parsed<Moment> {
        let rules = [
            Self::named_day,
            Self::cycle,
            Self::several_cycles,
            Self::offset,
            Self::counted_weekday,
            Self::nth_of,
            Self::day_of_period,
            Self::edge,
            Self::week_of,
            Self::season,
            Self::weekend,
            Self::part_of_day,
            Self::closest,
        ];
        longest(rules.iter().filter_map(|rule| rule(self, at)))
    }

    fn today(&self) -> Date {
        self.setting.now.date()
    }

    /// "today", "tomorrow", "now".
    fn named_day(&self, at: usize) -> Parsed<Moment> {
        if let Some(next) = self.accept(at, Sense::Now) {
            return Some((Moment::of(Span::around(self.setting.now, Grain::Second)?), next));
        }
        let (days, next) = self.sense(at, |sense| if let Sense::Day(days) = sense { Some(days) } else { None })?;
        let day = self.today().checked_add(i64::from(days).days()).ok()?;
        Some((Moment::of(Span::day(day)?), next))
    }

    /// "this week", "next month", «позапрошлый год», "the month" as the current one.
    pub fn cycle(&self, at: usize) -> Parsed<Moment> {
        let (which, next) = self.sense(at, |sense| match sense {
            Sense::This | Sense::Whole => Some(0),
            Sense::Next => Some(1),
            Sense::Last => Some(-1),
            Sense::BeforeLast => Some(-2),
            _ => None,
        })?;
        // "This coming week" is the next one.
        let (which, next) = match self.accept(next, Sense::Next) {
            Some(next) if which == 0 => (1, next),
            _ => (which, next),
        };
        let (grain, next) = self.grain(next).filter(|(grain, _)| *grain >= Grain::Week)?;
        let bare = which == 0 && self.is_word(at, &["the"]);
        let span = Span::around(self.setting.now, grain)?.shifted(which, grain)?;
        Some((Moment { is_weak: bare, ..Moment::of(span) }, next))
    }

    /// "last 2 days", "next few weeks", «следующие три месяца».
    fn several_cycles(&self, at: usize) -> Parsed<Moment> {
        let (is_next, next) = self.sense(at, |sense| match sense {
            Sense::Next => Some(true),
            Sense::Last => Some(false),
            _ => None,
        })?;
        let (number, next) = self.number(next)?;
        let (grain, next) = self.grain(next)?;
        let whole = (1.0..1000.0).contains(&number.value) && number.value.fract() == 0.0;
        let count = whole.then_some(number.value as i64)?;
        let current = Span::around(self.setting.now, grain)?;
        let (start, end) = if is_next {
            (current.end, current.end.checked_add(grain.times(count)?).ok()?)
        } else {
            (current.start.checked_sub(grain.times(count)?).ok()?, current.start)
        };
        Some((Moment::of(Span::between(start, end, grain)?), next))
    }

    /// "in 3 days", "a week ago", «через полтора часа», "3 years from today", "three days after Easter".
    fn offset(&self, at: usize) -> Parsed<Moment> {
        let ahead = self.accept(at, Sense::InTime).or_else(|| self.is_word(at, &["in"]).then_some(at + 1));
        if let Some(next) = ahead {
            let ((duration, _), next) = self.duration(self.skip(next, Sense::Article))?;
            let next = self.skip(next, Sense::Hence);
            return Some((self.moved_from_now(duration, 1)?, next));
        }
        if let Some(found) = self.inverted_offset(at) {
            return Some(found);
        }
        let ((duration, _), next) = self.duration(at)?;
        if self.is_word(next, &["from"]) && self.is_word(next + 1, &["today"]) {
            let start = midnight(self.today());
            return Some((moved(Span::from(start, 1, Grain::Day)?, duration)?, next + 2));
        }
        if let Some(next) = self.accept(next, Sense::Ago) {
            return Some((self.moved_from_now(duration, -1)?, next));
        }
        if let Some(next) = self.accept(next, Sense::Hence) {
            return Some((self.moved_from_now(duration, 1)?, next));
        }
        let next = self.accept(next, Sense::After).or_else(|| self.is_word(next, &["from"]).then_some(next + 1))?;
        let (other, next) = self.date(next)?;
        let span = other.place(self.setting).ok().filter(|span| span.grain >= Grain::Day)?;
        Some((moved(span, duration)?, next))
    }

    /// «Часа через два», «года два назад».
    fn inverted_offset(&self, at: usize) -> Parsed<Moment> {
        let (grain, next) = self.grain(at).filter(|_| self.word(at).is_some_and(|word| !word.is_ascii()))?;
        let ahead = self.accept(next, Sense::InTime);
        let (number, next) = self.number(ahead.unwrap_or(next)).filter(|(number, _)| number.value.fract() == 0.0)?;
        let amount = (1.0..1000.0).contains(&number.value).then_some(number.value as i64)?;
        let duration = Duration { amount, grain };
        match ahead {
            Some(_) => Some((self.moved_from_now(duration, 1)?, next)),
            None => Some((self.moved_from_now(duration, -1)?, self.accept(next, Sense::Ago)?)),
        }
    }

    /// Exact to the next smaller unit, as people mean it.
    fn moved_from_now(&self, duration: Duration, sign: i64) -> Option<Moment> {
        let distance = duration.grain.times(duration.amount.checked_mul(sign)?)?;
        let grain = duration.grain.smaller();
        let grain = if duration.grain == Grain::Quarter { Grain::Day } else { grain };
        let then = self.setting.now.checked_add(distance).ok()?;
        Some(Moment::of(Span::around(then, grain)?))
    }

    /// "3 fridays from now", "2 thursdays ago".
    fn counted_weekday(&self, at: usize) -> Parsed<Moment> {
        let (number, next) = self.number(at)?;
        let ((weekday, _), next) = self.weekday_name(next)?;
        let count =
            (number.value.fract() == 0.0 && (1.0..100.0).contains(&number.value)).then_some(number.value as i64)?;
        let day = match (self.accept(next, Sense::Hence), self.accept(next, Sense::Ago)) {
            (Some(next), _) => {
                let first = on_or_after(self.today().tomorrow().ok()?, weekday)?;
                (first.checked_add((count - 1).weeks()).ok()?, next)
            }
            (None, Some(next)) => {
                let last = on_or_after(self.today().checked_sub(7.days()).ok()?, weekday)?;
                (last.checked_sub((count - 1).weeks()).ok()?, next)
            }
            (None, None) => return None,
        };
        Some((Moment::of(Span::day(day.0)?), day.1))
    }

    /// A month, quarter or year that something lies in: "march 2014", "next month", "the year", "2018".
    fn period(&self, at: usize) -> Parsed<Span> {
        let bare = |at| {
            let (grain, next) = self.grain(at).filter(|(grain, _)| *grain >= Grain::Day)?;
            Some((Moment::of(Span::around(self.setting.now, grain)?), next))
        };
        let year = |at| self.long_year(at).map(|(year, next)| (Moment { year: Some(year), ..Moment::default() }, next));
        let month = |at| self.date(at).filter(|(moment, _)| moment.month.is_some() && moment.day.is_none());
        let (moment, next) = longest([self.cycle(at), month(at), year(at), bare(at)].into_iter().flatten())?;
        Some((moment.place(self.setting).ok()?, next))
    }

    /// Of a period, which "of" or "in" may announce.
    fn of_period(&self, at: usize) -> Parsed<Span> {
        self.accept(at, Sense::Of).and_then(|next| self.period(next)).or_else(|| self.period(at))
    }

    /// "first week of october", "last Monday of March", "the fifth last day of May", "third tuesday after christmas".
    fn nth_of(&self, at: usize) -> Parsed<Moment> {
        let place = self.skip(at, Sense::Article);
        let (nth, next) = match self.ordinal(place) {
            Some((ordinal, next)) => {
                let nth = i64::from(ordinal);
                self.accept(next, Sense::Last).map_or((nth, next), |next| (-nth, next))
            }
            None => (-1, self.accept(place, Sense::Last)?),
        };
        if let Some(next) = self.accept(next, Sense::Weekend) {
            let (period, next) = self.of_period(next)?;
            let friday = nth_weekday(period, 5, nth)?;
            return Some((Moment::of(weekend_from(friday)?), next));
        }
        if let Some(((weekday, _), next)) = self.weekday_name(next) {
            if let Some(after) = self.accept(next, Sense::After) {
                let (other, after) = self.date(after)?;
                let start = other.place(self.setting).ok()?.end.date();
                let day = on_or_after(start, weekday)?.checked_add((nth - 1).weeks()).ok()?;
                return Some((Moment::of(Span::day(day)?), after));
            }
            let (period, next) = self.of_period(next).filter(|(period, _)| period.grain >= Grain::Month)?;
            return Some((Moment::of(Span::day(nth_weekday(period, weekday, nth)?)?), next));
        }
        let (grain, next) = self.grain(next).filter(|(grain, _)| matches!(grain, Grain::Day | Grain::Week))?;
        let (period, next) = self.of_period(next).filter(|(period, _)| period.grain >= Grain::Month)?;
        Some((Moment::of(nth_cycle(period, grain, nth)?), next))
    }

    /// "20th of next month", "20 of this month".
    fn day_of_period(&self, at: usize) -> Parsed<Moment> {
        let place = self.skip(at, Sense::Article);
        let (day, next) = match self.ordinal(place) {
            Some((day, next)) => (i8::try_from(day).ok()?, next),
            None => (self.digits(place).filter(|digits| digits.len() <= 2)?.parse().ok()?, place + 1),
        };
        let next = match self.grain(next) {
            Some((Grain::Day, after)) => after,
            _ => self.skip_word(next, &["числа", "число"]),
        };
        let of = self.accept(next, Sense::Of).unwrap_or(next);
        let (month, next) =
            self.cycle(of).filter(|(moment, _)| moment.span.is_some_and(|span| span.grain == Grain::Month))?;
        Some((Moment { span: month.span, ..Moment::of_day(day) }, next))
    }

    /// "end of the month", "early March", "EOY", "beginning of next week", «в конце марта».
    fn edge(&self, at: usize) -> Parsed<Moment> {
        if let Some(((is_end, grain), next)) =
            self.sense(at, |sense| if let Sense::Edge(is_end, grain) = sense { Some((is_end, grain)) } else { None })
            // A boy is no beginning of the year.
            && self.original(next - 1).chars().all(char::is_uppercase)
        {
            let place = if is_end { Place::Late } else { Place::Early };
            return Some((Moment::of(edge_of(Span::around(self.setting.now, grain)?, place)?), next));
        }
        if let Some(next) = self.accept(at, Sense::Rest) {
            let (period, next) = self.period(next)?;
            let start = midnight(self.today());
            return Some((Moment::of(Span::between(start, period.end, Grain::Day)?), next));
        }
        let (place, next) = self.sense(at, |sense| match sense {
            Sense::Early | Sense::Beginning => Some(Place::Early),
            Sense::Mid => Some(Place::Mid),
            Sense::Late | Sense::End => Some(Place::Late),
            _ => None,
        })?;
        let (period, next) = self.period(self.skip(next, Sense::Article)).or_else(|| self.period(next))?;
        // "Mid day" is noon.
        let is_edge = period.grain > Grain::Day || place == Place::Late;
        Some((Moment::of(edge_of(period, place).filter(|_| is_edge)?), next))
    }

    /// "the week of october 7th".
    fn week_of(&self, at: usize) -> Parsed<Moment> {
        let (_, next) = self.grain(self.skip_word(at, &["the"])).filter(|(grain, _)| *grain == Grain::Week)?;
        let next = self.accept(next, Sense::Of)?;
        let (other, next) = self.date(next).filter(|(moment, _)| moment.day.is_some())?;
        let day = other.place(self.setting).ok()?;
        Some((Moment::of(Span::around(day.start, Grain::Week)?), next))
    }

    fn season(&self, at: usize) -> Parsed<Moment> {
        let (which, place) = self.which(at).unwrap_or((None, at));
        let years = match which {
            Some(Which::Last) => -1,
            Some(Which::BeforeLast) => -2,
            Some(Which::Next) => 1,
            _ => 0,
        };
        if let Some(next) =
            self.accept(place, Sense::AnySeason).filter(|_| which.is_some() && !self.is_word(at, &["the"]))
        {
            let current = (0..4)
                .filter_map(|nth| season_in(self.today().year(), nth))
                .chain(season_in(self.today().year() - 1, 3));
            let now = self.setting.now;
            let current = { current }.find(|season| season.start <= now && now < season.end)?;
            return Some((Moment::of(current.shifted(years, Grain::Quarter)?), next));
        }
        let (season, next) =
            self.sense(place, |sense| if let Sense::Season(season) = sense { Some(season) } else { None })?;
        let nth = match season {
            Season::Spring => 0,
            Season::Summer => 1,
            Season::Autumn => 2,
            Season::Winter => 3,
        };
        let year = self.today().year();
        let current = (year - 1..=year + 1)
            .filter_map(|year| season_in(year, nth))
            .find(|season| season.end > self.setting.now)?;
        let later = which == Some(Which::Next) && current.start > self.setting.now;
        let span = current.shifted(if later { 0 } else { years }, Grain::Year)?;
        let is_weak = which.is_none();
        Some((Moment { is_weak, ..Moment::of(span) }, next))
    }

    fn weekend(&self, at: usize) -> Parsed<Moment> {
        let (which, place) = self.which(at).unwrap_or((None, at));
        let next = self.accept(place, Sense::Weekend)?;
        let weeks = match which {
            Some(Which::Last) => -1,
            Some(Which::Next) => 1,
            _ => 0,
        };
        let monday = Span::around(self.setting.now, Grain::Week)?.start.date();
        let friday = monday.checked_add(4.days()).ok()?.checked_add(i64::from(weeks).weeks()).ok()?;
        Some((Moment { is_weak: which.is_none(), ..Moment::of(weekend_from(friday)?) }, next))
    }

    /// "in the morning", "this evening", "late tonight", "last night", «вечером».
    fn part_of_day(&self, at: usize) -> Parsed<Moment> {
        if let Some(next) = self.accept(at, Sense::Last).filter(|next| self.is_word(*next, &["night"])) {
            return Some((self.last_night(18)?, next + 1));
        }
        let late = self.accept(at, Sense::Late);
        if let Some(next) =
            late.and_then(|next| self.accept(next, Sense::Last)).filter(|next| self.is_word(*next, &["night"]))
        {
            return Some((self.last_night(21)?, next + 1));
        }
        if let Some(next) = self.accept(late.unwrap_or(at), Sense::Tonight) {
            let from = if late.is_some() { 21 } else { 18 };
            return Some((Moment { part: Some((from, 24)), ..Moment::default() }, next));
        }
        let place = self.skip_word(at, &["in", "at", "on", "during", "в", "во", "на"]);
        let place = self.skip_word(place, &["the", "this", "эту", "этот"]);
        let early = self.accept(place, Sense::Early);
        let late = self.accept(place, Sense::Late);
        let inner = early.or(late).unwrap_or(place);
        let ((from, to, greets), next) = self
            .sense(place, part)
            .filter(|_| early.is_none() && late.is_none())
            .or_else(|| self.sense(inner, part))
            .or_else(|| self.sense(at, part))?;
        let (from, to) = match (early, late) {
            (Some(_), _) => (from, to.min(from + 9)),
            (_, Some(_)) => (to.saturating_sub(3).max(from), to),
            _ => (from, to),
        };
        Some((Moment { part: Some((from, to)), is_weak: greets && place == at, ..Moment::default() }, next))
    }

    fn last_night(&self, from: i64) -> Option<Moment> {
        let today = midnight(self.today());
        Some(Moment::of(Span::between(today.checked_sub((24 - from).hours()).ok()?, today, Grain::Hour)?))
    }

    /// "the closest Monday to Oct 5th", "the second closest Mon to October fifth".
    fn closest(&self, at: usize) -> Parsed<Moment> {
        let place = self.skip(at, Sense::Article);
        let (nth, next) = self.ordinal(place).unwrap_or((1, place));
        let next = self.accept(next, Sense::Closest)?;
        let ((weekday, _), next) = self.weekday_name(next)?;
        let (other, next) = self.date(self.accept(next, Sense::To)?)?;
        let day = other.place(self.setting).ok()?.start.date();
        let first = on_or_after(day.checked_sub(21.days()).ok()?, weekday)?;
        let mut days: Vec<Date> = (0..6).filter_map(|week: i64| first.checked_add(week.weeks()).ok()).collect();
        days.sort_by_key(|candidate| day.until(*candidate).map_or(i32::MAX, |span| span.get_days().abs()));
        let day = days.get(usize::try_from(nth).ok()?.checked_sub(1)?)?;
        Some((Moment::of(Span::day(*day)?), next))
    }
}

fn part(sense: Sense) -> Option<(u8, u8, bool)> {
    if let Sense::Part(from, to, greets) = sense { Some((from, to, greets)) } else { None }
}

fn moved(span: Span, duration: Duration) -> Option<Moment> {
    let shifted = span.shifted(duration.amount, duration.grain)?;
    let grain = span.grain.min(duration.grain.smaller().max(Grain::Day));
    let start = Span::around(shifted.start, grain)?;
    Some(Moment::of(start))
}

/// The n-th weekday in a period, from its end if `nth` is negative.
fn nth_weekday(period: Span, weekday: i8, nth: i64) -> Option<Date> {
    let day = if nth > 0 {
        on_or_after(period.start.date(), weekday)?.checked_add((nth - 1).weeks()).ok()?
    } else {
        on_or_after(period.end.date().checked_sub(7.days()).ok()?, weekday)?.checked_add((nth + 1).weeks()).ok()?
    };
    (midnight(day) >= period.start && midnight(day) < period.end).then_some(day)
}

/// The n-th day, or the n-th week that lies wholly in a period.
fn nth_cycle(period: Span, grain: Grain, nth: i64) -> Option<Span> {
    let (first, last) = match grain {
        Grain::Week => {
            let first = on_or_after(period.start.date(), 1)?;
            (midnight(first), midnight(on_or_after(period.end.date().checked_sub(13.days()).ok()?, 1)?))
        }
        _ => (period.start, period.end.checked_sub(1.days()).ok()?),
    };
    let start = if nth > 0 {
        first.checked_add(grain.times(nth - 1)?).ok()?
    } else {
        last.checked_add(grain.times(nth + 1)?).ok()?
    };
    let span = Span::from(start, 1, grain)?;
    (span.start >= period.start && span.end <= period.end).then_some(span)
}

/// A week has three days at each end, a month three parts of ten days, a year three months at its beginning and four at
/// its end.
fn edge_of(period: Span, place: Place) -> Option<Span> {
    let (early, late, grain) = match period.grain {
        Grain::Day => (10.hours(), 7.hours(), Grain::Hour),
        Grain::Week => (3.days(), 3.days(), Grain::Day),
        Grain::Month => (10.days(), 10.days(), Grain::Day),
        Grain::Year => (3.months(), 4.months(), Grain::Month),
        _ => return None,
    };
    let (start, end) = match (place, period.grain) {
        (Place::Early, _) => (period.start, period.start.checked_add(early).ok()?),
        (Place::Late, Grain::Month) => (period.start.checked_add(20.days()).ok()?, period.end),
        (Place::Late, _) => (period.end.checked_sub(late).ok()?, period.end),
        (Place::Mid, Grain::Month) => {
            (period.start.checked_add(10.days()).ok()?, period.start.checked_add(20.days()).ok()?)
        }
        (Place::Mid, _) => (period.start.checked_add(early).ok()?, period.end.checked_sub(late).ok()?),
    };
    Span::between(start, end, grain)
}

fn weekend_from(friday: Date) -> Option<Span> {
    let start = midnight(friday).checked_add(18.hours()).ok()?;
    Span::between(start, midnight(friday.checked_add(3.days()).ok()?), Grain::Hour)
}

/// The n-th season of a year, from spring on; winter begins in its December.
fn season_in(year: i16, nth: i8) -> Option<Span> {
    let start = midnight(Date::new(year, nth * 3 + 3, 1).ok()?);
    Span::between(start, start.checked_add(3.months()).ok()?, Grain::Day)
}
