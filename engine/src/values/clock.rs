//! Times of day.

mod counted;

use super::{
    Convention,
    lexicon::Sense,
    moment::{Clock, Fault, Moment},
    reader::{Parsed, Reader, TokenKind},
    span::Grain,
};

/// Words that may stand behind "at 5"; behind any other word, 5 is a number of things.
const AFTER_CLOCK: &[&str] =
    &["please", "thanks", "if", "because", "but", "or", "ok", "then", "пожалуйста", "если", "или", "но", "тогда"];

impl Reader<'_> {
    /// A time of day, or two that one lasts from and to, with a zone.
    pub fn clock(&self, at: usize) -> Parsed<Moment> {
        let (moment, next) = self.clock_range(at).or_else(|| {
            let (clock, next) = self.one_clock(at)?;
            Some((clock.moment(), next))
        })?;
        let next = self.skip(next, Sense::Ish);
        Some(self.with_zone(moment, next))
    }

    fn with_zone(&self, moment: Moment, at: usize) -> (Moment, usize) {
        let open = at + usize::from(self.is_mark(at, '('));
        match self.zone(open) {
            Some((zone, next)) => {
                let next = next + usize::from(open > at && self.is_mark(next, ')'));
                (Moment { zone: Some(zone), ..moment }, next)
            }
            None => (moment, at),
        }
    }

    fn zone(&self, at: usize) -> Parsed<i16> {
        self.sense(at, |sense| if let Sense::Zone(zone) = sense { Some(zone) } else { None })
    }

    /// An hour behind "after" or "until".
    pub fn bare_hour(&self, at: usize) -> Parsed<Moment> {
        self.hour(at, true).map(|(said, next)| (said.moment(), next))
    }

    fn one_clock(&self, at: usize) -> Parsed<Said> {
        if let Some(found) = self.noon_or_midnight(at).or_else(|| self.counted_clock(at)).or_else(|| self.digital(at)) {
            return Some(found);
        }
        // «Часов в пять».
        let place = self.skip_word(at, &["часов", "часа", "часиков"]);
        let place = self
            .accept(place, Sense::At)
            // "By 5" also multiplies.
            .or_else(|| self.is_word(at, &["к", "ко"]).then_some(at + 1))
            .unwrap_or(at);
        let about = self.is_word(at, &["around", "about", "approximately"]) && self.four_digits(at + 1).is_some();
        let place = if about { at + 1 } else { place };
        if place > at || self.is_mark(at, '@') {
            let place = if self.is_mark(at, '@') { at + 1 } else { place };
            let place = self.skip(place, Sense::Article);
            let inner =
                self.noon_or_midnight(place).or_else(|| self.counted_clock(place)).or_else(|| self.digital(place));
            if inner.is_some() {
                return inner;
            }
            if let Some(found) = self.hour(place, true) {
                return Some(found);
            }
        }
        self.hour(at, false)
    }

    fn noon_or_midnight(&self, at: usize) -> Parsed<Said> {
        if let Some(next) = self.accept(at, Sense::Noon) {
            return Some((Said::hour(12, false), next));
        }
        self.accept(at, Sense::Midnight).map(|next| (Said::hour(24, false), next))
    }

    /// `15:20`, `9:01:10 AM`, `15h`, `17ч10`, `330 p.m.`
    fn digital(&self, at: usize) -> Parsed<Said> {
        let digits = self.digits(at).filter(|digits| digits.len() <= 2)?;
        let mut said = Said::hour(digits.parse().ok()?, true);
        if self.touches(at + 1) && self.is_word(at + 1, &["h", "ч"]) {
            let minute = self.digits(at + 2).filter(|digits| digits.len() == 2 && self.touches(at + 2));
            let is_russian = self.is_word(at + 1, &["ч"]);
            if minute.is_none() && is_russian && self.touches(at + 2) {
                return None;
            }
            said.minute = minute.and_then(|minute| minute.parse().ok());
            said.grain = if is_russian && minute.is_none() { Grain::Hour } else { Grain::Minute };
            said.is_twelve = false;
            return Some((said, at + 2 + usize::from(minute.is_some())));
        }
        let minute = self.digits(at + 2).filter(|digits| digits.len() == 2)?;
        let joined = self.touches(at + 1) && self.touches(at + 2);
        if !joined || !(self.is_mark(at + 1, ':') || self.is_mark(at + 1, '.') && self.is_dotted(at, minute)) {
            return None;
        }
        said.minute = minute.parse().ok();
        said.grain = Grain::Minute;
        let mut next = at + 3;
        let second = self.digits(next + 1).filter(|digits| digits.len() == 2);
        if let Some(second) = second.filter(|_| self.is_mark(next, ':') && self.touches(next) && self.touches(next + 1))
        {
            said.second = second.parse().ok();
            said.grain = Grain::Second;
            next += 2;
        }
        if self.touches(next) && self.is_word(next, &["ч"]) {
            next += 1;
        }
        Some(self.with_half_of_day(said, next))
    }

    /// Whether `7.30` is a time: before "pm", behind "at", and in Russian if it is no day of a month.
    fn is_dotted(&self, at: usize, minute: &str) -> bool {
        let half = self.accept(at + 3, Sense::Pm).or_else(|| self.accept(at + 3, Sense::Am)).is_some();
        let announced = at > 0 && self.accept(at - 1, Sense::At).is_some();
        let is_no_month = minute == "00" || minute > "12";
        half || announced && (self.setting.convention == Convention::English || is_no_month)
    }

    /// "am", "pm", "o'clock".
    fn with_half_of_day(&self, said: Said, at: usize) -> (Said, usize) {
        let place = self.skip(self.skip(at, Sense::Ish), Sense::OClock);
        let place = self.skip(place, Sense::Ish);
        let (later, next) = match (self.accept(place, Sense::Pm), self.accept(place, Sense::Am)) {
            (Some(next), _) => (12, next),
            (None, Some(next)) => (0, next),
            (None, None) => return (said, at),
        };
        let one_letter = self.word(next - 1).is_some_and(|word| word.len() == 1) && next == place + 1;
        if one_letter && !self.touches(place) || said.hour > 12 || said.hour == 0 {
            return (said, at);
        }
        // Midnight is the end of a day, half past it is in the next one.
        let is_midnight = said.hour == 12 && later == 0 && said.minute.unwrap_or(0) == 0;
        let hour = if is_midnight { 24 } else { said.hour % 12 + later };
        (Said { hour, is_twelve: false, ..said }, self.skip_stop(next))
    }

    /// An hour in digits or words: "3", "three twenty", "seven thirty p.m.", «три часа». After "at", it needs nothing else.
    fn hour(&self, at: usize, after_at: bool) -> Parsed<Said> {
        if self.is_word(at, &["час"]) && (self.part_after(at + 1) || after_at && self.is_whole(at, at + 1)) {
            return Some((Said::hour(1, true), at + 1));
        }
        let (hour, mut next) = self.small(at)?;
        let mut said = Said::hour(hour, true);
        let oclock = self.accept(next, Sense::OClock);
        let mut is_sure = false;
        if let Some((hour, minute)) = self.four_digits(at) {
            said = Said { minute: Some(minute), grain: Grain::Minute, ..Said::hour(hour, true) };
        } else if oclock.is_none()
            && let Some((minute, after)) = self.minute(next)
        {
            said = Said { minute: Some(minute), grain: Grain::Minute, ..said };
            is_sure = self.digits(at).is_some() && self.digits(next).is_some_and(|digits| digits.len() == 2);
            next = after;
        }
        let (with_half, after) = self.with_half_of_day(said, next);
        if after > next {
            return Some((with_half, after));
        }
        if said.hour > 24 || self.touches(next) && !self.is_word(next, &["ish", "ч"]) && !self.is_end(next) {
            return None;
        }
        if let Some(after) = oclock.filter(|_| said.minute.is_none()) {
            let clock = Said { is_twelve: said.hour <= 12, ..said };
            let minutes = self.minute(after).filter(|(_, end)| self.grain(*end) == Some((Grain::Minute, end + 1)));
            return Some(match minutes {
                Some((minute, end)) if after_at => {
                    (Said { minute: Some(minute), grain: Grain::Minute, ..clock }, end + 1)
                }
                _ => (clock, after),
            });
        }
        let is_time = after_at && (is_sure || self.ends_clock(next));
        // «3 дня» alone are three days.
        let before_part = self.part_after(next) && (after_at || !self.is_word(next, &["дня", "ночи"]));
        (is_time || before_part).then_some((said, next))
    }

    fn is_end(&self, at: usize) -> bool {
        self.token(at).is_none_or(|token| {
            token.kind == TokenKind::Mark
                && !matches!(token.folded.as_str(), "%" | "$" | "€" | "£" | "°" | "/" | "-" | "₽")
        })
    }

    /// Whether what follows "at 5" does not make it five things.
    fn ends_clock(&self, at: usize) -> bool {
        let measures = |sense: Sense| {
            let is = matches!(
                sense,
                Sense::Currency(_)
                    | Sense::Unit(..)
                    | Sense::Grain(_)
                    | Sense::Percent
                    | Sense::Degree
                    | Sense::Scale(_)
                    | Sense::Cent(_)
            );
            is.then_some(())
        };
        let follows = |sense: Sense| (!matches!(sense, Sense::Digit(_))).then_some(());
        match self.token(at) {
            None => true,
            Some(token) if token.kind == TokenKind::Mark => self.is_end(at),
            Some(token) if token.kind == TokenKind::Digits => false,
            Some(_) if self.is_word(at, AFTER_CLOCK) => true,
            Some(_) => self.sense(at, measures).is_none() && self.sense(at, follows).is_some(),
        }
    }

    /// Whether a part of the day follows: "8 tonight", «8 вечера»; or, in English, "tomorrow".
    fn part_after(&self, at: usize) -> bool {
        let place = if self.is_word(at, &["in", "this"]) { self.skip(at + 1, Sense::Article) } else { at };
        let english = self.setting.convention == Convention::English;
        let is_part = |sense| {
            let is = matches!(sense, Sense::Part(..) | Sense::Tonight) || english && sense == Sense::Day(1);
            is.then_some(())
        };
        self.sense(place, is_part).or_else(|| self.sense(at, is_part)).is_some()
    }

    /// `1030` as 10:30.
    fn four_digits(&self, at: usize) -> Option<(i8, i8)> {
        let digits = self.digits(at).filter(|digits| (3..=4).contains(&digits.len()))?;
        let (hour, minute) = digits.split_at(digits.len() - 2);
        let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some((hour, minute))
    }

    fn minute(&self, at: usize) -> Parsed<i8> {
        if let Some(digits) = self.digits(at) {
            let minute = digits.parse().ok().filter(|minute| *minute < 60)?;
            return (digits.len() == 2 && !self.touches(at)).then_some((minute, at + 1));
        }
        let zero = self.is_word(at, &["o", "oh", "ou", "zero", "ноль"]);
        let (minute, next) = self.small(at + usize::from(zero))?;
        (if zero { (0..10).contains(&minute) } else { (10..60).contains(&minute) }).then_some((minute, next))
    }

    /// A number up to 59, in digits or words.
    fn small(&self, at: usize) -> Parsed<i8> {
        if let Some(digits) = self.digits(at) {
            if let Some((hour, _)) = self.four_digits(at) {
                return Some((hour, at + 1));
            }
            return digits.parse().ok().filter(|_| digits.len() <= 2).map(|number| (number, at + 1));
        }
        let number = |at: usize, wanted: fn(Sense) -> Option<u8>| self.sense(at, wanted);
        let ones = |sense| if let Sense::Digit(digit) = sense { Some(digit) } else { None };
        let teens = |sense| if let Sense::Teen(teen) = sense { Some(teen) } else { None };
        let tens = |sense| if let Sense::Tens(tens) = sense { Some(tens).filter(|tens| *tens < 60) } else { None };
        if let Some((found, next)) = number(at, ones).or_else(|| number(at, teens)) {
            return Some((i8::try_from(found).ok()?, next));
        }
        let (tens, next) = number(at, tens)?;
        let (ones, next) = number(next, ones).filter(|(ones, _)| *ones > 0).unwrap_or((0, next));
        Some((i8::try_from(tens + ones).ok()?, next))
    }

    /// "3-4pm", "from 9:30 to 11:00", «с 9 до 18».
    fn clock_range(&self, at: usize) -> Parsed<Moment> {
        let opened = self
            .accept(at, Sense::Between)
            .or_else(|| self.accept(at, Sense::From))
            .or_else(|| self.is_word(at, &["later"]).then(|| self.accept(at, Sense::After)).flatten());
        let start = opened.unwrap_or(at);
        let (from, next) = self.range_end(start, opened.is_some())?;
        // Both ends may have their zone; that of the second is taken.
        let next = self.zone(next).map_or(next, |(_, after)| after);
        let to = self
            .accept(next, Sense::To)
            .or_else(|| (self.is_mark(next, '-') || self.is_mark(next, '/')).then_some(next + 1))
            .or_else(|| self.is_word(next, &["but"]).then(|| self.accept(next + 1, Sense::Before)).flatten())?;
        let bare = !self.is_mark(next, '/') && (opened.is_some() || from.is_sure);
        let (until, next) = self.range_end(to, bare)?;
        // "From 1 to 10" is also said of other things.
        let is_weak = !until.is_sure && !from.is_sure && !self.part_after(next);
        if is_weak && opened.is_none() {
            return None;
        }
        let (from, until) = (from.moment(), until.moment());
        let fault = from.fault.or(until.fault);
        Some((Moment { clock: from.clock, until: until.clock, fault, is_weak, ..Moment::default() }, next))
    }

    fn range_end(&self, at: usize, bare: bool) -> Parsed<Said> {
        // In "from 3 to 4", 3 is an hour and no number of minutes.
        let is_bare =
            bare && self.small(at).is_some_and(|(_, next)| self.is_word(next, &["to", "and", "до", "по", "и"]));
        if let Some((said, next)) = self.one_clock(at).filter(|_| !is_bare) {
            return Some((Said { is_sure: true, ..said }, next));
        }
        let (hour, next) = self.small(at).filter(|(hour, _)| *hour <= 24)?;
        let followed = self.is_mark(next, '-') || self.is_mark(next, '.') && self.digits(next + 1).is_some();
        (bare || followed).then_some((Said::hour(hour, true), next))
    }
}

