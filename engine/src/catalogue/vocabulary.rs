//! The words of an intent's examples, by which a message that is cut short is known to be about it.

use std::collections::{HashMap, HashSet};

use super::{Intent, SlotSpec, example::Example};
use crate::{
    lexicon::{DO_NOT, FILLERS, FUNCTION, NOT_CHOSEN, NOT_DOING, QUESTIONED, UNWANTED, WITHOUT},
    text::stem,
    word::{Word, words},
};

/// Letters of a root that is compared without its ending, at least.
const MIN_ROOT: usize = 4;
/// Words after a negation that it is about.
const SCOPE: usize = 4;

/// The stems of an intent's words.
#[derive(Debug, Default)]
pub struct Vocabulary {
    stems: HashSet<String>,
    /// Those that some example negates: "I no longer need the order" wants to cancel it.
    negated: HashSet<String>,
    /// The slots by the stems of what they are called, in the order of the slots.
    names: Vec<(String, String)>,
    /// For each role of an entity: how often a word stands before it.
    roles: HashMap<(String, String), HashMap<String, usize>>,
}

impl Vocabulary {
    /// The words of the examples, the title and the slots' names.
    pub fn of(intent: &Intent) -> Self {
        let mut vocabulary = Self::default();
        for Example { text, marks, .. } in &intent.examples {
            let words = words(text);
            for Negation { start, end, .. } in negations(text, &words) {
                vocabulary.negated.extend(words[start..end].iter().map(|word| stem(word.plain())));
            }
            vocabulary.add(&words);
            for mark in marks {
                let (Some(role), Some(before)) = (&mark.role, &mark.before) else { continue };
                let counts = vocabulary.roles.entry((mark.entity.clone(), role.clone())).or_default();
                *counts.entry(before.clone()).or_default() += 1;
            }
        }
        let wish = vocabulary.stems.clone();
        for title in intent.title.iter().chain(intent.slots.iter().filter_map(|slot| slot.title.as_ref())) {
            title.templates().for_each(|title| vocabulary.add(&words(&title.to_string())));
        }
        for slot in &intent.slots {
            vocabulary.add(&words(&slot.name.replace('_', " ")));
            let called = names(slot, &wish).into_iter().map(|name| (name, slot.name.clone()));
            vocabulary.names.extend(called);
        }
        vocabulary
    }

    /// The slot that is called by this stem.
    pub fn slot_named(&self, stem: &str) -> Option<&str> {
        self.names.iter().find(|(name, _)| name == stem).map(|(_, slot)| slot.as_str())
    }

    fn add(&mut self, words: &[Word]) {
        let content = words.iter().enumerate().filter(|(at, _)| FUNCTION.at(words, *at) != Some(1));
        self.stems.extend(content.map(|(_, word)| stem(word.plain())));
    }

    /// How often the examples have this word before a value of this role.
    pub fn role_count(&self, entity: &str, role: &str, before: &str) -> usize {
        let counts = self.roles.get(&(entity.to_owned(), role.to_owned()));
        counts.and_then(|counts| counts.get(before)).copied().unwrap_or(0)
    }

    /// Whether a word is one of the intent's, whatever its ending.
    pub fn knows(&self, word: &Word) -> bool {
        contains(&self.stems, &stem(word.plain()))
    }

    /// Whether an example of the intent negates a word that this text negates, too: the intent is about what is not.
    pub fn is_about_negation(&self, text: &str, words: &[Word]) -> bool {
        let scopes = negations(text, words);
        let negated = scopes.iter().flat_map(|scope| &words[scope.start..scope.end]);
        let own = negated.filter(|word| !FUNCTION.are(std::slice::from_ref(word)) && self.knows(word));
        let mut own = own.map(|word| stem(word.plain())).peekable();
        own.peek().is_some() && own.all(|word| contains(&self.negated, &word))
    }
}

/// The stems of what a slot is called: its titles, its name and that of its entity. A word of the examples is no name of
/// the slot `return_reason` in an intent about returns, unless a title has it.
fn names(slot: &SlotSpec, wish: &HashSet<String>) -> Vec<String> {
    let stems = |text: &str| -> Vec<String> {
        let words = words(text);
        words.iter().filter(|word| word.plain().chars().count() > 2).map(|word| stem(word.plain())).collect()
    };
    let titles = slot.title.iter().flat_map(|title| title.templates()).flat_map(|title| stems(&title.to_string()));
    let own = [slot.name.as_str(), slot.entity.as_deref().unwrap_or_default()];
    let own = own.into_iter().flat_map(|name| stems(&name.replace('_', " "))).filter(|stem| !wish.contains(stem));
    titles.chain(own).collect()
}

/// Whether a stem is known, or the stem of the other aspect of a Russian verb: «отменя» is «отмен».
fn contains(stems: &HashSet<String>, stem: &str) -> bool {
    if stems.contains(stem) {
        return true;
    }
    let verb = stem.strip_suffix(['я', 'а', 'и', 'ы', 'в']).filter(|root| root.chars().count() >= MIN_ROOT);
    verb.is_some_and(|root| stems.contains(root))
}

/// A text with a negated wish: the wish itself, and what else the text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegatedText {
    /// The text without its first negation.
    pub affirmed: String,
    /// The clause that was negated, without the negation.
    pub clause: String,
    /// Its other clauses; empty if there are none.
    pub rest: String,
}

