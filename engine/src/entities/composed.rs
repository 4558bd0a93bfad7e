//! Values that are put together from others: "two large pizzas" from a number, a size and a dish.

use super::Entity;
use crate::{lexicon::WITHIN_VALUE, word::Word};

/// What a composed entity is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// Names of entities, in the order in which a value shows them. They may be said in any order.
    pub parts: Vec<String>,
    /// Those that may be left out.
    pub optional: Vec<String>,
}

impl Composition {
    /// Finds the composed values among those that were found. The parts of one follow each other; between them stand at
    /// most words such as "of" and "the". Each part is there once, so the second "large" of an order begins the next value.
    pub(super) fn find(&self, name: &str, found: &[Entity], text: &str, words: &[Word]) -> Vec<Entity> {
        let mut parts: Vec<&Entity> = found.iter().filter(|own| self.parts.contains(&own.entity)).collect();
        parts.sort_by_key(|part| (part.start, std::cmp::Reverse(part.end)));
        let mut composed: Vec<Entity> = Vec::new();
        for first in 0..parts.len() {
            if composed.last().is_some_and(|last| parts[first].start < last.end) {
                continue;
            }
            let mut group = vec![parts[first]];
            for part in &parts[first + 1..] {
                let (_, end) = place(&group);
                let is_next = part.start >= end && is_near(text, words, end, part.start);
                if is_next && group.iter().all(|own| own.entity != part.entity) {
                    group.push(part);
                } else if part.start >= end {
                    break;
                }
            }
            if let Some(entity) = self.value(name, &group, text) {
                composed.push(entity);
            }
        }
        composed
    }

    /// The value of these parts; `None` if one is missing.
    fn value(&self, name: &str, group: &[&Entity], text: &str) -> Option<Entity> {
        let part = |wanted: &String| group.iter().find(|part| part.entity == *wanted);
        let is_whole = self.parts.iter().all(|wanted| self.optional.contains(wanted) || part(wanted).is_some());
        let (start, end) = place(group);
        let values = self.parts.iter().map(|wanted| (wanted.clone(), part(wanted).map(|part| part.value.clone())));
        let shown: Vec<&str> = self.parts.iter().filter_map(|wanted| Some(part(wanted)?.value.as_str())).collect();
        is_whole.then(|| Entity { parts: values.collect(), ..Entity::new(name, &shown.join(" "), text, start..end) })
    }
}

/// From where to where parts go, in bytes.
fn place(group: &[&Entity]) -> (usize, usize) {
    let start = group.iter().map(|part| part.start).min().unwrap_or(0);
    let end = group.iter().map(|part| part.end).max().unwrap_or(0);
    (start, end)
}

/// Whether nothing but spaces and words without weight stands between two places.
fn is_near(text: &str, words: &[Word], from: usize, to: usize) -> bool {
    let gap = &text[from..to];
    let between = words.iter().filter(|word| word.start >= from && word.end <= to);
    let is_small = |word: &Word| WITHIN_VALUE.are(std::slice::from_ref(word));
    gap.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || c == '-') && between.into_iter().all(is_small)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{
        entities::{EntityKind, EntitySpec, composed::Composition, scan},
        values::Setting,
    };

    fn check(text: &str, expected: &[(&str, &str)]) {
        let list = |values: &[(&str, &[&str])]| {
            let values = values.iter().map(|(value, words)| {
                ((*value).to_owned(), words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
            });
            EntitySpec::values(&values.collect(), false)
        };
        let composition = Composition {
            parts: ["count", "size", "dish"].map(str::to_owned).into(),
            optional: ["count", "size"].map(str::to_owned).into(),
        };
        let specs = BTreeMap::from([
            ("count".to_owned(), EntitySpec::Kind(EntityKind::Number)),
            ("size".to_owned(), list(&[("large", &["большой"]), ("small", &["маленький"])])),
            ("dish".to_owned(), list(&[("pizza", &["pizzas", "пицца"]), ("soup", &["soups", "суп"])])),
            ("item".to_owned(), EntitySpec::Composed(composition)),
        ]);
        let found = scan(&specs, text, &Setting::example()).found;
        let items = found.iter().filter(|entity| entity.entity == "item");
        let items: Vec<(&str, &str)> = items.map(|item| (item.value.as_str(), item.text.as_str())).collect();
        assert_eq!(items, expected, "{text}");
    }

    #[test]
    fn parts_that_follow_each_other_are_one_value() {
        check("two large pizzas please", &[("2 large pizza", "two large pizzas")]);
        check("pizza, large", &[("pizza", "pizza")]);
        check("a pizza that is large", &[("large pizza", "pizza that is large")]);
        check("2 of the soups", &[("2 soup", "2 of the soups")]);
        check("2 х пиццы", &[("2 pizza", "2 х пиццы")]);
        check("two but pizza", &[("pizza", "pizza")]);
        check("две большие пиццы и три супа", &[("2 large pizza", "две большие пиццы"), ("3 soup", "три супа")]);
        check("a large pizza and a small soup", &[("large pizza", "large pizza"), ("small soup", "small soup")]);
    }

    #[test]
    fn without_a_needed_part_there_is_no_value() {
        check("two large ones", &[]);
        check("", &[]);
    }
}
