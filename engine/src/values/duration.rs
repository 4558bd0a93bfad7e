//! Durations.

use super::{
    lexicon::Sense,
    reader::{Parsed, Reader},
    span::Grain,
};

/// Days that a year counts beside smaller units.
const DAYS_OF_YEAR: i64 = 365;

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration {
    /// How many.
    pub amount: i64,
    /// Of what.
    pub grain: Grain,
}

impl Duration {
    /// From an amount that may have decimals: 1.5 hours are 90 minutes.
    fn new(amount: f64, grain: Grain) -> Option<Self> {
        let (mut amount, mut grain) = (amount, grain);
        while amount.fract().abs() > 1e-9 && grain > Grain::Second {
            let smaller = grain.smaller_in_one() as f64;
            amount *= smaller;
            grain = grain.smaller();
        }
        (amount.abs() < 1e12).then(|| Self { amount: amount.round() as i64, grain })
    }

    /// The sum, in the smaller unit of both.
    fn plus(self, other: Self) -> Option<Self> {
        let grain = self.grain.min(other.grain);
        Some(Self { amount: self.in_units(grain)?.checked_add(other.in_units(grain)?)?, grain })
    }

    fn in_units(self, grain: Grain) -> Option<i64> {
        let (mut amount, mut current) = (self.amount, self.grain);
        while current > grain {
            if current == Grain::Year && grain < Grain::Month {
                amount = amount.checked_mul(DAYS_OF_YEAR)?;
                current = Grain::Day;
            } else {
                amount = amount.checked_mul(current.smaller_in_one())?;
                current = current.smaller();
            }
        }
        (current == grain).then_some(amount)
    }

    /// As ISO 8601, `PT90M`.
    pub fn iso(self) -> String {
        let amount = self.amount;
        match self.grain {
            Grain::Second => format!("PT{amount}S"),
            Grain::Minute => format!("PT{amount}M"),
            Grain::Hour => format!("PT{amount}H"),
            Grain::Day => format!("P{amount}D"),
            Grain::Week => format!("P{amount}W"),
            Grain::Month => format!("P{amount}M"),
            Grain::Quarter => format!("P{}M", amount.saturating_mul(3)),
            Grain::Year => format!("P{amount}Y"),
        }
    }
}

