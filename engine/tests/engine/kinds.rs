//! Entities that the engine finds by itself: in slots, in texts and in scripts. It is Monday, 5 January 2026, 10:00 UTC.

use crate::support::{BOT, Talk, load};

const KINDS: &str = "entities:
  day: { kind: date }
  hour: { kind: time }
  guests: { kind: number }
  limit: { kind: money }
  phone: { kind: phone }
  name: { kind: person }
  answer: { kind: yes_no }";

const TABLE: &str = "
intent: table
examples: { en: [book a table, 'a table for [4](guests) [tomorrow](day)'], ru: [заказать стол, 'стол на [4](guests) [завтра](day)'] }
slots:
  day: { entity: day, range: { least: today, most: today+30 }, ask: { en: Which day?, ru: На какой день? }, retry: { en: 'A day, please.', ru: 'День, пожалуйста.' } }
  hour: { entity: hour, range: { least: '12:00', most: '22:00' }, invalid: { en: We open at noon., ru: Мы открываемся в полдень. }, ask: { en: At what time?, ru: Во сколько? } }
  guests: { entity: guests, range: { least: 1, most: 8 }, ask: { en: How many guests?, ru: Сколько гостей? } }
handler: { reply: { en: 'Booked: {day}, {hour}, {guests}.', ru: 'Стол: {day}, {hour}, {guests}.' } }
";

const CALL: &str = "
intent: call
examples: { en: [call me back please, request a phone call], ru: [перезвоните мне, закажу звонок] }
slots:
  name: { entity: name, ask: { en: Your name?, ru: Как вас зовут? } }
  phone: { entity: phone, ask: { en: Your number?, ru: Ваш номер? } }
  mornings: { entity: answer, ask: { en: May we call in the morning?, ru: Можно звонить утром? } }
handler: { reply: { en: '{name}, {phone}, {mornings}', ru: '{name}, {phone}, {mornings}' } }
";

const BOUGHT: &str = "
intent: bought
examples: { en: [report a purchase, 'I bought it [on Friday](day)'], ru: [сообщить о покупке, 'я купил это [в пятницу](day)'] }
slots: { day: { entity: day, prefer: past, ask: { en: When?, ru: Когда? } }, limit: { entity: limit, ask: { en: For how much?, ru: За сколько? } } }
handler: { script: bought.rhai }
";

fn files() -> Vec<(&'static str, String)> {
    let bot = BOT.replace("entities:", KINDS).replace("fallback:", "country: GB\nfallback:");
    let script = "fn handle(ctx) { say(`${ctx.slots.day} ${days_since(ctx.slots.day)} ${ctx.slots.limit}`) }";
    vec![
        ("bot.yaml", bot),
        ("intents/table.yaml", TABLE.to_owned()),
        ("intents/call.yaml", CALL.to_owned()),
        ("intents/bought.yaml", BOUGHT.to_owned()),
        ("scripts/bought.rhai", script.to_owned()),
    ]
}

fn check(lines: &[(&str, &str)]) {
    let files = files();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(lines);
}

#[test]
fn values_fill_slots_and_are_said_in_words() {
    check(&[("a table for 4 tomorrow at 7 pm", "Booked: 6 January 2026, 19:00, 4.")]);
    check(&[("стол на 4 завтра", "Во сколько?"), ("в половине восьмого вечера", "Стол: 6 января 2026, 19:30, 4.")]);
    check(&[
        ("book a table", "Which day?"),
        ("the 15th", "At what time?"),
        ("20", "How many guests?"),
        ("five", "Booked: 15 January 2026, 20:00, 5."),
    ]);
}

#[test]
fn what_does_not_exist_is_told_and_asked_again() {
    check(&[
        ("book a table", "Which day?"),
        ("February 30", "There is no such day: February 30.\nWhich day?"),
        ("Tuesday, January 7 2026", "That date is another day of the week: Tuesday, January 7 2026.\nWhich day?"),
        ("tomorrow", "At what time?"),
        ("at 25:00", "There is no such time: at 25:00.\nAt what time?"),
    ]);
    check(&[("заказать стол", "На какой день?"), ("31 февраля", "Такого дня нет: 31 февраля.\nНа какой день?")]);
    check(&[("book a table on 31 April", "There is no such day: 31 April.\nWhich day?")]);
}

#[test]
fn what_is_out_of_range_is_told_and_asked_again() {
    check(&[
        ("book a table", "Which day?"),
        ("yesterday", "“yesterday” does not fit. It must be from 5 January 2026 to 4 February 2026.\nWhich day?"),
        ("tomorrow at 9 am", "We open at noon.\nAt what time?"),
        ("at noon", "How many guests?"),
        ("9", "“9” does not fit. It must be from 1 to 8.\nHow many guests?"),
        ("8", "Booked: 6 January 2026, 12:00, 8."),
    ]);
    check(&[("стол на 40 завтра", "«40» не подходит. Нужно от 1 до 8.\nВо сколько?"), ("в 20:00", "Сколько гостей?")]);
}

