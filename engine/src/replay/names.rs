//! Finds and replaces names of people in texts, in any grammatical case.

use regex::Regex;

/// The names to redact.
#[derive(Debug, Default)]
pub struct Names {
    /// Longest first, so that a full name is replaced before its first name alone would leave the surname behind.
    known: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    text: String,
    /// The replacement.
    other: String,
    /// Patterns of the whole name, then of each word. Empty if the name is too long for a pattern; then the plain text
    /// is searched.
    patterns: Vec<Regex>,
}

impl Names {
    /// Learns a name of one or more words. Each word alone refers to the same person.
    pub fn learn(&mut self, name: &str) {
        let name = name.trim();
        if name.chars().count() < 2 || self.known.iter().any(|known| known.text == name) {
            return;
        }
        let words: Vec<String> = name.split_whitespace().map(inflected).collect();
        let alone = name.split_whitespace().zip(&words).filter(|(word, _)| word.chars().count() > 2 && *word != name);
        let all = std::iter::once(words.join(r"\s+")).chain(alone.map(|(_, pattern)| pattern.clone()));
        let patterns = all.map(|one| Regex::new(&format!(r"(?i)\b{one}\b"))).collect::<Result<_, _>>();
        let other = format!("Person{}", self.known.len() + 1);
        self.known.push(Name { text: name.to_owned(), other, patterns: patterns.unwrap_or_default() });
        self.known.sort_by_key(|known| std::cmp::Reverse(known.text.chars().count()));
    }

    /// The text with the names replaced.
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for name in &self.known {
            out = match name.patterns.first() {
                Some(whole) => whole.replace_all(&out, &name.other).into_owned(),
                None => out.replace(&name.text, &name.other),
            };
        }
        let words =
            self.known.iter().flat_map(|name| name.patterns.iter().skip(1).map(move |word| (word, &name.other)));
        words.fold(out, |out, (word, other)| word.replace_all(&out, other).into_owned())
    }
}

/// A pattern for a word. A Russian word matches with any ending of its declension, but not with a vanishing vowel
/// (`Павел`, `Павла`).
fn inflected(word: &str) -> String {
    let is_russian = word.chars().all(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё'));
    let last = word.chars().next_back().unwrap_or_default();
    let without_last = &word[..word.len() - last.len_utf8()];
    let (stem, endings) = match last.to_lowercase().next().unwrap_or(last) {
        'а' | 'я' => (without_last, "а|я|ы|и|е|у|ю|ой|ей|ёй|ою|ею"),
        'й' => (without_last, "й|я|ю|ем|ём|е|и"),
        'ь' => (without_last, "ь|я|ю|ем|ём|е|и|ью"),
        consonant if "бвгджзклмнпрстфхцчшщ".contains(consonant) => (word, "|а|у|ом|ем|ым|е"),
        _ => return regex::escape(word),
    };
    // Too many other words begin with a short stem.
    if !is_russian || stem.chars().count() < 3 {
        return regex::escape(word);
    }
    format!("{stem}(?:{endings})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], text: &str, redacted: &str) {
        let mut all = Names::default();
        names.iter().for_each(|name| all.learn(name));
        assert_eq!(all.redact(text), redacted, "{names:?}");
    }

    #[test]
    fn names_are_found_in_all_cases_and_other_words_stay() {
        check(
            &["Анна"],
            "Я Анна, анна! Позовите Анну, у Анны вопрос",
            "Я Person1, Person1! Позовите Person1, у Person1 вопрос",
        );
        check(&["Иван Петров"], "Ивана Петрова нет, Иван ушёл", "Person1 нет, Person1 ушёл");
        check(&["Анна", "Анна Петрова"], "Анна Петрова и Анна", "Person2 и Person1");
        check(&["Надя", "Толя", "Ева"], "мне надо только 10 евро, Надя", "мне надо только 10 евро, Person1");
        check(&["Ann Lee"], "ask Ann Lee or Ann, not Anna", "ask Person1 or Person1, not Anna");
        check(&["x"], "x", "x");
        let long = "Анна ".repeat(20_000);
        check(&[&long], &format!("я {}!", long.trim()), "я Person1!");
    }
}