impl Reader<'_> {
    /// A duration: "an hour and a half", `1/4h`, «полтора часа», "2 years, 3 months". The second tells whether it is a unit
    /// without a number, which is one in Russian.
    pub fn duration(&self, at: usize) -> Parsed<(Duration, bool)> {
        let ((mut sum, weak), mut next) = self.part_of_duration(at)?;
        let mut grain = sum.grain;
        while let Some((more, after)) = self.next_part(next, grain) {
            let Some(total) = sum.plus(more) else { break };
            (sum, grain, next) = (total, more.grain, after);
        }
        Some(((sum, weak), next))
    }

    /// A smaller part behind one: ", 3 months", "and 4 seconds", "30" behind an hour.
    fn next_part(&self, at: usize, grain: Grain) -> Parsed<Duration> {
        let place = at + usize::from(self.is_mark(at, ','));
        let place = self.skip(place, Sense::And);
        if let Some(((more, false), next)) = self.part_of_duration(place)
            && more.grain < grain
        {
            return Some((more, next));
        }
        let (number, next) = self.number(place).filter(|_| grain == Grain::Hour && !self.is_mark(at, ','))?;
        let alone = !self.is_known(next) && self.word(next).is_none() && !self.touches(next);
        let amount = number.count(60).filter(|_| alone)?;
        Some((Duration { amount, grain: Grain::Minute }, next))
    }

    fn part_of_duration(&self, at: usize) -> Parsed<(Duration, bool)> {
        let at = self.skip(at, Sense::Article);
        if let Some(((amount, grain), next)) = self.duration_word(at) {
            return Some(((Duration { amount, grain }, false), next));
        }
        if let Some((share, next)) = self.share(at) {
            let unit = self.skip(self.skip(next, Sense::Of), Sense::Article);
            let (grain, next) = self.grain(unit)?;
            return Some(((Duration::new(share, grain)?, false), next));
        }
        if let Some((number, next)) = self.number(at) {
            if let Some(((duration, _), after)) = self.whole_word(number.value, next) {
                return Some(((duration, false), after));
            }
            return self.counted(number.value, next).map(|(duration, next)| ((duration, false), next));
        }
        let (grain, next) = self.grain(at)?;
        let has_article = at > 0 && self.is_word(at - 1, &["a", "an", "one"]);
        let is_russian = !self.word(at)?.is_ascii();
        if !has_article && !is_russian || self.word(at)?.chars().count() < 3 {
            return None;
        }
        let (duration, next) = self.with_half(1.0, grain, next)?;
        Some(((duration, !has_article), next))
    }

    fn duration_word(&self, at: usize) -> Parsed<(i64, Grain)> {
        self.sense(
            at,
            |sense| if let Sense::Duration(amount, grain) = sense { Some((i64::from(amount), grain)) } else { None },
        )
    }

    /// «5 суток».
    fn whole_word(&self, count: f64, at: usize) -> Parsed<(Duration, bool)> {
        let ((amount, grain), next) = self.duration_word(at)?;
        Some(((Duration::new(count * amount as f64, grain)?, false), next))
    }

    /// "half", "a quarter", "three quarters", «три четверти».
    fn share(&self, at: usize) -> Parsed<f64> {
        if let Some(next) = self.accept(at, Sense::ThreeQuarters) {
            return Some((0.75, next));
        }
        if let Some(next) = self.accept(at, Sense::Half) {
            return Some((0.5, next));
        }
        let (count, place) = match self.number(at) {
            Some((number, next)) if number.value.fract() == 0.0 && number.value < 4.0 => (number.value, next),
            _ => (1.0, at),
        };
        let next = self.accept(place, Sense::Quarter)?;
        // "3 quarters" alone are nine months.
        let of_unit = self.skip(self.skip(next, Sense::Of), Sense::Article);
        self.grain(of_unit).map(|_| (count / 4.0, next))
    }

    /// Behind a number: "minutes", "more minutes", "and a half hours", "and a quarter of an hour".
    fn counted(&self, count: f64, at: usize) -> Parsed<Duration> {
        if let Some((grain, next)) = self.grain(self.skip(at, Sense::More)) {
            return self.with_half(count, grain, next);
        }
        if let Some(after) = self.accept(at, Sense::AndHalf) {
            let (grain, next) = self.grain(after)?;
            return Some((Duration::new(count + 0.5, grain)?, next));
        }
        if let Some(after) = self.accept(at, Sense::And) {
            let (share, next) = self.share(self.skip(after, Sense::Article))?;
            let (grain, next) = self.grain(self.skip(self.skip(next, Sense::Of), Sense::Article))?;
            return Some((Duration::new(count + share, grain)?, next));
        }
        let grain = if self.is_mark(at, '\'') { Grain::Minute } else { Grain::Second };
        let is_mark = self.is_mark(at, '\'') || self.is_mark(at, '"');
        let touches = self.touches(at) && is_mark && !self.touches(at + 1);
        Duration::new(count, grain).filter(|_| touches).map(|duration| (duration, at + 1))
    }

    /// "An hour and a half".
    fn with_half(&self, count: f64, grain: Grain, at: usize) -> Parsed<Duration> {
        match self.accept(at, Sense::AndHalf) {
            Some(next) => Some((Duration::new(count + 0.5, grain)?, next)),
            None => Some((Duration::new(count, grain)?, at)),
        }
    }

    /// A unit of time.
    pub fn grain(&self, at: usize) -> Parsed<Grain> {
        self.sense(at, |sense| if let Sense::Grain(grain) = sense { Some(grain) } else { None })
    }
}
