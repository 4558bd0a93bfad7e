//! Redacts personal data in messages: e-mail addresses, phone and card numbers, and names found in slots. The
//! replacements keep the same shape, so that entities are still found.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::Value;

use super::names::Names;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"));
/// Runs of digits with the separators that people write between them.
static DIGITS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\+?\(?\d(?:[ ().\-\u{2013}\u{2014}/_]{0,3}\d)*"));
/// Dates: entities may need them, and they identify nobody.
static DATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2}))\b"));

fn pattern(pattern: &'static str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
}

/// Redacts texts. The same e-mail address or name always gets the same replacement.
#[derive(Debug, Default)]
pub struct Redactor {
    emails: BTreeMap<String, String>,
    names: Names,
}

impl Redactor {
    /// Learns the names to redact: the values of slots whose own name is about a name.
    pub fn learn_names<'a>(&mut self, slots: impl IntoIterator<Item = (&'a str, &'a str)>) {
        // `name`, `customer_name`, `customerName`, `nickname`.
        let about_names = |slot: &str| {
            let words = slot.to_lowercase();
            words.split(['_', '-', '.']).any(|word| word.ends_with("name") || word == "patronymic")
        };
        for (_, value) in slots.into_iter().filter(|(slot, _)| about_names(slot)) {
            self.names.learn(value);
        }
    }

    /// Redacts the texts in JSON, at any depth. Numbers stay.
    pub fn redact_json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.redact_json(field)),
            _ => {}
        }
    }

    /// The text without personal data.
    pub fn redact(&mut self, text: &str) -> String {
        let mut out = EMAIL
            .replace_all(text, |found: &Captures<'_>| {
                let number = self.emails.len() + 1;
                let known = self.emails.entry(found[0].to_lowercase());
                known.or_insert_with(|| format!("person{number}@mail.example")).clone()
            })
            .into_owned();
        out = DIGITS.replace_all(&out, |found: &Captures<'_>| digits(&found[0])).into_owned();
        self.names.redact(&out)
    }
}

/// Replaces the numbers in a run of digits: a card becomes a test card number, and a phone number keeps its shape and
/// its first two digits. Other digits, such as the date after a card, stay.
fn digits(found: &str) -> String {
    let mut run = Run::of(found);
    // Numbers in their usual notation go first, so that no window across two numbers hides them.
    let as_card = |window: &Window<'_>| is_luhn(&window.digits).then(|| card(window.digits.len()));
    let as_phone = |window: &Window<'_>| window.is_phone().then(|| phone(&window.digits));
    CARDS.iter().for_each(|length| run.replace(*length, |window| as_card(window).filter(|_| window.is_grouped())));
    PHONES.iter().for_each(|length| run.replace(*length, |window| as_phone(window).filter(|_| window.has_plus())));
    run.replace(11, as_phone);
    run.replace(12, as_phone);
    CARDS.iter().for_each(|length| run.replace(*length, as_card));
    PHONES.iter().for_each(|length| run.replace(*length, as_phone));
    let mut next = run.digits.into_iter();
    found.chars().map(|c| if c.is_ascii_digit() { next.next().unwrap_or(c) } else { c }).collect()
}

/// The possible lengths of card numbers, the most common first.
const CARDS: [usize; 7] = [16, 15, 19, 18, 17, 14, 13];

/// The possible lengths of phone numbers, the most common first.
const PHONES: [usize; 8] = [11, 12, 10, 13, 9, 8, 14, 15];

/// 4111 1111 …, with a last digit that makes the checksum valid.
fn card(length: usize) -> Vec<u32> {
    let mut card: Vec<u32> = std::iter::once(4).chain(std::iter::repeat_n(1, length - 1)).collect();
    let fitting = (0..10).find(|digit| {
        card[length - 1] = *digit;
        is_luhn(&card)
    });
    card[length - 1] = fitting.unwrap_or(1);
    card
}

fn phone(digits: &[u32]) -> Vec<u32> {
    digits.iter().enumerate().map(|(at, digit)| if at < 2 { *digit } else { 0 }).collect()
}

/// A run of digits, and which of them are done.
struct Run<'a> {
    text: &'a str,
    digits: Vec<char>,
    /// The byte offset of each digit in the text.
    places: Vec<usize>,
    done: Vec<bool>,
}

/// Consecutive whole groups of a run.
struct Window<'a> {
    text: &'a str,
    digits: Vec<u32>,
}

impl<'a> Run<'a> {
    fn of(text: &'a str) -> Self {
        let (places, digits): (Vec<usize>, Vec<char>) = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).unzip();
        let dates: Vec<_> = DATE.find_iter(text).map(|date| date.range()).collect();
        let done = places.iter().map(|at| dates.iter().any(|date| date.contains(at))).collect();
        Self { text, done, digits, places }
    }

    /// Replaces the digits of each window that has whole groups and this length, from the left, where `other` returns
    /// a replacement.
    fn replace(&mut self, length: usize, other: impl Fn(&Window<'_>) -> Option<Vec<u32>>) {
        for start in 0..(self.digits.len() + 1).saturating_sub(length) {
            let end = start + length;
            let begins = start == 0 || self.places[start - 1] + 1 < self.places[start];
            let ends = end == self.digits.len() || self.places[end - 1] + 1 < self.places[end];
            if !begins || !ends || self.done[start..end].contains(&true) {
                continue;
            }
            // The window includes the brackets and the plus before the first digit.
            let from = if start == 0 { 0 } else { self.places[start - 1] + 1 };
            let digits = self.digits[start..end].iter().filter_map(|c| c.to_digit(10)).collect();
            let window = Window { text: self.text[from..=self.places[end - 1]].trim_start(), digits };
            for (at, digit) in other(&window).into_iter().flatten().enumerate() {
                self.digits[start + at] = char::from_digit(digit, 10).unwrap_or('0');
                self.done[start + at] = true;
            }
        }
    }
}

