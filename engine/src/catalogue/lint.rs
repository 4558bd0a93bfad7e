//! Checks that need more than one file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use super::{Catalogue, Handler, Intent, SlotSpec};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Location, choose_hint},
    handlers::{script::Script, source::Reference},
    ids::IntentId,
    template::Template,
    text::fold,
};

/// Below this number of examples in a language, an intent is hard to recognise.
const FEW_EXAMPLES: usize = 2;

/// Kinds of names whose list is incomplete, because a file or part of one could not be read. That is reported already;
/// follow-on errors are suppressed.
#[derive(Debug, Default)]
pub struct Gaps {
    /// The bot's languages.
    pub languages: bool,
    pub entities: bool,
    pub plugins: bool,
    /// Texts by key.
    pub texts: bool,
    pub intents: bool,
    pub slots: bool,
    /// Files of intents whose list of examples is incomplete.
    pub examples: BTreeSet<String>,
}

/// Runs all checks. `plugins` are all names of bot.yaml, including those of plugins that did not load.
pub fn check(
    catalogue: &Catalogue,
    scripts: &BTreeMap<String, Arc<Script>>,
    plugins: &[String],
    gaps: &Gaps,
    diagnostics: &mut Diagnostics,
) {
    check_unique_intents(&catalogue.intents, diagnostics);
    if let ([only], false) = (catalogue.intents.as_slice(), gaps.intents) {
        let message = "the bot has only one intent, so there is nothing to tell it apart from";
        diagnostics.push(
            Diagnostic::warning(only.location.clone(), message)
                .hint("add intents for other things people say: greetings, thanks, goodbyes"),
        );
    }
    check_examples(catalogue, gaps, diagnostics);
    check_jumps(catalogue, gaps, diagnostics);
    check_negated(catalogue, gaps, diagnostics);
    let references: Vec<&Reference> =
        scripts.values().flat_map(|script| script.references()).map(|(reference, _)| reference).collect();
    // Plugins set contexts and ask for slots, too, and nobody can see which.
    if plugins.is_empty() {
        check_contexts(catalogue, &references, diagnostics);
        check_questions(catalogue, &references, diagnostics);
    }
    check_impossible_conditions(catalogue, diagnostics);
    check_retries(catalogue, diagnostics);
    for script in scripts.values() {
        check_references(script, catalogue, plugins, gaps, diagnostics);
    }
}

/// The names that may appear in braces in a text.
#[derive(Clone, Copy)]
pub enum AllowedNames<'a> {
    /// Any name: the script that uses the text supplies the values.
    Any,
    /// Only these names.
    Only(&'a [&'a str]),
}

impl AllowedNames<'_> {
    /// Reports names in a text that are not allowed; `location` gives the location of a byte range of the text.
    pub fn check(
        self,
        template: &Template,
        location: impl Fn(Range<usize>) -> Location,
        diagnostics: &mut Diagnostics,
    ) {
        let Self::Only(known) = self else { return };
        let mut told = BTreeSet::new();
        for (name, bytes) in template.names().filter(|(name, _)| !known.contains(name)) {
            if !told.insert(name) {
                continue;
            }
            let message = format!("`{{{name}}}` has no value in this text");
            let hint = if known.is_empty() {
                "write `{{` for a literal brace".to_owned()
            } else {
                choose_hint(name, known.iter().copied())
            };
            diagnostics.push(Diagnostic::error(location(bytes), message).hint(hint));
        }
    }
}

fn check_unique_intents(intents: &[Intent], diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<&IntentId, &Location> = HashMap::new();
    for intent in intents {
        if let Some(first) = seen.get(&intent.id) {
            let message = format!("the intent `{}` is already defined in {}", intent.id, first.file);
            diagnostics.push(
                Diagnostic::error(intent.location.clone(), message).hint("rename one of them, or merge the files"),
            );
        } else {
            seen.insert(&intent.id, &intent.location);
        }
    }
}

