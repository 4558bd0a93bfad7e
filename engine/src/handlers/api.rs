//! The functions and types that scripts see. `docs/scripts.md` describes them for authors.

use std::sync::{Arc, PoisonError};

use rhai::{Array, Dynamic, Engine, EvalAltResult, INT, Map, NativeCallContext};
use serde_json::Value;

use super::{
    Effect,
    script::{Call, outside_deadline, take_one},
};
use crate::{catalogue::IntentId, entities::Entity, language::Language, state::Exchange, text::shorten};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

const MAX_EFFECTS: usize = 32;
const MAX_TEXT: usize = 4_000;
const MAX_SUGGESTIONS: usize = 13;
const MAX_KEY: usize = 128;
const MAX_KEPT_BYTES: usize = 16_384;
const MAX_KEPT: usize = 32;

/// `ctx`: what a handler is told of the turn. Read-only: it has getters and no setters.
#[derive(Clone)]
pub struct Context {
    /// The normalised message.
    pub text: String,
    /// The language of the reply.
    pub language: Language,
    /// The intent that was matched.
    pub intent: IntentId,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// Entities of the message.
    pub entities: Vec<Entity>,
    /// All slot values; a slot of this intent without a value is `null`.
    pub slots: std::collections::BTreeMap<String, Value>,
    /// Names of the contexts that are alive.
    pub contexts: Vec<String>,
    /// The user's id.
    pub user: i64,
    /// The dialogue's id.
    pub dialog: i64,
    /// Earlier exchanges, oldest first.
    pub history: Vec<Exchange>,
}

/// What a handler returns: effects in order.
#[derive(Clone, Debug, Default)]
pub struct Reply(Vec<Effect>);

impl Reply {
    /// A reply from whatever a script returned: a reply, a text, or a list of both.
    ///
    /// # Errors
    /// When it is none of these, or says and does nothing.
    pub fn from_value(value: Dynamic) -> Result<Self, String> {
        let reply = Self::convert(value, 0)?;
        if reply.0.is_empty() {
            return Err("the handler returned nothing to say".to_owned());
        }
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
        Err(format!("the handler returned {} instead of a reply", value.type_name()))
    }

    /// The effects.
    pub fn into_effects(self) -> Vec<Effect> {
        self.0
    }

    fn with(mut self, effect: Effect) -> Self {
        self.0.push(effect);
        self
    }
}

/// Adds the API to an engine.
pub fn register(engine: &mut Engine) {
    register_context(engine);
    register_replies(engine);
    register_turn(engine);
    register_outside(engine);
    // The language's own `sleep` would hold a thread.
    engine.register_fn("sleep", |_: INT| -> Fallible<()> { Err("scripts cannot sleep".into()) });
    engine.register_fn("sleep", |_: f64| -> Fallible<()> { Err("scripts cannot sleep".into()) });
}

fn register_context(engine: &mut Engine) {
    engine
        .register_type_with_name::<Context>("ctx")
        .register_get("text", |ctx: &mut Context| ctx.text.clone())
        .register_get("language", |ctx: &mut Context| ctx.language.code().to_owned())
        .register_get("intent", |ctx: &mut Context| ctx.intent.as_str().to_owned())
        .register_get("probability", |ctx: &mut Context| f64::from(ctx.probability))
        .register_get("user_id", |ctx: &mut Context| ctx.user)
        .register_get("dialog_id", |ctx: &mut Context| ctx.dialog)
        .register_get("slots", |ctx: &mut Context| -> Map {
            ctx.slots.iter().map(|(name, value)| (name.into(), dynamic(value))).collect()
        })
        .register_get("contexts", |ctx: &mut Context| -> Array {
            ctx.contexts.iter().map(|name| name.clone().into()).collect()
        })
        .register_get("entities", |ctx: &mut Context| -> Array { ctx.entities.iter().map(entity_map).collect() })
        .register_get("history", |ctx: &mut Context| -> Array { ctx.history.iter().map(exchange_map).collect() });
}

fn entity_map(entity: &Entity) -> Dynamic {
    let fields: Map = [("entity", &entity.entity), ("value", &entity.value), ("text", &entity.text)]
        .into_iter()
        .map(|(key, value)| (key.into(), value.clone().into()))
        .collect();
    fields.into()
}

fn exchange_map(exchange: &Exchange) -> Dynamic {
    let intent = exchange.intent.as_ref().map_or(Dynamic::UNIT, |intent| intent.as_str().to_owned().into());
    let fields: Map = [
        ("user".into(), exchange.user.clone().into()),
        ("bot".into(), exchange.bot.clone().into()),
        ("intent".into(), intent),
    ]
    .into_iter()
    .collect();
    fields.into()
}

