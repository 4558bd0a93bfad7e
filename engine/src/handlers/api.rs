//! The types and functions that scripts see. `docs/scripts.md` describes them for authors.

mod outside;
pub mod strings;
pub mod value;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rhai::{Array, Dynamic, Engine, INT, Map, NativeCallContext};
use serde_json::Value;

use super::{
    call::Call,
    context::{Context, Frame},
    effect::Effect,
};
use crate::{entities::Entity, state::Exchange, text::shorten};
use value::{Fallible, MAX_KEY, MAX_TEXT, Reply, bounded, call, dynamic, say};

const MAX_SUGGESTIONS: usize = 13;
/// A week.
const MAX_MINUTES: INT = 10_080;

/// Adds the script API to a Rhai engine.
pub fn register(engine: &mut Engine) {
    register_context(engine);
    register_replies(engine);
    register_turn(engine);
    outside::register(engine);
    strings::register(engine);
    // Rhai's own `sleep` would block a thread.
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
        .register_get("dialog_id", |ctx: &mut Context| ctx.dialogue)
        .register_get("slots", |ctx: &mut Context| -> Map {
            ctx.slots.iter().map(|(name, value)| (name.into(), dynamic(value))).collect()
        })
        .register_get("contexts", |ctx: &mut Context| -> Array {
            ctx.contexts.keys().map(|name| name.clone().into()).collect()
        })
        .register_get("context_values", |ctx: &mut Context| -> Map {
            ctx.contexts.iter().map(|(name, context)| (name.into(), value_map(&context.values))).collect()
        })
        .register_get("frames", |ctx: &mut Context| -> Array { ctx.frames.iter().map(frame_map).collect() })
        .register_get("entities", |ctx: &mut Context| -> Array { ctx.entities.iter().map(entity_map).collect() })
        .register_get("history", |ctx: &mut Context| -> Array { ctx.history.iter().map(exchange_map).collect() });
}

fn value_map(values: &BTreeMap<String, Value>) -> Dynamic {
    values.iter().map(|(name, value)| (name.into(), dynamic(value))).collect::<Map>().into()
}

fn entity_map(entity: &Entity) -> Dynamic {
    let optional = |value: &Option<String>| value.clone().map_or(Dynamic::UNIT, Dynamic::from);
    let fields: Map = [
        ("entity".into(), entity.entity.clone().into()),
        ("value".into(), entity.value.clone().into()),
        ("past".into(), optional(&entity.past)),
        ("role".into(), optional(&entity.role)),
        ("text".into(), entity.text.clone().into()),
    ]
    .into_iter()
    .collect();
    fields.into()
}

