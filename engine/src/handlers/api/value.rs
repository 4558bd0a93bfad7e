//! Values on their way between scripts and the engine, with their bounds.

use std::sync::Arc;

use rhai::{Array, Dynamic, EvalAltResult, NativeCallContext};
use serde_json::Value;

use crate::{
    handlers::{call::Call, effect::Effect},
    text::shorten,
};

/// The result of a script function.
pub type Fallible<T> = Result<T, Box<EvalAltResult>>;

const MAX_EFFECTS: usize = 32;
/// Characters of a text that a script says.
pub const MAX_TEXT: usize = 4_000;
/// Bytes of the name of a slot or of a stored value.
pub const MAX_KEY: usize = 128;
const MAX_KEPT_BYTES: usize = 16_384;

/// What a handler returns: a list of effects.
#[derive(Clone, Debug, Default)]
pub struct Reply(pub(super) Vec<Effect>);

impl Reply {
    /// Converts a script's return value: a reply, a text, or a list of these.
    ///
    /// # Errors
    /// If the value is none of these, or the reply has too many effects.
    pub fn from_value(value: Dynamic) -> Result<Self, String> {
        let reply = Self::convert(value, 0)?;
        if reply.0.len() > MAX_EFFECTS {
            return Err(format!("the handler returned more than {MAX_EFFECTS} effects"));
        }
        Ok(reply)
    }

    fn convert(value: Dynamic, depth: usize) -> Result<Self, String> {
        if value.is_unit() {
            return Ok(Self::default());
        }
        if let Some(reply) = value.clone().try_cast::<Self>() {
            return Ok(reply);
        }
        if value.is_string() {
            return Ok(say(&value.to_string()));
        }
        if let Some(list) = value.clone().try_cast::<Array>().filter(|_| depth < 2) {
            let mut all = Self::default();
            for item in list {
                all.0.extend(Self::convert(item, depth + 1)?.0);
            }
            return Ok(all);
        }
        Err(format!("the function returned {} instead of a reply, a text or nothing", value.type_name()))
    }

    /// The effects, in order.
    pub fn into_effects(self) -> Vec<Effect> {
        self.0
    }

    pub(super) fn with(self, effect: Effect) -> Fallible<Self> {
        self.and(Self(vec![effect]))
    }

    /// Concatenates two replies. The size is checked at each step, because Rhai's own limits do not see it and a reply
    /// that is added to itself grows fast.
    pub(super) fn and(mut self, other: Self) -> Fallible<Self> {
        if self.0.len() + other.0.len() > MAX_EFFECTS {
            return Err(format!("a reply may have at most {MAX_EFFECTS} effects").into());
        }
        self.0.extend(other.0);
        Ok(self)
    }
}

/// A reply that says a text.
pub(super) fn say(text: &str) -> Reply {
    Reply(vec![Effect::Say { text: shorten(text, MAX_TEXT), suggestions: Vec::new() }])
}

/// A JSON value as readable text: strings without quotes.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The call that a function belongs to.
pub(super) fn call(ctx: &NativeCallContext) -> Fallible<Arc<Call>> {
    let tag = ctx.tag().and_then(|tag| tag.clone().try_cast::<Arc<Call>>());
    tag.ok_or_else(|| "this function works only inside a handler".into())
}

/// A script's value as JSON.
pub(super) fn json(value: &Dynamic) -> Fallible<Value> {
    rhai::serde::from_dynamic(value)
}

/// Converts a value that will be stored in the state, and limits its size.
pub(super) fn bounded(value: &Dynamic) -> Fallible<Value> {
    let value = json(value)?;
    if value.to_string().len() > MAX_KEPT_BYTES {
        return Err(format!("a value may have at most {MAX_KEPT_BYTES} bytes").into());
    }
    Ok(value)
}

/// JSON as a script's value.
pub(super) fn dynamic(value: &Value) -> Dynamic {
    rhai::serde::to_dynamic(value).unwrap_or(Dynamic::UNIT)
}
