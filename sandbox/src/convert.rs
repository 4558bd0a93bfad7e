//! Converts between the engine's types and those of the contract. A plugin's output is not trusted: the length of every
//! text is checked, and all JSON is parsed.

use std::collections::BTreeMap;

use banter_engine::handlers::{
    Effect,
    plugin::{FailureKind, PluginCall, PluginFailure, PluginReply, PluginSpec},
};
use serde_json::Value;

pub use crate::contract::banter::plugin::types::Request;
use crate::contract::banter::plugin::types::{self as wire, Entity, Exchange, Failure, Slot};

const MAX_EFFECTS: usize = 32;
/// Limit on the text of an effect, in bytes.
const MAX_TEXT: usize = 16_000;
const MAX_SUGGESTIONS: usize = 13;
const MAX_NAME: usize = 128;
/// Limit on a JSON value, in bytes. Values are stored with the turn; slots are stored with every later turn too.
const MAX_JSON: usize = 16_384;

/// The request that is passed to the plugin.
pub fn request(spec: &PluginSpec, call: &PluginCall<'_>) -> Request {
    let context = call.context;
    let entity = |entity: &banter_engine::entities::Entity| Entity {
        entity: entity.entity.clone(),
        value: entity.value.clone(),
        text: entity.text.clone(),
    };
    let exchange = |one: &banter_engine::state::Exchange| Exchange {
        user: one.user.clone(),
        bot: one.bot.clone(),
        intent: one.intent.as_ref().map(|intent| intent.as_str().to_owned()),
    };
    Request {
        text: context.text.clone(),
        language: context.language.code().to_owned(),
        intent: context.intent.as_str().to_owned(),
        probability: context.probability,
        entities: context.entities.iter().map(entity).collect(),
        slots: context
            .slots
            .iter()
            .map(|(name, value)| Slot { name: name.clone(), value: value.to_string() })
            .collect(),
        contexts: context.contexts.keys().cloned().collect(),
        user_id: context.user,
        dialog_id: context.dialogue,
        history: context.history.iter().map(exchange).collect(),
        settings: spec.settings.to_string(),
        arguments: call.arguments.as_ref().map(Value::to_string),
    }
}

/// Checks and converts a plugin's reply.
pub fn reply(reply: wire::Reply) -> Result<PluginReply, String> {
    if reply.effects.len() > MAX_EFFECTS {
        return Err(format!("the reply has more than {MAX_EFFECTS} effects"));
    }
    let effects = reply.effects.into_iter().map(effect).collect::<Result<_, _>>()?;
    let value = reply.value.map(|value| json("value", &value)).transpose()?;
    Ok(PluginReply { effects, value, fuel: 0 })
}

/// Converts a failure that the plugin itself reported.
pub fn failure(failure: Failure) -> PluginFailure {
    let shorten = |text: &str| banter_engine::text::shorten(text, 500);
    PluginFailure {
        kind: FailureKind::Refused,
        message: shorten(&failure.message),
        user_text: failure.user_text.map(|text| shorten(&text)).filter(|text| !text.trim().is_empty()),
        retryable: failure.retryable,
    }
}

fn effect(effect: wire::Effect) -> Result<Effect, String> {
    Ok(match effect {
        wire::Effect::Say(say) => {
            if say.suggestions.len() > MAX_SUGGESTIONS {
                return Err(format!("there are more than {MAX_SUGGESTIONS} suggestions"));
            }
            let suggestions = say.suggestions.into_iter().map(|word| text("suggestion", word, MAX_NAME));
            Effect::Say { suggestions: suggestions.collect::<Result<_, _>>()?, text: text("say", say.text, MAX_TEXT)? }
        }
        wire::Effect::Image(url) => Effect::Image(text("image", url, MAX_TEXT)?),
        wire::Effect::Payload(value) => Effect::Payload(json("payload", &value)?),
        wire::Effect::Ask(ask) => Effect::Ask {
            slot: text("slot", ask.slot, MAX_NAME)?,
            text: ask.text.map(|words| text("ask", words, MAX_TEXT)).transpose()?,
        },
        wire::Effect::SetSlot(slot) => {
            Effect::SetSlot(text("slot", slot.name, MAX_NAME)?, json("set-slot", &slot.value)?)
        }
        wire::Effect::SetContext(context) => Effect::SetContext {
            name: text("context", context.name, MAX_NAME)?,
            turns: context.turns.min(100),
            minutes: None,
            values: BTreeMap::new(),
        },
        wire::Effect::SetLanguage(code) => Effect::SetLanguage(text("language", code, MAX_NAME)?),
        wire::Effect::Jump(intent) => Effect::Jump(text("intent", intent, MAX_NAME)?),
        wire::Effect::HandOff(words) => {
            Effect::HandOff(words.map(|words| text("hand-off", words, MAX_TEXT)).transpose()?)
        }
        wire::Effect::End => Effect::End,
    })
}

fn text(what: &str, text: String, limit: usize) -> Result<String, String> {
    if text.len() > limit {
        return Err(format!("`{what}` has {} bytes, more than {limit}", text.len()));
    }
    if text.contains('\0') {
        return Err(format!("`{what}` contains a NUL character"));
    }
    Ok(text)
}

fn json(what: &str, text: &str) -> Result<Value, String> {
    if text.len() > MAX_JSON {
        return Err(format!("`{what}` has {} bytes, more than {MAX_JSON}", text.len()));
    }
    serde_json::from_str(text).map_err(|error| format!("`{what}` is not valid JSON: {error}"))
}
