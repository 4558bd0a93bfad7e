//! Composed values and lists of values in slots.

use crate::support::{BOT, GREET, Talk, load};

const ENTITIES: &str = "entities:
  count: { kind: number }
  size: { values: { large: [large, большой], small: [small, маленький] } }
  dish: { values: { pizza: [pizza, pizzas, пицца], soup: [soup, soups, суп] } }
  item: { parts: [count, size, dish], optional: [count, size] }";

const ORDER: &str = "
intent: order
examples: { en: [I want to order, 'order [two pizzas](item)'], ru: [хочу заказать, 'закажу [две пиццы](item)'] }
slots:
  items: { entity: item, many: true, ask: { en: What would you like?, ru: Что желаете? } }
confirm: { en: '{items}?', ru: '{items}?' }
handler: { script: order.rhai }
";

/// `ctx.slots` has the parts of each value.
const SCRIPT: &str = r#"
fn handle(ctx) {
    let lines = ctx.slots.items.map(|item| `${if item.count == () { "1" } else { item.count }} x ${item.dish}`);
    say(`${lines} ${t("order")}`)
}
"#;

fn files(order: &str) -> Vec<(&'static str, String)> {
    vec![
        ("bot.yaml", BOT.replace("entities:", ENTITIES)),
        ("intents/greet.yaml", GREET.to_owned()),
        ("intents/order.yaml", order.to_owned()),
        ("scripts/order.rhai", SCRIPT.to_owned()),
        ("texts/all.yaml", "order: { en: '({items})', ru: '({items})' }".to_owned()),
    ]
}

fn check(lines: &[(&str, &str)]) {
    let files = files(ORDER);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(lines);
}

#[test]
fn all_that_is_said_fills_the_slot() {
    check(&[
        ("order two large pizzas and a soup", "2 large pizza, soup?"),
        ("yes", "[\"2 x pizza\", \"1 x soup\"] (2 large pizza, soup)"),
    ]);
    check(&[("хочу заказать", "Что желаете?"), ("две большие пиццы и три супа", "2 large pizza, 3 soup?")]);
}

#[test]
fn a_correction_replaces_the_list() {
    check(&[
        ("order two large pizzas", "2 large pizza?"),
        ("no, three soups", "3 soup?"),
        ("yes", "[\"3 x soup\"] (3 soup)"),
    ]);
}

#[test]
fn words_add_to_the_list_and_take_from_it() {
    check(&[
        ("order two large pizzas", "2 large pizza?"),
        ("and a soup too", "2 large pizza, soup?"),
        ("also three small soups", "2 large pizza, soup, 3 small soup?"),
        ("without the pizza", "soup, 3 small soup?"),
        ("remove the small soup", "soup?"),
        ("not the soup but two pizzas", "2 pizza?"),
        ("without the pizza", "What would you like?"),
    ]);
    check(&[
        ("закажу две пиццы и суп", "2 pizza, soup?"),
        ("без супа", "2 pizza?"),
        ("и ещё три супа", "2 pizza, 3 soup?"),
        ("уберите пиццу", "3 soup?"),
    ]);
}

#[test]
fn what_is_refused_in_an_answer_is_not_taken() {
    check(&[("I want to order", "What would you like?"), ("not a soup but two pizzas", "2 pizza?")]);
    check(&[("хочу заказать", "Что желаете?"), ("нет, не суп, а две пиццы", "2 pizza?")]);
}

#[test]
fn a_part_may_be_corrected_alone() {
    let files = files(&ORDER.replace("many: true, ", "").replace("script: order.rhai", "reply: '{items}'"));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(&[
        ("order two large pizzas", "2 large pizza?"),
        ("no, small", "2 small pizza?"),
        ("no", "What shall I change?"),
        ("no, three", "3 small pizza?"),
        ("yes", "3 small pizza"),
    ]);
}

/// A list is kept when its form asks for something else.
#[test]
fn what_is_said_beside_an_answer_is_added() {
    let order = ORDER
        .replace("confirm:", "  city: { entity: city, ask: { en: To which city?, ru: В какой город? } }\nconfirm:");
    let files = files(&order.replace("{items}?", "{items}, {city}?"));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files)
        .check(&[("order two pizzas", "To which city?"), ("and three soups to Moscow", "2 pizza, 3 soup, moscow?")]);
}

#[test]
fn a_summary_is_said_in_the_same_words_after_an_interruption() {
    check(&[
        ("order two large pizzas", "2 large pizza?"),
        ("hello there", "Hello!\nBack to where we were: I want to order.\n2 large pizza?"),
    ]);
}

#[test]
fn without_many_the_first_counts() {
    let order = ORDER.replace("many: true, ", "").replace("script: order.rhai", "reply: '{items}'");
    let files = files(&order);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Talk::with(&files).check(&[("order two large pizzas and a soup", "2 large pizza?")]);
}

#[test]
fn mistakes_in_compositions_are_told() {
    let mut files = files(&ORDER.replace("entity: item, many", "many"));
    files[0].1 = BOT.replace(
        "entities:",
        "entities:
  count: { kind: number }
  item: { parts: [cuont, city], optional: [size] }
  pair: { parts: [item, city] }
  lone: { parts: [count], optional: [] }
  both: { parts: [count, city], kind: number }",
    );
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    insta::assert_snapshot!(load(&files).1);
}
