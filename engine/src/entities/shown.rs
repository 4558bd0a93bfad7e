//! Values as people read them.

use jiff::civil::{Date, DateTime};

use super::EntityKind;
use crate::language::Language;

const MONTHS: [(&str, &str); 12] = [
    ("January", "января"),
    ("February", "февраля"),
    ("March", "марта"),
    ("April", "апреля"),
    ("May", "мая"),
    ("June", "июня"),
    ("July", "июля"),
    ("August", "августа"),
    ("September", "сентября"),
    ("October", "октября"),
    ("November", "ноября"),
    ("December", "декабря"),
];

impl EntityKind {
    /// A value in words, in Russian or else in English: `2026-12-01` as "1 December 2026". Values that people read as they
    /// are stay.
    pub fn shown(self, value: &str, language: &Language) -> String {
        let is_russian = language.code() == "ru";
        let moment = |value: &str| moment(value, is_russian);
        let shown = match self {
            Self::Date | Self::DateTime => moment(value),
            Self::Interval => value.split_once('/').and_then(|(from, to)| {
                let open = if is_russian { ("с", "до") } else { ("from", "until") };
                match (from, to) {
                    ("..", to) => Some(format!("{} {}", open.1, moment(to)?)),
                    (from, "..") => Some(format!("{} {}", open.0, moment(from)?)),
                    (from, to) => Some(format!("{} – {}", moment(from)?, moment(to)?)),
                }
            }),
            Self::YesNo if is_russian => Some(if value == "yes" { "да" } else { "нет" }.to_owned()),
            _ => None,
        };
        shown.unwrap_or_else(|| value.to_owned())
    }
}

fn moment(value: &str, is_russian: bool) -> Option<String> {
    if let Some((_, time)) = value.split_once('T') {
        let moment: DateTime = value.parse().ok()?;
        return Some(format!("{}, {time}", day(moment.date(), is_russian)));
    }
    value.parse().ok().map(|date| day(date, is_russian))
}

fn day(date: Date, is_russian: bool) -> String {
    let (en, ru) = MONTHS[usize::from(date.month().unsigned_abs()) - 1];
    format!("{} {} {}", date.day(), if is_russian { ru } else { en }, date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_words() {
        let check = |kind: EntityKind, code: &str, value: &str, shown: &str| {
            assert_eq!(kind.shown(value, &Language::new(code).unwrap()), shown);
        };
        check(EntityKind::Date, "en", "2026-12-01", "1 December 2026");
        check(EntityKind::Date, "ru", "2026-12-01", "1 декабря 2026");
        check(EntityKind::DateTime, "ru", "2026-03-08T17:30", "8 марта 2026, 17:30");
        check(EntityKind::Interval, "en", "2026-07-13/2026-07-15", "13 July 2026 – 15 July 2026");
        check(EntityKind::Interval, "ru", "2026-07-13T09:00/..", "с 13 июля 2026, 09:00");
        check(EntityKind::Interval, "en", "2026-07", "2026-07");
        check(EntityKind::YesNo, "ru", "no", "нет");
        check(EntityKind::Money, "ru", "20.5 EUR", "20.5 EUR");
    }
}
