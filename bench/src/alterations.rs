//! What people do to a text when they type it: the alterations that `bench/noise` measures.

use banter_engine::random::Random;

/// A way to alter a text. Each letter, space and place is drawn from a seeded source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// In each word of five letters or more, with a chance of a half, a letter is lost, doubled, replaced or swapped.
    Typos,
    /// One space is missing.
    MissingSpace,
    /// The whole text is typed on the other keyboard layout.
    Layout,
    /// Russian in Latin letters.
    Transliteration,
    /// «е» in place of «ё».
    MissingYo,
    /// Capitals only.
    Capitals,
    /// An emoji behind the text or in front of it.
    Emoji,
    /// One vowel is stretched.
    Stretched,
}

impl Alteration {
    /// Alters a text; returns it as it is if it has no place for this alteration.
    pub fn apply(self, text: &str, random: &mut Random) -> String {
        match self {
            Self::Typos => typos(text, random),
            Self::MissingSpace => without_a_space(text, random),
            Self::Layout => on_the_other_layout(text),
            Self::Transliteration => text.to_lowercase().chars().map(in_latin_letters).collect(),
            Self::MissingYo => text.replace('ё', "е").replace('Ё', "Е"),
            Self::Capitals => text.to_uppercase(),
            Self::Emoji => with_an_emoji(text, random),
            Self::Stretched => stretched(text, random),
        }
    }
}

fn typos(text: &str, random: &mut Random) -> String {
    let words = text.split(' ').map(|word| {
        let letters: Vec<char> = word.chars().collect();
        let is_word = letters.len() >= 5 && letters.iter().all(|letter| letter.is_alphabetic());
        if is_word && random.below(2) == 0 { mistyped(letters, random) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word with one wrong letter, which is not the first.
fn mistyped(mut letters: Vec<char>, random: &mut Random) -> String {
    let at = 1 + random.below(letters.len() - 2);
    match random.below(4) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        2 => letters.swap(at, at + 1),
        _ => letters[at] = neighbour(letters[at], random),
    }
    letters.into_iter().collect()
}

/// A letter beside this one on its keyboard.
fn neighbour(letter: char, random: &mut Random) -> char {
    let rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"];
    for row in rows.map(|row| row.chars().collect::<Vec<_>>()) {
        if let Some(at) = row.iter().position(|other| *other == letter) {
            let near: Vec<char> =
                [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| row.get(at)).copied().collect();
            return near[random.below(near.len())];
        }
    }
    letter
}

fn without_a_space(text: &str, random: &mut Random) -> String {
    let spaces: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
    match spaces.len() {
        0 => text.to_owned(),
        count => {
            let at = spaces[random.below(count)];
            format!("{}{}", &text[..at], &text[at + 1..])
        }
    }
}

/// What the same keys write on the other layout, also for punctuation: a Russian comma is the key of the question mark.
fn on_the_other_layout(text: &str) -> String {
    let latin = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>~?/&";
    let russian = "йцукенгшщзхъфывапролджэячсмитьбюёЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮЁ,.?";
    let is_russian = text.chars().any(|letter| russian.contains(letter) && letter.is_alphabetic());
    let (from, to) = if is_russian { (russian, latin) } else { (latin, russian) };
    let other = |key: char| from.chars().position(|one| one == key).and_then(|at| to.chars().nth(at)).unwrap_or(key);
    text.chars().map(other).collect()
}

/// The way most people write it in chats.
fn in_latin_letters(letter: char) -> String {
    let latin = match letter {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' => "g",
        'д' => "d",
        'е' => "e",
        'ё' => "yo",
        'ж' => "zh",
        'з' => "z",
        'и' => "i",
        'й' => "y",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' => "u",
        'ф' => "f",
        'х' => "h",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "sch",
        'ъ' => "",
        'ы' => "y",
        'ь' => "",
        'э' => "e",
        'ю' => "yu",
        'я' => "ya",
        other => return other.to_string(),
    };
    latin.to_owned()
}

fn with_an_emoji(text: &str, random: &mut Random) -> String {
    let emoji = ["🙏", "😡", "😊", "🤔", "👍", "🔥"][random.below(6)];
    if random.below(4) == 0 { format!("{emoji} {text}") } else { format!("{text} {emoji}") }
}

fn stretched(text: &str, random: &mut Random) -> String {
    let is_vowel = |letter: char| "aeiouyаеёиоуыэюя".contains(letter);
    let vowels: Vec<usize> = text.char_indices().filter(|(_, letter)| is_vowel(*letter)).map(|(at, _)| at).collect();
    if vowels.is_empty() {
        return text.to_owned();
    }
    let at = vowels[random.below(vowels.len())];
    let vowel: String = text[at..].chars().take(1).collect();
    format!("{}{}{}", &text[..at], vowel.repeat(2 + random.below(3)), &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(alteration: Alteration, text: &str) -> String {
        alteration.apply(text, &mut Random::new(1))
    }

    #[test]
    fn a_text_is_altered_in_one_way() {
        assert_eq!(altered(Alteration::Layout, "привет"), "ghbdtn");
        assert_eq!(altered(Alteration::Layout, "where, there?"), "црукуб еруку,");
        assert_eq!(altered(Alteration::Layout, "где чек, где?"), "ult xtr? ult&");
        assert_eq!(altered(Alteration::Transliteration, "где мой чек"), "gde moy chek");
        assert_eq!(altered(Alteration::MissingYo, "счёт"), "счет");
        assert_eq!(altered(Alteration::Capitals, "где чек"), "ГДЕ ЧЕК");
        assert_eq!(altered(Alteration::MissingSpace, "two words"), "twowords");
        assert!(altered(Alteration::Emoji, "thanks").contains("thanks"));
        assert!(altered(Alteration::Stretched, "спасибо").chars().count() >= 9);
    }

    #[test]
    fn typos_change_only_letters_of_longer_words() {
        let text = "my parcel A-1042 has not come";
        let changed = (1..50).map(|seed| Alteration::Typos.apply(text, &mut Random::new(seed)));
        let changed: Vec<String> = changed.collect();
        assert!(
            changed.iter().all(|text| text.starts_with("my p") && text.ends_with("A-1042 has not come")),
            "{changed:?}"
        );
        assert!(changed.iter().any(|changed| changed != text));
    }

    #[test]
    fn what_has_no_place_stays() {
        assert_eq!(altered(Alteration::Typos, "ok"), "ok");
        assert_eq!(altered(Alteration::MissingSpace, "ok"), "ok");
        assert_eq!(altered(Alteration::Stretched, "хм"), "хм");
    }
}
