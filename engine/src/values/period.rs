//! Parts of weeks, months and years: the first Monday of a month, its end, seasons, weekends.

use jiff::{ToSpan, civil::Date};

use super::{
    lexicon::Sense,
    moment::{Moment, Which},
    place::on_or_after,
    reader::{Parsed, Reader, longest},
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
    pub(super) fn nth_of(&self, at: usize) -> Parsed<Moment> {
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
    pub(super) fn day_of_period(&self, at: usize) -> Parsed<Moment> {
        let ((day, _), next) = self.day_number(self.skip(at, Sense::Article))?;
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
    pub(super) fn edge(&self, at: usize) -> Parsed<Moment> {
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
    pub(super) fn week_of(&self, at: usize) -> Parsed<Moment> {
        let (_, next) = self.grain(self.skip_word(at, &["the"])).filter(|(grain, _)| *grain == Grain::Week)?;
        let next = self.accept(next, Sense::Of)?;
        let (other, next) = self.date(next).filter(|(moment, _)| moment.day.is_some())?;
        let day = other.place(self.setting).ok()?;
        Some((Moment::of(Span::around(day.start, Grain::Week)?), next))
    }

    pub(super) fn season(&self, at: usize) -> Parsed<Moment> {
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

    pub(super) fn weekend(&self, at: usize) -> Parsed<Moment> {
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