fn frame_map(frame: &Frame) -> Dynamic {
    rhai::serde::to_dynamic(frame).unwrap_or(Dynamic::UNIT)
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

/// Each effect is both a function that starts a reply and a method that extends one.
fn register_replies(engine: &mut Engine) {
    engine
        .register_type_with_name::<Reply>("reply")
        .register_fn("say", |text: &str| say(text))
        .register_fn("say", |reply: Reply, text: &str| reply.and(say(text)))
        .register_fn("+", Reply::and)
        .register_fn("suggest", suggest)
        .register_fn("ask", |slot: &str, text: &str| ask(slot, Some(text)))
        .register_fn("ask", |slot: &str| ask(slot, None))
        .register_fn("ask", |reply: Reply, slot: &str| reply.and(ask(slot, None)))
        .register_fn("ask", |reply: Reply, slot: &str, text: &str| reply.and(ask(slot, Some(text))));
    effect(engine, "image", |url| Effect::Image(shorten(url, MAX_TEXT)));
    effect(engine, "jump", |intent| Effect::Jump(intent.to_owned()));
    effect(engine, "set_language", |code| Effect::SetLanguage(code.to_owned()));
    effect(engine, "hand_off", |text| Effect::HandOff(Some(shorten(text, MAX_TEXT))));
    engine
        .register_fn("payload", |fields: Map| -> Fallible<Reply> {
            Ok(Reply(vec![Effect::Payload(bounded(&fields.into())?)]))
        })
        .register_fn("payload", |reply: Reply, fields: Map| -> Fallible<Reply> {
            reply.with(Effect::Payload(bounded(&fields.into())?))
        });
    engine
        .register_fn("hand_off", || Reply(vec![Effect::HandOff(None)]))
        .register_fn("hand_off", |reply: Reply| reply.with(Effect::HandOff(None)))
        .register_fn("end", || Reply(vec![Effect::End]))
        .register_fn("end", |reply: Reply| reply.with(Effect::End))
        .register_fn("set_slot", |name: &str, value: Dynamic| -> Fallible<Reply> {
            Ok(Reply(vec![Effect::SetSlot(shorten(name, MAX_KEY), bounded(&value)?)]))
        })
        .register_fn("set_slot", |reply: Reply, name: &str, value: Dynamic| -> Fallible<Reply> {
            reply.with(Effect::SetSlot(shorten(name, MAX_KEY), bounded(&value)?))
        })
        .register_fn("set_context", |name: &str, turns: INT| -> Fallible<Reply> {
            Ok(Reply(vec![set_context(name, turns, &Map::new())?]))
        })
        .register_fn("set_context", |name: &str, turns: INT, options: Map| -> Fallible<Reply> {
            Ok(Reply(vec![set_context(name, turns, &options)?]))
        })
        .register_fn("set_context", |reply: Reply, name: &str, turns: INT| {
            reply.with(set_context(name, turns, &Map::new())?)
        })
        .register_fn("set_context", |reply: Reply, name: &str, turns: INT, options: Map| {
            reply.with(set_context(name, turns, &options)?)
        });
}

fn effect(engine: &mut Engine, name: &'static str, make: fn(&str) -> Effect) {
    engine.register_fn(name, move |value: &str| Reply(vec![make(value)]));
    engine.register_fn(name, move |reply: Reply, value: &str| reply.with(make(value)));
}

fn ask(slot: &str, text: Option<&str>) -> Reply {
    Reply(vec![Effect::Ask { slot: slot.to_owned(), text: text.map(|text| shorten(text, MAX_TEXT)) }])
}

fn set_context(name: &str, turns: INT, options: &Map) -> Fallible<Effect> {
    let (mut minutes, mut values) = (None, BTreeMap::new());
    for (key, value) in options {
        match key.as_str() {
            "minutes" => {
                let given = value.as_int().ok().filter(|minutes| (1..=MAX_MINUTES).contains(minutes));
                let given =
                    given.ok_or_else(|| format!("`minutes` of a context is a number from 1 to {MAX_MINUTES}"))?;
                minutes = u32::try_from(given).ok();
            }
            "values" => {
                let Value::Object(fields) = bounded(value)? else {
                    return Err("`values` of a context is a map".into());
                };
                values.extend(fields);
            }
            _ => return Err(format!("a context has no `{key}`: write `minutes` or `values`").into()),
        }
    }
    let turns = u32::try_from(turns.clamp(0, 100)).unwrap_or(0);
    Ok(Effect::SetContext { name: shorten(name, MAX_KEY), turns, minutes, values })
}

/// Attaches quick replies to the last text of a reply.
fn suggest(mut reply: Reply, list: Array) -> Fallible<Reply> {
    if list.len() > MAX_SUGGESTIONS {
        return Err(format!("suggest(…) takes at most {MAX_SUGGESTIONS} quick replies").into());
    }
    let words: Vec<String> = list.iter().map(|word| shorten(&word.to_string(), 80)).collect();
    match reply.0.iter_mut().rev().find_map(|effect| match effect {
        Effect::Say { suggestions, .. } => Some(suggestions),
        _ => None,
    }) {
        Some(suggestions) => *suggestions = words,
        None => return Err("suggest(…) must follow say(…)".into()),
    }
    Ok(reply)
}

/// Functions for texts, clock and random numbers.
fn register_turn(engine: &mut Engine) {
    engine
        .register_fn("t", |ctx: NativeCallContext, key: &str| text(&ctx, key, &Map::new()))
        .register_fn("t", |ctx: NativeCallContext, key: &str, values: Map| text(&ctx, key, &values))
        .register_fn("now", |ctx: NativeCallContext| -> Fallible<Map> { Ok(now(&*call(&ctx)?)) })
        .register_fn("days_since", |ctx: NativeCallContext, date: &str| -> Fallible<INT> {
            days_since(&*call(&ctx)?, date)
        })
        .register_fn("random", |ctx: NativeCallContext| -> Fallible<f64> { Ok(call(&ctx)?.so_far().random.unit()) })
        .register_fn("random", |ctx: NativeCallContext, limit: INT| -> Fallible<INT> {
            let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
            let limit = limit.ok_or("random(n) needs a number above 0")?;
            Ok(call(&ctx)?.so_far().random.below(limit) as INT)
        });
}

fn text(ctx: &NativeCallContext, key: &str, values: &Map) -> Fallible<String> {
    let call = call(ctx)?;
    let text = call.library.texts.get(key).ok_or_else(|| format!("there is no text `{key}`"))?;
    let language = &call.context.language;
    let template = text
        .pick(language, &mut call.so_far().random)
        .ok_or_else(|| format!("the text `{key}` is missing in `{language}`"))?;
    let value = |name: &str| {
        let given = values.get(name).map(ToString::to_string);
        given.or_else(|| call.context.shown.get(name).cloned())
    };
    Ok(template.render(&value).map_err(|name| format!("the text `{key}` needs a value for {{{name}}}"))?)
}

/// Days from a date to today; below 0 for a day to come.
fn days_since(call: &Call, date: &str) -> Fallible<INT> {
    call.so_far().clock_read = true;
    // A time of day behind the date does not matter.
    let day = date.split('T').next().unwrap_or_default();
    let day: Date = day.parse().map_err(|_| format!("days_since(\"{date}\") needs a date such as 2026-12-31"))?;
    let days = day.until(call.now.date()).map_err(|error| error.to_string())?;
    Ok(days.get_days().into())
}

fn now(call: &Call) -> Map {
    let zoned = &call.now;
    call.so_far().clock_read = true;
    let number = |value: i64| Dynamic::from(value);
    [
        ("year", number(zoned.year().into())),
        ("month", number(zoned.month().into())),
        ("day", number(zoned.day().into())),
        ("hour", number(zoned.hour().into())),
        ("minute", number(zoned.minute().into())),
        ("second", number(zoned.second().into())),
        ("weekday", number(zoned.weekday().to_monday_one_offset().into())),
        ("unix", number(zoned.timestamp().as_second())),
        ("date", zoned.date().to_string().into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect()
}
