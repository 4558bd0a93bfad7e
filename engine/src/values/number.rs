//! Numbers and ordinals, in digits and in words.

use super::{
    Convention,
    lexicon::Sense,
    reader::{Parsed, Reader},
};

/// Number of digits that a number has at most.
const MAX_DIGITS: usize = 15;

/// Number of words that a number has at most.
const MAX_WORDS: usize = 20;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// Whether the word also means something else, as "one" and "a couple" do.
    pub is_weak: bool,
}

impl Number {
    const fn sure(value: f64) -> Self {
        Self { value, is_weak: false }
    }

    /// As a count from 1 to below `limit`.
    pub fn count(self, limit: i64) -> Option<i64> {
        let is_count = self.value.fract() == 0.0 && (1.0..limit as f64).contains(&self.value);
        is_count.then_some(self.value as i64)
    }
}

impl Reader<'_> {
    /// A number: `-1,200.5`, `1/4`, `5 thousand`, `two hundred and five`, `полтора`, `три с половиной`.
    pub(super) fn read_number(&self, at: usize) -> Parsed<Number> {
        let start = self.skip(at, Sense::Article);
        let (minus, start) = self.minus(start);
        // An American pension plan.
        if self.digits(start) == Some("401") && self.is_word(start + 1, &["k"]) {
            return None;
        }
        let (number, next) = self.positive(start)?;
        // "a hundred" and "a few" begin with their article, "a 5" does not.
        if start > at && !minus && !number.is_weak && self.scale(start).is_none() {
            return None;
        }
        let next = self.same_in_brackets(number.value, next);
        let value = if minus { -number.value } else { number.value };
        Some((Number { value, ..number }, next))
    }

    fn minus(&self, at: usize) -> (bool, usize) {
        if let Some(next) = self.accept(at, Sense::Minus) {
            return (true, next);
        }
        // A dash between spaces is punctuation.
        let is_sign = self.is_mark(at, '-') && self.token(at).is_some_and(|token| token.spaced) && self.touches(at + 1);
        (is_sign, at + usize::from(is_sign))
    }

    fn positive(&self, at: usize) -> Parsed<Number> {
        if let Some((fraction, next)) = self.fraction(at) {
            return Some((Number::sure(fraction), next));
        }
        if let Some((value, next)) = self.decimal(at) {
            return Some(self.scaled(value, next));
        }
        let (number, next) = self.words(at)?;
        Some(match self.decimals_in_words(next) {
            Some((decimals, next)) => self.scaled(number.value + decimals, next),
            None => (number, next),
        })
    }

    /// `1/4`, without spaces.
    fn fraction(&self, at: usize) -> Parsed<f64> {
        let (top, bottom) = (self.digits(at)?, self.digits(at + 2)?);
        let is_fraction = self.is_mark(at + 1, '/')
            && self.touches(at + 1)
            && self.touches(at + 2)
            && !(self.is_mark(at + 3, '/') && self.touches(at + 3))
            && bottom.len() <= 4
            && parse(top) < parse(bottom);
        is_fraction.then(|| (parse(top) / parse(bottom), at + 3))
    }

    /// Digits with separators of thousands and decimals.
    pub fn decimal(&self, at: usize) -> Parsed<f64> {
        let point = |at: usize| {
            self.is_mark(at, '.') || self.is_mark(at, ',') && self.setting.convention == Convention::Russian
        };
        let decimals = |at: usize| (point(at) && self.touches(at + 1)).then(|| self.digits(at + 1)).flatten();
        // "point 77" and ".77".
        let starts = self.is_mark(at, '.') && (self.token(at)?.spaced || at > 0 && self.is_mark(at - 1, '-'));
        if let Some(next) = self.accept(at, Sense::Point).or_else(|| starts.then_some(at + 1)) {
            let digits = self.digits(next).filter(|_| !starts || self.touches(next))?;
            return Some((parse(&format!("0.{digits}")), next + 1));
        }
        let mut digits = self.digits(at)?.to_owned();
        let mut next = at + 1;
        while let Some((group, after)) =
            self.thousands(next).filter(|_| self.digits(at).is_some_and(|first| first.len() <= 3))
        {
            digits.push_str(group);
            next = after;
            if digits.len() > MAX_DIGITS {
                return None;
            }
        }
        if let Some(fraction) = decimals(next).filter(|_| self.touches(next) && decimals(next + 2).is_none()) {
            digits = format!("{digits}.{fraction}");
            next += 2;
        } else if let Some((decimals, after)) = self.decimals_in_words(next) {
            return Some((parse(&digits) + decimals, after));
        }
        (digits.len() <= MAX_DIGITS).then(|| (parse(&digits), next))
    }

    /// Three more digits: `,000`, and ` 000` in Russian.
    fn thousands(&self, at: usize) -> Parsed<&str> {
        let comma = self.is_mark(at, ',') && self.touches(at) && self.touches(at + 1);
        let place = if comma { at + 1 } else { at };
        let allowed = comma || self.setting.convention == Convention::Russian && !self.touches(at);
        self.digits(place).filter(|digits| digits.len() == 3 && allowed).map(|digits| (digits, place + 1))
    }

    /// "point three", "точка пять".
    fn decimals_in_words(&self, at: usize) -> Parsed<f64> {
        let next = self.accept(at, Sense::Point)?;
        if let Some(digits) = self.digits(next) {
            return Some((parse(&format!("0.{digits}")), next + 1));
        }
        let digit = self.sense(next, |sense| if let Sense::Digit(digit) = sense { Some(digit) } else { None });
        let (digit, next) = digit?;
        Some((f64::from(digit) / 10.0, next))
    }

    /// A number before `k`, "thousand" or "с половиной".
    fn scaled(&self, value: f64, at: usize) -> (Number, usize) {
        let mut value = value;
        let mut next = at;
        if let Some(scale) =
            self.word(at).and_then(|word| letter_scale(word, self.original(at))).filter(|_| self.touches(at))
        {
            value *= scale;
            next += 1;
        }
        // "5 hundred thousand"
        for _ in 0..2 {
            let Some((scale, after)) = self.scale(next) else { break };
            value *= scale;
            // «5 тыс. рублей»
            let is_short = self.is_word(after - 1, &["тыс", "млн", "млрд"]);
            next = if is_short { self.skip_stop(after) } else { after };
        }
        if let Some(after) = self.accept(next, Sense::AndHalf).filter(|_| value.fract() == 0.0) {
            return (Number::sure(value + 0.5), after);
        }
        (Number::sure(value), next)
    }

    /// The characters of a token.
    pub fn original(&self, at: usize) -> &str {
        self.token(at).map_or("", |token| &self.text[token.start..token.end])
    }

    /// A word that multiplies what comes before it.
    pub(super) fn scale(&self, at: usize) -> Parsed<f64> {
        self.sense(at, |sense| match sense {
            Sense::Hundred => Some(100.0),
            Sense::Scale(scale) => Some(scale as f64),
            _ => None,
        })
    }

    /// A whole number in words.
    fn words(&self, at: usize) -> Parsed<Number> {
        if let Some((loose, next)) = self.sense(at, |s| if let Sense::Loose(n) = s { Some(n) } else { None }) {
            let (number, after) = self.scaled(f64::from(loose), next);
            return Some((Number { is_weak: after == next, ..number }, after));
        }
        if let Some(next) = self.accept(at, Sense::OneAndHalf) {
            return Some(self.scaled(1.5, next));
        }
        let mut sum = Sum::default();
        let mut next = at;
        for _ in 0..MAX_WORDS {
            let after_and = self.accept(next, Sense::And).filter(|_| sum.allows_and());
            let place = after_and.unwrap_or(next);
            let Some((grown, after)) = self.sense(place, |sense| sum.after(sense)) else { break };
            (sum, next) = (grown, after);
        }
        if next == at {
            return None;
        }
        let is_one = next == at + 1 && self.word(at).is_some_and(|word| WEAK.contains(&word));
        let value = sum.total + sum.group;
        let (number, next) = self.scaled(value, next);
        Some((Number { is_weak: is_one && number.value <= 1.0, ..number }, next))
    }

    /// "forty-five (45)".
    fn same_in_brackets(&self, value: f64, at: usize) -> usize {
        let inside = self.is_mark(at, '(').then(|| self.positive(at + 1)).flatten();
        match inside {
            Some((number, next)) if (number.value - value).abs() < f64::EPSILON && self.is_mark(next, ')') => next + 1,
            _ => at,
        }
    }

    /// An ordinal: `1st`, "twenty-fifth", `21-го`, «двадцать первый».
    pub fn ordinal(&self, at: usize) -> Parsed<u32> {
        if let Some(digits) = self.digits(at).filter(|digits| digits.len() <= 4) {
            let place = at + 1 + usize::from(self.is_mark(at + 1, '-') && self.touches(at + 1));
            let suffix = self.word(place).filter(|word| self.touches(place) && SUFFIXES.contains(word));
            return suffix.and_then(|_| Some((digits.parse().ok()?, place + 1)));
        }
        let ordinal = |at, most| {
            let sense = |sense| if let Sense::Ordinal(n) = sense { Some(n).filter(|n| *n <= most) } else { None };
            self.sense(at, sense)
        };
        if let Some((ordinal, next)) = ordinal(at, 100) {
            return Some((u32::from(ordinal), next));
        }
        if let Some((tens, next)) = self.sense(at, |s| if let Sense::Tens(tens) = s { Some(tens) } else { None }) {
            let (ones, next) = ordinal(next, 9)?;
            return Some((u32::from(tens) + u32::from(ones), next));
        }
        None
    }

    /// Whether the tokens around a number belong to the same code, as in `A4` or `12-34-56`.
    pub fn is_inside_code(&self, at: usize, next: usize) -> bool {
        let letters_before = at > 0 && self.touches(at) && self.word(at - 1).is_some();
        let joined = |at: usize| {
            self.token(at).is_some_and(|token| matches!(token.folded.as_str(), "-" | "." | "/" | ":" | "_" | "@" | "#"))
        };
        let before = at > 1 && self.touches(at) && joined(at - 1) && self.touches(at - 1);
        let after = self.touches(next) && joined(next) && self.touches(next + 1);
        let digits_after = after && (self.digits(next + 1).is_some() || self.word(next + 1).is_some());
        letters_before || before || digits_after || self.touches(next) && self.word(next).is_some()
    }
}

