//! What delivery to a city costs, and on which day it arrives: weekends and holidays do not count.

use std::collections::BTreeMap;

use banter_plugin::{Failure, Reply, Request, Time, handler, host, json};
use serde::Deserialize;

/// `settings` of bot.yaml; `delivery.schema.json` describes them.
#[derive(Deserialize)]
struct Settings {
    /// Orders after this hour go out on the next working day.
    cut_off_hour: u32,
    cities: BTreeMap<String, City>,
    /// `MM-DD`
    #[serde(default)]
    holidays: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct City {
    price: u32,
    working_days: u32,
}

/// What a script gives: `plugin("delivery", #{ city: "Kazan" })`.
#[derive(Deserialize)]
struct Arguments {
    city: String,
}

/// Gives the script what it words: price, days, and the date of arrival.
#[handler]
fn handle(request: Request) -> Result<Reply, Failure> {
    let settings: Settings = request.settings()?;
    let Arguments { city } = request.arguments()?;
    let rate =
        settings.cities.get(&city).copied().ok_or_else(|| Failure::new(format!("{city} has no rate in `settings`")))?;
    let Day { year, month, day, .. } = arrival(&settings, rate, host::now());
    Ok(Reply::new().with_value(json!({
        "price": rate.price, "working_days": rate.working_days, "year": year, "month": month, "day": day,
    })))
}

/// A day of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: i32,
    month: u32,
    day: u32,
    /// 1 is Monday.
    weekday: u32,
}

impl Day {
    fn next(self) -> Self {
        let weekday = self.weekday % 7 + 1;
        if self.day < days_of(self.year, self.month) {
            return Self { day: self.day + 1, weekday, ..self };
        }
        if self.month < 12 {
            return Self { month: self.month + 1, day: 1, weekday, ..self };
        }
        Self { year: self.year + 1, month: 1, day: 1, weekday }
    }

    fn is_working(self, holidays: &[String]) -> bool {
        let name = format!("{:02}-{:02}", self.month, self.day);
        self.weekday <= 5 && !holidays.contains(&name)
    }
}

fn days_of(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Working days are counted from the first on which the parcel can go out.
fn arrival(settings: &Settings, rate: City, now: Time) -> Day {
    let mut day = Day { year: now.year, month: now.month, day: now.day, weekday: now.weekday };
    if now.hour >= settings.cut_off_hour {
        day = day.next();
    }
    let next_working = |mut day: Day| {
        while !day.is_working(&settings.holidays) {
            day = day.next();
        }
        day
    };
    day = next_working(day);
    for _ in 0..rate.working_days {
        day = next_working(day.next());
    }
    day
}

#[cfg(test)]
mod tests {
    use banter_plugin::{Value, mock};

    use super::*;

    const SETTINGS: &str =
        r#"{"cut_off_hour":16,"cities":{"London":{"price":9,"working_days":2}},"holidays":["12-25","12-26","01-01"]}"#;

    fn ask(city: &str) -> Result<Reply, Failure> {
        let arguments = Some(json!({ "city": city }).to_string());
        handle(Request { arguments, settings: SETTINGS.to_owned(), ..Request::test("how much") })
    }

    fn check(year: i32, month: u32, day: u32, weekday: u32, hour: u32, expected: &str) {
        mock::host(|host| host.now = Some(Time { unix: 0, year, month, day, hour, minute: 0, second: 0, weekday }));
        let told: Value = banter_plugin::from_json(&ask("London").unwrap().value.unwrap()).unwrap();
        let date =
            format!("{}-{:02}-{:02}", told["year"], told["month"].as_u64().unwrap(), told["day"].as_u64().unwrap());
        assert_eq!((date.as_str(), &told["price"]), (expected, &json!(9)));
    }

    #[test]
    fn weekends_and_holidays_do_not_count() {
        check(2026, 1, 5, 1, 9, "2026-01-07"); // Monday morning
        check(2026, 1, 5, 1, 17, "2026-01-08"); // after the cut-off
        check(2026, 1, 9, 5, 9, "2026-01-13"); // Friday
        check(2026, 1, 10, 6, 9, "2026-01-14"); // Saturday goes out on Monday
        check(2025, 12, 24, 3, 9, "2025-12-30"); // two holidays and a weekend
        check(2025, 12, 31, 3, 17, "2026-01-06"); // New Year
        check(2028, 2, 28, 1, 9, "2028-03-01"); // a leap year
    }

    #[test]
    fn other_cities_and_bad_settings_are_told() {
        assert_eq!(ask("Mars").unwrap_err().message, "Mars has no rate in `settings`");
        assert!(handle(Request::test("")).unwrap_err().message.starts_with("settings:"));
    }
}
