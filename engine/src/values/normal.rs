//! The normal form of a value, as scripts, plugins and texts get it.

use jiff::civil::DateTime;

use super::{Amount, Grain, Span, Time, Value, span::Shape};

impl Value {
    /// The normal form: numbers with a decimal point, times by ISO 8601 with the grain that was said, intervals as
    /// `first/last` with `..` for an open end, money with its ISO 4217 code, other amounts with their unit, ranges as
    /// `least..most`. `None` if the value does not exist.
    pub fn normal(&self) -> Option<String> {
        Some(match self {
            Self::Number(number) => number.to_string(),
            Self::Ordinal(ordinal) => ordinal.to_string(),
            Self::Time(time) => time.normal()?,
            Self::NoTime(_) => return None,
            Self::Duration(duration) => duration.iso(),
            Self::Money(amount, unit) | Self::Quantity(amount, unit, None) | Self::Temperature(amount, unit) => {
                format!("{} {unit}", amount.normal())
            }
            Self::Quantity(amount, unit, Some(product)) => format!("{} {unit} {product}", amount.normal()),
            Self::Percentage(amount) => amount.normal(),
            Self::Text(text) => text.clone(),
        })
    }
}

impl Amount {
    fn normal(self) -> String {
        let rounded = |value: f64| ((value * 1e9).round() / 1e9).to_string();
        match (self.from, self.to) {
            (Some(from), Some(to)) if from.total_cmp(&to).is_eq() => rounded(from),
            (from, to) => format!("{}..{}", from.map(rounded).unwrap_or_default(), to.map(rounded).unwrap_or_default()),
        }
    }
}

impl Time {
    fn normal(self) -> Option<String> {
        Some(match self {
            Self::Span(span) if span.is_interval() => {
                // The last unit, not the first after it: people say "13 to 15 July" of three days.
                let grain = if matches!(span.grain, Grain::Week | Grain::Quarter) { Grain::Day } else { span.grain };
                let span = Span { grain, ..span };
                let last = if span.grain >= Grain::Day || span.shape == Shape::Range {
                    span.end.checked_sub(span.grain.times(1)?).ok()?
                } else {
                    span.end
                };
                format!("{}/{}", write(span.start, span.grain), write(last, span.grain))
            }
            Self::Span(span) if span.grain > Grain::Day && span.grain != Grain::Month && span.grain != Grain::Year => {
                let last = span.end.checked_sub(Grain::Day.times(1)?).ok()?;
                format!("{}/{}", write(span.start, Grain::Day), write(last, Grain::Day))
            }
            Self::Span(span) => write(span.start, span.grain),
            Self::After(span) => format!("{}/..", write(span.start, span.grain)),
            Self::Before(span) => format!("../{}", write(span.start, span.grain)),
        })
    }
}

impl Span {
    /// The time of day, `17:00`.
    pub fn time_of_day(&self) -> String {
        let time = self.start.time();
        if self.grain == Grain::Second {
            time.strftime("%H:%M:%S").to_string()
        } else {
            time.strftime("%H:%M").to_string()
        }
    }
}

/// An instant with as many parts as its grain has.
fn write(instant: DateTime, grain: Grain) -> String {
    let format = match grain {
        Grain::Second => "%Y-%m-%dT%H:%M:%S",
        Grain::Minute | Grain::Hour => "%Y-%m-%dT%H:%M",
        Grain::Day | Grain::Week => "%Y-%m-%d",
        Grain::Month | Grain::Quarter => "%Y-%m",
        Grain::Year => "%Y",
    };
    instant.strftime(format).to_string()
}