/// Words that are rarely meant as a number.
const WEAK: &[&str] = &[
    "one",
    "single",
    "nil",
    "один",
    "одна",
    "одно",
    "одного",
    "одной",
    "одному",
    "одну",
    "одним",
    "одном",
    "нисколько",
];

const SUFFIXES: &[&str] = &[
    "st", "nd", "rd", "th", "й", "ый", "ий", "ой", "ая", "я", "ья", "е", "ое", "ье", "го", "ого", "его", "му", "ому",
    "ему", "м", "ым", "им", "ю", "ую", "ью", "х", "ых",
];

fn parse(digits: &str) -> f64 {
    digits.parse().unwrap_or_default()
}

/// `k`, `M` and `G`, and the Russian letters.
fn letter_scale(word: &str, original: &str) -> Option<f64> {
    match (word, original) {
        ("k" | "к", _) => Some(1e3),
        (_, "M" | "М") => Some(1e6),
        (_, "G" | "Г") => Some(1e9),
        _ => None,
    }
}

/// A number in words, as far as it was read.
#[derive(Clone, Copy)]
struct Sum {
    /// Of the groups that a scale has closed.
    total: f64,
    /// Of the open group, below the last scale.
    group: f64,
    /// What can be added next is less than this.
    room: f64,
    /// The last scale.
    scale: f64,
    started: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { total: 0.0, group: 0.0, room: 1000.0, scale: f64::MAX, started: false }
    }
}