fn check_examples(catalogue: &Catalogue, gaps: &Gaps, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<String, (&IntentId, &Location)> = HashMap::new();
    for intent in &catalogue.intents {
        for example in &intent.examples {
            let (first, location) = *seen.entry(fold(&example.text)).or_insert((&intent.id, &example.location));
            if std::ptr::eq(location, &example.location) {
                continue;
            }
            if first == &intent.id {
                diagnostics.push(
                    Diagnostic::warning(example.location.clone(), "the example appears twice").hint("remove one"),
                );
            } else {
                let message = format!("the same example is in the intent `{first}` ({})", location.file);
                diagnostics
                    .push(Diagnostic::error(example.location.clone(), message).hint("keep it in one intent only"));
            }
        }
        if !gaps.languages && !gaps.examples.contains(&intent.location.file) {
            check_languages(intent, catalogue, diagnostics);
        }
    }
}

fn check_languages(intent: &Intent, catalogue: &Catalogue, diagnostics: &mut Diagnostics) {
    for language in &catalogue.languages {
        let count = intent.examples.iter().filter(|example| &example.language == language).count();
        if count < FEW_EXAMPLES {
            let message = format!("the intent `{}` has {count} examples in `{language}`", intent.id);
            diagnostics
                .push(Diagnostic::warning(intent.location.clone(), message).hint("write 5 to 20 varied examples"));
        }
    }
}

fn check_jumps(catalogue: &Catalogue, gaps: &Gaps, diagnostics: &mut Diagnostics) {
    let known: Vec<&str> = catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
    let mut told: BTreeSet<String> = BTreeSet::new();
    for intent in &catalogue.intents {
        let Handler::Jump(target) = &intent.handler else { continue };
        let location = intent.handler_location.clone();
        if catalogue.intent(target).is_none() {
            if !gaps.intents {
                let diagnostic =
                    Diagnostic::error(location, format!("`{}` jumps to an unknown intent `{target}`", intent.id));
                diagnostics.push(diagnostic.hint(choose_hint(target.as_str(), known.iter().copied())));
            }
            continue;
        }
        // A cycle is reported once, at its first member.
        if let Some(cycle) = cycle_from(intent, catalogue).filter(|_| !told.contains(intent.id.as_str())) {
            let diagnostic = Diagnostic::error(location, format!("the jumps form a cycle: {}", cycle.join(" → ")));
            diagnostics.push(diagnostic.hint("in one of these intents, replace `jump` with a reply or a script"));
            told.extend(cycle);
        }
    }
}

/// Reports intents that are to answer a negated wish and do not exist.
fn check_negated(catalogue: &Catalogue, gaps: &Gaps, diagnostics: &mut Diagnostics) {
    let known: Vec<&str> = catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
    for intent in catalogue.intents.iter().filter(|_| !gaps.intents) {
        let Some(instead) = intent.negated.as_ref().filter(|id| catalogue.intent(id).is_none()) else { continue };
        let message = format!("`negated` of `{}` names an unknown intent `{instead}`", intent.id);
        let diagnostic = Diagnostic::error(intent.location.clone(), message);
        diagnostics.push(diagnostic.hint(choose_hint(instead.as_str(), known.iter().copied())));
    }
}

/// Intents that live in a context which nobody sets.
fn check_contexts(catalogue: &Catalogue, references: &[&Reference], diagnostics: &mut Diagnostics) {
    for intent in catalogue.intents.iter().filter(|intent| !intent.only_in.is_empty()) {
        let is_set = |name: &String| references.iter().any(|r| matches!(r, Reference::Context(set) if set == name));
        if !intent.only_in.iter().any(is_set) {
            let message =
                format!("`{}` is never found, because no script sets `{}`", intent.id, intent.only_in.join("`, `"));
            let diagnostic = Diagnostic::warning(intent.location.clone(), message);
            diagnostics.push(diagnostic.hint("call `set_context(\"name\", turns)` in a script, or remove `only_in`"));
        }
    }
}

