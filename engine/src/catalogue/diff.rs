//! The differences between two bots, in the author's terms.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Catalogue, Handler, Intent, manifest::Manifest};
use crate::template::Text;

/// The differences from one bot to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueDiff {
    /// Paths of added files.
    pub files_added: Vec<String>,
    /// Paths of removed files.
    pub files_removed: Vec<String>,
    /// Paths of files whose content differs.
    pub files_changed: Vec<String>,
    /// Added intents, with their number of examples.
    pub intents_added: BTreeMap<String, usize>,
    /// Removed intents, with their number of examples.
    pub intents_removed: BTreeMap<String, usize>,
    /// Intents that exist in both and differ.
    pub intents_changed: Vec<IntentDiff>,
    /// Texts that differ.
    pub texts: Vec<ValueDiff>,
    /// Settings of matching and fallback that differ: thresholds, margin, tries.
    pub thresholds: Vec<ValueDiff>,
}

/// The differences in one intent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntentDiff {
    /// The intent's name.
    pub intent: String,
    /// Text of added examples.
    pub examples_added: Vec<String>,
    /// Text of removed examples.
    pub examples_removed: Vec<String>,
    /// Changes in handler, slots and role.
    pub changes: Vec<ValueDiff>,
}

/// One changed value. `None` means that the value does not exist on that side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueDiff {
    /// The name of the value.
    pub what: String,
    /// The old value.
    #[schema(required)]
    pub from: Option<String>,
    /// The new value.
    #[schema(required)]
    pub to: Option<String>,
}

impl CatalogueDiff {
    /// Compares two bots and their manifests.
    pub fn between(from: (&Catalogue, &Manifest), to: (&Catalogue, &Manifest)) -> Self {
        let mut diff = Self::default();
        diff.files(from.1, to.1);
        diff.intents(from.0, to.0);
        diff.texts = values(&texts(from.0), &texts(to.0));
        diff.thresholds = values(&numbers(from.0), &numbers(to.0));
        diff
    }

    fn files(&mut self, from: &Manifest, to: &Manifest) {
        for path in from.files.keys().chain(to.files.keys()).collect::<BTreeSet<_>>() {
            match (from.files.get(path), to.files.get(path)) {
                (None, _) => self.files_added.push(path.clone()),
                (_, None) => self.files_removed.push(path.clone()),
                (Some(old), Some(new)) if old != new => self.files_changed.push(path.clone()),
                _ => {}
            }
        }
    }

    fn intents(&mut self, from: &Catalogue, to: &Catalogue) {
        let names = from.intents.iter().chain(&to.intents).map(|intent| &intent.id).collect::<BTreeSet<_>>();
        for id in names {
            match (from.intent(id), to.intent(id)) {
                (None, Some(new)) => _ = self.intents_added.insert(id.to_string(), new.examples.len()),
                (Some(old), None) => _ = self.intents_removed.insert(id.to_string(), old.examples.len()),
                (Some(old), Some(new)) => self.intents_changed.extend(intent(old, new)),
                (None, None) => {}
            }
        }
    }
}

fn intent(old: &Intent, new: &Intent) -> Option<IntentDiff> {
    fn texts(intent: &Intent) -> impl Iterator<Item = &str> {
        intent.examples.iter().map(|example| example.text.as_str())
    }
    // Between two versions most intents are unchanged: skip building the sets for those.
    let same = texts(old).eq(texts(new));
    let list = |intent| if same { BTreeSet::new() } else { texts(intent).collect() };
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (list(old), list(new));
    let diff = IntentDiff {
        intent: new.id.to_string(),
        examples_added: after.difference(&before).map(|text| (*text).to_owned()).collect(),
        examples_removed: before.difference(&after).map(|text| (*text).to_owned()).collect(),
        changes: values(&parts(old), &parts(new)),
    };
    let same = diff.examples_added.is_empty() && diff.examples_removed.is_empty() && diff.changes.is_empty();
    (!same).then_some(diff)
}

type Values = BTreeMap<String, String>;

