//! Days, times of day, and both together, each with its own words.

use super::{
    Kind, Read, Value,
    moment::{Fault, Moment},
    reader::Reader,
    span::{Grain, Span},
    time::{Part, Time},
};

/// A day, a time of day, or both. If both were said, each has its own words.
pub(super) fn read(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<Read> {
    let Some((moment, parts)) = reader.parts(at) else { return bare_number(reader, at, kind) };
    let next = parts.last()?.next;
    if moment.is_weak && !reader.is_whole(at, next) {
        return None;
    }
    // "From 9 to 5" is no time of day, and neither is its end.
    if moment.until.is_some() && kind != Kind::Date {
        return Some(Read { value: None, at, end: next, next });
    }
    let wanted = match kind {
        Kind::Date => Moment { clock: None, until: None, part: None, zone: None, ..*moment },
        // "Tomorrow morning" has no time of day.
        Kind::DateTime if moment.clock.is_none() && moment.has_date() => Moment { part: None, ..*moment },
        _ => *moment,
    };
    let place = wanted.place(reader.setting);
    if !is_of_kind(kind, moment, &place) {
        return None;
    }
    let value = match place {
        Ok(span) if kind == Kind::Date => Value::Time(Time::Span(Span::around(span.start, Grain::Day)?)),
        Ok(span) => Value::Time(Time::Span(span)),
        Err(fault) => Value::NoTime(fault),
    };
    let (at, end) = own_words(kind, parts).unwrap_or((at, next));
    Some(Read { value: Some(value), at, end, next })
}

fn is_of_kind(kind: Kind, moment: &Moment, place: &Result<Span, Fault>) -> bool {
    match (kind, place) {
        (_, Err(Fault::Nowhere)) => false,
        (Kind::Time, Err(fault)) => *fault == Fault::NoSuchTime,
        (Kind::Time, Ok(_)) => moment.clock.is_some(),
        (Kind::Date, Err(fault)) => *fault != Fault::NoSuchTime,
        (Kind::Date, Ok(span)) => {
            moment.has_date() && (Grain::Hour..=Grain::Day).contains(&span.grain) && is_one_day(span)
        }
        (_, Err(_)) => true,
        (_, Ok(span)) => span.grain <= Grain::Day && !span.is_interval(),
    }
}

/// The tokens of the parts that tell the day, the time of day, or both.
fn own_words(kind: Kind, parts: &[Part]) -> Option<(usize, usize)> {
    if kind == Kind::DateTime {
        return Some((parts.first()?.at, parts.last()?.next));
    }
    let is_own = |part: &&Part| part.is_date == (kind == Kind::Date);
    let (first, last) = (parts.iter().find(is_own)?, parts.iter().rfind(is_own)?);
    // "At 5 tomorrow afternoon" has the day between two words about the time.
    let is_split = parts.iter().any(|part| !is_own(&part) && part.at >= first.at && part.next <= last.next);
    Some((first.at, if is_split { first.next } else { last.next }))
}

fn is_one_day(span: &Span) -> bool {
    let last = span.end.checked_sub(jiff::SignedDuration::from_secs(1));
    last.is_ok_and(|last| last.date() == span.start.date())
}

/// A number that is all that is said answers "which day?" and "at what time?".
fn bare_number(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<Read> {
    let digits = reader.digits(at).filter(|digits| digits.len() <= 2 && reader.is_whole(at, at + 1))?;
    let moment = match kind {
        Kind::Date => Moment::of_day(digits.parse().ok()?),
        Kind::Time => Moment::of_hour(digits.parse().ok()?),
        _ => return None,
    };
    let value = match moment.place(reader.setting) {
        Ok(span) => Value::Time(Time::Span(span)),
        Err(Fault::Nowhere) => return None,
        Err(fault) => Value::NoTime(fault),
    };
    Some(Read { value: Some(value), at, end: at + 1, next: at + 1 })
}
