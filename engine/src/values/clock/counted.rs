//! Times of day that are counted from an hour.

use super::Said;
use crate::values::{
    lexicon::Sense,
    reader::{Parsed, Reader},
    span::Grain,
};

impl Reader<'_> {
    /// "a quarter past 3", "20 minutes to 2pm", "half three", «без пятнадцати пять», «половина третьего».
    pub(super) fn counted_clock(&self, at: usize) -> Parsed<Said> {
        let at = self.skip(self.skip(at, Sense::For), Sense::Article);
        if let Some(next) = self.accept(at, Sense::Without) {
            let (minutes, next) = self.minutes_of_hour(next)?;
            let (hour, next) = self.whole_hour(next)?;
            return Some((hour.moved(-minutes)?, next));
        }
        if let Some(next) = self.accept(at, Sense::HalfOf)
            && let Some((hour, next)) = self.ordinal(next).filter(|(hour, _)| (1..=12).contains(hour))
        {
            return Some((Said::hour(i8::try_from(hour).ok()?, true).moved(-30)?, next));
        }
        if let Some((hour, next)) =
            self.sense(at, |sense| if let Sense::HalfTo(hour) = sense { Some(hour) } else { None })
        {
            return Some((Said::hour(hour, true).moved(-30)?, next));
        }
        if let Some(next) = self.accept(at, Sense::Half)
            && let Some((hour, next)) = self.whole_hour(next).filter(|(_, after)| self.grain(*after).is_none())
            && self.word(at) == Some("half")
        {
            return Some((hour.moved(30)?, next));
        }
        let (minutes, next) = self.minutes_of_hour(at)?;
        if let Some(next) = self.accept(next, Sense::Past).or_else(|| self.accept(next, Sense::From)) {
            let (hour, next) = self.whole_hour(next)?;
            return Some((hour.moved(minutes)?, next));
        }
        // "3 to 4" has two hours.
        let sure = self.digits(next - 1).is_none() && self.small(at).is_none_or(|(_, after)| after < next);
        let next = self.is_word(next, &["to", "till", "before"]).then_some(next + 1)?;
        let noon = self.noon_or_midnight(next);
        let (hour, next) = self.whole_hour(next).filter(|_| sure || noon.is_some())?;
        Some((hour.moved(-minutes)?, next))
    }

    fn minutes_of_hour(&self, at: usize) -> Parsed<i8> {
        if let Some(next) = self.accept(at, Sense::Quarter) {
            return Some((15, next));
        }
        if self.is_word(at, &["half"]) {
            return Some((30, at + 1));
        }
        let (minutes, next) = self.small(at).filter(|(minutes, _)| (1..60).contains(minutes))?;
        let next = match self.grain(next) {
            Some((Grain::Minute, after)) => after,
            _ => next,
        };
        Some((minutes, next))
    }

    /// The hour that minutes are counted from.
    fn whole_hour(&self, at: usize) -> Parsed<Said> {
        if let Some(found) = self.noon_or_midnight(at) {
            return Some(found);
        }
        if let Some((said, next)) = self.digital(at).filter(|(said, _)| said.minute.is_none()) {
            return Some((Said { is_twelve: false, ..said }, next));
        }
        let (hour, next) = self.small(at).filter(|(hour, _)| *hour <= 24)?;
        let next = self.skip(next, Sense::OClock);
        let (said, next) = self.with_half_of_day(Said::hour(hour, true), next);
        Some((said, next))
    }
}