impl NegatedText {
    /// Takes the first negation out of a text; `None` if it negates no wish.
    pub fn of(text: &str, words: &[Word]) -> Option<Self> {
        let Negation { at, length, .. } = negations(text, words).into_iter().next()?;
        let cut = |words: &[Word]| words.first().map_or(text.len(), |word| word.start);
        let affirmed = format!("{}{}", &text[..words[at].start], &text[cut(&words[at + length..])..]);
        let begin = (0..at).rev().find(|before| ends_clause(text, words, *before)).map_or(0, |before| before + 1);
        let end = (at + length - 1..words.len())
            .find(|last| ends_clause(text, words, *last))
            .map_or(words.len(), |last| last + 1);
        let clause = format!(
            "{}{}",
            &text[words[begin].start..words[at].start],
            &text[cut(&words[at + length..]).min(words[end - 1].end)..words[end - 1].end],
        );
        let rest = format!("{} {}", &text[..words[begin].start], &text[cut(&words[end.min(words.len())..])..]);
        let [affirmed, clause, rest] = [affirmed, clause, rest].map(|part| part.trim().to_owned());
        Some(Self { affirmed, clause, rest })
    }
}

/// A negation of a wish, in numbers of words.
struct Negation {
    /// Where it stands, and how long it is.
    at: usize,
    length: usize,
    /// The words that it is about.
    start: usize,
    end: usize,
}

/// The negations of wishes. "It does not work" negates no wish. What a negation is about follows it, or precedes it at the
/// end of a clause: «удалять его не надо».
fn negations(text: &str, words: &[Word]) -> Vec<Negation> {
    let mut found = Vec::new();
    for at in 0..words.len() {
        let Some(length) = UNWANTED.at(words, at).or_else(|| command(text, words, at)) else { continue };
        let after = at + length;
        let (start, end) = if after < words.len() && !ends_clause(text, words, after - 1) {
            let last = (after..words.len()).take(SCOPE).find(|last| ends_clause(text, words, *last));
            (after, last.map_or((after + SCOPE).min(words.len()), |last| last + 1))
        } else {
            let begin = (0..at).rev().take_while(|before| !ends_clause(text, words, *before)).take(SCOPE).last();
            (begin.unwrap_or(at), at)
        };
        let content = |at: usize| FUNCTION.at(words, at) != Some(1) && FILLERS.at(words, at).is_none();
        if (start..end).any(content) {
            found.push(Negation { at, length, start, end });
        }
    }
    found
}

/// The number of words of a negated command: "don't send", «не отправляйте».
fn command(text: &str, words: &[Word], at: usize) -> Option<usize> {
    if let Some(length) = DO_NOT.at(words, at) {
        let polite = (0..at).rev().take_while(|before| !ends_clause(text, words, *before));
        let begins = polite.clone().all(|before| FILLERS.at(words, before).is_some());
        return (begins && QUESTIONED.at(words, at + length).is_none()).then_some(length);
    }
    let begins = (0..at).all(|before| FILLERS.at(words, before).is_some());
    if let Some(length) = WITHOUT.at(words, at).filter(|_| begins) {
        return Some(length);
    }
    // "I'm not returning it"; "it is not working" is no wish.
    if let Some(length) = NOT_DOING.at(words, at) {
        let doing = words.get(at + length).filter(|next| next.plain().ends_with("ing"));
        return doing.filter(|_| NOT_CHOSEN.at(words, at + length).is_none()).map(|_| length);
    }
    let next = words.get(at + 1)?.plain();
    let commands = ["й", "йте", "и", "ите", "ь", "ьте", "ть", "ться", "ти", "тись"];
    (words[at].plain() == "не" && commands.iter().any(|ending| next.ends_with(ending))).then_some(1)
}

/// Whether a mark or a conjunction stands behind a word.
fn ends_clause(text: &str, words: &[Word], at: usize) -> bool {
    let Some(next) = words.get(at + 1) else { return true };
    text[words[at].end..next.start].contains([',', '.', ';', '!', '?', ':', '—'])
        || matches!(
            next.plain(),
            "and" | "but" | "so" | "и" | "но" | "а" | "because" | "cause" | "потому" | "поэтому" | "just" | "просто"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `affirmed`: the text without its negation, if it negates a wish.
    fn check(text: &str, affirmed: Option<&str>) {
        let found = NegatedText::of(text, &words(text)).map(|negated| negated.affirmed);
        assert_eq!(found.as_deref(), affirmed, "{text}");
    }

    #[test]
    fn negations_of_wishes_are_found() {
        check("I don't want to cancel my order", Some("I to cancel my order"));
        check("please don't cancel the order", Some("cancel the order"));
        check("не хочу отменять заказ", Some("отменять заказ"));
        check("не отменяйте заказ, пожалуйста", Some("отменяйте заказ, пожалуйста"));
        check("удалять его не надо", Some("удалять его"));
        check("I'm not returning the kettle", Some("returning the kettle"));
        for text in [
            "cancel my order",
            "why can't I cancel my order",
            "заказ не пришёл, отмените",
            "don't you cancel orders?",
            "my parcel did not come",
            "у меня не проходит оплата картой",
            "I'm not seeing a refund",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn what_else_is_said_is_kept() {
        let text = "I don't need my order, cancel it";
        let negated = NegatedText::of(text, &words(text)).unwrap();
        assert_eq!((negated.affirmed.as_str(), negated.rest.as_str()), ("I my order, cancel it", "cancel it"));
        assert_eq!(negated.clause, "I my order");
        let text = "hello, please don't cancel the order, tell me where it is";
        let negated = NegatedText::of(text, &words(text)).unwrap();
        assert_eq!(
            (negated.clause.as_str(), negated.rest.as_str()),
            ("cancel the order", "hello,  tell me where it is")
        );
        let text = "удалять его не надо, где он";
        let negated = NegatedText::of(text, &words(text)).unwrap();
        assert_eq!((negated.clause.as_str(), negated.rest.as_str()), ("удалять его", "где он"));
    }
}