/// Nobody asks for a slot that need not be filled, so its refusal is told beside the answer.
#[test]
fn a_refused_value_of_an_optional_slot_is_told() {
    let mut files = files();
    files[1].1 = TABLE
        .replace("guests: { entity: guests,", "guests: { entity: guests, required: false,")
        .replace("Booked: {day}, {hour}, {guests}.", "Booked: {day}, {hour}.");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(&[(
        "a table for 40 tomorrow at 7 pm",
        "“40” does not fit. It must be from 1 to 8.\nBooked: 6 January 2026, 19:00.",
    )]);
}

#[test]
fn a_day_that_does_not_exist_is_told_for_an_optional_slot() {
    let mut files = files();
    files[1].1 = TABLE
        .replace("day: { entity: day,", "day: { entity: day, required: false,")
        .replace("Booked: {day}, {hour}, {guests}.", "Booked: {hour}, {guests}.");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(&[
        ("a table for 4 on 31 April", "There is no such day: 31 April.\nAt what time?"),
        ("at 7 pm", "Booked: 19:00, 4."),
    ]);
}

/// A value that fills one slot is not blamed on another.
#[test]
fn each_slot_has_its_own_value() {
    let stay = "
intent: stay
examples: { en: [book a room, 'a room from [tomorrow](day)'], ru: [снять номер, 'номер с [завтра](day)'] }
slots:
  from: { entity: day, ask: { en: From which day?, ru: С какого дня? } }
  until: { entity: day, range: { least: today+2 }, ask: { en: Until which day?, ru: До какого дня? } }
handler: { reply: { en: '{from} - {until}', ru: '{from} - {until}' } }
";
    let mut files = files();
    files[1].1 = stay.to_owned();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(&[
        ("a room from tomorrow", "Until which day?"),
        ("tomorrow", "“tomorrow” does not fit. It must be no earlier than 7 January 2026.\nUntil which day?"),
        ("on Friday", "6 January 2026 - 9 January 2026"),
    ]);
}

#[test]
fn a_form_with_wrong_values_ends() {
    check(&[
        ("book a table", "Which day?"),
        ("yesterday", "“yesterday” does not fit. It must be from 5 January 2026 to 4 February 2026.\nWhich day?"),
        ("yesterday", "“yesterday” does not fit. It must be from 5 January 2026 to 4 February 2026.\nWhich day?"),
        ("yesterday", "Pardon?"),
    ]);
}

#[test]
fn contacts_names_and_consent_fill_slots() {
    check(&[
        ("call me back please", "Your name?"),
        ("my name is Ann Lee", "Your number?"),
        ("020 7946 0958", "May we call in the morning?"),
        ("no, better not", "Ann Lee, +442079460958, no"),
    ]);
    check(&[
        ("перезвоните мне", "Как вас зовут?"),
        ("Анна", "Ваш номер?"),
        ("+7 916 123-45-67", "Можно звонить утром?"),
        ("да", "Анна, +79161234567, да"),
    ]);
}

#[test]
fn a_name_ends_where_the_sentence_goes_on() {
    let name = |said: &str, found: &str| {
        check(&[
            ("call me back please", "Your name?"),
            (said, "Your number?"),
            ("020 7946 0958", "May we call in the morning?"),
            ("yes", &format!("{found}, +442079460958, yes")),
        ]);
    };
    name("My name is John and I need a taxi", "John");
    name("I'm Ann Lee", "Ann Lee");
    name("Jane O'Neill", "Jane O'Neill");
    check(&[("перезвоните мне", "Как вас зовут?"), ("меня зовут Иван и я тороплюсь", "Ваш номер?")]);
}

#[test]
fn a_slot_may_prefer_the_past() {
    check(&[("I bought it on Friday", "For how much?"), ("20 euros", "2026-01-02 3 20 EUR")]);
    check(&[("я купил это в пятницу", "За сколько?"), ("5 тысяч рублей", "2026-01-02 3 5000 RUB")]);
}

#[test]
fn mistakes_in_kinds_and_ranges_are_reported() {
    let report = |bot: (&str, &str), table: (&str, &str)| {
        let mut files = files();
        files[0].1 = files[0].1.replace(bot.0, bot.1);
        files[1].1 = files[1].1.replace(table.0, table.1);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        load(&files).1
    };
    let says = |report: String, text: &str| assert!(report.contains(text), "{report}");
    says(report(("kind: time }", "kind: tiem }"), ("", "")), "tiem");
    says(
        report(("{ kind: date }", "{ kind: date, pattern: x }"), ("", "")),
        "exactly one of `pattern`, `values`, `kind` and `parts`",
    );
    says(report(("country: GB", "country: XX"), ("", "")), "XX is no country code");
    says(report(("", ""), ("most: today+30", "most: todey")), "`todey` is no number, day or time");
    says(report(("", ""), ("{ least: 1, most: 8 }", "{ least: today }")), "the range does not fit the slot's entity");
    says(report(("", ""), ("{ least: 1, most: 8 }", "{}")), "the range has neither `least` nor `most`");
}
