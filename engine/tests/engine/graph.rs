//! The picture of a bot.

use banter_engine::catalogue::graph::Graph;

use crate::support::{BOT, GREET, STATUS, load};

const RETURN: &str = "
intent: give_back
only_in: [shopping]
examples: { en: [give it back, return the thing], ru: [верну это, возврат вещи] }
slots:
  city: { entity: city, ask: { en: Where?, ru: Где? } }
  why: { when: { city: [london] }, ask: { en: Why?, ru: Почему? } }
confirm: { en: Sure?, ru: Точно? }
handler: { script: back.rhai }
";

fn graph() -> Graph {
    let bot = format!("{BOT}patterns: {{ empty: {{ jump: greet }} }}\n");
    let human = "intent: human\nexamples: { en: [a person please, call a human], ru: [позовите человека, нужен человек] }\nhandler: { handoff: { en: One moment., ru: Минуту. } }";
    let script = "fn handle(ctx) { set_context(\"shopping\", 2); jump(\"human\") }";
    let files = [
        ("bot.yaml", bot.as_str()),
        ("intents/greet.yaml", GREET),
        ("intents/status.yaml", STATUS),
        ("intents/give_back.yaml", RETURN),
        ("intents/human.yaml", human),
        ("scripts/back.rhai", script),
    ];
    let (catalogue, report) = load(&files);
    Graph::of(&catalogue.unwrap_or_else(|| panic!("{report}")))
}

#[test]
fn a_bot_is_drawn_for_mermaid() {
    insta::assert_snapshot!(graph().mermaid());
}

#[test]
fn a_bot_is_drawn_for_graphviz() {
    insta::assert_snapshot!(graph().dot());
}