/// Questions of slots that need no value.
fn check_questions(catalogue: &Catalogue, references: &[&Reference], diagnostics: &mut Diagnostics) {
    for intent in &catalogue.intents {
        for slot in intent.slots.iter().filter(|slot| slot.ask.is_some() && !slot.required) {
            if !references.iter().any(|r| matches!(r, Reference::Slot(asked) if *asked == slot.name)) {
                let message = format!("the slot `{}` of `{}` is never asked for", slot.name, intent.id);
                let diagnostic = Diagnostic::warning(slot.location.clone(), message);
                diagnostics
                    .push(diagnostic.hint("remove `required: false`, or call `ask` in a script, or remove its `ask`"));
            }
        }
    }
}

/// Conditions on values that a slot cannot have.
fn check_impossible_conditions(catalogue: &Catalogue, diagnostics: &mut Diagnostics) {
    for intent in &catalogue.intents {
        for slot in &intent.slots {
            for (other, wanted) in slot.when.iter().filter_map(|(other, wanted)| Some((other, wanted.as_ref()?))) {
                let spec = intent.slots.iter().find(|slot| slot.name == *other);
                let admitted = |spec: &'_ SlotSpec| {
                    if spec.one_of.is_empty() {
                        catalogue.entities.get(spec.entity.as_ref()?)?.values_listed().map(owned)
                    } else {
                        Some(spec.one_of.iter().cloned().collect())
                    }
                };
                let Some(values) = spec.and_then(admitted) else { continue };
                for value in wanted.iter().filter(|value| !values.contains(value.as_str())) {
                    let message =
                        format!("the slot `{}` is asked for if `{other}` is `{value}`, which it never is", slot.name);
                    let diagnostic = Diagnostic::error(slot.location.clone(), message);
                    diagnostics.push(diagnostic.hint(choose_hint(value, values.iter().map(String::as_str))));
                }
            }
        }
    }
}

fn owned(values: BTreeSet<&str>) -> BTreeSet<String> {
    values.into_iter().map(str::to_owned).collect()
}

/// Texts of `retry` that are never said, because the form ends before.
fn check_retries(catalogue: &Catalogue, diagnostics: &mut Diagnostics) {
    let tries = catalogue.fallback.tries as usize;
    for slot in catalogue.intents.iter().flat_map(|intent| &intent.slots).filter(|slot| slot.retry.len() > tries) {
        let message =
            format!("`{}` is asked again {tries} times, but `retry` has {} texts", slot.name, slot.retry.len());
        let diagnostic = Diagnostic::warning(slot.location.clone(), message);
        diagnostics.push(diagnostic.hint("remove the last ones, or raise `fallback.tries` in bot.yaml"));
    }
}

/// The path of `jump` handlers from an intent back to itself.
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

fn check_references(
    script: &Script,
    catalogue: &Catalogue,
    plugins: &[String],
    gaps: &Gaps,
    diagnostics: &mut Diagnostics,
) {
    let intents: Vec<&str> = catalogue.intents.iter().map(|intent| intent.id.as_str()).collect();
    let texts: Vec<&str> = catalogue.library.texts.keys().map(String::as_str).collect();
    let slots: Vec<&str> =
        catalogue.intents.iter().flat_map(|intent| intent.slots.iter().map(|slot| slot.name.as_str())).collect();
    let plugins: Vec<&str> = plugins.iter().map(String::as_str).collect();
    for (reference, location) in script.references() {
        let (kind, name, known, gap) = match reference {
            Reference::Text(name) => ("text", name, &texts, gaps.texts),
            Reference::Intent(name) => ("intent", name, &intents, gaps.intents),
            Reference::Slot(name) => ("slot", name, &slots, gaps.slots),
            Reference::Plugin(name) => ("plugin", name, &plugins, gaps.plugins),
            // A script may set any context.
            Reference::Context(_) => continue,
        };
        if !gap && !known.contains(&name.as_str()) {
            let diagnostic =
                Diagnostic::error(location.clone(), format!("the script refers to an unknown {kind} `{name}`"));
            diagnostics.push(diagnostic.hint(choose_hint(name, known.iter().copied())));
        }
    }
}
