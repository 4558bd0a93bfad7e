//! Duckling's values beside ours.

use banter_engine::values::{Amount, Fault, Grain, Span, Time, Value};
use jiff::civil::{DateTime, date};

/// Whether a value is the one that a corpus gives.
pub fn is(value: &Value, expected: &str) -> bool {
    let name = expected.split(' ').next().unwrap();
    let numbers = numbers(expected);
    match value {
        Value::Number(number) => name == "NumeralValue" && close(*number, numbers[0]),
        Value::Ordinal(ordinal) => name == "OrdinalData" && close(f64::from(*ordinal), numbers[0]),
        Value::Duration(duration) => {
            let grain = format!("{:?}", duration.grain);
            let amount = duration.amount as f64;
            name == "DurationData" && close(amount, numbers[0]) && expected.ends_with(&grain)
        }
        Value::Time(time) => is_time(*time, name, expected, &numbers),
        Value::NoTime(Fault::Nowhere | _) => false,
        Value::Money(amount, code) => {
            let unit = expected.split(' ').nth(1).unwrap();
            let factor = if unit == "Cent" { 100.0 } else { 1.0 };
            let same = match unit {
                "Dollar" | "Cent" | "Unnamed" => *code == "USD",
                "Pound" => *code == "GBP",
                other => *code == other,
            };
            same && is_amount(*amount, factor, name, &numbers)
        }
        Value::Quantity(amount, unit, product) => {
            let (expected_unit, factor) = base(expected.split(' ').nth(1).unwrap());
            let (unit, own) = base(unit);
            let wanted = expected.split("Just \"").nth(1).map(|rest| rest.split('"').next().unwrap());
            unit == expected_unit && product.as_deref() == wanted && is_amount(*amount, own / factor, name, &numbers)
        }
        Value::Percentage(_) => false,
        Value::Temperature(amount, scale) => {
            let unit = expected.split(' ').nth(1).unwrap().to_lowercase();
            unit == *scale && is_amount(*amount, 1.0, name, &numbers)
        }
        Value::Text(text) => {
            let wanted = expected.split('"').nth(1).unwrap();
            match name {
                "PhoneNumberValue" => digits(text).ends_with(&digits(wanted)),
                // The corpus has the address as it was written, and the host.
                "UrlData" => text.contains(expected.split('"').nth(3).unwrap()),
                _ => text.to_lowercase() == wanted.to_lowercase(),
            }
        }
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * other.abs().max(1.0)
}

fn is_amount(amount: Amount, factor: f64, name: &str, numbers: &[f64]) -> bool {
    let (from, to) = match name {
        "simple" => (Some(numbers[0]), Some(numbers[0])),
        "between" => (Some(numbers[0]), Some(numbers[1])),
        "under" => (None, Some(numbers[0])),
        "above" => (Some(numbers[0]), None),
        _ => return false,
    };
    let same = |own: Option<f64>, wanted: Option<f64>| match (own, wanted) {
        (Some(own), Some(wanted)) => close(own * factor, wanted),
        (own, wanted) => own == wanted,
    };
    same(amount.from, from) && same(amount.to, to)
}

/// A unit's dimension, and how many of its base it is.
fn base(unit: &str) -> (&'static str, f64) {
    match unit.to_lowercase().as_str() {
        "gram" => ("gram", 1.0),
        "kilogram" => ("gram", 1000.0),
        "milligram" => ("gram", 0.001),
        "pound" => ("pound", 1.0),
        "ounce" => ("ounce", 1.0),
        "cup" => ("cup", 1.0),
        "litre" => ("litre", 1.0),
        "millilitre" => ("litre", 0.001),
        "hectolitre" => ("litre", 100.0),
        "gallon" => ("gallon", 1.0),
        "m" | "metre" => ("metre", 1.0),
        "millimetre" => ("metre", 0.001),
        "centimetre" => ("metre", 0.01),
        "kilometre" => ("metre", 1000.0),
        "inch" => ("inch", 1.0),
        "foot" => ("inch", 12.0),
        "yard" => ("inch", 36.0),
        "mile" => ("inch", 63_360.0),
        _ => ("other", 1.0),
    }
}

fn is_time(time: Time, name: &str, expected: &str, numbers: &[f64]) -> bool {
    let unquoted: String = expected.split('"').step_by(2).collect();
    let grain = unquoted.split([' ', ')']).filter_map(grain).next_back();
    match (time, name) {
        (Time::Span(span), "datetime" | "datetimeHoliday") => {
            !span.is_interval() && Some(span.start) == instant(&numbers[..6]) && Some(span.grain) == grain
        }
        (Time::Span(span), "datetimeInterval" | "datetimeIntervalHoliday") => {
            span.is_interval()
                && Some(span.start) == instant(&numbers[..6])
                && Some(span.end) == instant(&numbers[6..12])
                && Some(span.grain) == grain
        }
        (Time::After(span), "datetimeOpenInterval") => expected.contains("After") && starts(span, numbers, grain),
        (Time::Before(span), "datetimeOpenInterval") => expected.contains("Before") && starts(span, numbers, grain),
        _ => false,
    }
}

fn starts(span: Span, numbers: &[f64], grain: Option<Grain>) -> bool {
    Some(span.start) == instant(&numbers[..6]) && Some(span.grain) == grain
}

/// Year to second; months and days that the grain does not reach may be 0.
fn instant(numbers: &[f64]) -> Option<DateTime> {
    let part = |at: usize| numbers[at] as i16;
    let small = |at: usize| i8::try_from(part(at)).unwrap();
    Some(date(part(0), small(1).max(1), small(2).max(1)).at(small(3), small(4), small(5), 0))
}

fn grain(word: &str) -> Option<Grain> {
    Some(match word {
        "Second" => Grain::Second,
        "Minute" => Grain::Minute,
        "Hour" => Grain::Hour,
        "Day" => Grain::Day,
        "Week" => Grain::Week,
        "Month" => Grain::Month,
        "Quarter" => Grain::Quarter,
        "Year" => Grain::Year,
        _ => return None,
    })
}

fn numbers(expected: &str) -> Vec<f64> {
    let unquoted: String = expected.split('"').step_by(2).collect();
    let words = unquoted.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
    words.filter_map(|word| word.parse().ok()).collect()
}
