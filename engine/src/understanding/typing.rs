//! Other readings of a text that makes no sense as it was typed: on the wrong keyboard layout, in Russian with Latin
//! letters, with stretched letters, or without spaces.

use std::collections::HashSet;

/// How a text is read, if not as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedAs {
    /// On the other keyboard layout: "ghbdtn" is «привет».
    Layout,
    /// Russian in Latin letters: "privet" is «привет».
    Transliteration,
    /// With stretched letters or in capitals.
    Stretched,
    /// Without spaces.
    Spaces,
    /// With typos.
    Typos,
}

impl TypedAs {
    /// What the explanation of a turn calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layout => "keyboard layout",
            Self::Transliteration => "transliteration",
            Self::Stretched => "stretched letters or capitals",
            Self::Spaces => "missing spaces",
            Self::Typos => "typos",
        }
    }
}

/// The keys of the Latin layout, and what the same keys write in the Russian one.
const LATIN_KEYS: &str = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>~";
const RUSSIAN_KEYS: &str = "йцукенгшщзхъфывапролджэячсмитьбюёЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮЁ";

/// Longest first.
const SOUNDS: [(&str, &str); 41] = [
    ("shch", "щ"),
    ("sch", "щ"),
    ("zh", "ж"),
    ("kh", "х"),
    ("ts", "ц"),
    ("tz", "ц"),
    ("ch", "ч"),
    ("sh", "ш"),
    ("yu", "ю"),
    ("ju", "ю"),
    ("ya", "я"),
    ("ja", "я"),
    ("yo", "ё"),
    ("jo", "ё"),
    ("ye", "е"),
    ("je", "е"),
    ("a", "а"),
    ("b", "б"),
    ("v", "в"),
    ("g", "г"),
    ("d", "д"),
    ("e", "е"),
    ("z", "з"),
    ("i", "и"),
    ("j", "й"),
    ("k", "к"),
    ("l", "л"),
    ("m", "м"),
    ("n", "н"),
    ("o", "о"),
    ("p", "п"),
    ("r", "р"),
    ("s", "с"),
    ("t", "т"),
    ("u", "у"),
    ("f", "ф"),
    ("h", "х"),
    ("c", "ц"),
    ("w", "в"),
    ("x", "кс"),
    ("q", "к"),
];

/// A word of so many letters may be several; the cost of a cut grows with the square of its length.
const MIN_JOINED: usize = 7;
const MAX_JOINED: usize = 60;

/// The readings of a text that differ from it. `known` are the words of the bot, in lower case.
pub fn readings(text: &str, known: &HashSet<String>) -> Vec<(TypedAs, String)> {
    let (latin, cyrillic) = letters(text);
    let mut found = Vec::new();
    if latin > 0 && cyrillic == 0 {
        found.push((TypedAs::Layout, swap(text, LATIN_KEYS, RUSSIAN_KEYS)));
        found.push((TypedAs::Transliteration, transliterate(text)));
    } else if cyrillic > 0 && latin == 0 {
        found.push((TypedAs::Layout, swap(text, RUSSIAN_KEYS, LATIN_KEYS)));
    }
    let calm = text.to_lowercase();
    found.push((TypedAs::Stretched, calm.clone()));
    found.push((TypedAs::Stretched, shrink(&calm, 1)));
    found.push((TypedAs::Stretched, shrink(&calm, 2)));
    found.extend(spaced(&calm, known).map(|text| (TypedAs::Spaces, text)));
    let mut seen = HashSet::from([text.to_owned()]);
    found.retain(|(_, reading)| seen.insert(reading.clone()));
    found
}

fn letters(text: &str) -> (usize, usize) {
    let latin = text.chars().filter(char::is_ascii_alphabetic).count();
    let cyrillic = text.chars().filter(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё')).count();
    (latin, cyrillic)
}

/// A word with a digit, an address or a link is no word on any layout.
fn is_code(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit()) || word.contains('@') || word.contains("://")
}

fn each_word(text: &str, change: impl Fn(&str) -> String) -> String {
    text.split(' ').map(|word| if is_code(word) { word.to_owned() } else { change(word) }).collect::<Vec<_>>().join(" ")
}

