//! Names of people in texts, in whichever grammatical case.

use regex::Regex;

/// Names that are to be masked, and what stands in their places.
#[derive(Debug, Default)]
pub struct Names {
    /// The longest first: a surname must not stay behind because the first name was found alone.
    known: Vec<(String, String, Vec<Regex>)>,
    people: usize,
}

impl Names {
    /// Takes a name of one or several words; each of them alone stands for the same person.
    pub fn learn(&mut self, name: &str) {
        let name = name.trim();
        if name.chars().count() < 2 || self.known.iter().any(|(known, ..)| known == name) {
            return;
        }
        self.people += 1;
        let words: Vec<&str> = name.split_whitespace().collect();
        let whole = words.iter().map(|word| inflected(word)).collect::<Vec<_>>().join(r"\s+");
        let long = words.iter().filter(|word| words.len() > 1 && word.chars().count() > 2).map(|word| inflected(word));
        // A constant with escaped words in it: only its size could be too much, and a slot's value is bounded.
        let patterns = std::iter::once(whole).chain(long).filter_map(|one| Regex::new(&format!(r"(?i)\b{one}\b")).ok());
        self.known.push((name.to_owned(), format!("Person{}", self.people), patterns.collect()));
        self.known.sort_by_key(|(name, ..)| std::cmp::Reverse(name.chars().count()));
    }

    /// The text without them.
    pub fn mask(&self, text: &str) -> String {
        let wholes = self.known.iter().filter_map(|(_, other, patterns)| Some((other, patterns.first()?)));
        let words =
            self.known.iter().flat_map(|(_, other, patterns)| patterns.iter().skip(1).map(move |one| (other, one)));
        wholes.chain(words).fold(text.to_owned(), |text, (other, one)| one.replace_all(&text, other).into_owned())
    }
}

/// A pattern for a word; for a Russian one, with the endings of its declension. Vowels that come and go (`Павел`, `Павла`) are beyond it.
fn inflected(word: &str) -> String {
    let is_russian = word.chars().all(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё'));
    let mut stem = word.to_owned();
    let last = stem.pop().and_then(|c| c.to_lowercase().next()).unwrap_or_default();
    let endings = match last {
        'а' | 'я' => "а|я|ы|и|е|у|ю|ой|ей|ёй|ою|ею",
        'й' => "й|я|ю|ем|ём|е|и",
        'ь' => "ь|я|ю|ем|ём|е|и|ью",
        consonant if "бвгджзклмнпрстфхцчшщ".contains(consonant) => "|а|у|ом|ем|ым|е",
        _ => return regex::escape(word),
    };
    let is_consonant = endings.starts_with('|');
    let stem = if is_consonant { word } else { &stem };
    if !is_russian || stem.chars().count() < 3 {
        return regex::escape(word);
    }
    format!("{}(?:{endings})", regex::escape(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], text: &str, masked: &str) {
        let mut all = Names::default();
        names.iter().for_each(|name| all.learn(name));
        assert_eq!(all.mask(text), masked, "{names:?}");
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
    }
}