fn values(from: &Values, to: &Values) -> Vec<ValueDiff> {
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    names
        .into_iter()
        .filter(|name| from.get(*name) != to.get(*name))
        .map(|name| ValueDiff { what: name.clone(), from: from.get(name).cloned(), to: to.get(name).cloned() })
        .collect()
}

/// An intent's handler, slots and role, by name.
fn parts(intent: &Intent) -> Values {
    let handler = match &intent.handler {
        Handler::Reply { .. } => "reply".to_owned(),
        Handler::Script(function) => function.to_string(),
        Handler::Plugin(plugin) => format!("plugin {plugin}"),
        Handler::HandOff { .. } => "handoff".to_owned(),
        Handler::Jump(target) => format!("jump {target}"),
    };
    let slot = |slot: &super::SlotSpec| {
        let kind = slot.entity.as_deref().unwrap_or("text");
        let need = if slot.required { "required" } else { "optional" };
        let kept = if slot.remember { ", remembered" } else { "" };
        (format!("slot {}", slot.name), format!("{kind}, {need}{kept}"))
    };
    let cancels = intent.cancels.then(|| ("role".to_owned(), "cancel".to_owned()));
    intent.slots.iter().map(slot).chain([("handler".to_owned(), handler)]).chain(cancels).collect()
}

/// All texts that the bot says, keyed by where they are used.
fn texts(catalogue: &Catalogue) -> Values {
    let mut out = Values::new();
    let mut add = |name: &str, text: &Text| {
        for (language, variants) in text.variants() {
            let name = language.map_or(name.to_owned(), |language| format!("{name} ({language})"));
            out.insert(name, variants.join(" | "));
        }
    };
    for (key, text) in catalogue.library.texts.iter() {
        add(key, text);
    }
    add("fallback", &catalogue.fallback.text);
    add("clarify", &catalogue.clarify);
    add("handoff", &catalogue.handoff);
    if let Some(text) = &catalogue.waiting.text {
        add("waiting", text);
    }
    add("cancelled", &catalogue.cancelled);
    add("dropped", &catalogue.dropped);
    for intent in &catalogue.intents {
        if let Some(title) = &intent.title {
            add(&format!("{}: title", intent.id), title);
        }
        if let Handler::Reply { text, .. } | Handler::HandOff { text } = &intent.handler {
            add(&format!("{}: reply", intent.id), text);
        }
        for slot in &intent.slots {
            if let Some(ask) = &slot.ask {
                add(&format!("{}: {} ask", intent.id, slot.name), ask);
            }
            for (at, retry) in slot.retry.iter().enumerate() {
                add(&format!("{}: {} retry {}", intent.id, slot.name, at + 1), retry);
            }
        }
    }
    for intent in &catalogue.intents {
        if let Handler::Reply { suggest, .. } = &intent.handler {
            for (language, replies) in suggest {
                out.insert(format!("{}: suggest ({language})", intent.id), replies.join(" | "));
            }
        }
    }
    out
}

fn numbers(catalogue: &Catalogue) -> Values {
    let own = catalogue.intents.iter().filter_map(|intent| {
        let threshold = intent.threshold?;
        Some((format!("{}: threshold", intent.id), threshold.to_string()))
    });
    let fallback = &catalogue.fallback;
    let then = if fallback.then_hand_off { "handoff" } else { "text" };
    [
        ("threshold".to_owned(), catalogue.threshold.to_string()),
        ("margin".to_owned(), catalogue.margin.to_string()),
        ("fallback: tries".to_owned(), fallback.tries.to_string()),
        ("fallback: then".to_owned(), then.to_owned()),
        ("waiting: minutes".to_owned(), (catalogue.waiting.limit / 60_000).to_string()),
        ("session: minutes".to_owned(), (catalogue.session.limit.unwrap_or(0) / 60_000).to_string()),
        ("session: idle_minutes".to_owned(), (catalogue.session.idle.unwrap_or(0) / 60_000).to_string()),
    ]
    .into_iter()
    .chain(own)
    .collect()
}
