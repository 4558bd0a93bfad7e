//! Money, quantities, temperatures and percentages, alone or as a range.

use super::{
    lexicon::Sense,
    reader::{Parsed, Reader, TokenKind},
};

/// One amount, or a range that may be open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// The least.
    pub from: Option<f64>,
    /// The most; equal to `from` if it is one amount.
    pub to: Option<f64>,
}

impl Amount {
    /// One amount.
    pub fn of(value: f64) -> Self {
        Self { from: Some(value), to: Some(value) }
    }
}

/// An amount, its unit, and what of.
pub type Quantity = (Amount, &'static str, Option<String>);

/// A unit with its base: (name, base, in bases).
pub type Unit = (&'static str, &'static str, f64);

/// Words behind "of" that name nothing that is measured.
const NO_PRODUCTS: &[&str] =
    &["my", "me", "your", "our", "us", "it", "them", "the", "a", "an", "this", "that", "here", "there"];

impl Reader<'_> {
    /// Money, in units of a currency by its ISO 4217 code.
    pub fn money(&self, at: usize) -> Parsed<(Amount, &'static str)> {
        self.amount(at, &|at| self.one_sum(at))
    }

    /// A quantity, and what it is a quantity of. The second tells whether it is a unit without a number, which is one in
    /// Russian.
    pub fn quantity(&self, at: usize) -> Parsed<(Quantity, bool)> {
        let Some(((amount, unit), next)) = self.amount(at, &|at| self.one_quantity(at)) else {
            let (unit, next) = self.unit(at).filter(|_| self.word(at).is_some_and(|word| !word.is_ascii()))?;
            let is_short = self.word(at).is_some_and(|word| word.chars().count() < 4);
            return Some((((Amount::of(1.0), unit.0, None), is_short), next));
        };
        // "two pounds of meat"
        let of = self.skip_word(next, &["of"]);
        Some(match self.word(of).filter(|word| of > next && !NO_PRODUCTS.contains(word)) {
            Some(product) => (((amount, unit, Some(product.to_owned())), false), of + 1),
            None => (((amount, unit, None), false), next),
        })
    }

    /// A temperature, in "celsius" or "fahrenheit" or, if nothing is said, in "degree".
    pub fn temperature(&self, at: usize) -> Parsed<(Amount, &'static str)> {
        self.amount(at, &|at| self.one_temperature(at))
    }

    /// A percentage.
    pub fn percentage(&self, at: usize) -> Parsed<Amount> {
        let one = |at| {
            let (number, next) = self.number(at)?;
            Some(((number.value, ()), self.accept(next, Sense::Percent)?))
        };
        self.amount(at, &one).map(|((amount, ()), next)| (amount, next))
    }

    /// One amount or a range of the same unit: "between 10 and 20 dollars", "at most 7€", "10-20 dollars".
    fn amount<U: Copy + PartialEq>(&self, at: usize, one: &dyn Fn(usize) -> Parsed<(f64, U)>) -> Parsed<(Amount, U)> {
        if let Some(next) = self.accept(at, Sense::Under) {
            let ((most, unit), next) = one(self.about(next))?;
            return Some(((Amount { from: None, to: Some(most) }, unit), next));
        }
        if let Some(next) = self.accept(at, Sense::Over) {
            let ((least, unit), next) = one(self.about(next))?;
            return Some(((Amount { from: Some(least), to: None }, unit), next));
        }
        let opened = self.accept(at, Sense::Between).or_else(|| self.accept(at, Sense::From));
        let start = self.about(opened.unwrap_or(at));
        let first = one(start).or_else(|| one(self.about_before(at)));
        if let Some(range) = self.range(start, opened.is_some(), first, one) {
            return Some(range);
        }
        let ((value, unit), next) = first.filter(|_| opened.is_none())?;
        Some(((Amount::of(value), unit), next))
    }

    fn about_before(&self, at: usize) -> usize {
        at + usize::from(self.is_mark(at, '~'))
    }

    fn about(&self, at: usize) -> usize {
        let at = self.about_before(at);
        if self.is_word(at, &["a", "an"]) { at } else { self.skip(at, Sense::Article) }
    }

    fn range<U: Copy + PartialEq>(
        &self,
        start: usize,
        opened: bool,
        first: Parsed<(f64, U)>,
        one: &dyn Fn(usize) -> Parsed<(f64, U)>,
    ) -> Parsed<(Amount, U)> {
        let ((from, unit), next) = match first {
            Some(((from, unit), next)) => ((from, Some(unit)), next),
            None => self.number(start).map(|(number, next)| ((number.value, None), next))?,
        };
        let is_dash = self.is_mark(next, '-');
        let worded = || self.accept(next, Sense::To).filter(|_| opened || self.is_word(next, &["to", "до"]));
        let to = is_dash.then_some(next + 1).or_else(worded)?;
        let place = self.about(to);
        let ((to, other), next) = match (one(place), unit) {
            (Some((found, next)), _) => (found, next),
            (None, Some(unit)) if opened || is_dash => {
                self.number(place).map(|(number, next)| ((number.value, unit), next))?
            }
            (None, _) => return None,
        };
        // «3-5 тысяч рублей» are thousands at both ends.
        let scale = self.digits(place).and_then(|_| self.scale(place + 1)).map_or(1.0, |(scale, _)| scale);
        let from = if unit.is_none() && from < 1000.0 { from * scale } else { from };
        let fits = unit.is_none_or(|unit| unit == other) && from < to;
        fits.then_some(((Amount { from: Some(from), to: Some(to) }, other), next))
    }

    fn currency(&self, at: usize) -> Parsed<&'static str> {
        let (code, next) = self.sense(at, |sense| if let Sense::Currency(code) = sense { Some(code) } else { None })?;
        // `Rs. 20`
        Some((code, if self.word(next - 1).is_some() { self.skip_stop(next) } else { next }))
    }

    fn cent(&self, at: usize) -> Parsed<&'static str> {
        self.sense(at, |sense| if let Sense::Cent(code) = sense { Some(code) } else { None })
    }

    /// `$20`, "20 dollars 43 cents", "ten cents", "a dollar".
    fn one_sum(&self, at: usize) -> Parsed<(f64, &'static str)> {
        if let Some(((amount, code), next)) = self.one_amount_of_currency(at) {
            let (cents, next) = self.cents(code, next).unwrap_or((0.0, next));
            return Some(((amount + cents, code), next));
        }
        let (count, next) = self.count(at)?;
        // `43c` are cents, but "-5 C" is a temperature.
        let (code, next) = self.cent(next).filter(|(_, end)| self.original(end - 1) != "C")?;
        Some(((count / 100.0, code), next))
    }

    fn one_amount_of_currency(&self, at: usize) -> Parsed<(f64, &'static str)> {
        let place = self.skip_word(at, &["a", "an"]);
        if let Some((code, next)) = self.currency(place)
            && let Some((number, next)) = self.number(next).filter(|(number, _)| !number.is_weak)
        {
            return Some(((number.value, code), next));
        }
        let (count, next) = self.count(at)?;
        let (code, next) = self.currency(next)?;
        let is_letter = self.word(next - 1).is_some_and(|word| word.chars().count() == 1);
        (!is_letter || self.digits(next - 2).is_some()).then_some(((count, code), next))
    }

    /// A number, or an article that stands for one.
    fn count(&self, at: usize) -> Parsed<f64> {
        if self.is_word(at, &["a", "an"]) {
            let next = at + 1;
            return Some(self.number(at).map_or((1.0, next), |(number, next)| (number.value, next)));
        }
        self.number(at).map(|(number, next)| (number.value, next))
    }

    fn cents(&self, code: &str, at: usize) -> Parsed<f64> {
        let place = self.skip(at, Sense::And);
        let (number, next) = self.number(place)?;
        if !(0.0..100.0).contains(&number.value) {
            return None;
        }
        let of = self.cent(next).filter(|(of, _)| *of == code || *of == "USD");
        let bare = self.token(next).is_none();
        match of {
            Some((_, next)) => Some((number.value / 100.0, next)),
            None => bare.then_some((number.value / 100.0, next)),
        }
    }

    fn unit(&self, at: usize) -> Parsed<Unit> {
        // "Two in Paris" is no length.
        if self.is_word(at, &["in"]) && self.token(at + 1).is_none_or(|token| token.kind == TokenKind::Mark) {
            return Some((("inch", "inch", 1.0), at + 1));
        }
        // `5'` are feet, but the 1980's are none.
        if self.token(at)?.kind == TokenKind::Mark && self.touches(at + 1) && self.word(at + 1).is_some() {
            return None;
        }
        let (unit, next) = self.sense(at, |sense| {
            if let Sense::Unit(name, base, factor) = sense { Some((name, base, factor)) } else { None }
        })?;
        Some((unit, self.skip_last_stop(next)))
    }

    /// The place after a full stop that ends the text: `2 g.`
    fn skip_last_stop(&self, at: usize) -> usize {
        if self.token(at + 1).is_none() { self.skip_stop(at) } else { at }
    }

    /// "2 kg", "half a litre", "7 feet and 10 inches".
    fn one_quantity(&self, at: usize) -> Parsed<(f64, &'static str)> {
        let ((mut sum, mut unit), mut next) = self.part_of_quantity(at)?;
        loop {
            let place = self.skip(next + usize::from(self.is_mark(next, ',')), Sense::And);
            let Some(((more, other), after)) =
                self.part_of_quantity(place).filter(|((_, o), _)| o.1 == unit.1 && o.2 < unit.2)
            else {
                break;
            };
            (sum, unit, next) = (sum * unit.2 / other.2 + more, other, after);
        }
        Some(((sum, unit.0), next))
    }

    fn part_of_quantity(&self, at: usize) -> Parsed<(f64, Unit)> {
        if let Some((share, next)) = self.share_of_unit(at) {
            let (unit, next) = self.unit(next)?;
            return Some(((share, unit), next));
        }
        let (count, next) = self.count(at)?;
        let (unit, next) = self.unit(next)?;
        let word = self.word(next - 1).unwrap_or_default();
        // A letter is a unit only behind digits.
        let is_unit = word.chars().count() != 1 || self.digits(next - 2).is_some();
        is_unit.then_some(((count, unit), next))
    }

    /// "half a", "a quarter of a", "a tenth of", "пол".
    fn share_of_unit(&self, at: usize) -> Parsed<f64> {
        let place = self.skip_word(at, &["a", "an"]);
        let behind = |next: usize| self.skip_word(self.skip_word(next, &["of"]), &["a", "an"]);
        if let Some(next) = self.accept(place, Sense::Half) {
            return Some((0.5, behind(next)));
        }
        if let Some(next) = self.accept(place, Sense::Quarter) {
            return Some((0.25, behind(next)));
        }
        let (share, next) = self.ordinal(place).filter(|(share, next)| *share > 2 && self.is_word(*next, &["of"]))?;
        Some((1.0 / f64::from(share), behind(next)))
    }

    fn one_temperature(&self, at: usize) -> Parsed<(f64, &'static str)> {
        let (number, next) = self.number(at)?;
        let degree = self.accept(next, Sense::Degree);
        let place = degree.unwrap_or(next);
        let scale = self.sense(place, |sense| if let Sense::Temperature(scale) = sense { Some(scale) } else { None });
        // A small letter alone is a scale only behind degrees.
        let scale = scale.filter(|(_, end)| {
            let is_letter = self.word(end - 1).is_none_or(|word| word.chars().count() == 1);
            degree.is_some() || !is_letter || matches!(self.original(end - 1), "C" | "F")
        });
        let (unit, next) = match scale {
            Some((scale, next)) => (scale, next),
            None => ("degree", self.skip_last_stop(place)),
        };
        let below = self.accept(next, Sense::BelowZero);
        if degree.is_none() && scale.is_none() && below.is_none() {
            return None;
        }
        Some(match below {
            Some(next) => ((-number.value, unit), next),
            None => ((number.value, unit), next),
        })
    }
}
