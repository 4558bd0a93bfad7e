//! The texts of a bot: those of texts/ and of bot.yaml, by language and with variants.

use std::collections::BTreeMap;

use super::{Loader, defaults::default_text};
use crate::{
    catalogue::{
        Fallback, Intent, PatternAnswer,
        document::{Document, child},
        lint::AllowedNames,
        shape::Shape,
        wire::{FallbackFile, JumpFile, PatternFile, TextFile, TextsFile, ThenFile},
    },
    diagnostic::{Diagnostic, choose_hint},
    ids::IntentId,
    language::Language,
    pattern::Pattern,
    template::{Template, Text},
};

impl Loader<'_> {
    /// What happens when no intent is likely enough.
    pub(super) fn fallback(&mut self, file: FallbackFile, document: &Document) -> Fallback {
        Fallback {
            tries: file.tries,
            then_hand_off: file.then == ThenFile::Handoff,
            text: self.text(file.text, document, "/fallback/text", AllowedNames::Only(&[])),
            suggest: self.suggestions(file.suggest, document, "/fallback/suggest"),
        }
    }

    /// The author's answers at patterns; for the others, the engine's own texts.
    pub(super) fn patterns(
        &mut self,
        files: BTreeMap<Pattern, PatternFile>,
        document: &Document,
        intents: &[Intent],
    ) -> BTreeMap<Pattern, PatternAnswer> {
        let own = |pattern: Pattern| Some((pattern, PatternAnswer::Text(default_text(&pattern.default_text()?))));
        let mut patterns: BTreeMap<Pattern, PatternAnswer> = Pattern::ALL.into_iter().filter_map(own).collect();
        for (pattern, file) in files {
            let answer = match file {
                PatternFile::Jump(JumpFile { jump }) => {
                    let known: Vec<&str> = intents.iter().map(|intent| intent.id.as_str()).collect();
                    let pointer = child(&child("/patterns", pattern), "jump");
                    if !pattern.may_jump() {
                        let message =
                            format!("no intent can be started at `{pattern}`: the conversation goes on there");
                        let diagnostic = Diagnostic::error(document.location(&pointer), message);
                        self.diagnostics.push(diagnostic.hint("write a text"));
                    }
                    if !known.contains(&jump.as_str()) && !self.gaps.intents {
                        let diagnostic =
                            Diagnostic::error(document.location(&pointer), format!("there is no intent `{jump}`"));
                        self.diagnostics.push(diagnostic.hint(choose_hint(&jump, known)));
                    }
                    if intents.iter().any(|intent| intent.id.as_str() == jump && !intent.only_in.is_empty()) {
                        let message = format!("`{jump}` is started here without its context");
                        let diagnostic = Diagnostic::warning(document.location(&pointer), message);
                        self.diagnostics.push(diagnostic.hint("name an intent without `only_in`"));
                    }
                    PatternAnswer::Jump(IntentId::new(&jump))
                }
                PatternFile::Text(text) => {
                    let pointer = child("/patterns", pattern);
                    PatternAnswer::Text(self.text(text, document, &pointer, AllowedNames::Only(pattern.values())))
                }
            };
            patterns.insert(pattern, answer);
        }
        patterns
    }

    pub(super) fn texts(&mut self) -> BTreeMap<String, Text> {
        let shape = Shape::<TextsFile>::lenient(serde_json::Map::new());
        let mut texts = BTreeMap::new();
        for path in self.paths("texts/") {
            let document = self.document(&path);
            let read = document.and_then(|mut document| Some((shape.read(&mut document, self.diagnostics)?, document)));
            let Some((file, document)) = read else {
                self.gaps.texts = true;
                continue;
            };
            self.gaps.texts |= document.lacks("");
            for (key, text) in file.texts {
                let pointer = child("", &key);
                let text = self.text(text, &document, &pointer, AllowedNames::Any);
                if texts.insert(key.clone(), text).is_some() {
                    let diagnostic = Diagnostic::error(
                        document.key_location(&pointer),
                        format!("the text `{key}` is also defined in another file"),
                    );
                    self.diagnostics.push(diagnostic.hint("rename or remove one of them"));
                }
            }
        }
        texts
    }

    /// A text with variants in each language of the bot. Only `names` may appear in its braces.
    pub(super) fn text(&mut self, file: TextFile, document: &Document, pointer: &str, names: AllowedNames<'_>) -> Text {
        let map = match file {
            TextFile::One(text) => return Text::neutral(self.templates(vec![text], document, pointer, names)),
            TextFile::Many(texts) => return Text::neutral(self.templates(texts, document, pointer, names)),
            TextFile::ByLanguage(map) => map,
        };
        let mut by_language = BTreeMap::new();
        for (code, variants) in map {
            let pointer = child(pointer, &code);
            let language = self.language(&code, document, &pointer);
            let templates = self.templates(variants.into_list(), document, &pointer, names);
            by_language.extend(language.map(|language| (language, templates)));
        }
        for language in self.languages.clone() {
            if !by_language.contains_key(&language) && !document.lacks(pointer) {
                let diagnostic =
                    Diagnostic::error(document.key_location(pointer), format!("the text is missing in `{language}`"));
                self.diagnostics.push(diagnostic.hint(format!("add `{language}: …`")));
            }
        }
        Text::by_language(by_language)
    }

    fn templates(
        &mut self,
        list: Vec<String>,
        document: &Document,
        pointer: &str,
        names: AllowedNames<'_>,
    ) -> Vec<Template> {
        if list.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(document.location(pointer), "the text has no variants").hint("write at least one"),
            );
        }
        let is_list = document.value.pointer(pointer).is_some_and(serde_json::Value::is_array);
        let mut templates = Vec::new();
        for (index, text) in list.into_iter().enumerate() {
            let pointer = if is_list { child(pointer, index) } else { pointer.to_owned() };
            if text.trim().is_empty() {
                let diagnostic = Diagnostic::error(document.location(&pointer), "the text is empty");
                self.diagnostics.push(diagnostic.hint("write what the bot says, or remove the variant"));
            }
            let bytes = self.bundle.files.get(&document.file).map_or(&[][..], Vec::as_slice);
            let location = |part: std::ops::Range<usize>| document.place_inside(&pointer, &text, part, bytes);
            match Template::parse(&text) {
                Ok(template) => {
                    names.check(&template, location, self.diagnostics);
                    templates.push(template);
                }
                Err(error) => {
                    let diagnostic = Diagnostic::error(location(error.span), error.message);
                    self.diagnostics
                        .push(diagnostic.hint("write {name} for a value, and {{ or }} for a literal brace"));
                }
            }
        }
        templates
    }

    /// Quick replies by language; they must not be missing in one of the bot's.
    pub(super) fn suggestions(
        &mut self,
        file: BTreeMap<String, Vec<String>>,
        document: &Document,
        pointer: &str,
    ) -> BTreeMap<Language, Vec<String>> {
        let missing = |language: &&Language| !file.is_empty() && !file.contains_key(language.code());
        for language in self.languages.clone().iter().filter(missing) {
            let message = format!("the quick replies are missing in `{language}`");
            let diagnostic = Diagnostic::warning(document.key_location(pointer), message);
            self.diagnostics.push(diagnostic.hint(format!("add `{language}: […]`")));
        }
        let mut suggest = BTreeMap::new();
        for (code, list) in file {
            if let Some(language) = self.language(&code, document, &child(pointer, &code)) {
                suggest.insert(language, list);
            }
        }
        suggest
    }
}
