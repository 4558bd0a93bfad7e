//! Dates: days of months, months, years, weekdays, holidays.

use jiff::civil::Date;

use super::{
    Convention,
    lexicon::Sense,
    moment::{Moment, Which},
    reader::{Parsed, Reader, TokenKind, longest},
    span::{Grain, Span, midnight},
};

impl Reader<'_> {
    /// A date that does not depend on another one.
    pub fn date(&self, at: usize) -> Parsed<Moment> {
        let rules = [
            Self::numeric_date,
            Self::day_and_month,
            Self::month_and_day,
            Self::month_and_year,
            Self::weekday,
            Self::holiday,
            Self::quarter,
            Self::day_of_any_month,
            Self::year,
        ];
        longest(rules.iter().filter_map(|rule| rule(self, at)))
    }

    fn month_name(&self, at: usize) -> Parsed<(i8, bool)> {
        let (month, next) =
            self.sense(at, |s| if let Sense::Month(month, weak) = s { Some((month, weak)) } else { None })?;
        Some((month, self.after_abbreviation(next)))
    }

    /// The place after a full stop that ends an abbreviation: `Feb.`.
    fn after_abbreviation(&self, at: usize) -> usize {
        let is_short = self.word(at - 1).is_some_and(|word| word.chars().count() <= 4);
        if is_short { self.skip_stop(at) } else { at }
    }

    /// A day of a month, and whether it was said as an ordinal: 15, 15th, fifteenth.
    pub fn day_number(&self, at: usize) -> Parsed<(i8, bool)> {
        if let Some((ordinal, next)) = self.ordinal(at) {
            return i8::try_from(ordinal).ok().map(|day| ((day, true), next));
        }
        let digits = self.digits(at).filter(|digits| digits.len() <= 2)?;
        if self.is_mark(at + 1, ':')
            || self.touches(at + 1) && self.is_mark(at + 1, '.') && self.digits(at + 2).is_some()
        {
            return None;
        }
        Some(((digits.parse().ok()?, false), at + 1))
    }

    /// "15 of february", "the third of march 2015", «15-го февраля», `31-Oct-74`.
    fn day_and_month(&self, at: usize) -> Parsed<Moment> {
        let place = self.skip(at, Sense::Article);
        if let Some(next) = self.accept(at, Sense::Ides) {
            let ((month, _), next) = self.month_name(next)?;
            return Some(self.with_year(Moment { month: Some(month), day: Some(15), ..Moment::default() }, next));
        }
        let ((day, _), next) = self.day_number(place)?;
        let next = match self.grain(next) {
            Some((Grain::Day, after)) if self.word(next) == Some("day") => after,
            _ => next,
        };
        let joint = |at: usize| at + usize::from((self.is_mark(at, '/') || self.is_mark(at, '-')) && self.touches(at));
        let next = joint(self.skip(next, Sense::Of));
        let ((month, _), next) = self.month_name(next)?;
        let moment = of_month(month, day);
        let year = joint(next);
        if year > next
            && let Some((year, next)) = self.short_year(year)
        {
            return Some((Moment { year: Some(year), ..moment }, next));
        }
        Some(self.with_year(moment, next))
    }

    /// "march 3", "February the 15th", "Feb13", "April 14, 2015".
    fn month_and_day(&self, at: usize) -> Parsed<Moment> {
        let ((month, _), next) = self.month_name(at)?;
        let ((day, _), next) = self.day_number(self.skip(next, Sense::Article))?;
        let is_clock = |sense| matches!(sense, Sense::Am | Sense::Pm | Sense::OClock | Sense::Month(..)).then_some(());
        if self.sense(next, is_clock).is_some() && !self.is_mark(next, ',') {
            return None;
        }
        Some(self.with_year(of_month(month, day), next))
    }

    fn month_and_year(&self, at: usize) -> Parsed<Moment> {
        let (which, place) = self.which(at).unwrap_or((None, at));
        let ((month, is_weak), next) = self.month_name(place)?;
        // "The March" is no month of this year.
        let which = which.filter(|_| !self.is_word(at, &["the"]));
        let (after_next, next) = self.after_next(next);
        let moment = Moment { month: Some(month), which: which.or(after_next), is_weak, ..Moment::default() };
        let year = self.skip(next + usize::from(self.is_mark(next, ',')), Sense::Of);
        Some(match self.long_year(year) {
            Some((year, next)) => (Moment { year: Some(year), is_weak: false, ..moment }, next),
            // "This may be" and "the current APR" name no month.
            None => (Moment { is_weak: is_weak && matches!(moment.which, None | Some(Which::This)), ..moment }, next),
        })
    }

    fn with_year(&self, moment: Moment, at: usize) -> (Moment, usize) {
        let place = self.skip(at + usize::from(self.is_mark(at, ',')), Sense::Of);
        let ends =
            |next: usize| self.token(next).is_none_or(|token| token.kind == TokenKind::Mark && token.folded != ":");
        let short = || self.short_year(place).filter(|(_, next)| ends(*next) && self.digits(at).is_some());
        match self.long_year(place).or_else(short) {
            Some((year, next)) => (Moment { year: Some(year), ..moment }, next),
            None => (moment, at),
        }
    }

    /// A year of four digits, with «года» or "AD" behind it.
    pub fn long_year(&self, at: usize) -> Parsed<i16> {
        let (year, next) = match self.digits(at).filter(|digits| digits.len() == 4) {
            Some(digits) if !self.is_mark(at + 1, ':') => (digits.parse::<i16>().ok()?, at + 1),
            Some(_) => return None,
            // "two thousand ten"
            None => {
                let (number, next) = self.number(at).filter(|_| self.is_word(at, &["two"]))?;
                ((2000.0..2100.0).contains(&number.value).then_some(number.value as i16)?, next)
            }
        };
        let next = self.skip(next, Sense::YearMark);
        (1000..3000).contains(&year).then(|| (year, self.after_abbreviation(next)))
    }

    /// `74` as 1974, `15` as 2015.
    fn short_year(&self, at: usize) -> Parsed<i16> {
        let digits = self.digits(at)?;
        if digits.len() == 4 {
            return self.long_year(at);
        }
        let year: i16 = digits.parse().ok().filter(|_| digits.len() == 2)?;
        Some((if year < 50 { 2000 + year } else { 1900 + year }, at + 1))
    }

    /// A year alone, which "in", "since" or the like announces, or «год» follows.
    fn year(&self, at: usize) -> Parsed<Moment> {
        let digits = self.digits(at)?;
        let announced = at > 0 && self.sense(at - 1, |s| announces(s).then_some(())).is_some();
        if let Some(next) = self.accept(at + 1, Sense::Bc).filter(|_| announced) {
            return Some((Moment { year: Some(-digits.parse::<i16>().ok()?), ..Moment::default() }, next));
        }
        let marked = self.accept(at + 1, Sense::YearMark).filter(|_| !self.touches(at + 1) && digits.len() <= 4);
        if let Some(next) = marked.filter(|_| announced || digits.len() == 4) {
            return Some((Moment { year: digits.parse().ok(), ..Moment::default() }, self.after_abbreviation(next)));
        }
        let (year, next) = self.long_year(at).filter(|_| announced)?;
        let ends = self.token(next).is_none_or(|token| token.kind == TokenKind::Mark) || self.is_known(next);
        (ends && (1900..2100).contains(&year)).then_some((Moment { year: Some(year), ..Moment::default() }, next))
    }

    /// This, next, last, «позапрошлый».
    pub fn which(&self, at: usize) -> Parsed<Option<Which>> {
        self.sense(at, |sense| match sense {
            Sense::This => Some(Some(Which::This)),
            Sense::Next => Some(Some(Which::Next)),
            Sense::Last => Some(Some(Which::Last)),
            Sense::BeforeLast => Some(Some(Which::BeforeLast)),
            _ => None,
        })
    }

    fn after_next(&self, at: usize) -> (Option<Which>, usize) {
        self.accept(at, Sense::AfterNext).map_or((None, at), |next| (Some(Which::AfterNext), next))
    }

    /// "monday", "next tuesday", "friday after next", "Thursday 15th".
    fn weekday(&self, at: usize) -> Parsed<Moment> {
        let (which, place) = self.which(at).unwrap_or((None, at));
        let ((weekday, is_weak), next) = self.weekday_name(place)?;
        let (after_next, next) = self.after_next(next);
        let is_weak = is_weak && which.is_none() && after_next.is_none();
        let moment = Moment { weekday: Some(weekday), which: which.or(after_next), is_weak, ..Moment::default() };
        let day = self.skip(next + usize::from(self.is_mark(next, ',')), Sense::Article);
        if let Some(((day, true), after)) = self.day_number(day)
            && self.month_name(self.skip(after, Sense::Of)).is_none()
        {
            let Moment { weekday, which, .. } = moment;
            return Some((Moment { weekday, which, ..Moment::of_day(day) }, after));
        }
        Some((moment, next))
    }

    /// The name of a weekday.
    pub fn weekday_name(&self, at: usize) -> Parsed<(i8, bool)> {
        let sense = |sense| if let Sense::Weekday(weekday, weak) = sense { Some((weekday, weak)) } else { None };
        let (found, next) = self.sense(at, sense)?;
        Some((found, self.after_abbreviation(next)))
    }

    fn holiday(&self, at: usize) -> Parsed<Moment> {
        let (which, place) = self.which(at).unwrap_or((None, at));
        let (holiday, next) =
            self.sense(place, |s| if let Sense::Holiday(holiday) = s { Some(holiday) } else { None })?;
        let (after_next, next) = self.after_next(next);
        let moment = Moment { holiday: Some(holiday), which: which.or(after_next), ..Moment::default() };
        Some(match self.long_year(self.skip(next, Sense::Of)) {
            Some((year, next)) => (Moment { year: Some(year), ..moment }, next),
            None => (moment, next),
        })
    }

    /// "third quarter", "the 4th qtr of 2018", `2018Q4`.
    fn quarter(&self, at: usize) -> Parsed<Moment> {
        let quarter_of = |year: i16, quarter: i8| {
            let first = Date::new(year, quarter * 3 - 2, 1).ok()?;
            Some(Moment::of(Span::from(midnight(first), 1, Grain::Quarter)?))
        };
        if let Some((year, next)) = self.short_year(at)
            && self.is_word(next, &["q"])
            && self.touches(next)
        {
            let quarter = self.digits(next + 1)?.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
            return Some((quarter_of(year, quarter)?, next + 2));
        }
        let (ordinal, next) =
            self.ordinal(self.skip(at, Sense::Article)).filter(|(ordinal, _)| (1..=4).contains(ordinal))?;
        let (_, next) = self.grain(next).filter(|(grain, _)| *grain == Grain::Quarter)?;
        let quarter = i8::try_from(ordinal).ok()?;
        Some(match self.long_year(self.skip(next, Sense::Of)) {
            Some((year, next)) => (quarter_of(year, quarter)?, next),
            None => (quarter_of(self.setting.now.year(), quarter)?, next),
        })
    }

    /// "the 15th", "on the first", «15-го».
    fn day_of_any_month(&self, at: usize) -> Parsed<Moment> {
        let has_article = self.is_word(at, &["the"]);
        let start = at + usize::from(has_article);
        let ((day, is_ordinal), next) = self.day_number(start)?;
        let is_numeric = self.digits(start).is_some();
        let before = |words: &[&str]| at > 0 && self.is_word(at - 1, words);
        let announced = match self.setting.convention {
            Convention::English => has_article && (is_numeric || before(&["on"])),
            Convention::Russian => {
                is_numeric && (before(&["на", "к", "до", "с", "по"]) || self.is_word(next - 1, &["го", "ого"]))
            }
        };
        let ends = self.token(next).is_none_or(|token| token.kind == TokenKind::Mark)
            || self.sense(next, |sense| (sense.is_preposition() || sense == Sense::And).then_some(())).is_some();
        if self.is_number_of_month(next) {
            return Some((Moment::of_day(day), next + 1));
        }
        (is_ordinal && announced && ends).then_some((Moment::of_day(day), next))
    }

    fn is_number_of_month(&self, at: usize) -> bool {
        self.is_word(at, &["числа", "число", "числу"])
    }

    /// `2015-03-03`, `10/31/1974`, `31.10.74`, `2/15`, `15.02`, `2014-10`.
    fn numeric_date(&self, at: usize) -> Parsed<Moment> {
        let first = self.digits(at)?;
        if at > 0
            && self.touches(at)
            && (self.is_mark(at - 1, '-') || self.is_mark(at - 1, '.') || self.word(at - 1).is_some())
        {
            return None;
        }
        let mark = ['/', '-', '.'].into_iter().find(|mark| self.is_mark(at + 1, *mark) && self.touches(at + 1))?;
        let second = self.digits(at + 2).filter(|_| self.touches(at + 2))?;
        let number = |digits: &str| digits.parse::<i16>().ok();
        let third =
            self.digits(at + 4).filter(|_| self.is_mark(at + 3, mark) && self.touches(at + 3) && self.touches(at + 4));
        if first.len() == 4 && mark != '.' {
            let year = Some(number(first)?).filter(|year| (1000..3000).contains(year));
            let month =
                i8::try_from(number(second)?).ok().filter(|month| (1..=12).contains(month) && second.len() <= 2)?;
            return Some(match third.filter(|third| third.len() <= 2) {
                Some(day) => {
                    let next = at + 5 + usize::from(self.is_word(at + 5, &["t"]) && self.touches(at + 5));
                    (Moment { year, ..of_month(month, i8::try_from(number(day)?).ok()?) }, next)
                }
                None => (Moment { year, month: Some(month), ..Moment::default() }, at + 3),
            })
            .filter(|_| year.is_some());
        }
        if first.len() > 2 || second.len() > 4 {
            return None;
        }
        if second.len() == 4 && third.is_none() {
            let month = i8::try_from(number(first)?).ok().filter(|month| (1..=12).contains(month))?;
            let year = number(second).filter(|year| mark != '-' && (1900..2100).contains(year))?;
            return Some((Moment { month: Some(month), year: Some(year), ..Moment::default() }, at + 3));
        }
        self.day_month_year(at, mark, third.is_some())
    }

    /// Two or three numbers with the same mark between them.
    fn day_month_year(&self, at: usize, mark: char, with_year: bool) -> Parsed<Moment> {
        let number = |at: usize| self.digits(at).filter(|digits| digits.len() <= 2)?.parse::<i8>().ok();
        let (first, second) = (number(at)?, number(at + 2)?);
        let day_first = mark == '.' || self.setting.convention == Convention::Russian;
        let swapped = if day_first { second > 12 && first <= 12 && with_year } else { first <= 12 };
        let (day, month) = if swapped { (second, first) } else { (first, second) };
        if !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        if with_year {
            let (year, next) = self.short_year(at + 4)?;
            return Some((Moment { year: Some(year), ..of_month(month, day) }, next));
        }
        let closed = mark == '.' && self.is_mark(at + 3, '.') && self.touches(at + 3) && self.digits(at + 4).is_none();
        let announced = at > 0 && self.sense(at - 1, |s| s.is_preposition().then_some(())).is_some();
        let two_digits = self.digits(at + 2).is_some_and(|digits| digits.len() == 2);
        let sure = match mark {
            '.' => two_digits && (self.setting.convention == Convention::Russian || announced) || closed,
            '/' => true,
            _ => false,
        };
        let moment = of_month(month, day);
        // "24/7", "order 10.12"
        let is_code = at > 0 && self.is_word(at - 1, CODES) || mark == '/' && (first, second) == (24, 7);
        if is_code {
            return None;
        }
        let alone = mark == '.' && (announced || self.is_whole(at, at + 3));
        (sure || alone).then_some((moment, at + 3 + usize::from(closed)))
    }
}

/// Behind these words, two numbers are no date.
const CODES: &[&str] =
    &["order", "version", "rated", "заказ", "заказа", "заказу", "версия", "версии", "версию", "номер", "пункт", "код"];

fn of_month(month: i8, day: i8) -> Moment {
    Moment { month: Some(month), ..Moment::of_day(day) }
}

fn announces(sense: Sense) -> bool {
    matches!(
        sense,
        Sense::In
            | Sense::At
            | Sense::On
            | Sense::Since
            | Sense::Before
            | Sense::After
            | Sense::By
            | Sense::From
            | Sense::To
            | Sense::Of
    )
}
