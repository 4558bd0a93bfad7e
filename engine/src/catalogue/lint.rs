//! Checks across files: what each file alone cannot show.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Catalogue, Handler, Intent, IntentId,
    fault::{Fault, Faults, Place, choose_hint},
    template::Text,
};
use crate::{
    handlers::{script::Script, source::Reference},
    text::fold,
};

/// Fewer examples than this make an intent hard to find.
const FEW_EXAMPLES: usize = 2;

/// What is not in the catalogue for a fault of its own, which is told already.
pub struct SpokenOf<'a> {
    /// Whether there may be texts beside those of the catalogue.
    pub texts_unknown: bool,
    /// All plugins of bot.yaml.
    pub plugins: &'a [String],
}

/// Runs all checks.
pub fn check(
    catalogue: &Catalogue,
    scripts: &BTreeMap<String, Arc<Script>>,
    spoken_of: &SpokenOf<'_>,
    faults: &mut Faults,
) {
    check_unique_intents(&catalogue.intents, faults);
    check_examples(catalogue, faults);
    check_jumps(catalogue, faults);
    for script in scripts.values() {
        check_references(script, catalogue, spoken_of, faults);
    }
}

/// Each name in braces must be one of `known`.
pub fn check_names(text: &Text, known: &[&str], place: &Place, faults: &mut Faults) {
    let unknown: HashSet<&str> =
        text.templates().flat_map(|template| template.names()).filter(|name| !known.contains(name)).collect();
    for name in unknown {
        let fault = Fault::error(place.clone(), format!("the text names `{{{name}}}`, which has no value here"));
        let hint = if known.is_empty() {
            "write `{{` for a brace".to_owned()
        } else {
            choose_hint(name, known.iter().copied())
        };
        faults.push(fault.hint(hint));
    }
}

fn check_unique_intents(intents: &[Intent], faults: &mut Faults) {
    let mut seen: HashMap<&IntentId, &Place> = HashMap::new();
    for intent in intents {
        if let Some(first) = seen.get(&intent.id) {
            let message = format!("the intent `{}` is also in {}", intent.id, first.file);
            faults.push(Fault::error(intent.place.clone(), message).hint("rename one of them, or join the files"));
        } else {
            seen.insert(&intent.id, &intent.place);
        }
    }
}

fn check_examples(catalogue: &Catalogue, faults: &mut Faults) {
    let mut seen: HashMap<String, (&IntentId, &Place)> = HashMap::new();
    for intent in &catalogue.intents {
        for example in &intent.examples {
            let (first, place) = *seen.entry(fold(&example.text)).or_insert((&intent.id, &example.place));
            if std::ptr::eq(place, &example.place) {
                continue;
            }
            if first == &intent.id {
                faults.push(Fault::warning(example.place.clone(), "the example stands twice").hint("remove one"));
            } else {
                let message = format!("the same example is in the intent `{first}` ({})", place.file);
                faults.push(Fault::error(example.place.clone(), message).hint("keep it where it belongs"));
            }
        }
        check_languages(intent, catalogue, faults);
    }
}

fn check_languages(intent: &Intent, catalogue: &Catalogue, faults: &mut Faults) {
    for language in &catalogue.languages {
        let count = intent.examples.iter().filter(|example| &example.language == language).count();
        if count < FEW_EXAMPLES {
            let message = format!("the intent `{}` has {count} examples in `{language}`", intent.id);
            faults.push(Fault::warning(intent.place.clone(), message).hint("5 to 20 varied ones work well"));
        }
    }
}

fn check_jumps(catalogue: &Catalogue, faults: &mut Faults) {
    let known: Vec<&str> = catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
    for intent in &catalogue.intents {
        let Handler::Jump(target) = &intent.handler else { continue };
        if catalogue.intent(target).is_none() {
            let fault =
                Fault::error(intent.place.clone(), format!("`{}` jumps to an unknown intent `{target}`", intent.id));
            faults.push(fault.hint(choose_hint(target.as_str(), known.iter().copied())));
            continue;
        }
        if let Some(cycle) = cycle_from(intent, catalogue) {
            let fault = Fault::error(intent.place.clone(), format!("the jumps go round: {}", cycle.join(" → ")));
            faults.push(fault.hint("let one of them answer"));
        }
    }
}

/// The way from an intent back to itself over `jump` handlers.
fn cycle_from(start: &Intent, catalogue: &Catalogue) -> Option<Vec<String>> {
    let mut way = vec![start.id.to_string()];
    let mut current = start;
    while let Handler::Jump(target) = &current.handler {
        if target == &start.id {
            way.push(target.to_string());
            return Some(way);
        }
        // A cycle that this intent only leads into is reported at its members.
        if way.iter().any(|seen| seen == target.as_str()) {
            return None;
        }
        current = catalogue.intent(target)?;
        way.push(target.to_string());
    }
    None
}

fn check_references(script: &Script, catalogue: &Catalogue, spoken_of: &SpokenOf<'_>, faults: &mut Faults) {
    let intents: Vec<&str> = catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
    let texts: Vec<&str> = catalogue.texts.keys().map(String::as_str).collect();
    let slots: Vec<&str> =
        catalogue.intents.iter().flat_map(|intent| intent.slots.iter().map(|slot| slot.name.as_str())).collect();
    let plugins: Vec<&str> = spoken_of.plugins.iter().map(String::as_str).collect();
    for (reference, place) in script.references() {
        let (kind, name, known) = match reference {
            Reference::Text(_) if spoken_of.texts_unknown => continue,
            Reference::Text(name) => ("text", name, &texts),
            Reference::Intent(name) => ("intent", name, &intents),
            Reference::Slot(name) => ("slot", name, &slots),
            Reference::Plugin(name) => ("plugin", name, &plugins),
        };
        if !known.contains(&name.as_str()) {
            let fault = Fault::error(place.clone(), format!("the script names an unknown {kind} `{name}`"));
            faults.push(fault.hint(choose_hint(name, known.iter().copied())));
        }
    }
}
