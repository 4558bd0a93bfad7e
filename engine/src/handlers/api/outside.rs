//! Script functions that reach beyond the turn: log, stored values, HTTP, plugins.

use rhai::{Dynamic, Engine, INT, Map, NativeCallContext};
use serde_json::Value;

use super::value::{Fallible, MAX_KEY, Reply, bounded, call, dynamic, json};
use crate::{
    handlers::{
        call::{SoFar, outside_deadline, take_one},
        plugin::PluginCall,
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
            if take_one(&mut call.so_far().left.lines) {
                call.host.log(&call.script, &shorten(message, 500));
            }
            Ok(())
        })
        .register_fn("kv_get", |ctx: NativeCallContext, key: &str| -> Fallible<Dynamic> {
            let call = call(&ctx)?;
            let mut so_far = call.so_far();
            if let Some(value) = so_far.kept.get(key) {
                return Ok(dynamic(value));
            }
            if !take_one(&mut so_far.left.reads) {
                return Err("kv_get was called too often in one turn".into());
            }
            drop(so_far);
            let found =
                outside_deadline(|| call.host.kv_get(call.context.user, key)).map_err(|error| error.to_string())?;
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
    let plugin = call.library.plugins.get(name).ok_or_else(|| format!("there is no plugin `{name}`"))?;
    let mut so_far = call.so_far();
    if !take_one(&mut so_far.left.plugins) {
        return Err("plugins were called too often in one turn".into());
    }
    so_far.clock_read |= plugin.reads_clock();
    let SoFar { random, kept, events, fuel, .. } = &mut *so_far;
    let input = PluginCall {
        context: &call.context,
        arguments,
        host: &call.host,
        now: call.now.clone(),
        random,
        kept,
        replayed: false,
    };
    let reply = outside_deadline(|| plugin.call(input)).map_err(|failure| {
        events.push(failure.event(name));
        format!("the plugin `{name}` failed ({}): {failure}", failure.kind.as_str())
    })?;
    *fuel += reply.fuel;
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
    let kept = &mut call.so_far().kept;
    if kept.len() >= MAX_KEPT && !kept.contains_key(key) {
        return Err(format!("a turn may store at most {MAX_KEPT} values").into());
    }
    kept.insert(key.to_owned(), value);
    Ok(())
}

fn http_get(ctx: NativeCallContext, url: &str) -> Fallible<Map> {
    let call = call(&ctx)?;
    if !take_one(&mut call.so_far().left.fetches) {
        return Err("http_get was called too often in one turn".into());
    }
    let answer = outside_deadline(|| call.host.http_get(url, &call.library.http)).map_err(|error| error.to_string())?;
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
