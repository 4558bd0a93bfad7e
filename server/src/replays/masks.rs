//! Personal data out of what people said: e-mail addresses, telephone and card numbers, and names that slots hold. What stands in
//! their places looks alike, so that entities are still found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::{Captures, Regex};

static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"));
/// Runs of digits as people write telephones and cards.
static DIGITS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\+?\d(?:[ ().-]{0,2}\d){8,18}\b"));

fn pattern(pattern: &'static str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("a constant pattern: {error}"))
}

/// Masks texts; what was masked once is masked alike again.
#[derive(Debug, Default)]
pub struct Masks {
    emails: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Masks {
    /// Takes the values of slots whose name is about a person's name.
    pub fn learn_names<'a>(&mut self, slots: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let about_names = |slot: &str| {
            let words: BTreeSet<&str> = slot.split(['_', '-', '.']).collect();
            ["name", "surname", "firstname", "lastname", "fullname", "patronymic"]
                .iter()
                .any(|word| words.contains(word))
        };
        for (_, value) in slots.into_iter().filter(|(slot, value)| about_names(slot) && value.trim().len() > 1) {
            let number = self.names.len() + 1;
            self.names.entry(value.trim().to_owned()).or_insert_with(|| format!("Person{number}"));
        }
    }

    /// The text without personal data.
    pub fn mask(&mut self, text: &str) -> String {
        let mut out = EMAIL
            .replace_all(text, |found: &Captures<'_>| {
                let number = self.emails.len() + 1;
                let known = self.emails.entry(found[0].to_lowercase());
                known.or_insert_with(|| format!("person{number}@mail.example")).clone()
            })
            .into_owned();
        out = DIGITS.replace_all(&out, |found: &Captures<'_>| digits(&found[0])).into_owned();
        for (name, other) in &self.names {
            out = replace_word(&out, name, other);
        }
        out
    }
}

/// A card becomes the number that is kept for tests; a telephone keeps its shape and its first digits. Other runs, such as a number of
/// an order with check digits, stay.
fn digits(found: &str) -> String {
    let bare: Vec<u32> = found.chars().filter_map(|c| c.to_digit(10)).collect();
    let other: Option<Vec<char>> = if (13..=19).contains(&bare.len()) && is_luhn(&bare) {
        // 4111 1111 … with a last digit that fits.
        let mut card: Vec<u32> = std::iter::once(4).chain(std::iter::repeat_n(1, bare.len() - 1)).collect();
        let last = card.len() - 1;
        let fitting = (0..10).find(|digit| {
            card[last] = *digit;
            is_luhn(&card)
        });
        card[last] = fitting.unwrap_or(1);
        Some(card.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect())
    } else if (10..=15).contains(&bare.len()) && is_phone(found, &bare) {
        Some(
            bare.iter()
                .enumerate()
                .map(|(at, digit)| if at < 2 { char::from_digit(*digit, 10).unwrap_or('0') } else { '0' })
                .collect(),
        )
    } else {
        None
    };
    let Some(other) = other else { return found.to_owned() };
    let mut next = other.into_iter();
    found.chars().map(|c| if c.is_ascii_digit() { next.next().unwrap_or('0') } else { c }).collect()
}

/// With a `+`, brackets, or as long as the numbers of one country are.
fn is_phone(found: &str, bare: &[u32]) -> bool {
    found.starts_with('+')
        || found.contains('(')
        || bare.len() == 10
        || (bare.len() == 12 && has_calling_code(bare) && !is_in_fours(found))
        || (bare.len() == 11 && matches!(bare[0], 1 | 7 | 8))
        || bare[0] == 0
}

/// Whether twelve digits begin with the calling code of a country whose numbers are so long.
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

/// As cards and numbers of orders are written, and telephones are not.
fn is_in_fours(found: &str) -> bool {
    let mut groups = found.split(|c: char| !c.is_ascii_digit());
    found.contains(|c: char| !c.is_ascii_digit()) && groups.all(|group| group.len() == 4)
}

/// The check of card numbers (Luhn, US patent 2950048, 1960).
fn is_luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn replace_word(text: &str, word: &str, other: &str) -> String {
    let whole = Regex::new(&format!(r"(?i)\b{}\b", regex::escape(word)));
    whole.map_or_else(|_| text.replace(word, other), |whole| whole.replace_all(text, other).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, masked: &str) {
        assert_eq!(Masks::default().mask(text), masked, "{text}");
    }

    #[test]
    fn personal_data_is_masked_and_the_rest_stays() {
        check(
            "write to Ann.Lee+1@mail.co.uk or ann.lee+1@mail.co.uk!",
            "write to person1@mail.example or person1@mail.example!",
        );
        check("a@b.example, c@d.example", "person1@mail.example, person2@mail.example");
        check("call +7 (912) 345-67-89", "call +7 (900) 000-00-00");
        check("мой номер 89123456789, спасибо", "мой номер 89000000000, спасибо");
        check("звоните 380 50 123 45 67 или 447911123456", "звоните 380 00 000 00 00 или 440000000000");
        check("order 100200300400", "order 100200300400");
        check("ring 020 7946 0958 or 07911 123456", "ring 020 0000 0000 or 07000 000000");
        check("card 4276 3800 1234 5678", "card 4276 3800 1234 5678");
        check("card 5555 5555 5555 4444", "card 4111 1111 1111 1111");
        check("order A-1042 of 2026-01-05, 1234-5678-9012", "order A-1042 of 2026-01-05, 1234-5678-9012");
    }

    #[test]
    fn names_of_slots_are_masked_everywhere() {
        let mut masks = Masks::default();
        masks.learn_names([("customer_name", "Анна"), ("city", "Kazan"), ("username_hint", "no")]);
        assert_eq!(masks.mask("Я Анна из Kazan, анна!"), "Я Person1 из Kazan, Person1!");
    }
}
