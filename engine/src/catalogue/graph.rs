//! A picture of a bot: its intents, the questions of their forms, contexts and jumps.

use std::{collections::BTreeMap, fmt::Write};

use super::{Catalogue, Handler, Intent, PatternAnswer, ScriptFunction};
use crate::handlers::source::Reference;

/// Nodes and the ways between them.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    numbers: BTreeMap<String, usize>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Node {
    label: String,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Intent,
    Question,
    Handler,
    Context,
    Person,
}

#[derive(Debug)]
struct Edge {
    from: usize,
    to: usize,
    label: String,
    /// Whether it is taken only if a script does so.
    maybe: bool,
}

impl Graph {
    /// The graph of a bot.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut graph = Self::default();
        for intent in &catalogue.intents {
            graph.add_intent(intent);
        }
        for (pattern, answer) in &catalogue.patterns {
            if let PatternAnswer::Jump(target) = answer {
                let from = graph.node(&format!("pattern {pattern}"), pattern.name(), Shape::Handler);
                let to = graph.intent(target.as_str());
                graph.edge(from, to, "", false);
            }
        }
        graph
    }

    fn add_intent(&mut self, intent: &Intent) {
        let start = self.intent(intent.id.as_str());
        for context in &intent.only_in {
            let from = self.context(context);
            self.edge(from, start, "only in", false);
        }
        if let Some(instead) = &intent.negated {
            let to = self.intent(instead.as_str());
            self.edge(start, to, "negated", false);
        }
        // A question that need not be asked has a way around it.
        let mut before = vec![start];
        for slot in intent.slots.iter().filter(|slot| slot.ask.is_some()) {
            let question = self.node(&format!("slot {} {}", intent.id, slot.name), &slot.name, Shape::Question);
            let when: Vec<String> = slot
                .when
                .iter()
                .map(|(other, values)| match values {
                    Some(values) => format!("{other} is {}", values.join(" or ")),
                    None => format!("{other} is known"),
                })
                .collect();
            let label = if slot.required { when.join(", ") } else { "optional".to_owned() };
            for from in &before {
                self.edge(*from, question, &label, !slot.required);
            }
            if slot.required && slot.when.is_empty() {
                before.clear();
            }
            before.push(question);
        }
        if intent.confirm.is_some() {
            let confirm = self.node(&format!("confirm {}", intent.id), "confirm", Shape::Question);
            self.edges_to(confirm, &before, "");
            before = vec![confirm];
        }
        self.add_handler(intent, &before);
    }

    fn add_handler(&mut self, intent: &Intent, before: &[usize]) {
        match &intent.handler {
            Handler::Reply { .. } => {}
            Handler::Jump(target) => {
                let to = self.intent(target.as_str());
                self.edges_to(to, before, "jump");
            }
            Handler::HandOff { .. } => {
                let person = self.node("person", "a person", Shape::Person);
                self.edges_to(person, before, "");
            }
            Handler::Plugin(name) => {
                let plugin = self.node(&format!("plugin {name}"), name, Shape::Handler);
                self.edges_to(plugin, before, "");
            }
            Handler::Script(ScriptFunction { script, .. }) => {
                let handler = self.node(&format!("script {}", script.path()), script.path(), Shape::Handler);
                self.edges_to(handler, before, "");
                for (reference, _) in script.references() {
                    match reference {
                        Reference::Intent(target) => {
                            let to = self.intent(target);
                            self.edge(handler, to, "jump", true);
                        }
                        Reference::Context(name) => {
                            let to = self.context(name);
                            self.edge(handler, to, "sets", true);
                        }
                        Reference::Text(_) | Reference::Slot(_) | Reference::Plugin(_) => {}
                    }
                }
            }
        }
    }

    fn edges_to(&mut self, to: usize, from: &[usize], label: &str) {
        from.iter().for_each(|from| self.edge(*from, to, label, false));
    }

    fn intent(&mut self, id: &str) -> usize {
        self.node(&format!("intent {id}"), id, Shape::Intent)
    }

    fn context(&mut self, name: &str) -> usize {
        self.node(&format!("context {name}"), name, Shape::Context)
    }

    fn node(&mut self, key: &str, label: &str, shape: Shape) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.nodes.len();
        self.numbers.insert(key.to_owned(), number);
        self.nodes.push(Node { label: label.to_owned(), shape });
        number
    }

    fn edge(&mut self, from: usize, to: usize, label: &str, maybe: bool) {
        let known = self.edges.iter().any(|edge| (edge.from, edge.to, edge.label.as_str()) == (from, to, label));
        if !known {
            self.edges.push(Edge { from, to, label: label.to_owned(), maybe });
        }
    }

    /// As a flowchart of Mermaid.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (number, Node { label, shape }) in self.nodes.iter().enumerate() {
            let (open, close) = match shape {
                Shape::Intent => ("[", "]"),
                Shape::Question => ("([", "])"),
                Shape::Handler => ("[[", "]]"),
                Shape::Context => ("{{", "}}"),
                Shape::Person => ("((", "))"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  n{number}{open}\"{}\"{close}", label.replace('"', "#quot;"));
        }
        for Edge { from, to, label, maybe } in &self.edges {
            let arrow = if *maybe { "-.->" } else { "-->" };
            let label =
                if label.is_empty() { String::new() } else { format!("|\"{}\"|", label.replace('"', "#quot;")) };
            let _ = writeln!(text, "  n{from} {arrow}{label} n{to}");
        }
        text
    }

    /// In the DOT language of Graphviz.
    pub fn dot(&self) -> String {
        // Braces, bars and angles divide a record.
        let special = ['\\', '"', '{', '}', '|', '<', '>'];
        let quoted = |label: &str| -> String {
            label.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect()
        };
        let mut text = "digraph bot {\n  rankdir=LR\n".to_owned();
        for (number, Node { label, shape }) in self.nodes.iter().enumerate() {
            let shape = match shape {
                Shape::Intent => "box",
                Shape::Question => "ellipse",
                Shape::Handler => "record",
                Shape::Context => "diamond",
                Shape::Person => "doublecircle",
            };
            let _ = writeln!(text, "  n{number} [shape={shape}, label=\"{}\"]", quoted(label));
        }
        for Edge { from, to, label, maybe } in &self.edges {
            let style = if *maybe { "dashed" } else { "solid" };
            let _ = writeln!(text, "  n{from} -> n{to} [style={style}, label=\"{}\"]", quoted(label));
        }
        text.push_str("}\n");
        text
    }
}
