//! Plugins for banter in Rust.
//!
//! ```
//! use banter_plugin::{Failure, Reply, Request, handler};
//!
//! #[handler]
//! fn handle(request: Request) -> Result<Reply, Failure> {
//!     Ok(Reply::say(format!("You said {}.", request.text)))
//! }
//! # fn main() {}
//! ```
//!
//! Natively, in `cargo test`, the host functions are those of [`mock`]: a test says what they answer.

#![warn(missing_docs)]

#[doc(hidden)]
pub mod __contract {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "banter_plugin::__contract",
        additional_derives: [PartialEq],
    });
}

pub use __contract::{
    Failure, Reply, Request,
    banter::plugin::{
        clock::Time,
        http::Answer,
        log::Level,
        types::{Ask, Effect, Entity, Exchange, Say, SetContext, Slot},
    },
};
pub use banter_plugin_macros::handler;
use serde::{Serialize, de::DeserializeOwned};
pub use serde_json::{Value, from_str as from_json, json};

#[doc(hidden)]
#[macro_export]
macro_rules! __export_handler {
    ($function:path) => {
        #[cfg(target_arch = "wasm32")]
        struct __Plugin;

        #[cfg(target_arch = "wasm32")]
        impl $crate::__contract::Guest for __Plugin {
            fn handle(request: $crate::Request) -> ::core::result::Result<$crate::Reply, $crate::Failure> {
                $function(request)
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::__contract::export!(__Plugin with_types_in $crate::__contract);

        // Natively nobody calls it but tests; its shape is checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($crate::Request) -> ::core::result::Result<$crate::Reply, $crate::Failure> = $function;
    };
}

impl Request {
    /// A slot's value; nothing when it has none.
    pub fn slot(&self, name: &str) -> Option<Value> {
        let slot = self.slots.iter().find(|slot| slot.name == name)?;
        serde_json::from_str(&slot.value).ok().filter(|value: &Value| !value.is_null())
    }

    /// A slot's value as a text.
    pub fn slot_text(&self, name: &str) -> Option<String> {
        match self.slot(name)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// `settings` of bot.yaml.
    ///
    /// # Errors
    /// When they are not of this shape.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.settings).map_err(|error| Failure::new(format!("settings: {error}")))
    }

    /// What a script gave to `plugin("name", #{…})`; an empty object without it.
    ///
    /// # Errors
    /// When it is not of this shape.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = self.arguments.as_deref().unwrap_or("{}");
        serde_json::from_str(text).map_err(|error| Failure::new(format!("arguments: {error}")))
    }

    /// A request with default values, for tests.
    pub fn test(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            language: "en".to_owned(),
            intent: "test".to_owned(),
            probability: 1.0,
            entities: Vec::new(),
            slots: Vec::new(),
            contexts: Vec::new(),
            user_id: 2,
            dialog_id: 1,
            history: Vec::new(),
            settings: "{}".to_owned(),
            arguments: None,
        }
    }
}