impl Window<'_> {
    /// The lengths of the digit groups, in order.
    fn groups(&self) -> Vec<usize> {
        let groups = self.text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
        groups.map(str::len).collect()
    }

    /// Whether the digits are grouped as on cards, or not grouped at all.
    fn is_grouped(&self) -> bool {
        let groups = self.groups();
        groups.len() == 1 || groups == [4, 6, 5] || groups[..groups.len() - 1].iter().all(|group| *group == 4)
    }

    fn has_plus(&self) -> bool {
        self.text.starts_with('+')
    }

    /// Whether the digits look like a phone number: by a `+`, by brackets, or by a national length.
    fn is_phone(&self) -> bool {
        let (digits, length) = (&self.digits, self.digits.len());
        self.has_plus()
            || (length >= 9
                && (self.text.contains('(')
                    || length == 10
                    || (length == 11 && matches!(digits[0], 1 | 7 | 8))
                    || (length == 12 && has_calling_code(digits) && self.groups().iter().any(|group| *group != 4))
                    || (length >= 10 && digits[0] == 0)
                    || (length == 9 && self.groups() == [3, 3, 3])))
    }
}

/// Whether twelve digits begin with the calling code of a country whose numbers have that length.
fn has_calling_code(bare: &[u32]) -> bool {
    const CODES: [&[u32]; 13] = [
        &[3, 7, 5],
        &[3, 8, 0],
        &[3, 9],
        &[4, 4],
        &[4, 9],
        &[5, 5],
        &[9, 0],
        &[9, 1],
        &[9, 9, 2],
        &[9, 9, 4],
        &[9, 9, 5],
        &[9, 9, 6],
        &[9, 9, 8],
    ];
    CODES.iter().any(|code| bare.starts_with(code))
}

/// The checksum of card numbers (Luhn, US patent 2950048, 1960).
fn is_luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(number, digit)| match (number % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, redacted: &str) {
        assert_eq!(Redactor::default().redact(text), redacted, "{text}");
    }

    #[test]
    fn personal_data_is_redacted_and_the_rest_stays() {
        check(
            "write to Ann.Lee+1@mail.co.uk or ann.lee+1@mail.co.uk!",
            "write to person1@mail.example or person1@mail.example!",
        );
        check("a@b.example, c@d.example", "person1@mail.example, person2@mail.example");
        check("call +7 (912) 345-67-89", "call +7 (900) 000-00-00");
        check("мой номер 89123456789, спасибо", "мой номер 89000000000, спасибо");
        check("звоните 380 50 123 45 67 или 447911123456", "звоните 380 00 000 00 00 или 440000000000");
        check("card 5555 5555 5555 4444 12/27", "card 4111 1111 1111 1111 12/27");
        check("5500 0055 5555 5559 123", "4111 1111 1111 1111 123");
        check("+7 912 345 67 89 5500 0055 5555 5559", "+7 900 000 00 00 4111 1111 1111 1111");
        check("мой телефон 89123456789 2 билета", "мой телефон 89000000000 2 билета");
        check("card_5500005555555559, 5500 - 0055 - 5555 - 5559", "card_4111111111111111, 4111 - 1111 - 1111 - 1111");
        check("5500/0055/5555/5559 5500–0055–5555–5559", "4111/1111/1111/1111 4111–1111–1111–1111");
        check("+48 601 234 567; 601 234 567", "+48 000 000 000; 600 000 000");
        check("ring 020 7946 0958/0959", "ring 020 0000 0000/0959");
        check("8 983 533 74 06 8 981 241 58 68", "8 900 000 00 00 8 900 000 00 00");
        check("8 934 497 86 90 8 973 662 58 51", "8 900 000 00 00 8 900 000 00 00");
        check("2026-01-05 - 2026-01-12, 12.02.2026 14.30", "2026-01-05 - 2026-01-12, 12.02.2026 14.30");
        check("8 912 345 67 89 05.01.2026", "8 900 000 00 00 05.01.2026");
        check("+7 912 345-67-89 2 билета", "+7 900 000-00-00 2 билета");
        check("order 100200300400", "order 100200300400");
        check("ring 020 7946 0958 or 07911 123456", "ring 020 0000 0000 or 07000 000000");
        check("card 4276 3800 1234 5678", "card 4276 3800 1234 5678");
        check("card 5555 5555 5555 4444", "card 4111 1111 1111 1111");
        check("order A-1042 of 2026-01-05, 1234-5678-9012", "order A-1042 of 2026-01-05, 1234-5678-9012");
    }

    #[test]
    fn names_of_slots_are_redacted_everywhere() {
        let mut redactor = Redactor::default();
        redactor.learn_names([("customer_name", "Анна"), ("city", "Kazan"), ("hint", "Anna"), ("nickName", "Annie")]);
        assert_eq!(
            redactor.redact("Я Анна из Kazan, анна! Annie for Anna"),
            "Я Person1 из Kazan, Person1! Person2 for Anna"
        );
    }
}
