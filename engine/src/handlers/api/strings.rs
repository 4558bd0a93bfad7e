//! `replace` with a bound: Rhai's own allocates the whole result before its length is checked, and one call can ask for
//! gigabytes.

use rhai::{Engine, ImmutableString};

use super::value::Fallible;

/// As [`Engine::set_max_string_size`] has it.
pub const MAX_STRING: usize = 100_000;

/// Adds the functions.
pub fn register(engine: &mut Engine) {
    engine
        .register_fn("replace", |text: &mut ImmutableString, old: &str, new: &str| replace(text, old, new))
        .register_fn("replace", |text: &mut ImmutableString, old: &str, new: char| {
            replace(text, old, new.encode_utf8(&mut [0; 4]))
        })
        .register_fn("replace", |text: &mut ImmutableString, old: char, new: &str| {
            replace(text, old.encode_utf8(&mut [0; 4]), new)
        })
        .register_fn("replace", |text: &mut ImmutableString, old: char, new: char| {
            replace(text, old.encode_utf8(&mut [0; 4]), new.encode_utf8(&mut [0; 4]))
        });
}

fn replace(text: &mut ImmutableString, old: &str, new: &str) -> Fallible<()> {
    let places = text.matches(old).count();
    let added = places.saturating_mul(new.len());
    if text.len().saturating_add(added) > MAX_STRING.saturating_add(places.saturating_mul(old.len())) {
        return Err(format!("replace would make a text of more than {MAX_STRING} bytes").into());
    }
    *text = text.replace(old, new).into();
    Ok(())
}
