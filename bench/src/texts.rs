//! Random texts that fit the demo bot.

use std::collections::HashSet;

use banter_engine::random::Random;

/// Texts of 4 to 14 words that the server has not seen.
pub fn new_texts(count: usize) -> Vec<String> {
    const WORDS: [&str; 40] = [
        "where",
        "is",
        "my",
        "order",
        "the",
        "parcel",
        "delivery",
        "to",
        "London",
        "please",
        "tell",
        "me",
        "how",
        "much",
        "it",
        "costs",
        "and",
        "when",
        "will",
        "arrive",
        "где",
        "мой",
        "заказ",
        "сколько",
        "стоит",
        "доставка",
        "в",
        "Москву",
        "вернуть",
        "деньги",
        "за",
        "товар",
        "refund",
        "card",
        "payment",
        "was",
        "declined",
        "twice",
        "yesterday",
        "again",
    ];
    let mut random = Random::new(std::process::id().into());
    let mut seen = HashSet::new();
    while seen.len() < count {
        let words: Vec<&str> = (0..4 + random.below(11)).map(|_| WORDS[random.below(WORDS.len())]).collect();
        seen.insert(words.join(" "));
    }
    let mut texts: Vec<String> = seen.into_iter().collect();
    texts.sort();
    random.shuffle(&mut texts);
    texts
}