/// A time of day as it was said. It need not exist.
#[derive(Clone, Copy, Debug)]
struct Said {
    hour: i8,
    minute: Option<i8>,
    second: Option<i8>,
    grain: Grain,
    is_twelve: bool,
    /// Whether it is more than a number: in a range, a number may be of other things.
    is_sure: bool,
}

impl Said {
    fn hour(hour: i8, is_twelve: bool) -> Self {
        Self { hour, minute: None, second: None, grain: Grain::Hour, is_twelve, is_sure: false }
    }

    fn moved(self, minutes: i8) -> Option<Self> {
        let total = (i16::from(self.hour) * 60 + i16::from(minutes)).rem_euclid(24 * 60);
        let hour = i8::try_from(total / 60).ok()?;
        let minute = i8::try_from(total % 60).ok()?;
        // "A quarter to 1" on a clock of twelve hours is 12:45.
        let hour = if hour == 0 && self.is_twelve { 12 } else { hour };
        Some(Self { hour, minute: Some(minute), grain: Grain::Minute, ..self })
    }

    fn moment(self) -> Moment {
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        let hour = if self.hour == 24 && minute > 0 { 25 } else { self.hour };
        let exists = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        let is_twelve = self.is_twelve && (1..=12).contains(&hour);
        let clock = Clock { hour, minute, second, grain: self.grain, is_twelve };
        Moment { clock: Some(clock), fault: (!exists).then_some(Fault::NoSuchTime), ..Moment::default() }
    }
}
