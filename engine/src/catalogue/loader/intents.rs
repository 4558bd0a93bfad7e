//! Intents: examples, slots and handlers.

use std::{collections::BTreeMap, sync::OnceLock};

use rayon::prelude::*;
use serde_json::json;

use super::Loader;
use crate::{
    catalogue::{
        Handler, Intent, ResumePolicy, ScriptFunction, SlotSpec,
        document::{Document, child},
        example::{Example, Mark, parse_annotations},
        lint::AllowedNames,
        shape::Shape,
        wire::{HandlerFile, IntentFile, ResumeFile, RoleFile},
    },
    diagnostic::{Diagnostic, Diagnostics, Location, choose_hint, did_you_mean},
    entities::{EntitySpec, scan},
    ids::IntentId,
    template::Text,
    text::{MAX_UTTERANCE, normalize},
    values::Setting,
};

impl Loader<'_> {
    /// Loads all files of intents/.
    pub(super) fn intents(&mut self, entities: &BTreeMap<String, EntitySpec>) -> Vec<Intent> {
        let stand_ins = json!({ "intent": "-", "examples": {}, "handler": { "reply": "-" } });
        let shape = Shape::<IntentFile>::lenient(stand_ins.as_object().cloned().unwrap_or_default());
        let mut intents = Vec::new();
        let paths = self.paths("intents/");
        if paths.is_empty() && self.bundle.files.contains_key("bot.yaml") {
            let location = Location { file: "bot.yaml".to_owned(), span: 0..0 };
            self.diagnostics.push(
                Diagnostic::error(location, "the bot has no intents").hint("write one in a file intents/<name>.yaml"),
            );
        }
        let files = &self.bundle.files;
        let read = |path: &String| {
            let mut diagnostics = Diagnostics::default();
            let mut document = Document::read(path, files.get(path)?, &mut diagnostics);
            let file = document.as_mut().and_then(|document| shape.read(document, &mut diagnostics));
            Some((document, file, diagnostics))
        };
        let parsed: Vec<_> = paths.par_iter().filter_map(read).collect();
        for (document, file, diagnostics) in parsed {
            self.diagnostics.append(diagnostics);
            match (document, file) {
                (Some(document), Some(file)) => intents.push(self.intent(file, &document, entities)),
                _ => {
                    self.gaps.intents = true;
                    self.gaps.slots = true;
                }
            }
        }
        intents
    }

    fn intent(&mut self, file: IntentFile, document: &Document, entities: &BTreeMap<String, EntitySpec>) -> Intent {
        let unnamed = document.lacks("/intent");
        self.gaps.intents |= unnamed;
        self.gaps.slots |= document.lacks("/slots");
        if document.lacks("/examples") {
            self.gaps.examples.insert(document.file.clone());
        }
        let examples = self.examples(&file.examples, document, entities);
        let mut slots = Vec::new();
        for (name, value) in file.slots {
            slots.push(self.slot(name, value, document, entities));
        }
        self.check_slot_conditions(&slots, document);
        self.check_roles(&examples, &slots, document);
        let names: Vec<&str> = slots.iter().map(|slot: &SlotSpec| slot.name.as_str()).collect();
        let names = if document.lacks("/slots") { AllowedNames::Any } else { AllowedNames::Only(&names) };
        let title = file.title.map(|title| self.text(title, document, "/title", AllowedNames::Only(&[])));
        let confirm = file.confirm.map(|confirm| self.text(confirm, document, "/confirm", names));
        let handler = self.handler(file.handler, document, names);
        let answers = ["jump", "script", "plugin", "handoff", "reply"].map(|kind| child("/handler", kind));
        let answer = answers.iter().find(|pointer| document.value.pointer(pointer).is_some());
        Intent {
            id: IntentId::new(if unnamed { &document.file } else { &file.intent }),
            title,
            examples,
            slots,
            handler,
            threshold: file.threshold,
            cancels: file.role == Some(RoleFile::Cancel),
            small_talk: file.small_talk,
            resume: match file.resume {
                ResumeFile::Ask => ResumePolicy::Ask,
                ResumeFile::AtOnce => ResumePolicy::AtOnce,
                ResumeFile::Never => ResumePolicy::Never,
            },
            confirm,
            negated: file.negated.as_deref().map(IntentId::new),
            only_in: file.only_in,
            vocabulary: OnceLock::new(),
            location: document.location("/intent"),
            handler_location: document.location(answer.map_or("/handler", String::as_str)),
        }
    }

    fn examples(
        &mut self,
        lists: &BTreeMap<String, Vec<String>>,
        document: &Document,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> Vec<Example> {
        let mut examples = Vec::new();
        for (code, list) in lists {
            let pointer = child("/examples", code);
            let Some(language) = self.language(code, document, &pointer) else { continue };
            for (index, source) in list.iter().enumerate() {
                let location = document.location(&child(&pointer, index));
                match self.example(source, &location, entities) {
                    Ok((text, marks)) => {
                        examples.push(Example { language: language.clone(), text, marks, location });
                    }
                    Err(diagnostic) => self.diagnostics.push(diagnostic),
                }
            }
        }
        if examples.is_empty() && !document.lacks("/examples") {
            let diagnostic = Diagnostic::error(document.key_location("/examples"), "the intent has no examples");
            self.diagnostics.push(diagnostic.hint("write at least two, in the words of users"));
        }
        examples
    }

    fn example(
        &mut self,
        source: &str,
        location: &Location,
        entities: &BTreeMap<String, EntitySpec>,
    ) -> Result<(String, Vec<Mark>), Diagnostic> {
        let (text, marks) = parse_annotations(source).map_err(|(message, _)| {
            Diagnostic::error(location.clone(), message).hint("mark an entity as [what users say](entity)")
        })?;
        let text = normalize(&text);
        if text.is_empty() {
            return Err(
                Diagnostic::error(location.clone(), "the example is empty").hint("write what users say, or remove it")
            );
        }
        if text.chars().count() > MAX_UTTERANCE {
            let diagnostic =
                Diagnostic::error(location.clone(), format!("the example is longer than {MAX_UTTERANCE} characters"));
            return Err(diagnostic.hint("shorten it: no message may be longer"));
        }
        for mark in &marks {
            let Some(spec) = entities.get(&mark.entity) else {
                if self.is_entity(&mark.entity) {
                    continue;
                }
                let known: Vec<&str> = entities.keys().map(String::as_str).collect();
                let diagnostic = Diagnostic::error(
                    location.clone(),
                    format!("the example marks an unknown entity `{}`", mark.entity),
                );
                self.diagnostics.push(diagnostic.hint(choose_hint(&mark.entity, known)));
                continue;
            };
            let setting = Setting::of_text(&mark.text, self.country);
            let is_found = match spec {
                EntitySpec::Composed(_) => {
                    scan(entities, &mark.text, &setting).found.iter().any(|found| found.entity == mark.entity)
                }
                _ => !spec.find(&mark.entity, &mark.text, &setting).is_empty(),
            };
            if !is_found {
                let message =
                    format!("`{}` is marked as `{}`, but that entity does not match it", mark.text, mark.entity);
                let diagnostic = Diagnostic::warning(location.clone(), message);
                self.diagnostics
                    .push(diagnostic.hint(format!("extend `{}` in bot.yaml, or fix the example", mark.entity)));
            }
        }
        Ok((text, marks))
    }

    /// Reports roles of slots that no example marks, and roles of examples that no slot has.
    fn check_roles(&mut self, examples: &[Example], slots: &[SlotSpec], document: &Document) {
        let marks = || examples.iter().flat_map(|example| example.marks.iter().map(move |mark| (example, mark)));
        let fits = |slot: &SlotSpec, mark: &Mark| slot.entity.as_ref() == Some(&mark.entity) && slot.role == mark.role;
        for slot in slots.iter().filter(|slot| slot.role.is_some()) {
            if !marks().any(|(_, mark)| fits(slot, mark)) {
                let location = document.location(&child(&child("/slots", &slot.name), "role"));
                let message = format!("no example marks the role of `{}`", slot.name);
                let entity = slot.entity.as_deref().unwrap_or("entity");
                let hint = format!("mark it: [what users say]({entity}:{})", slot.role.as_deref().unwrap_or_default());
                self.diagnostics.push(Diagnostic::error(location, message).hint(hint));
            }
        }
        for (example, mark) in marks().filter(|(_, mark)| mark.role.is_some()) {
            if !slots.iter().any(|slot| fits(slot, mark)) {
                let role = mark.role.as_deref().unwrap_or_default();
                let message = format!("no slot of `{}` has the role `{role}`", mark.entity);
                let diagnostic = Diagnostic::error(example.location.clone(), message);
                self.diagnostics.push(diagnostic.hint(format!("add `role: {role}` to a slot, or remove it here")));
            }
        }
    }

    /// Whether bot.yaml defines the entity, or might define it in a part that could not be read.
    pub(super) fn is_entity(&self, name: &str) -> bool {
        self.gaps.entities || self.bot.entities.iter().any(|known| known == name)
    }

    fn handler(&mut self, file: HandlerFile, document: &Document, slots: AllowedNames<'_>) -> Handler {
        let given = [
            file.reply.is_some(),
            file.script.is_some(),
            file.plugin.is_some(),
            file.handoff.is_some(),
            file.jump.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 && !document.lacks("/handler") {
            let diagnostic =
                Diagnostic::error(document.key_location("/handler"), "the handler must have exactly one answer");
            self.diagnostics
                .push(diagnostic.hint("write exactly one of `reply`, `script`, `plugin`, `handoff` and `jump`"));
        }
        if file.function.is_some() && file.script.is_none() && !document.lacks("/handler") {
            let diagnostic =
                Diagnostic::error(document.key_location("/handler/function"), "`function` works only with `script`");
            self.diagnostics.push(diagnostic.hint("add `script: …`, or remove `function`"));
        }
        if file.suggest.is_some() && file.reply.is_none() && !document.lacks("/handler") {
            let diagnostic =
                Diagnostic::error(document.key_location("/handler/suggest"), "`suggest` works only with `reply`");
            self.diagnostics.push(diagnostic.hint("a script offers quick replies with `say(…).suggest([…])`"));
        }
        if let Some(script) = file.script {
            let function = file.function.unwrap_or_else(|| "handle".to_owned());
            let function =
                self.script_function((&script, "/handler/script"), (function, "/handler/function"), document);
            let nothing = || Handler::Reply { text: Text::default(), suggest: BTreeMap::new() };
            return function.map_or_else(nothing, Handler::Script);
        }
        if let Some(name) = file.plugin {
            self.check_plugin(&name, document);
            return Handler::Plugin(name);
        }
        if let Some(target) = file.jump {
            return Handler::Jump(IntentId::new(&target));
        }
        if let Some(handoff) = file.handoff {
            return Handler::HandOff { text: self.text(handoff, document, "/handler/handoff", slots) };
        }
        let text = match file.reply {
            Some(reply) => self.text(reply, document, "/handler/reply", slots),
            None => Text::default(),
        };
        let suggest = self.suggestions(file.suggest.unwrap_or_default(), document, "/handler/suggest");
        Handler::Reply { text, suggest }
    }

    /// The function of a script that a key of the document names. `file` and `function` are the keys of the two names.
    pub(super) fn script_function(
        &mut self,
        (name, file): (&str, &str),
        (function, key): (String, &str),
        document: &Document,
    ) -> Option<ScriptFunction> {
        let path = format!("scripts/{name}");
        let Some(script) = self.scripts.get(&path).cloned() else {
            // A script that does not compile is already reported at its own line.
            if !self.bundle.files.contains_key(&path) {
                let known: Vec<String> = self.paths("scripts/");
                let known: Vec<&str> = known.iter().filter_map(|path| path.strip_prefix("scripts/")).collect();
                let hint = match did_you_mean(name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if path.ends_with(".rhai") => format!("create {path}"),
                    None => "write a file under scripts/ that ends in .rhai".to_owned(),
                };
                let message = format!("there is no script `{name}`");
                self.diagnostics.push(Diagnostic::error(document.location(file), message).hint(hint));
            }
            return None;
        };
        if !script.has_handler(&function) {
            let pointer = if document.value.pointer(key).is_some() { key } else { file };
            let diagnostic =
                Diagnostic::error(document.location(pointer), format!("{path} has no function `{function}(ctx)`"));
            self.diagnostics.push(diagnostic.hint(choose_hint(&function, script.handlers())));
        }
        Some(ScriptFunction { script, function })
    }
}
