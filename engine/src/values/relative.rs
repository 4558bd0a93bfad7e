//! Times that depend on now or on another time.

use jiff::{ToSpan, civil::Date};

use super::{
    duration::Duration,
    lexicon::Sense,
    moment::Moment,
    place::on_or_after,
    reader::{Parsed, Reader, longest},
    span::{Grain, Span, midnight},
};

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

    pub(super) fn today(&self) -> Date {
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
        let count = number.count(1000)?;
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
        let (number, next) = self.number(ahead.unwrap_or(next))?;
        let duration = Duration { amount: number.count(1000)?, grain };
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
        let count = number.count(100)?;
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
