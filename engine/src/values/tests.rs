//! What is said beside its normal form.

use proptest::prelude::*;

use super::*;

/// The normal forms of all values of a kind, or why there is none.
fn check(kind: Kind, text: &str, expected: &[&str]) {
    let cyrillic = text.chars().any(|c| matches!(c, 'а'..='я' | 'А'..='Я'));
    let convention = if cyrillic { Convention::Russian } else { Convention::English };
    let country = Some(if cyrillic { Country::RU } else { Country::US });
    let setting = Setting { convention, country, ..Setting::example() };
    let found = Finder::new(text, &setting).find(kind);
    let shown = |found: &Found| match (&found.value, kind) {
        (Value::NoTime(fault), _) => format!("{fault:?}"),
        (Value::Time(Time::Span(span)), Kind::Time) => span.time_of_day(),
        (value, _) => value.normal().unwrap_or_default(),
    };
    let found: Vec<String> = found.iter().map(shown).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_dash_between_spaces_is_no_sign() {
    check(Kind::Number, "нас — 4", &["4"]);
    check(Kind::Number, "a table - 4 guests", &["4"]);
    check(Kind::Number, "it is -4 or minus 5", &["-4", "-5"]);
}

/// Tuesday, 12 February 2013, 4:30.
#[test]
fn days() {
    let check = |text: &str, expected: &[&str]| check(Kind::Date, text, expected);
    check("I would like to return it tomorrow, please", &["2013-02-13"]);
    check("послезавтра", &["2013-02-14"]);
    check("в пятницу", &["2013-02-15"]);
    check("на следующей неделе в среду", &["2013-02-20"]);
    check("tomorrow at 5", &["2013-02-13"]);
    check("завтра в 5 вечера", &["2013-02-13"]);
    check("билет на завтра", &["2013-02-13"]);
    check("доставьте 15 марта или 16-го", &["2013-03-15", "2013-02-16"]);
    check("к 3 марта", &["2013-03-03"]);
    check("by friday", &["2013-02-15"]);
    check("через 3 дня", &["2013-02-15"]);
    check("15.02.2026", &["2026-02-15"]);
    check("02/15/2026", &["2026-02-15"]);
    check("15", &["2013-02-15"]);
    check("15-го", &["2013-02-15"]);
    check("the 15th", &["2013-02-15"]);
    check("next month", &[]);
    check("5 times", &[]);
    check("may", &[]);
    check("I may be late", &[]);
    check("the order came second", &[]);
    check("15 числа, а не 20-го числа", &["2013-02-15", "2013-02-20"]);
    check("дня через три", &["2013-02-15"]);
    check("недели две назад", &["2013-01-29"]);
    check("24/7 support", &[]);
    check("заказ 10.12 не пришёл", &[]);
    check("I wed a pilot", &[]);
    check("the APR of my card, and an ATM", &[]);
    check("we'd like a boy's jacket", &[]);
}

#[test]
fn days_that_do_not_exist() {
    check(Kind::Date, "31 февраля", &["NoSuchDay"]);
    check(Kind::Date, "on February 30", &["NoSuchDay"]);
    check(Kind::Date, "32 мая", &["NoSuchDay"]);
    check(Kind::Date, "29.02.2026", &["NoSuchDay"]);
    check(Kind::Date, "29 февраля", &["2016-02-29"]);
    check(Kind::Date, "Monday, 3 March 2026", &["OtherWeekday"]);
    check(Kind::Time, "в 25:00", &["NoSuchTime"]);
    check(Kind::Time, "at 12:75", &["NoSuchTime"]);
}

#[test]
fn times_of_day() {
    let check = |text: &str, expected: &[&str]| check(Kind::Time, text, expected);
    check("tomorrow at 5 pm", &["17:00"]);
    check("завтра в 5 вечера", &["17:00"]);
    check("в половине третьего", &["14:30"]);
    check("без пятнадцати пять", &["04:45"]);
    check("без четверти три", &["14:45"]);
    check("в 9", &["09:00"]);
    check("at noon", &["12:00"]);
    check("17:30", &["17:30"]);
    check("18", &["18:00"]);
    check("a quarter to zero", &["23:45"]);
    check("без пяти ноль", &["23:55"]);
    check("12:30 am", &["00:30"]);
    check("half past midnight", &["00:30"]);
    check("tomorrow at 7.30pm", &["19:30"]);
    check("at 6.30", &["06:30"]);
    check("в 18.00", &["18:00"]);
    check("к 7 часам", &["07:00"]);
    check("в девятнадцать ноль ноль", &["19:00"]);
    check("на 3 дня", &[]);
    check("4 nights", &[]);
    check("from 9 to 5", &[]);
    check("полтретьего", &["14:30"]);
    check("в час дня", &["13:00"]);
    check("в час ночи", &["01:00"]);
    check("давайте в среду часов в пять", &["05:00"]);
    check("завтра к шести вечера", &["18:00"]);
    check("100 км в час", &[]);
    check("на 5 человек", &[]);
    check("a table for 5", &[]);
    check("в 2 магазинах", &[]);
    check("at 5 shops", &[]);
    check("в 3 раза", &[]);
    check("at 10 dollars", &[]);
}

#[test]
fn stretches() {
    let check = |text: &str, expected: &[&str]| check(Kind::Interval, text, expected);
    check("с 13 по 15 июля", &["2013-07-13/2013-07-15"]);
    check("from 9 to 11", &["2013-02-12T09:00/2013-02-12T11:00"]);
    check("next week", &["2013-02-18/2013-02-24"]);
    check("this coming week", &["2013-02-18/2013-02-24"]);
    check("from this week to next week", &["2013-02-11/2013-02-24"]);
    check("завтра вечером", &["2013-02-13T18:00/2013-02-14T00:00"]);
    check("после 14 часов", &["2013-02-12T14:00/.."]);
    check("until friday", &["../2013-02-15"]);
    check("в марте", &["2013-03"]);
    check("с понедельника по пятницу", &["2013-02-18/2013-02-22"]);
    check("после трёх", &["2013-02-12T15:00/.."]);
    check("после трёх попыток", &[]);
    check("tomorrow", &[]);
    check("from now on", &[]);
    check("between 5 and 7 pm", &["2013-02-12T17:00/2013-02-12T19:00"]);
    check("с 5-го по 10-е", &["2013-03-05/2013-03-10"]);
    check("с 1 по 14 января", &["2014-01-01/2014-01-14"]);
    check("с 10 по 15 февраля", &["2013-02-10/2013-02-15"]);
    check("february 10 - 15", &["2013-02-10/2013-02-15"]);
    check("since Monday", &["2013-02-11/.."]);
    check("до конца недели", &["../2013-02-17"]);
}

#[test]
fn times_with_their_day() {
    let check = |text: &str, expected: &[&str]| check(Kind::DateTime, text, expected);
    check("tomorrow at 5 pm", &["2013-02-13T17:00"]);
    check("завтра в 10:30", &["2013-02-13T10:30"]);
    check("через два часа", &["2013-02-12T06:30"]);
    check("полтора часа назад", &["2013-02-12T03:00:00"]);
    check("tomorrow morning", &["2013-02-13"]);
    check("this weekend", &[]);
    check("часа через два", &["2013-02-12T06:30"]);
    check("с 10 до 18", &[]);
    check("завтра", &["2013-02-13"]);
}

#[test]
fn numbers() {
    let check = |text: &str, expected: &[&str]| check(Kind::Number, text, expected);
    check("two kettles and 3 lamps", &["2", "3"]);
    check("двадцать пять с половиной", &["25.5"]);
    check("пять целых три", &["5.3"]);
    check("1,5 и 10 000", &["1.5", "10000"]);
    check("order A-1042", &[]);
    check("this one", &[]);
    check("one", &["1"]);
    check("-5", &["-5"]);
    check("3.5.1", &[]);
    check("столик на двоих, нет, на четверых", &["2", "4"]);
    check("пару тысяч", &["2000"]);
    check("89161234567", &[]);
}

#[test]
fn measures() {
    check(Kind::Money, "5 тысяч рублей", &["5000 RUB"]);
    check(Kind::Money, "5 тыс. рублей", &["5000 RUB"]);
    check(Kind::Money, "3-5 тысяч рублей", &["3000..5000 RUB"]);
    check(Kind::Money, "50 to 100 dollars", &["50..100 USD"]);
    check(Kind::Money, "$50-100", &["50..100 USD"]);
    check(Kind::Money, "-5 C", &[]);
    check(Kind::Temperature, "-5 C", &["-5 celsius"]);
    check(Kind::Duration, "for 3 nights", &["P3D"]);
    check(Kind::Duration, "болит три дня", &["P3D"]);
    check(Kind::Quantity, "литр молока", &["1 litre"]);
    check(Kind::Money, "от 10 до 20 долларов", &["10..20 USD"]);
    check(Kind::Money, "no more than $7.50", &["..7.5 USD"]);
    check(Kind::Duration, "полтора часа", &["PT90M"]);
    check(Kind::Duration, "an hour and a half", &["PT90M"]);
    check(Kind::Duration, "минуточку", &["PT1M"]);
    check(Kind::Duration, "минуточку, я ищу", &[]);
    check(Kind::Quantity, "два литра молока", &["2 litre"]);
    check(Kind::Quantity, "500 g of sugar", &["500 gram sugar"]);
    check(Kind::Percentage, "скидка пять процентов", &["5"]);
    check(Kind::Percentage, "10-20% off", &["10..20"]);
    check(Kind::Temperature, "минус 5 градусов", &["-5 degree"]);
    check(Kind::Temperature, "20 °C", &["20 celsius"]);
    check(Kind::Ordinal, "the second one", &["2"]);
}

#[test]
fn contacts() {
    check(Kind::Phone, "позвоните 8 (916) 123-45-67 завтра", &["+79161234567"]);
    check(Kind::Phone, "call +44 20 7946 0958.", &["+442079460958"]);
    check(Kind::Phone, "звоните 8 (800) 555-35-35", &["+78005553535"]);
    check(Kind::Phone, "мой номер 89161234567", &["+79161234567"]);
    check(Kind::Phone, "on 2026-11-29 10:00", &[]);
    check(Kind::Phone, "order 1042 +442079460958", &["+442079460958"]);
    check(Kind::Phone, "order 1234-5678-9012", &[]);
    check(Kind::Email, "it is Alice.B@Example.com, thanks", &["Alice.B@example.com"]);
    check(Kind::Email, "me@home", &[]);
    check(Kind::Url, "see example.com/faq.", &["https://example.com/faq"]);
    check(Kind::Url, "It works.Thanks", &[]);
}

proptest! {
    /// Whatever is said, reading ends, and what it finds is in the text.
    #[test]
    fn places_are_inside_the_text(words in prop::collection::vec(word(), 0..12)) {
        let text = words.join(" ");
        let setting = Setting::example();
        let finder = Finder::new(&text, &setting);
        for kind in Kind::ALL {
            let mut last = 0;
            for found in finder.find(kind) {
                prop_assert!(last <= found.start && found.start < found.end && found.end <= text.len());
                prop_assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end));
                last = found.start;
            }
        }
    }
}

/// Words that values are made of, and any other.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "in",
        "at",
        "from",
        "to",
        "the",
        "last",
        "next",
        "third",
        "week",
        "of",
        "may",
        "31",
        "february",
        "99999",
        "years",
        "ago",
        "-",
        "/",
        ".",
        ",",
        "12:75",
        "25",
        "half",
        "past",
        "через",
        "до",
        "с",
        "по",
        "полтора",
        "миллиард",
        "лет",
        "назад",
        "конец",
        "between",
        "and",
        "closest",
        "monday",
        "easter",
        "9999",
        "2999",
        "million",
        "thousand",
        "$",
        "999999999999999",
        "point",
        "'",
        "h",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}
