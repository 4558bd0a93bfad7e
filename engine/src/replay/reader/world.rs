//! Reads the initial state of a fixture and its stubs.

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde_json::Value;

use super::{FixtureReader, SOMEBODY};
use crate::{
    catalogue::document::{Document, child},
    diagnostic::{Diagnostic, choose_hint},
    handlers::{
        Effect,
        plugin::{FailureKind, PluginFailure, PluginReply},
    },
    host::HttpAnswer,
    language::Language,
    replay::{
        fixture::{Fixture, HttpStub, PluginStub},
        matcher::Lists,
        wire::{FixtureFile, HttpStubFile, PluginStubFile, UserFile},
    },
    state::DialogueState,
};

impl FixtureReader<'_> {
    /// Adds a file's clock, seed, users and stubs to those of the setup.
    pub(super) fn set_world(&mut self, document: &Document, file: &mut FixtureFile, fixture: &mut Fixture) {
        fixture.tags.append(&mut file.tags);
        if let Some(now) = &file.now {
            match now.parse::<Timestamp>() {
                Ok(now) => fixture.now = now,
                Err(error) => {
                    let diagnostic = Diagnostic::error(
                        document.location("/now"),
                        format!("`{now}` is not a date with a time: {error}"),
                    );
                    self.diagnostics.push(diagnostic.hint("write a time such as 2026-01-05T10:00:00Z"));
                }
            }
        }
        if let Some(name) = &file.time_zone {
            fixture.time_zone = self.time_zone(document, name);
        }
        if let Some(seed) = file.seed {
            fixture.seed = seed;
        }
        let alone = UserFile {
            id: file.user,
            language: file.language.clone(),
            state: file.state.take(),
            kv: file.stubs.kv.clone().unwrap_or_default(),
        };
        fixture.stubs.kv |= file.stubs.kv.is_some();
        self.add_user(document, "", SOMEBODY, alone, fixture);
        for (name, user) in std::mem::take(&mut file.users) {
            let pointer = child("/users", &name);
            fixture.stubs.kv = true;
            let user = UserFile { language: user.language.or_else(|| file.language.clone()), ..user };
            self.add_user(document, &pointer, &name, user, fixture);
        }
        for (index, stub) in file.stubs.http.drain(..).enumerate() {
            let pointer = format!("/stubs/http/{index}");
            fixture.stubs.http.extend(self.http_stub(document, stub, &pointer));
        }
        for (name, stub) in std::mem::take(&mut file.stubs.plugins) {
            if !self.catalogue.library.plugins.contains_key(&name) {
                let location = document.key_location(&child("/stubs/plugins", &name));
                let known = self.catalogue.library.plugins.keys().map(String::as_str);
                let diagnostic = Diagnostic::error(location, format!("the bot has no plugin `{name}`"));
                self.diagnostics.push(diagnostic.hint(choose_hint(&name, known)));
            }
            let pointer = child("/stubs/plugins", &name);
            let says =
                stub.say.is_some() || stub.payload.is_some() || !stub.set_slot.is_empty() || stub.value.is_some();
            if stub.fails.is_some() && says {
                let diagnostic =
                    Diagnostic::error(document.location(&pointer), "a plugin that fails cannot also reply");
                self.diagnostics.push(diagnostic.hint("remove `fails`, or `say`, `payload`, `set_slot` and `value`"));
            }
            if stub.fails.is_none() && stub.user_text.is_some() {
                let diagnostic = Diagnostic::error(document.location(&pointer), "`user_text` works only with `fails`");
                self.diagnostics.push(diagnostic.hint("add `fails: …`, or write `say` instead"));
            }
            let location = self.location(document, &pointer);
            fixture.stubs.plugins.insert(name, PluginStub { answer: plugin_stub(stub), location });
        }
    }

    /// Adds what a file defines for a user to what the setup defined.
    fn add_user(&mut self, document: &Document, pointer: &str, name: &str, file: UserFile, fixture: &mut Fixture) {
        if file.id.is_none() && file.language.is_none() && file.state.is_none() && file.kv.is_empty() {
            if name != SOMEBODY {
                fixture.users.entry(name.to_owned()).or_default();
            }
            return;
        }
        let user = fixture.users.entry(name.to_owned()).or_default();
        user.id = file.id.or(user.id);
        user.kept.extend(file.kv);
        let language = user.state.language.clone();
        let mut state = match &file.state {
            Some(file) => file.to_state(),
            None => std::mem::take(&mut user.state),
        };
        state.language = language;
        self.check_state(document, &mut state, file.language.as_deref(), pointer);
        if let Some(user) = fixture.users.get_mut(name) {
            user.state = state;
        }
    }

    fn check_state(&mut self, document: &Document, state: &mut DialogueState, language: Option<&str>, pointer: &str) {
        for (list, names) in
            [("slots", state.slots.keys().collect::<Vec<_>>()), ("contexts", state.contexts.keys().collect())]
        {
            for name in names {
                let key = child(&format!("{pointer}/state/{list}"), name);
                // Names from the setup were checked there.
                if document.value.pointer(&key).is_some() {
                    self.check_known(document, name, list, &key);
                }
            }
        }
        if let Some(code) = language {
            let location = document.location(&child(pointer, "language"));
            match self.catalogue.language(code) {
                Some(language) => state.language = Some(language.clone()),
                None => {
                    let known = self.catalogue.languages.iter().map(Language::code);
                    let diagnostic = Diagnostic::error(location, format!("the bot does not speak `{code}`"));
                    self.diagnostics.push(diagnostic.hint(choose_hint(code, known)));
                }
            }
        }
        if let Some(form) = &state.form {
            let known = self.catalogue.intent(&form.intent);
            if !known.is_some_and(|intent| intent.slots.iter().any(|slot| slot.name == form.slot)) {
                let location = document.location(&format!("{pointer}/state/form"));
                let message = format!("the bot has no slot `{}` in an intent `{}`", form.slot, form.intent);
                self.diagnostics
                    .push(Diagnostic::error(location, message).hint("write a slot that the intent asks for"));
            }
        }
    }

    fn time_zone(&mut self, document: &Document, name: &str) -> Option<TimeZone> {
        let found = TimeZoneDatabase::bundled().get(name).ok();
        if found.is_none() {
            let diagnostic =
                Diagnostic::error(document.location("/time_zone"), format!("`{name}` is not an IANA time zone"));
            self.diagnostics.push(diagnostic.hint("write a name such as Europe/Moscow or UTC"));
        }
        found
    }

    fn http_stub(&mut self, document: &Document, stub: HttpStubFile, pointer: &str) -> Option<HttpStub> {
        let url = self.matcher(document, &Value::String(stub.url), &child(pointer, "url"), Lists::AllHold)?;
        let given = [stub.json.is_some(), stub.body.is_some(), stub.fails.is_some()];
        if given.iter().filter(|is| **is).count() != 1 {
            let diagnostic = Diagnostic::error(
                document.location(pointer),
                "a response needs exactly one of `json`, `body` and `fails`",
            );
            self.diagnostics.push(
                diagnostic.hint("write `json: {…}` for data, `body: …` for a text, or `fails: …` for no response"),
            );
        }
        let body = stub.json.map(|value| value.to_string()).or(stub.body).unwrap_or_default();
        let answer = match stub.fails {
            Some(reason) => Err(reason),
            None => Ok(HttpAnswer { status: stub.status, body }),
        };
        Some(HttpStub { url, answer, location: self.location(document, pointer) })
    }
}

fn plugin_stub(file: PluginStubFile) -> Result<PluginReply, PluginFailure> {
    if let Some(message) = file.fails {
        let failure = PluginFailure::new(FailureKind::Refused, message);
        return Err(PluginFailure { user_text: file.user_text, ..failure });
    }
    let mut effects: Vec<Effect> = Vec::new();
    effects.extend(file.say.map(|text| Effect::Say { text, suggestions: Vec::new() }));
    effects.extend(file.payload.map(Effect::Payload));
    effects.extend(file.set_slot.into_iter().map(|(name, value)| Effect::SetSlot(name, value)));
    Ok(PluginReply { effects, value: file.value, fuel: 0 })
}