impl Reply {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { effects: Vec::new(), value: None }
    }

    /// Says a text.
    pub fn say(text: impl Into<String>) -> Self {
        Self::new().and(Effect::Say(Say { text: text.into(), suggestions: Vec::new() }))
    }

    /// Asks for a slot, with the slot's own question.
    pub fn ask(slot: impl Into<String>) -> Self {
        Self::new().and(Effect::Ask(Ask { slot: slot.into(), text: None }))
    }

    /// A picture.
    pub fn image(self, url: impl Into<String>) -> Self {
        self.and(Effect::Image(url.into()))
    }

    /// Data for the client.
    pub fn payload(self, value: impl Serialize) -> Self {
        let value = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.and(Effect::Payload(value))
    }

    /// Sets a context that lives for this number of turns; 0 ends it.
    pub fn set_context(self, name: impl Into<String>, turns: u32) -> Self {
        self.and(Effect::SetContext(SetContext { name: name.into(), turns }))
    }

    /// Lets the handler of another intent answer.
    pub fn jump(self, intent: impl Into<String>) -> Self {
        self.and(Effect::Jump(intent.into()))
    }

    /// Calls a person.
    pub fn hand_off(self, text: Option<String>) -> Self {
        self.and(Effect::HandOff(text))
    }

    /// Forgets form, slots and contexts.
    pub fn end(self) -> Self {
        self.and(Effect::End)
    }

    /// One more effect.
    pub fn and(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Quick replies for what was said last.
    pub fn suggest<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        if let Some(Effect::Say(say)) = self.effects.last_mut() {
            say.suggestions = words.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Sets a slot.
    pub fn set_slot(self, name: impl Into<String>, value: impl Serialize) -> Self {
        let value = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.and(Effect::SetSlot(Slot { name: name.into(), value }))
    }

    /// What `plugin("name", …)` gives back to a script.
    pub fn with_value(mut self, value: impl Serialize) -> Self {
        self.value = serde_json::to_string(&value).ok();
        self
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

impl Failure {
    /// For the log; the user hears the bot's fallback text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), user_text: None, retryable: false }
    }

    /// What the user hears instead.
    pub fn tell(mut self, text: impl Into<String>) -> Self {
        self.user_text = Some(text.into());
        self
    }

    /// The same request may succeed later.
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// The host's functions. Each works as far as `allow` of bot.yaml grants it.
pub mod host {
    use serde_json::Value;

    #[cfg(target_arch = "wasm32")]
    use super::__contract::banter::plugin as real;
    #[cfg(not(target_arch = "wasm32"))]
    use super::mock as real;
    use super::{Answer, Level, Time};

    /// A line for the server's log.
    pub fn log(level: Level, message: &str) {
        real::log::log(level, message);
    }

    /// A value that this plugin has kept for this user.
    pub fn kv_get(key: &str) -> Result<Option<Value>, String> {
        let found = real::kv::get(key)?;
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps a value, together with the turn.
    pub fn kv_set(key: &str, value: &Value) -> Result<(), String> {
        real::kv::set(key, &value.to_string())
    }

    /// Fetches from an allowed host.
    pub fn http_get(url: &str) -> Result<Answer, String> {
        real::http::get(url)
    }

    /// The turn's clock.
    pub fn now() -> Time {
        real::clock::now()
    }

    /// The conversation beyond the message: `entities` with their roles, `frames` and `contexts`. Needs no grant.
    pub fn view() -> Value {
        serde_json::from_str(&real::dialogue::view()).unwrap_or_default()
    }

    /// At least 0, less than 1.
    pub fn random() -> f64 {
        real::random::unit()
    }

    /// At least 0, less than the limit.
    pub fn random_below(limit: u32) -> u32 {
        real::random::below(limit)
    }
}

/// The host in native tests, one for each thread.
#[cfg(not(target_arch = "wasm32"))]
pub mod mock {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::Time;

    thread_local! {
        static HOST: RefCell<Host> = RefCell::default();
    }

    /// What the host answers.
    #[derive(Default)]
    pub struct Host {
        /// Values that are kept, as JSON.
        pub kept: BTreeMap<String, String>,
        /// Answers by URL: status and body.
        pub answers: BTreeMap<String, (u16, String)>,
        /// The clock.
        pub now: Option<Time>,
        /// Lines that were logged.
        pub lines: Vec<String>,
        /// What `view` tells.
        pub dialogue: serde_json::Value,
    }

    /// Sets the host up, or looks at it.
    pub fn host<T>(with: impl FnOnce(&mut Host) -> T) -> T {
        HOST.with(|host| with(&mut host.borrow_mut()))
    }

    pub(super) mod log {
        pub fn log(_: crate::Level, message: &str) {
            super::host(|host| host.lines.push(message.to_owned()));
        }
    }

    pub(super) mod kv {
        pub fn get(key: &str) -> Result<Option<String>, String> {
            Ok(super::host(|host| host.kept.get(key).cloned()))
        }

        pub fn set(key: &str, value: &str) -> Result<(), String> {
            super::host(|host| host.kept.insert(key.to_owned(), value.to_owned()));
            Ok(())
        }
    }

    pub(super) mod http {
        pub fn get(url: &str) -> Result<crate::Answer, String> {
            let found = super::host(|host| host.answers.get(url).cloned());
            found.map(|(status, body)| crate::Answer { status, body }).ok_or_else(|| format!("no answer for {url}"))
        }
    }

    pub(super) mod clock {
        pub fn now() -> crate::Time {
            let monday = crate::Time {
                unix: 1_767_603_600,
                year: 2026,
                month: 1,
                day: 5,
                hour: 9,
                minute: 0,
                second: 0,
                weekday: 1,
            };
            super::host(|host| host.now).unwrap_or(monday)
        }
    }

    pub(super) mod dialogue {
        pub fn view() -> String {
            super::host(|host| host.dialogue.to_string())
        }
    }

    pub(super) mod random {
        pub fn unit() -> f64 {
            0.5
        }

        pub fn below(limit: u32) -> u32 {
            limit / 2
        }
    }
}