fn swap(text: &str, from: &str, to: &str) -> String {
    let key = |c: char| from.chars().position(|key| key == c).and_then(|place| to.chars().nth(place)).unwrap_or(c);
    each_word(text, |word| word.chars().map(key).collect())
}

fn transliterate(text: &str) -> String {
    each_word(&text.to_lowercase(), |word| {
        let (mut out, mut rest) = (String::new(), word);
        while let Some(next) = rest.chars().next() {
            let sound = SOUNDS.iter().find(|(latin, _)| rest.starts_with(latin));
            let after_vowel = out.ends_with(['а', 'е', 'и', 'о', 'у', 'ы', 'э', 'ю', 'я']);
            let (length, written) = match (next, sound) {
                (_, Some((latin, russian))) if latin.len() > 1 => (latin.len(), *russian),
                ('y', _) => (1, if after_vowel { "й" } else { "ы" }),
                ('\'' | '’', _) => (next.len_utf8(), "ь"),
                (_, Some((latin, russian))) => (latin.len(), *russian),
                _ => {
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                    continue;
                }
            };
            out.push_str(written);
            rest = &rest[length..];
        }
        out
    })
}

/// Shortens runs of three or more equal letters.
fn shrink(text: &str, to: usize) -> String {
    let mut out: Vec<char> = Vec::new();
    let characters: Vec<char> = text.chars().collect();
    for run in characters.chunk_by(|one, other| one == other) {
        let kept = if run.len() >= 3 && run[0].is_alphabetic() { to } else { run.len() };
        out.extend(std::iter::repeat_n(run[0], kept));
    }
    out.into_iter().collect()
}

/// Cuts long words that the bot does not know into words that it does; `None` if there are none.
fn spaced(text: &str, known: &HashSet<String>) -> Option<String> {
    let cut = each_word(text, |word| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let long = (MIN_JOINED..=MAX_JOINED).contains(&bare.chars().count()) && !known.contains(bare);
        long.then(|| cut(bare, known)).flatten().unwrap_or_else(|| word.to_owned())
    });
    (cut != text).then_some(cut)
}

/// The cut of a word into the fewest known words.
fn cut(word: &str, known: &HashSet<String>) -> Option<String> {
    let ends: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    // The best cut of the text before each place: the number of words, and where the last one begins.
    let mut best: Vec<Option<(usize, usize)>> = vec![None; ends.len()];
    best[0] = Some((0, 0));
    for end in 1..ends.len() {
        best[end] = (0..end)
            .filter_map(|start| Some((best[start]?.0 + 1, start)))
            .filter(|(_, start)| known.contains(&word[ends[*start]..ends[end]]))
            .min();
    }
    let mut words = Vec::new();
    let mut at = ends.len() - 1;
    while at > 0 {
        let (_, start) = best[at]?;
        words.push(&word[ends[start]..ends[at]]);
        at = start;
    }
    words.reverse();
    (words.len() > 1).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, how: TypedAs, expected: &str) {
        let known = ["where", "is", "my", "order", "где", "мой", "заказ"].map(str::to_owned).into();
        let found = readings(text, &known);
        assert!(found.contains(&(how, expected.to_owned())), "{text}: {found:?}");
    }

    #[test]
    fn what_was_meant_is_among_the_readings() {
        check("ghbdtn", TypedAs::Layout, "привет");
        check("руддщ A-1042", TypedAs::Stretched, "руддщ a-1042");
        check("руддщ", TypedAs::Layout, "hello");
        check(
            "Uлt vjq pfrfp?".replace('л', "l").as_str(),
            TypedAs::Layout,
            "Гдt мой заказ?".replace('t', "е").as_str(),
        );
        check("privet, gde moy zakaz", TypedAs::Transliteration, "привет, где мой заказ");
        check("spasibo, otmeni zakaz A-1042", TypedAs::Transliteration, "спасибо, отмени заказ a-1042");
        check("heeelloooo", TypedAs::Stretched, "hello");
        check("приветтттт", TypedAs::Stretched, "привет");
        check("WHERE IS MY ORDER", TypedAs::Stretched, "where is my order");
        check("whereismyorder", TypedAs::Spaces, "where is my order");
        check("гдемойзаказ", TypedAs::Spaces, "где мой заказ");
    }
}