impl Sum {
    /// "And" stands behind hundreds and thousands only.
    fn allows_and(self) -> bool {
        self.started && self.room >= 100.0 && self.room < 1000.0 || self.scale < f64::MAX && self.room >= 100.0
    }

    /// With one more word, if it continues the number.
    fn after(self, sense: Sense) -> Option<Self> {
        let add = |value: f64, least_room: f64, room: f64| {
            let fits = self.room >= least_room && (value > 0.0 || !self.started);
            fits.then_some(Self { group: self.group + value, room, started: true, ..self })
        };
        match sense {
            Sense::Digit(0) => add(0.0, 1000.0, 0.0),
            Sense::Digit(digit) => add(f64::from(digit), 10.0, 1.0),
            Sense::Teen(teen) => add(f64::from(teen), 100.0, 1.0),
            // "One twenty two" is 122.
            Sense::Tens(tens)
                if self.started && self.room == 1.0 && self.total == 0.0 && (1.0..10.0).contains(&self.group) =>
            {
                Some(Self { group: self.group * 100.0 + f64::from(tens), room: 10.0, ..self })
            }
            Sense::Tens(tens) => add(f64::from(tens), 100.0, 10.0),
            Sense::Hundreds(hundreds) => add(f64::from(hundreds), 1000.0, 100.0),
            Sense::Hundred if self.group < 100.0 && self.room > 0.0 => {
                Some(Self { group: self.group.max(1.0) * 100.0, room: 100.0, started: true, ..self })
            }
            Sense::Scale(scale) => self.closed(scale),
            _ => None,
        }
    }

    fn closed(self, scale: u64) -> Option<Self> {
        let scale = scale as f64;
        let open = Self { group: 0.0, room: 1000.0, scale, started: true, ..self };
        if scale < self.scale && (self.group > 0.0 || !self.started) {
            return Some(Self { total: self.total + self.group.max(1.0) * scale, ..open });
        }
        // "Three thousand millions".
        (self.group == 0.0 && self.started && self.total > 0.0).then_some(Self { total: self.total * scale, ..open })
    }
}
