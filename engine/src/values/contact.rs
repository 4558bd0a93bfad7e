//! Phone numbers, e-mail addresses and addresses of pages.

use std::str::FromStr;

use email_address::{EmailAddress, Options};
use phonenumber::{Mode, country::Id as Country};
use url::{Host, Url};

/// Number of digits of a phone number, at least and at most (ITU-T E.164).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Something found, and its place in bytes.
pub struct Contact {
    /// In its normal form.
    pub value: String,
    /// Start.
    pub start: usize,
    /// End.
    pub end: usize,
}

/// Phone numbers that exist in the numbering plans, in the form of E.164. Those without a country code are of
/// `country`; without it, they are not found.
pub fn phones(text: &str, country: Option<Country>) -> Vec<Contact> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = next_run(text, at) {
        at = end;
        let run = text[start..end].trim_end_matches(|c: char| !c.is_ascii_digit());
        let end = start + run.len();
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let inside = |place: Option<char>| place.is_some_and(|c| c.is_alphanumeric() || matches!(c, '@' | '_' | '/'));
        let alone = !inside(text[..start].chars().next_back()) && !inside(text[end..].chars().next());
        if !PHONE_DIGITS.contains(&digits) || !alone || is_date(run) {
            continue;
        }
        if let Some(value) = russian_toll_free(run, country) {
            found.push(Contact { value, start, end });
            continue;
        }
        // With a country, the crate takes digits behind `+33` for a national prefix.
        let country = country.filter(|_| !run.starts_with('+'));
        let number = phonenumber::parse(country, run).ok().filter(phonenumber::is_valid);
        found.extend(number.map(|number| Contact { value: number.format().mode(Mode::E164).to_string(), start, end }));
    }
    found
}

/// `8 (800) 555-35-35`: the crate takes the 8 of 800 for a national prefix, and then finds too few digits.
fn russian_toll_free(run: &str, country: Option<Country>) -> Option<String> {
    let digits: String = run.chars().filter(char::is_ascii_digit).collect();
    let national = if run.starts_with('+') { digits.strip_prefix('7') } else { digits.strip_prefix('8') };
    let known = run.starts_with('+') || country == Some(Country::RU);
    let national = national.filter(|national| known && national.len() == 10)?;
    ["800", "804"].iter().any(|code| national.starts_with(code)).then(|| format!("+7{national}"))
}

/// The next run of digits and of the marks that stand between the digits of a phone number.
fn next_run(text: &str, from: usize) -> Option<(usize, usize)> {
    let starts = |c: char| c.is_ascii_digit() || matches!(c, '+' | '(');
    let start = from + text[from..].find(starts)?;
    let inside = |c: char| c.is_ascii_digit() || matches!(c, '+' | '(' | ')' | '-' | '.' | ' ' | '–');
    let length = text[start..].find(|c: char| !inside(c)).unwrap_or(text.len() - start);
    // A plus begins another number, and a date ends before the space.
    let length = text[start + 1..start + length].find('+').map_or(length, |plus| plus + 1);
    let first = text[start..start + length].split(' ').next().unwrap_or_default();
    let length = if is_date(first) { first.len() } else { length };
    Some((start, start + length))
}

/// `2026-11-29` and `29.11.2026`.
fn is_date(run: &str) -> bool {
    let parts: Vec<&str> = run.split(['-', '.']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    matches!(lengths.as_slice(), [4, 1..=2, 1..=2] | [1..=2, 1..=2, 2 | 4])
}

/// E-mail addresses; the host is in lower case.
pub fn emails(text: &str) -> Vec<Contact> {
    if !text.contains('@') {
        return Vec::new();
    }
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    let found = chunks(text).filter_map(|(start, chunk)| {
        let address = EmailAddress::parse_with_options(chunk, options).ok()?;
        let value = format!("{}@{}", address.local_part(), address.domain().to_lowercase());
        Some(Contact { value, start, end: start + chunk.len() })
    });
    found.collect()
}

/// Addresses of pages, also without a scheme, in the form of the WHATWG URL standard.
pub fn urls(text: &str) -> Vec<Contact> {
    let found = chunks(text).filter_map(|(start, chunk)| {
        let has_scheme = ["http://", "https://"].iter().any(|scheme| chunk.to_lowercase().starts_with(scheme));
        if !has_scheme && (chunk.contains('@') || !looks_like_host(chunk)) {
            return None;
        }
        let full = if has_scheme { chunk.to_owned() } else { format!("https://{chunk}") };
        let url = Url::parse(&full).ok()?;
        let named = matches!(url.host()?, Host::Domain(_)) || has_scheme;
        named.then(|| Contact { value: url.into(), start, end: start + chunk.len() })
    });
    found.collect()
}

/// `example.com/path`: labels, the last of which has two or more ASCII letters. A missing space after a full stop makes
/// two words look the same, so without a path or `www` the last label is one of the common ones.
fn looks_like_host(chunk: &str) -> bool {
    let host = chunk.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let rest = &chunk[host.len()..];
    if host.eq_ignore_ascii_case("localhost") {
        return !rest.starts_with(':') || rest[1..].starts_with(|c: char| c.is_ascii_digit());
    }
    let Some((name, last)) = host.rsplit_once('.') else { return false };
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_name = name.split('.').all(label) && last.len() >= 2 && last.chars().all(|c| c.is_ascii_alphabetic());
    let sure = host.to_lowercase().starts_with("www")
        || rest.starts_with('/')
        || COMMON.contains(&last.to_lowercase().as_str());
    is_name && sure
}

const COMMON: &[&str] =
    &["com", "org", "net", "ru", "io", "dev", "app", "info", "biz", "edu", "gov", "uk", "de", "su", "eu"];

/// The words of a text between white space, without the punctuation around them.
fn chunks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let outer =
        |c: char| matches!(c, '.' | ',' | ';' | '!' | '?' | ')' | '(' | '"' | '«' | '»' | '<' | '>' | '\'' | ':');
    text.split_whitespace().filter_map(move |chunk| {
        let inner = chunk.trim_matches(outer);
        let start =
            chunk.as_ptr() as usize - text.as_ptr() as usize + (chunk.len() - chunk.trim_start_matches(outer).len());
        (!inner.is_empty()).then_some((start, inner))
    })
}

/// A country by its ISO 3166 code.
///
/// # Errors
/// If there is none with this code.
pub fn country(code: &str) -> Result<Country, String> {
    Country::from_str(code).map_err(|_| format!("{code} is no country code, such as GB or RU"))
}
