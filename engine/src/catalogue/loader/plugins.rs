//! Loads plugins: components with grants, limits and settings.

use std::sync::Arc;

use serde_json::Value;

use super::{Loader, bot_shape};
use crate::{
    catalogue::{
        bundle::Bundle,
        document::{Document, child},
        wire::{BotFile, LimitsFile, PluginFile},
    },
    diagnostic::{Diagnostic, Diagnostics, Location, choose_hint},
    handlers::plugin::{Grants, MissingPlugin, PluginLimits, PluginRuntime, PluginSpec},
    policy::HttpPolicy,
};

/// What bot.yaml says about one plugin.
#[derive(Debug)]
pub enum SaidOf {
    /// Its specification.
    Known(Box<PluginSpec>),
    /// bot.yaml does not name it.
    Unnamed,
    /// Its entry, or bot.yaml as a whole, is invalid.
    Unreadable,
}

/// Reads one plugin's entry in bot.yaml, whatever is wrong elsewhere; for commands on that plugin alone. Errors in the
/// shape of bot.yaml go into `diagnostics`, except those of other plugins.
pub fn said_of(name: &str, bundle: &Bundle, diagnostics: &mut Diagnostics) -> SaidOf {
    let Some(bytes) = bundle.files.get("bot.yaml") else { return SaidOf::Unnamed };
    diagnostics.add_source("bot.yaml", &String::from_utf8_lossy(bytes));
    let mut document = match Document::parse("bot.yaml", bytes) {
        Ok(document) => document,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            return SaidOf::Unreadable;
        }
    };
    // Errors of other plugins do not matter here.
    if let Some(plugins) = document.value.pointer_mut("/plugins").and_then(Value::as_object_mut) {
        plugins.retain(|other, _| other == name);
    }
    let Some(bot) = bot_shape().read(&mut document, diagnostics) else { return SaidOf::Unreadable };
    if document.lacks(&child("/plugins", name)) {
        return SaidOf::Unreadable;
    }
    let Some(file) = bot.plugins.get(name) else { return SaidOf::Unnamed };
    let spec = spec(name, file, &bot);
    // The bot's limits on requests apply to the plugin too.
    if !spec.grants.http.allow.is_empty() && document.lacks("/http") {
        return SaidOf::Unreadable;
    }
    SaidOf::Known(Box::new(spec))
}

/// The specification of a plugin that bot.yaml does not name: no grants, default limits.
pub fn ungranted_spec(name: &str) -> PluginSpec {
    PluginSpec {
        name: name.to_owned(),
        file: format!("plugins/{name}.wasm"),
        grants: Grants::default(),
        limits: limits(&LimitsFile::default()),
        settings: Value::Object(serde_json::Map::new()),
    }
}

impl Loader<'_> {
    /// Loads all plugins of bot.yaml.
    pub(super) fn load_plugins(&mut self, bot: &BotFile, document: &Document, runtime: &dyn PluginRuntime) {
        for (name, file) in &bot.plugins {
            let pointer = child("/plugins", name);
            self.check_settings(file, document, &pointer);
            let location = document.location(&child(&pointer, "file"));
            let Some(component) = self.bundle.files.get(&file.file) else {
                self.missing(name, file, location);
                continue;
            };
            match runtime.load(spec(name, file, bot), component) {
                Ok(plugin) => {
                    self.plugins.insert(name.clone(), plugin);
                }
                Err(failure) => self.diagnostics.push(Diagnostic::error(location, failure.message).hint(failure.hint)),
            }
        }
    }

    fn missing(&mut self, name: &str, file: &PluginFile, location: Location) {
        let message = format!("the file {} of the plugin `{name}` does not exist", file.file);
        // Keep the name in either case, so that the intents that use it cause no follow-on errors.
        self.plugins.insert(name.to_owned(), Arc::new(MissingPlugin(name.to_owned())));
        self.absent_plugins.push(name.to_owned());
        let diagnostic =
            if file.optional { Diagnostic::warning(location, message) } else { Diagnostic::error(location, message) };
        self.diagnostics.push(diagnostic.hint(format!("build it with `banter plugin build {name}`, or fix the path")));
    }

    /// Checks the settings against the schema next to the component.
    fn check_settings(&mut self, file: &PluginFile, document: &Document, pointer: &str) {
        let path = file.file.replace(".wasm", ".schema.json");
        let Some(bytes) = self.bundle.files.get(&path) else { return };
        let whole = || Location { file: path.clone(), span: 0..0 };
        let schema: Value = match serde_json::from_slice(bytes) {
            Ok(schema) => schema,
            Err(error) => {
                return self.diagnostics.push(Diagnostic::error(whole(), format!("this is not valid JSON: {error}")));
            }
        };
        let validator = match jsonschema::validator_for(&schema) {
            Ok(validator) => validator,
            Err(error) => {
                return self
                    .diagnostics
                    .push(Diagnostic::error(whole(), format!("this is not a valid JSON Schema: {error}")));
            }
        };
        let settings = Value::Object(file.settings.clone());
        for error in validator.iter_errors(&settings) {
            let inner = format!("{}{}", child(pointer, "settings"), error.instance_path());
            let location = if document.value.pointer(&inner).is_some() {
                document.location(&inner)
            } else {
                document.key_location(pointer)
            };
            self.diagnostics.push(
                Diagnostic::error(location, error.to_string())
                    .hint(format!("see {path} for the settings that the plugin accepts")),
            );
        }
    }

    /// Reports the name of a plugin that bot.yaml lacks.
    pub(super) fn check_plugin(&mut self, name: &str, document: &Document) {
        if !self.gaps.plugins && !self.bot.plugins.iter().any(|known| known == name) {
            let known: Vec<&str> = self.bot.plugins.iter().map(String::as_str).collect();
            let diagnostic =
                Diagnostic::error(document.location("/handler/plugin"), format!("there is no plugin `{name}`"));
            self.diagnostics.push(diagnostic.hint(choose_hint(name, known)));
        }
    }
}

fn spec(name: &str, file: &PluginFile, bot: &BotFile) -> PluginSpec {
    PluginSpec {
        name: name.to_owned(),
        file: file.file.clone(),
        grants: Grants {
            log: file.allow.log,
            kv: file.allow.kv,
            clock: file.allow.clock,
            random: file.allow.random,
            http: HttpPolicy {
                allow: file.allow.http.iter().map(|host| host.to_lowercase()).collect(),
                private: file.allow.private,
                // A request must not outlast the call that makes it.
                timeout_ms: bot.http.timeout_ms.min(file.limits.time_ms.into()),
                max_bytes: bot.http.max_bytes,
            },
        },
        limits: limits(&file.limits),
        settings: Value::Object(file.settings.clone()),
    }
}

fn limits(file: &LimitsFile) -> PluginLimits {
    PluginLimits {
        memory_bytes: (file.memory_mib as usize) << 20,
        time_ms: file.time_ms.into(),
        fuel: u64::from(file.fuel_millions) * 1_000_000,
        parallel: file.parallel as usize,
    }
}
