//! Times: moments put together, and the intervals between them.

use jiff::ToSpan;

use super::{
    lexicon::Sense,
    moment::{Fault, Moment, Which},
    reader::{Parsed, Reader, longest},
    span::{Grain, Shape, Span},
};

/// Number of parts of one moment, at most.
const MAX_PARTS: usize = 6;

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// One hour, day, month…, or a stretch with two ends.
    Span(Span),
    /// From an instant on.
    After(Span),
    /// Until an instant.
    Before(Span),
}

/// A part of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Whether it names a day, week, month or year, and no time of day.
    pub is_date: bool,
    /// Its first token.
    pub at: usize,
    /// The token after it.
    pub next: usize,
}

/// A time, or why it is none.
pub type Placed = Result<Time, Fault>;

impl Reader<'_> {
    /// A time or an interval; the second tells whether its words also mean something else.
    pub fn time(&self, at: usize) -> Parsed<(Placed, bool)> {
        let sure = |(time, next)| ((time, false), next);
        let rules = [
            // Before a single time: "from 13 to 15 July" has no hours, and "by 2 pm" is no hour.
            self.date_range(at).map(sure),
            self.deadline(at).map(sure),
            self.single(at),
            self.open(at).map(sure),
            self.lasting(at).map(sure),
        ];
        longest(rules.into_iter().flatten())
    }

    fn single(&self, at: usize) -> Parsed<(Placed, bool)> {
        let (moment, next) = self.moment(at)?;
        let place = moment.place(self.setting);
        if place == Err(Fault::Nowhere) {
            return None;
        }
        Some(((place.map(Time::Span), moment.is_weak), next))
    }

    /// Parts of a moment in a row: "Friday, Jul 18 at 5 pm".
    pub fn moment(&self, at: usize) -> Parsed<Moment> {
        self.parts(at).map(|(moment, parts)| (*moment, parts.last().map_or(at, |part| part.next)))
    }

    /// A moment, and where its parts are.
    pub(super) fn read_parts(&self, at: usize) -> Option<(Moment, Vec<Part>)> {
        let (mut moment, next) = self.part_of_moment(at)?;
        let mut parts = vec![Part { is_date: moment.has_date(), at, next }];
        let mut next = next;
        for _ in 1..MAX_PARTS {
            let more = self.separated(next).find_map(|place| {
                let (part, after) = self.part_of_moment(place)?;
                let both = moment.and(part)?;
                let makes_sense = both.fault.is_some() || both.place(self.setting) != Err(Fault::Nowhere);
                makes_sense.then_some((both, Part { is_date: part.has_date(), at: place, next: after }))
            });
            let Some((both, part)) = more else { break };
            (moment, next) = (both, part.next);
            parts.push(part);
        }
        Some((moment, parts))
    }

    fn part_of_moment(&self, at: usize) -> Parsed<Moment> {
        longest([self.relative(at), self.date(at), self.clock(at)].into_iter().flatten())
    }

    /// Where the next part of a moment may begin.
    fn separated(&self, at: usize) -> impl Iterator<Item = usize> {
        let comma = at + usize::from(self.is_mark(at, ',') || self.is_mark(at, '.') && self.digits(at - 1).is_some());
        let small = self.sense(comma, |sense| {
            matches!(sense, Sense::At | Sense::On | Sense::In | Sense::Of | Sense::For | Sense::From).then_some(())
        });
        let word = small.map(|((), next)| next);
        [Some(at), Some(comma), word].into_iter().flatten()
    }

    /// "July 13 - 15", "from 13 to 15 of July", «с 13 по 15 июля», `14. - 15.10.`
    fn date_range(&self, at: usize) -> Parsed<Placed> {
        let opened = self.accept(at, Sense::From).or_else(|| self.accept(at, Sense::Between));
        let with_and = self.accept(at, Sense::Between).is_some() || self.is_word(at, &["from"]);
        let start = opened.unwrap_or(at);
        let (from, next) = match self.bare_day(start) {
            Some((day, next)) if self.range_mark(next, opened.is_some(), with_and).is_some() => (Err(day), next),
            _ => self.moment(start).map(|(moment, next)| (Ok(moment), next))?,
        };
        let to = self.range_mark(next, opened.is_some() || from.is_ok(), with_and)?;
        let (until, next) = match (&from, self.moment(self.skip_word(to, &["the"])), self.bare_day(to)) {
            (_, Some((moment, next)), _) if moment.day.is_some() || from.is_ok() => (moment, next),
            (Err(_), _, Some((day, next)))
                if opened.is_some() && self.ordinal(start).is_some() && self.ordinal(to).is_some() =>
            {
                (Moment::of_day(day), next)
            }
            (Ok(from), _, Some((day, next))) if from.day.is_some() => (Moment { day: Some(day), ..*from }, next),
            _ => return None,
        };
        let from = match from {
            Ok(from) => Moment { year: from.year.or(until.year.filter(|_| from.month.is_some())), ..from },
            Err(day) if until.day.is_some() => Moment { day: Some(day), ..until },
            Err(_) => return None,
        };
        Some((self.between(from, until)?, next))
    }

    fn between(&self, from: Moment, until: Moment) -> Option<Placed> {
        let (start, end) = match (from.place(self.setting), until.place(self.setting)) {
            (Ok(start), Ok(end)) => (start, end),
            (Err(Fault::Nowhere), _) | (_, Err(Fault::Nowhere)) => return None,
            (Err(fault), _) | (_, Err(fault)) => return Some(Err(fault)),
        };
        let grain = start.grain.min(end.grain);
        let mut last = end;
        // A stretch that has begun already: its start is the one of this year.
        let has_begun = last.end <= start.start && from.month.is_some() && from.year.is_none();
        let start = if has_begun { start.shifted(-1, Grain::Year)? } else { start };
        if last.end <= start.start && until.weekday.is_some() {
            last = last.shifted(1, Grain::Week)?;
        } else if last.end <= start.start && !until.has_date() {
            last = last.shifted(1, Grain::Day)?;
        }
        let last = if end.is_interval() { last } else { Span::from(last.start, 1, grain.min(end.grain))? };
        start.to(last, grain).map(|span| Ok(Time::Span(span)))
    }

    /// A day of a month without the month.
    fn bare_day(&self, at: usize) -> Parsed<i8> {
        let ((day, _), next) = self.day_number(self.skip_word(at, &["the"]))?;
        (1..=31).contains(&day).then_some((day, self.skip_stop(next)))
    }

    /// "-" and `/`; "to" and, behind "from" and the like, other such words; "and" only where it can join.
    fn range_mark(&self, at: usize, with_words: bool, with_and: bool) -> Option<usize> {
        // `3/3/15` is one date, `14./15.10.` are two.
        let is_slash = self.is_mark(at, '/') && self.digits(at - 1).is_none();
        if self.is_mark(at, '-') || is_slash {
            return Some(at + 1);
        }
        let is_and = self.accept(at, Sense::And).is_some();
        let joins = if is_and { with_and } else { with_words || self.is_word(at, &["to"]) };
        self.accept(at, Sense::To).filter(|_| joins)
    }

    /// "after 2 pm", "until Friday", «до 11 часов утра».
    fn open(&self, at: usize) -> Parsed<Placed> {
        if let Some(next) = self.accept(at, Sense::Asap) {
            return Some((Ok(Time::After(Span::around(self.setting.now, Grain::Second)?)), next));
        }
        let after = self.accept(at, Sense::After).or_else(|| self.accept(at, Sense::Since));
        let (is_after, next) = match after {
            Some(next) => (true, next),
            None => (false, self.accept(at, Sense::Before)?),
        };
        // "From now on" is no time.
        if self.accept(next, Sense::Now).is_some() {
            return None;
        }
        // "From one" and "up to 4" count.
        let may_be_bare = !self.is_word(at, &["from", "up", "с", "со"]);
        let (moment, end) = self.open_moment(next, may_be_bare)?;
        // "Since Monday" began already.
        let since = self.is_word(at, &["since"]) && moment.weekday.is_some() && moment.which.is_none();
        let moment = if since { Moment { which: Some(Which::Last), ..moment } } else { moment };
        let place = match moment.place(self.setting) {
            Err(Fault::Nowhere) => return None,
            Err(fault) => return Some((Err(fault), end)),
            Ok(place) => place,
        };
        Some((Ok(if is_after { Time::After(place) } else { Time::Before(self.end_of_edge(next, place)?) }), end))
    }

    /// The moment behind "after"; five days after now, and an hour that needs no "at".
    fn open_moment(&self, at: usize, may_be_bare: bool) -> Parsed<Moment> {
        let in_days = || {
            let ((duration, weak), next) = self.duration(at).filter(|_| self.grain(at).is_none())?;
            let distance = duration.grain.times(duration.amount)?;
            let span = Span::around(self.setting.now.checked_add(distance).ok()?, duration.grain.smaller())?;
            (!weak && duration.grain >= Grain::Day).then_some((Moment::of(span), next))
        };
        longest([self.moment(at), in_days(), self.bare_hour(at).filter(|_| may_be_bare)].into_iter().flatten())
    }

    /// Until the end of a month is until its last day.
    fn end_of_edge(&self, at: usize, span: Span) -> Option<Span> {
        let is_end =
            self.accept(at, Sense::End).is_some() || self.accept(at, Sense::Edge(true, Grain::Month)).is_some();
        if !is_end {
            return Some(span);
        }
        let last = if span.grain == Grain::Day { span.end.checked_sub(1.days()).ok()? } else { span.end };
        Some(Span { start: last, shape: Shape::Unit, ..span })
    }

    /// "by 2 pm", "within 2 weeks": from now until then.
    fn deadline(&self, at: usize) -> Parsed<Placed> {
        let now = self.setting.now;
        if let Some(next) = self.accept(at, Sense::Within) {
            let ((duration, _), next) = self.duration(self.skip(next, Sense::Article))?;
            let end = now.checked_add(duration.grain.times(duration.amount)?).ok()?;
            let end = Span::around(end, duration.grain.smaller())?.start;
            return Some((Ok(Time::Span(Span::between(now, end, Grain::Second)?)), next));
        }
        let next = self.accept(at, Sense::By)?;
        let (moment, end) = self.moment(next)?;
        let span = match moment.place(self.setting) {
            Ok(span) => span,
            Err(Fault::Nowhere) => return None,
            Err(fault) => return Some((Err(fault), end)),
        };
        let until = if span.is_interval() { span.end } else { span.start };
        Some((Ok(Time::Span(Span::between(now, until, Grain::Second)?)), end))
    }

    /// "18th Dec for 10 days", "for 30' starting from 4pm".
    fn lasting(&self, at: usize) -> Parsed<Placed> {
        let (moment, duration, next) = if let Some(next) = self.accept(at, Sense::For) {
            let ((duration, _), next) = self.duration(next)?;
            let (moment, next) = self.moment(self.accept(next, Sense::From)?)?;
            (moment, duration, next)
        } else {
            let start = self.accept(at, Sense::From).unwrap_or(at);
            let (moment, next) = self.moment(start)?;
            let ((duration, _), next) = self.duration(self.accept(next, Sense::For)?)?;
            (moment, duration, next)
        };
        let start = moment.place(self.setting).ok()?;
        let grain = start.grain.min(duration.grain);
        let last = start.start.checked_add(duration.grain.times(duration.amount)?).ok()?;
        Some((Ok(Time::Span(start.to(Span::from(last, 1, grain)?, grain)?)), next))
    }
}