fn say(text: &str) -> Reply {
    Reply(vec![Effect::Say { text: shorten(text, MAX_TEXT), suggestions: Vec::new() }])
}

/// Each effect is a function that begins a reply and a method that goes on with one.
fn register_replies(engine: &mut Engine) {
    engine
        .register_type_with_name::<Reply>("reply")
        .register_fn("say", |text: &str| say(text))
        .register_fn("say", |mut reply: Reply, text: &str| {
            reply.0.extend(say(text).0);
            reply
        })
        .register_fn("+", |mut left: Reply, right: Reply| {
            left.0.extend(right.0);
            left
        })
        .register_fn("suggest", suggest)
        .register_fn("ask", |slot: &str, text: &str| ask(slot, Some(text)))
        .register_fn("ask", |slot: &str| ask(slot, None))
        .register_fn("ask", |mut reply: Reply, slot: &str| {
            reply.0.extend(ask(slot, None).0);
            reply
        });
    effect(engine, "image", |url| Effect::Image(shorten(url, MAX_TEXT)));
    effect(engine, "jump", |intent| Effect::Jump(intent.to_owned()));
    effect(engine, "set_language", |code| Effect::SetLanguage(code.to_owned()));
    effect(engine, "hand_off", |text| Effect::HandOff(Some(shorten(text, MAX_TEXT))));
    engine
        .register_fn("payload", |fields: Map| -> Fallible<Reply> {
            Ok(Reply(vec![Effect::Payload(json(&fields.into())?)]))
        })
        .register_fn("payload", |reply: Reply, fields: Map| -> Fallible<Reply> {
            Ok(reply.with(Effect::Payload(json(&fields.into())?)))
        });
    engine
        .register_fn("hand_off", || Reply(vec![Effect::HandOff(None)]))
        .register_fn("hand_off", |reply: Reply| reply.with(Effect::HandOff(None)))
        .register_fn("end", || Reply(vec![Effect::End]))
        .register_fn("end", |reply: Reply| reply.with(Effect::End))
        .register_fn("set_slot", |name: &str, value: Dynamic| -> Fallible<Reply> {
            Ok(Reply(vec![Effect::SetSlot(name.to_owned(), json(&value)?)]))
        })
        .register_fn("set_slot", |reply: Reply, name: &str, value: Dynamic| -> Fallible<Reply> {
            Ok(reply.with(Effect::SetSlot(name.to_owned(), json(&value)?)))
        })
        .register_fn("set_context", |name: &str, turns: INT| Reply(vec![set_context(name, turns)]))
        .register_fn("set_context", |reply: Reply, name: &str, turns: INT| reply.with(set_context(name, turns)));
}

fn effect(engine: &mut Engine, name: &'static str, make: fn(&str) -> Effect) {
    engine.register_fn(name, move |value: &str| Reply(vec![make(value)]));
    engine.register_fn(name, move |reply: Reply, value: &str| reply.with(make(value)));
}

fn ask(slot: &str, text: Option<&str>) -> Reply {
    Reply(vec![Effect::Ask { slot: slot.to_owned(), text: text.map(|text| shorten(text, MAX_TEXT)) }])
}

fn set_context(name: &str, turns: INT) -> Effect {
    Effect::SetContext(name.to_owned(), u32::try_from(turns.clamp(0, 100)).unwrap_or(0))
}

/// Quick replies belong to what was said last.
fn suggest(mut reply: Reply, list: Array) -> Fallible<Reply> {
    if list.len() > MAX_SUGGESTIONS {
        return Err(format!("more than {MAX_SUGGESTIONS} suggestions").into());
    }
    let words: Vec<String> = list.iter().map(|word| shorten(&word.to_string(), 80)).collect();
    match reply.0.iter_mut().rev().find_map(|effect| match effect {
        Effect::Say { suggestions, .. } => Some(suggestions),
        _ => None,
    }) {
        Some(suggestions) => *suggestions = words,
        None => return Err("suggest(…) follows say(…)".into()),
    }
    Ok(reply)
}

/// Texts, clock and chance of the turn.
fn register_turn(engine: &mut Engine) {
    engine
        .register_fn("t", |ctx: NativeCallContext, key: &str| text(&ctx, key, &Map::new()))
        .register_fn("t", |ctx: NativeCallContext, key: &str, values: Map| text(&ctx, key, &values))
        .register_fn("now", |ctx: NativeCallContext| -> Fallible<Map> { Ok(now(&*call(&ctx)?)) })
        .register_fn("random", |ctx: NativeCallContext| -> Fallible<f64> {
            Ok(call(&ctx)?.random.lock().unwrap_or_else(PoisonError::into_inner).unit())
        })
        .register_fn("random", |ctx: NativeCallContext, limit: INT| -> Fallible<INT> {
            let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
            let limit = limit.ok_or("random(n) needs a number above 0")?;
            Ok(call(&ctx)?.random.lock().unwrap_or_else(PoisonError::into_inner).below(limit) as INT)
        });
}

