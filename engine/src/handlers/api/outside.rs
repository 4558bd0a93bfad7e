//! Script functions that reach beyond the turn: log, stored values, HTTP, plugins.

use std::sync::{PoisonError, atomic::Ordering};

use rhai::{Dynamic, Engine, INT, Map, NativeCallContext};
use serde_json::Value;

use super::{Fallible, MAX_KEY, Reply, bounded, call, dynamic, json};
use crate::{
    handlers::{
        plugin::PluginCall,
        script::{outside_deadline, take_one},
    },
    text::shorten,
};

/// Limit on the number of values that one turn may store.
const MAX_KEPT: usize = 32;

/// Adds these functions to a Rhai engine. Each limits its own time.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("log", |ctx: NativeCallContext, message: &str| -> Fallible<()> {
            let call = call(&ctx)?;
            if take_one(&call.lines_left) {
                call.host.log(&call.script, &shorten(message, 500));
            }
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
        .register_fn("http_get", http_get)
        .register_fn("plugin", |ctx: NativeCallContext, name: &str| call_plugin(&ctx, name, None))
        .register_fn("plugin", |ctx: NativeCallContext, name: &str, arguments: Map| {
            let arguments = json(&arguments.into())?;
            call_plugin(&ctx, name, Some(arguments))
        });
}

/// Returns the plugin's value or, if there is none, its effects as a reply.
fn call_plugin(ctx: &NativeCallContext, name: &str, arguments: Option<Value>) -> Fallible<Dynamic> {
    let call = call(ctx)?;
    let plugin = call.catalogue.plugins.get(name).ok_or_else(|| format!("there is no plugin `{name}`"))?;
    if !take_one(&call.plugins_left) {
        return Err("plugins were called too often in one turn".into());
    }
    let mut random = call.random.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kept = call.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let input = PluginCall {
        context: &call.context,
        arguments,
        host: &call.host,
        now: call.now.clone(),
        random: &mut random,
        kept: &mut kept,
        replayed: false,
    };
    if plugin.reads_clock() {
        call.clock_read.store(true, Ordering::Relaxed);
    }
    let reply = outside_deadline(|| call.host.call_plugin(&**plugin, input)).map_err(|failure| {
        call.events.lock().unwrap_or_else(PoisonError::into_inner).push(failure.event(name));
        format!("the plugin `{name}` failed ({}): {failure}", failure.kind.as_str())
    })?;
    call.fuel.fetch_add(reply.fuel, Ordering::Relaxed);
    Ok(match reply.value {
        Some(value) => dynamic(&value),
        None => Dynamic::from(Reply(reply.effects)),
    })
}

fn kv_set(ctx: NativeCallContext, key: &str, value: Dynamic) -> Fallible<()> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(format!("a key for kv_set must have 1 to {MAX_KEY} bytes").into());
    }
    let value = bounded(&value)?;
    let call = call(&ctx)?;
    let mut kept = call.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT && !kept.contains_key(key) {
        return Err(format!("a turn may store at most {MAX_KEPT} values").into());
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

/// Percent-encodes everything except RFC 3986's unreserved characters.
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