fn text(ctx: &NativeCallContext, key: &str, values: &Map) -> Fallible<String> {
    let call = call(ctx)?;
    let text = call.catalogue.texts.get(key).ok_or_else(|| format!("there is no text `{key}`"))?;
    let mut random = call.random.lock().unwrap_or_else(PoisonError::into_inner);
    let template = text
        .pick(&call.language, &mut random)
        .ok_or_else(|| format!("the text `{key}` is missing in `{}`", call.language))?;
    let value = |name: &str| {
        let given = values.get(name).map(ToString::to_string);
        given.or_else(|| call.slots.get(name).filter(|value| !value.is_null()).map(plain))
    };
    Ok(template.render(&value).map_err(|name| format!("the text `{key}` needs a value for {{{name}}}"))?)
}

/// A JSON value as a person would write it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn now(call: &Call) -> Map {
    let zoned = call.now.to_zoned(call.catalogue.time_zone.clone());
    let number = |value: i64| Dynamic::from(value);
    [
        ("year", number(zoned.year().into())),
        ("month", number(zoned.month().into())),
        ("day", number(zoned.day().into())),
        ("hour", number(zoned.hour().into())),
        ("minute", number(zoned.minute().into())),
        ("second", number(zoned.second().into())),
        ("weekday", number(zoned.weekday().to_monday_one_offset().into())),
        ("unix", number(call.now.as_second())),
        ("date", zoned.date().to_string().into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect()
}

/// What reaches beyond the turn; each bounds its own time.
fn register_outside(engine: &mut Engine) {
    engine
        .register_fn("log", |ctx: NativeCallContext, message: &str| -> Fallible<()> {
            let call = call(&ctx)?;
            call.host.log(&call.script, &shorten(message, 500));
            Ok(())
        })
        .register_fn("kv_get", |ctx: NativeCallContext, key: &str| -> Fallible<Dynamic> {
            let call = call(&ctx)?;
            if let Some(value) = call.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
                return Ok(dynamic(value));
            }
            if !take_one(&call.reads_left) {
                return Err("kv_get was called too often in one turn".into());
            }
            let found = outside_deadline(|| call.host.kv_get(call.user, key)).map_err(|error| error.to_string())?;
            Ok(found.as_ref().map_or(Dynamic::UNIT, dynamic))
        })
        .register_fn("kv_set", kv_set)
        .register_fn("url_encode", |text: &str| url_encode(text))
        .register_fn("http_get", http_get);
}

fn kv_set(ctx: NativeCallContext, key: &str, value: Dynamic) -> Fallible<()> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(format!("a key of kv_set has 1 to {MAX_KEY} bytes").into());
    }
    let value = json(&value)?;
    if value.to_string().len() > MAX_KEPT_BYTES {
        return Err(format!("a value of kv_set has at most {MAX_KEPT_BYTES} bytes").into());
    }
    let call = call(&ctx)?;
    let mut kept = call.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT && !kept.contains_key(key) {
        return Err(format!("a turn keeps at most {MAX_KEPT} values").into());
    }
    kept.insert(key.to_owned(), value);
    Ok(())
}

fn http_get(ctx: NativeCallContext, url: &str) -> Fallible<Map> {
    let call = call(&ctx)?;
    if !take_one(&call.fetches_left) {
        return Err("http_get was called too often in one turn".into());
    }
    let answer =
        outside_deadline(|| call.host.http_get(url, &call.catalogue.http)).map_err(|error| error.to_string())?;
    let parsed = serde_json::from_str::<Value>(&answer.body).ok();
    let fields = [
        ("status", Dynamic::from(INT::from(answer.status))),
        ("body", answer.body.into()),
        ("json", parsed.as_ref().map_or(Dynamic::UNIT, dynamic)),
    ];
    Ok(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn call(ctx: &NativeCallContext) -> Fallible<Arc<Call>> {
    let tag = ctx.tag().and_then(|tag| tag.clone().try_cast::<Arc<Call>>());
    tag.ok_or_else(|| "this function works only inside a handler".into())
}

fn json(value: &Dynamic) -> Fallible<Value> {
    rhai::serde::from_dynamic(value)
}

fn dynamic(value: &Value) -> Dynamic {
    rhai::serde::to_dynamic(value).unwrap_or(Dynamic::UNIT)
}
